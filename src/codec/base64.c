/* base64.c - both alphabets through one pair of loops. Strict: the spare bits of the last digit must be zero, padding
 * must be complete (standard) or absent (URL). */
#include "codec/base64.h"

static const char standard_digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct buf *buf, struct str bytes, const char digits[64], bool pad)
{
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t left = bytes.len, max;
    char *start, *out;

    if (!left || __builtin_add_overflow(left / 3 * 4, 4, &max) || !(start = out = buf_reserve(buf, max)))
        return;
    for (; left >= 3; left -= 3, in += 3) {
        *out++ = digits[in[0] >> 2];
        *out++ = digits[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = digits[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = digits[in[2] & 63];
    }
    if (left) {
        unsigned second = left == 2 ? in[1] : 0;

        *out++ = digits[in[0] >> 2];
        *out++ = digits[(in[0] & 3) << 4 | second >> 4];
        if (left == 2)
            *out++ = digits[(second & 15) << 2];
        for (size_t i = left; pad && i < 3; i++)
            *out++ = '=';
    }
    buf->len += (size_t)(out - start);
}

static int digit_value(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

/* What is collected of a group of four digits. */
struct group {
    uint32_t bits;
    unsigned digits, padding;
};

/* The bytes of a last group that is not full. */
static bool finish_group(const struct group *group, bool url, char **out)
{
    if (group->digits == 0)
        return group->padding == 0;
    if (group->digits == 1 || group->digits + group->padding != (url ? group->digits : 4))
        return false;
    unsigned spare = group->digits == 2 ? 4 : 2;

    if (group->bits & ((1u << spare) - 1))
        return false;
    uint32_t bits = group->bits >> spare;

    if (group->digits == 3)
        *(*out)++ = (char)(bits >> 8);
    *(*out)++ = (char)bits;
    return true;
}

static bool decode(struct arena *arena, struct str text, bool url, struct str *ret_bytes)
{
    char *bytes = arena_alloc(arena, text.len / 4 * 3 + 3), *out = bytes;
    struct group group = { 0 };

    if (!bytes)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        int value = digit_value(c, url);

        if (!url && (c == '\r' || c == '\n'))
            continue;
        if (!url && c == '=' && group.digits >= 2 && group.digits + group.padding < 4) {
            group.padding++;
            continue;
        }
        if (value < 0 || group.padding)
            return false;
        group.bits = group.bits << 6 | (uint32_t)value;
        if (++group.digits < 4)
            continue;
        *out++ = (char)(group.bits >> 16);
        *out++ = (char)(group.bits >> 8);
        *out++ = (char)group.bits;
        group = (struct group){ 0 };
    }
    if (!finish_group(&group, url, &out))
        return false;
    *ret_bytes = str_of(bytes, (size_t)(out - bytes));
    return true;
}

void base64_encode(struct buf *buf, struct str bytes)
{
    encode(buf, bytes, standard_digits, true);
}

bool base64_decode(struct arena *arena, struct str text, struct str *ret_bytes)
{
    return decode(arena, text, false, ret_bytes);
}

void base64url_encode(struct buf *buf, struct str bytes)
{
    encode(buf, bytes, url_digits, false);
}

bool base64url_decode(struct arena *arena, struct str text, struct str *ret_bytes)
{
    return decode(arena, text, true, ret_bytes);
}
