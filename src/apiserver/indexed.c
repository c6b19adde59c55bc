#include "apiserver/indexed.h"

/* To be raised whenever the table changes: then every store is gone through once more. */
#define INDEXED_VERSION 1
#define SCRATCH_LIMIT (64u << 20)

static const struct indexed {
    const char *prefix; /* of the store's keys */
    const char *field;  /* as selectors name it */
    const char *path;   /* of the value, or of a list of objects */
    const char *member; /* of each element: the value; NULL: no list */
} table[] = {
    { "/registry/pods/", "spec.nodeName", "spec.nodeName", NULL },
    { "/registry/", FIELD_OWNER, "metadata.ownerReferences", "uid" },
};

struct str indexed_term_of(struct arena *arena, const char *field, struct str value)
{
    if (str_empty(value) || strlen(field) + 1 + value.len > STORE_TERM_MAX || str_chr(value, '\0') >= 0)
        return STR_NULL;
    return arena_printf(arena, "%s=" STR_FMT, field, STR_ARG(value));
}

struct terms {
    struct arena *arena;
    struct str *items;
    size_t count;
};

static void add_term(struct terms *terms, const struct indexed *row, struct str value)
{
    struct str term = terms->count < STORE_TERMS_MAX ? indexed_term_of(terms->arena, row->field, value) : STR_NULL;

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
        struct str term =
            indexed_term_of(arena, table[i].field, selector_required_value(fields, str_from(table[i].field)));
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
