#include "apiserver/indexed.h"

/* To be raised whenever the table changes: then every store is gone through once more. */
#define INDEXED_VERSION 2
#define SCRATCH_LIMIT (64u << 20)

static const struct indexed {
    const char *prefix; /* of the store's keys */
    const char *field;  /* as selectors name it */
    const char *path;   /* of the value, or of a list of objects */
    const char *member; /* of each element: the value; NULL: no list */
    bool empty;         /* those without a value are found by the empty one */
} table[] = {
    { "/registry/pods/", "spec.nodeName", "spec.nodeName", NULL, true },
    { "/registry/", FIELD_OWNER, "metadata.ownerReferences", "uid", false },
};

static struct str term_of(struct arena *arena, const char *field, struct str value)
{
    if (strlen(field) + 1 + value.len > STORE_TERM_MAX || str_chr(value, '\0') >= 0)
        return STR_NULL;
    return arena_printf(arena, "%s=" STR_FMT, field, STR_ARG(value));
}

struct str indexed_term_of(struct arena *arena, const char *field, struct str value)
{
    return str_empty(value) ? STR_NULL : term_of(arena, field, value);
}

/* Unset: the row has none of that value. */
static struct str row_term(struct arena *arena, const struct indexed *row, struct str value)
{
    return row->empty && str_empty(value) ? term_of(arena, row->field, STR(""))
                                          : indexed_term_of(arena, row->field, value);
}

struct terms {
    struct arena *arena;
    struct str *items;
    size_t count;
};

static void add_term(struct terms *terms, const struct indexed *row, struct str value)
{
    struct str term = terms->count < STORE_TERMS_MAX ? row_term(terms->arena, row, value) : STR_NULL;

    if (term.data)
        terms->items[terms->count++] = term;
}

size_t indexed_terms(struct arena *arena, struct str key, const struct json *object,
                     struct str ret_terms[STORE_TERMS_MAX])
{
    struct terms terms = { arena, ret_terms, 0 };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!str_has_prefix(key, str_from(table[i].prefix)))
            continue;
        const struct json *value = json_at(object, table[i].path);
        if (!table[i].member)
            add_term(&terms, &table[i], json_str(value));
        else
            for (uint32_t k = 0; json_is(value, JSON_ARRAY) && k < value->count; k++)
                add_term(&terms, &table[i], json_str(json_get(&value->items[k], str_from(table[i].member))));
    }
    return terms.count;
}

struct str indexed_term(struct arena *arena, struct str prefix, const struct selector *fields)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!str_has_prefix(prefix, str_from(table[i].prefix)))
            continue;
        struct str value = selector_required_value(fields, str_from(table[i].field));
        struct str term = value.data ? row_term(arena, &table[i], value) : STR_NULL;

        if (term.data)
            return term;
    }
    return STR_NULL;
}

static size_t terms_of_stored(void *arg, struct str key, struct str value, struct str ret_terms[STORE_TERMS_MAX])
{
    struct arena *arena = arg;
    struct json *object;

    arena_reset(arena);
    if (str_empty(value) || value.data[0] != '{' || json_parse(arena, value, NULL, &object, NULL) < 0)
        return 0; /* reservations are no objects */
    return indexed_terms(arena, key, object, ret_terms);
}

int indexed_upgrade(struct store *store, struct err *err)
{
    AUTO(arena) arena = arena_new(SCRATCH_LIMIT);

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "indexing the store");
    return store_reindex(store, INDEXED_VERSION, terms_of_stored, arena, err);
}
