#include "base/rng.h"

#include <errno.h>
#include <sys/random.h>

static void system_fill(struct rng *rng, void *out, size_t len)
{
    char *place = out;

    while (len) {
        ssize_t got = getrandom(place, len, 0);

        if (got < 0) {
            INVARIANT(errno == EINTR);
            continue;
        }
        place += got;
        len -= (size_t)got;
    }
}

struct rng *rng_system(void)
{
    static struct rng rng = { system_fill };

    return &rng;
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** by Blackman and Vigna. */
static uint64_t seeded_next(struct seeded_rng *rng)
{
    uint64_t *s = rng->state, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seeded_fill(struct rng *rng, void *out, size_t len)
{
    struct seeded_rng *self = container_of(rng, struct seeded_rng, rng);
    char *place = out;

    while (len) {
        uint64_t word = seeded_next(self);
        size_t n = MIN(len, sizeof word);

        memcpy(place, &word, n);
        place += n;
        len -= n;
    }
}

void seeded_rng_init(struct seeded_rng *rng, uint64_t seed)
{
    rng->rng.fill = seeded_fill;
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = (seed += 0x9E3779B97F4A7C15ull);

        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        rng->state[i] = z ^ (z >> 31);
    }
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t value;

    rng_fill(rng, &value, sizeof value);
    return value;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    if (bound == 0)
        return 0;
    uint64_t value, reject = (0 - bound) % bound; /* 2^64 mod bound */

    do
        value = rng_u64(rng);
    while (value < reject);
    return value % bound;
}

double rng_unit(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1.0p-53;
}

void rng_uuid(struct rng *rng, char out[UUID_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];
    size_t at = 0;

    rng_fill(rng, bytes, sizeof bytes);
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = hex[bytes[i] >> 4];
        out[at++] = hex[bytes[i] & 15];
    }
    out[at] = 0;
}

void rng_name_suffix(struct rng *rng, char *out, size_t n)
{
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";

    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[rng_below(rng, sizeof alphabet - 1)];
    out[n] = 0;
}
