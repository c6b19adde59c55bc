/* seal.h - chunks of a backup that nobody without the passphrase can read, change, move or cut off.
 *
 * AES-256-GCM with a key that scrypt makes of the passphrase and a salt of the file's own, so that the chunk's number can
 * be its nonce. Not thread-safe. */
#pragma once

#include "base/err.h"

#define SEAL_TAG 16
#define SEAL_SALT 16

/* How much work a passphrase is to try: scrypt's N (as a power of two), r and p. */
struct seal_cost {
    uint32_t log_n, r, p;
};
extern const struct seal_cost seal_cost_default;

struct seal;
/* ERR_NOT_SUPPORTED: a cost beyond what this program is willing to pay. */
int seal_new(struct str passphrase, const uint8_t salt[SEAL_SALT], const struct seal_cost *cost, struct seal **ret_seal,
             struct err *err);
struct seal *seal_free(struct seal *seal);
DEFINE_AUTO(seal, seal_free)

/* Encrypts data in place and writes SEAL_TAG bytes behind it. `with` is authenticated too. */
int seal_close(struct seal *seal, uint64_t number, struct str with, char *data, size_t len, struct err *err);
/* Decrypts len bytes, tag included, in place. ERR_UNAUTHORIZED: another passphrase, or not what was sealed. */
int seal_open(struct seal *seal, uint64_t number, struct str with, char *data, size_t len, struct err *err);
