/* rng.h - chance is handed in: the system's (cryptographically strong) or a seeded, replayable one.
 *
 * rng_system() may be used by any thread; a seeded one by one thread at a time. */
#pragma once

#include "base/str.h"

struct rng {
    void (*fill)(struct rng *rng, void *out, size_t len);
};

struct rng *rng_system(void); /* getrandom(2); a static object */

struct seeded_rng {
    struct rng rng;
    uint64_t state[4];
};

void seeded_rng_init(struct seeded_rng *rng, uint64_t seed); /* xoshiro256**, not for secrets */

static inline void rng_fill(struct rng *rng, void *out, size_t len)
{
    rng->fill(rng, out, len);
}

uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* uniform in [0, bound); 0 for bound 0 */
double rng_unit(struct rng *rng);                    /* uniform in [0, 1) */

#define UUID_LEN 36
/* A version 4 UUID (RFC 9562), NUL-terminated. */
void rng_uuid(struct rng *rng, char out[UUID_LEN + 1]);
/* n characters of Kubernetes' name alphabet (bcdfghjklmnpqrstvwxz2456789), as generateName uses; NUL-terminated. */
void rng_name_suffix(struct rng *rng, char *out, size_t n);
