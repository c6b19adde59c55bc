/* Short texts that clients write: selectors, quantities, times, base64 of continue tokens, queries. What was understood
 * must be understood again in the form that we write it in. */
#include "base/buf.h"
#include "codec/base64.h"
#include "net/http.h"
#include "schema/quantity.h"
#include "schema/selector.h"
#include "schema/time.h"

static struct str any_value(const void *arg, struct str key)
{
    return key;
}

static void check_selector(struct arena *arena, struct str text)
{
    struct str_pair *pair = arena_new_of(arena, struct str_pair);
    const struct selector *selector, *again;
    struct str written;

    if (!pair)
        return;
    *pair = (struct str_pair){ str_first(text, 5), text };
    if (selector_parse(arena, text, &selector, NULL) == 0) {
        selector_matches(selector, (struct str_map){ pair, 1 });
        written = selector_text(arena, selector);
        /* "a in ()" is what Kubernetes prints for one empty value, and does not read. */
        INVARIANT(!written.data || str_find(written, STR("()")) >= 0 ||
                  selector_parse(arena, written, &again, NULL) == 0);
    }
    if (field_selector_parse(arena, text, &selector, NULL) == 0)
        field_selector_matches(selector, any_value, NULL);
}

static void check_quantity(struct arena *arena, struct str text)
{
    struct quantity quantity, again;

    quantity_value(text);
    quantity_milli(text);
    if (!quantity_parse(text, &quantity))
        return;
    INVARIANT(quantity_parse(quantity_text(arena, quantity), &again));
    INVARIANT(quantity_cmp(quantity, quantity) == 0);
}

static void check_time(struct str text)
{
    char out[API_TIME_LEN];
    nsec_t time, again;

    if (!api_time_parse(text, &time))
        return;
    INVARIANT(api_time_parse(api_micro_time_text(time, out), &again));
    duration_text(time, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) arena = arena_new(16u << 20);
    struct str text = str_of(data, size), bytes;
    struct http_params params;

    if (!arena || size == 0)
        return 0;
    check_selector(arena, text);
    check_quantity(arena, text);
    check_time(text);
    base64url_decode(arena, text, &bytes);
    http_params_parse(arena, text, &params);
    return 0;
}
