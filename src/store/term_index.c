/* term_index.c - the index by term.
 *
 * An entry is a key of the tree `terms`: the term, a NUL, the key. It is there from the moment that a state of the key
 * first has the term until every state that had it has been compacted away; `deleted` says that the newest state does
 * not have it, and `position` which record took it or brought it. So the index serves lists at any readable revision:
 * it names every key that may have had the term there, and the record itself, which carries its terms, tells whether it
 * did. What a list passes over is only what was lost since the last compaction, and is told by the entry alone.
 *
 * A state that keeps its terms, which is what nearly all writes are, changes nothing here. */
#include "store/term_index.h"

struct str term_key(char *out, struct str term, struct str key)
{
    memcpy(out, term.data, term.len);
    out[term.len] = '\0';
    if (key.len)
        memcpy(out + term.len + 1, key.data, key.len);
    return str_of(out, term.len + 1 + key.len);
}

/* The terms of `of` that are not in `except`, one after the other. */
static bool next_change(struct str *of, struct str except, struct str *ret_term)
{
    while (terms_next(of, ret_term))
        if (!terms_contain(except, *ret_term))
            return true;
    return false;
}

int term_index_change(struct engine *engine, MDB_txn *txn, struct str key, position_t position, struct str before,
                      struct str now)
{
    char bytes[TERM_KEY_MAX];
    struct str rest = now, term;

    while (next_change(&rest, before, &term)) {
        struct index_entry gained = { .position = position };
        int rc = index_put(&engine->terms, txn, term_key(bytes, term, key), &gained);

        if (rc)
            return rc;
    }
    for (rest = before; next_change(&rest, now, &term);) {
        struct index_entry lost = { .position = position, .deleted = true };
        int rc = index_put(&engine->terms, txn, term_key(bytes, term, key), &lost);

        if (rc)
            return rc;
    }
    return 0;
}

int term_index_forget(struct engine *engine, MDB_txn *txn, struct str key, position_t position, struct str before,
                      struct str now)
{
    char bytes[TERM_KEY_MAX];
    struct str term;

    while (next_change(&before, now, &term)) {
        struct str name = term_key(bytes, term, key);
        struct index_entry entry;
        int rc = index_get(&engine->terms, txn, name, &entry);

        if (rc == 0 && entry.deleted && entry.position == position)
            rc = index_delete(&engine->terms, txn, name);
        if (rc && rc != MDB_NOTFOUND)
            return rc;
    }
    return 0;
}
