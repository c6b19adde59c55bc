/* hash.c - wyhash's way: sixteen bytes a step, each half folded with a secret before a 128-bit multiplication mixes
 * them. The secret is set before main(), so that reading it needs neither a check nor a lock. */
#include "base/hash.h"

#include "base/rng.h"

static uint64_t secret[2];

__attribute__((constructor)) static void draw_secret(void)
{
    rng_fill(rng_system(), secret, sizeof secret);
}

void hash_set_secret(uint64_t a, uint64_t b)
{
    secret[0] = a;
    secret[1] = b;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_str(struct str s)
{
    uint64_t hash = secret[0] ^ s.len, a, b;
    const char *p = s.data;
    size_t left = s.len;

    for (; left > 16; left -= 16, p += 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        hash = mix(a ^ secret[1], b ^ hash);
    }
    a = b = 0;
    if (left >= 8) { /* the two may overlap: the length is part of the hash */
        memcpy(&a, p, 8);
        memcpy(&b, p + left - 8, 8);
    } else if (left) {
        memcpy(&a, p, left);
    }
    return mix(secret[1] ^ s.len ^ 0xA0761D6478BD642Full, mix(a ^ secret[1], b ^ hash));
}
