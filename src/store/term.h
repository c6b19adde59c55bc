/* term.h - the index terms of one state of a key, as a record carries them: each a 16-bit length and its bytes. */
#pragma once

#include "store/store.h"

#define TERMS_BYTES_MAX (STORE_TERMS_MAX * (STORE_TERM_MAX + sizeof(uint16_t)))

/* Cuts the first term off *rest; false at the end, and at what cannot be terms. */
bool terms_next(struct str *rest, struct str *ret_term);
bool terms_contain(struct str terms, struct str term);
/* Writes each term once; out has room for TERMS_BYTES_MAX. Returns the bytes written. */
size_t terms_encode(const struct str *terms, size_t count, char *out);
/* ERR_INVALID: too many, an empty one, one that is too long or has a NUL. */
int terms_check(const struct str *terms, size_t count, struct err *err);
