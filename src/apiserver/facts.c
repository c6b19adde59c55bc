/* facts.c - a state's labels, selectable fields and terms.
 *
 * An event stays in the store's window as long as the newest ten thousand do, so what it carries is copied out of the
 * parsed trees into one block, some hundred bytes, and the trees are forgotten. Several watchers may find the facts
 * missing at once; the first to put its own there wins. */
#include "apiserver/facts.h"

#include "apiserver/indexed.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "what selectors ask of an object");
}

static int labels_of(struct arena *arena, const struct json *labels, struct str_map *ret_map, struct err *err)
{
    uint32_t count = json_is(labels, JSON_OBJECT) ? labels->count : 0;
    struct str_pair *pairs = arena_array_of(arena, count ? count : 1, struct str_pair);

    if (!pairs)
        return no_memory(err);
    for (uint32_t i = 0; i < count; i++)
        pairs[i] = (struct str_pair){ labels->members[i].key, json_str(&labels->members[i].value) };
    *ret_map = (struct str_map){ pairs, count };
    return 0;
}

int facts_of(struct arena *arena, const struct selectable_set *set, struct str key, const struct json *object,
             struct facts *ret_facts, struct err *err)
{
    struct str *values = arena_array_of(arena, set->count, struct str);
    struct str *terms = arena_array_of(arena, STORE_TERMS_MAX, struct str);
    struct facts facts = { .values = values, .terms = terms };
    int code;

    if (!values || !terms)
        return no_memory(err);
    if ((code = labels_of(arena, json_at(object, "metadata.labels"), &facts.labels, err)) < 0)
        return code;
    for (size_t i = 0; i < set->count; i++)
        values[i] = selectable_value(&set->rows[i], arena, object);
    facts.term_count = indexed_terms(arena, key, object, terms);
    *ret_facts = facts;
    return 0;
}

/* -- one block -- */

static size_t facts_size(const struct facts *facts, size_t rows)
{
    size_t size = facts->labels.count * sizeof(struct str_pair) + (rows + facts->term_count) * sizeof(struct str);

    for (size_t i = 0; i < facts->labels.count; i++)
        size += facts->labels.items[i].key.len + facts->labels.items[i].value.len;
    for (size_t i = 0; i < rows; i++)
        size += facts->values[i].len;
    for (size_t i = 0; i < facts->term_count; i++)
        size += facts->terms[i].len;
    return size;
}

static struct str keep(char **bytes, struct str s)
{
    struct str kept = { *bytes, s.len };

    if (s.len)
        memcpy(*bytes, s.data, s.len);
    *bytes += s.len;
    return kept;
}

/* slots: room for the arrays; bytes: for what they point to. */
static struct facts facts_copy(const struct facts *from, size_t rows, char **slots, char **bytes)
{
    struct str_pair *labels = (struct str_pair *)*slots;
    struct str *values = (struct str *)(labels + from->labels.count), *terms = values + rows;

    for (size_t i = 0; i < from->labels.count; i++)
        labels[i] =
            (struct str_pair){ keep(bytes, from->labels.items[i].key), keep(bytes, from->labels.items[i].value) };
    for (size_t i = 0; i < rows; i++)
        values[i] = keep(bytes, from->values[i]);
    for (size_t i = 0; i < from->term_count; i++)
        terms[i] = keep(bytes, from->terms[i]);
    *slots = (char *)(terms + from->term_count);
    return (struct facts){ { labels, from->labels.count }, values, terms, from->term_count };
}

static size_t slots_size(const struct facts *facts, size_t rows)
{
    return facts->labels.count * sizeof(struct str_pair) + (rows + facts->term_count) * sizeof(struct str);
}

static struct event_facts *pack(const struct event_facts *facts, bool has_before)
{
    size_t rows = facts->set->count, rows_before = has_before ? rows : 0;
    size_t slots_len = slots_size(&facts->now, rows) + slots_size(&facts->before, rows_before);
    struct event_facts *packed =
        malloc(sizeof *packed + facts_size(&facts->now, rows) + facts_size(&facts->before, rows_before));

    if (!packed)
        return NULL;
    char *slots = (char *)(packed + 1), *bytes = slots + slots_len;
    packed->set = facts->set;
    packed->now = facts_copy(&facts->now, rows, &slots, &bytes);
    packed->before = facts_copy(&facts->before, rows_before, &slots, &bytes);
    return packed;
}

/* -- of an event -- */

static int read_state(struct arena *scratch, const struct selectable_set *set, struct str key, const struct blob *blob,
                      struct facts *ret_facts, struct err *err)
{
    struct json *object;

    if (json_parse(scratch, blob_str(blob), NULL, &object, err) < 0)
        return err_set(err, ERR_INTERNAL, "a stored object is damaged");
    return facts_of(scratch, set, key, object, ret_facts, err);
}

static int make(struct store_event *event, const struct selectable_set *set, struct arena *scratch,
                struct event_facts **ret_facts, struct err *err)
{
    struct event_facts facts = { .set = set };
    int code;

    arena_reset(scratch);
    if ((code = read_state(scratch, set, event->key, event->value, &facts.now, err)) < 0 ||
        (event->previous && (code = read_state(scratch, set, event->key, event->previous, &facts.before, err)) < 0))
        return code;
    *ret_facts = pack(&facts, event->previous != NULL);
    return *ret_facts ? 0 : no_memory(err);
}

int event_facts_get(struct store_event *event, const struct selectable_set *set, struct arena *scratch,
                    atomic_ulong *made, const struct event_facts **ret_facts, struct err *err)
{
    void *present = atomic_load_explicit(&event->facts, memory_order_acquire);
    struct event_facts *facts;
    int code;

    if (!present) {
        if ((code = make(event, set, scratch, &facts, err)) < 0)
            return code;
        atomic_fetch_add_explicit(made, 1, memory_order_relaxed);
        __atomic_store_n(&event->facts_free, free, __ATOMIC_RELAXED);
        if (atomic_compare_exchange_strong(&event->facts, &present, facts))
            present = facts;
        else
            free(facts);
    }
    facts = present;
    *ret_facts = facts->set == set ? facts : NULL;
    return 0;
}
