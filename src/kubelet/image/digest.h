/* digest.h - content addresses: "sha256:<64 lower case hex digits>".
 *
 * Only SHA-256 is known; a well-formed digest of another algorithm is ERR_NOT_SUPPORTED where content must be checked.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define DIGEST_HEX_LEN 64
#define DIGEST_TEXT_LEN (7 + DIGEST_HEX_LEN)

/* Always NUL-terminated; a value, copied freely. text[0] == 0: unset. */
struct digest {
    char text[DIGEST_TEXT_LEN + 1];
};

static inline struct str digest_str(const struct digest *digest)
{
    return str_from(digest->text);
}

static inline struct str digest_hex(const struct digest *digest)
{
    return str_skip(digest_str(digest), 7);
}

static inline bool digest_eq(const struct digest *a, const struct digest *b)
{
    return memcmp(a->text, b->text, DIGEST_TEXT_LEN) == 0;
}

/* ERR_INVALID when malformed, ERR_NOT_SUPPORTED for another algorithm. */
int digest_parse(struct str text, struct digest *ret_digest, struct err *err);
/* Of bytes in memory. */
int digest_of(struct str bytes, struct digest *ret_digest, struct err *err);

/* Of a stream. One thread at a time. */
struct hasher {
    void *context; /* EVP_MD_CTX */
};
int hasher_init(struct hasher *hasher, struct err *err);
void hasher_deinit(struct hasher *hasher); /* zeroed memory is allowed */
int hasher_restart(struct hasher *hasher, struct err *err);
int hasher_add(struct hasher *hasher, const void *data, size_t len, struct err *err);
/* Once; hasher_restart() begins anew. */
int hasher_finish(struct hasher *hasher, struct digest *ret_digest, struct err *err);
