#include "base/str.h"

#include <errno.h>
#include <limits.h>

int str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.len, b.len);
    int order = n ? memcmp(a.data, b.data, n) : 0;

    if (order)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool str_has_prefix(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

bool str_has_suffix(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.data + s.len - suffix.len, suffix.data, suffix.len) == 0);
}

ssize_t str_chr(struct str s, char c)
{
    const char *found = s.len ? memchr(s.data, c, s.len) : NULL;

    return found ? found - s.data : -1;
}

ssize_t str_rchr(struct str s, char c)
{
    const char *found = s.len ? memrchr(s.data, c, s.len) : NULL;

    return found ? found - s.data : -1;
}

ssize_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    const char *found = s.len ? memmem(s.data, s.len, needle.data, needle.len) : NULL;

    return found ? found - s.data : -1;
}

struct str str_skip(struct str s, size_t n)
{
    n = MIN(n, s.len);
    return (struct str){ s.data ? s.data + n : NULL, s.len - n };
}

struct str str_chop(struct str s, size_t n)
{
    return (struct str){ s.data, s.len - MIN(n, s.len) };
}

struct str str_first(struct str s, size_t n)
{
    return (struct str){ s.data, MIN(n, s.len) };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len && is_blank(s.data[0]))
        s = str_skip(s, 1);
    while (s.len && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *ret_part)
{
    if (!rest->data)
        return false;
    ssize_t at = str_chr(*rest, sep);

    if (at < 0) {
        *ret_part = *rest;
        *rest = STR_NULL;
        return true;
    }
    *ret_part = str_first(*rest, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 1);
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret_value)
{
    bool negative = s.len && s.data[0] == '-';
    uint64_t value;

    if (!str_to_u64(negative ? str_skip(s, 1) : s, &value))
        return false;
    if (negative) {
        if (value > (uint64_t)INT64_MAX + 1)
            return false;
        *ret_value = (int64_t)(0 - value);
        return true;
    }
    if (value > INT64_MAX)
        return false;
    *ret_value = (int64_t)value;
    return true;
}

bool str_to_double(struct str s, double *ret_value)
{
    char text[64], *end;

    if (s.len == 0 || s.len >= sizeof text || is_blank(s.data[0]) || s.data[0] == '+')
        return false;
    memcpy(text, s.data, s.len);
    text[s.len] = 0;
    errno = 0;
    double value = strtod(text, &end);

    if (end != text + s.len || errno == ERANGE)
        return false;
    *ret_value = value;
    return true;
}

char *str_dup(struct str s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = 0;
    return copy;
}

/* Eight bytes at a time with a 128-bit multiply to mix; not for secrets. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t str_hash(struct str s)
{
    uint64_t hash = 0x9E3779B97F4A7C15ull ^ s.len, word;
    const char *p = s.data;
    size_t left = s.len;

    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        hash = mix(hash ^ word, 0xA0761D6478BD642Full);
    }
    word = 0;
    if (left)
        memcpy(&word, p, left);
    return mix(hash ^ word, 0xE7037ED1A0B428DBull);
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.data, *end = p + s.len;

    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        int more = *p >= 0xF0 && *p <= 0xF4 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC2 ? 1 : 0;

        if (more == 0 || *p > 0xF4 || end - p <= more)
            return false;
        if ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) || (*p == 0xF0 && p[1] < 0x90) ||
            (*p == 0xF4 && p[1] > 0x8F))
            return false;
        for (int i = 1; i <= more; i++)
            if ((p[i] & 0xC0) != 0x80)
                return false;
        p += more + 1;
    }
    return true;
}
