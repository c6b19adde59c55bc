/* A client's SPDY bytes, in pieces: the first byte says how long they are. Streams are answered and echoed. */
#include "net/spdy.h"

struct echo {
    struct spdy *spdy;
    size_t total;
};

static void on_opened(void *ctx, uint32_t stream, const struct http_header *headers, size_t count, bool end)
{
    struct echo *echo = ctx;

    for (size_t i = 0; i < count; i++)
        echo->total += str_hash(headers[i].name) + str_hash(headers[i].value) > 0;
    spdy_reply(echo->spdy, stream);
    if (end)
        spdy_data(echo->spdy, stream, STR("x"), true);
}

static void on_data(void *ctx, uint32_t stream, struct str bytes, bool end)
{
    struct echo *echo = ctx;

    spdy_consumed(echo->spdy, stream, bytes.len);
    if (spdy_window(echo->spdy, stream) >= bytes.len)
        spdy_data(echo->spdy, stream, bytes, end);
    else
        spdy_reset(echo->spdy, stream, SPDY_CANCEL);
}

static void on_reset(void *ctx, uint32_t stream)
{
    struct echo *echo = ctx;

    INVARIANT(spdy_window(echo->spdy, stream) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct echo echo = { 0 };
    const struct spdy_events events = { &echo, on_opened, on_data, on_reset };
    AUTO_DEINIT(buf, out) = BUF_INIT;
    AUTO(spdy) spdy = spdy_new(&events, &out);
    struct str rest = str_skip(str_of(data, size), 1);
    size_t step = size ? 1 + data[0] : 1;

    echo.spdy = spdy;
    while (spdy && rest.len > 0 && spdy_input(spdy, str_first(rest, step)))
        rest = str_skip(rest, MIN(step, rest.len));
    return 0;
}
