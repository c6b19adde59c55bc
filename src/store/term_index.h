/* term_index.h - which keys have or had a term, in byte order of the keys. Return LMDB's codes, as engine.h says. */
#pragma once

#include "store/index.h"
#include "store/term.h"

#define TERM_KEY_MAX (STORE_TERM_MAX + 1 + STORE_KEY_MAX)

/* "term NUL key" in out, which has room for TERM_KEY_MAX. */
struct str term_key(char *out, struct str term, struct str key);

/* The state of a key at a position takes the place of another one: the terms that come and go. Nothing handed in may
 * lie in the map. */
int term_index_change(struct engine *engine, MDB_txn *txn, struct str key, position_t position, struct str before,
                      struct str now);
/* The state before the one at a position is forgotten: so are the terms that were lost with it. Likewise. */
int term_index_forget(struct engine *engine, MDB_txn *txn, struct str key, position_t position, struct str before,
                      struct str now);
