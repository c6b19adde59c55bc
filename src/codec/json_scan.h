/* json_scan.h - looking through the bytes of JSON strings, 16 at a time where the machine can. Only for codec/. */
#pragma once

#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bytes that may stand in a string as they are and need no further look: ASCII but control characters, '"' and '\'. */
static inline bool json_is_plain(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 0x20 && u < 0x80 && u != '"' && u != '\\';
}

#ifdef __SSE2__
/* Bit i is set when byte i of the 16 at p is not plain. */
static inline unsigned json_special_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    /* Signed: below 0x20 are the control characters and all bytes with the high bit. */
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), low));
}
#endif

/* Whether one of the 8 bytes is not plain. Each term sets the high bit of a byte it is about; a borrow from the byte
 * below can set it wrongly only when that one is not plain either. */
static inline bool json_has_special(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t quote = (bytes ^ ones * '"') - ones, slash = (bytes ^ ones * '\\') - ones, low = bytes - ones * 0x20;

    return ((bytes | quote | slash | low) & ones * 0x80) != 0;
}

/* The first byte that is not plain, or end. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
    uint64_t word;

#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        unsigned mask = json_special_mask(p);

        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    for (; end - p >= 8; p += 8) {
        memcpy(&word, p, 8);
        if (json_has_special(word))
            break;
    }
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

/* Copies len bytes that are all plain; false when one is not, and then any of them may have been copied. The last
 * block overlaps the one before instead of being copied byte by byte. */
static inline bool json_copy_plain(char *out, const char *p, size_t len)
{
    uint64_t word;
    uint32_t half[2];
    size_t i = 0;

    if (len >= 8) {
        for (; i + 8 <= len; i += 8) {
            memcpy(&word, p + i, 8);
            memcpy(out + i, &word, 8);
            if (json_has_special(word))
                return false;
        }
        memcpy(&word, p + len - 8, 8);
        memcpy(out + len - 8, &word, 8);
        return !json_has_special(word);
    }
    if (len >= 4) {
        memcpy(&half[0], p, 4);
        memcpy(&half[1], p + len - 4, 4);
        memcpy(out, &half[0], 4);
        memcpy(out + len - 4, &half[1], 4);
        return !json_has_special((uint64_t)half[0] << 32 | half[1]);
    }
    for (; i < len; i++) {
        out[i] = p[i];
        if (!json_is_plain(p[i]))
            return false;
    }
    return true;
}

/* Length of the well-formed UTF-8 sequence (of two to four bytes) at p, 0 when it is not one. Overlong forms,
 * surrogates and code points beyond U+10FFFF are not. */
static inline unsigned json_utf8_len(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t left = (size_t)(end - p);

    if (s[0] < 0xC2 || left < 2 || (s[1] & 0xC0) != 0x80)
        return 0;
    if (s[0] < 0xE0)
        return 2;
    if (left < 3 || (s[2] & 0xC0) != 0x80)
        return 0;
    if (s[0] < 0xF0)
        return (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ? 0 : 3;
    if (left < 4 || (s[3] & 0xC0) != 0x80 || s[0] > 0xF4)
        return 0;
    return (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F) ? 0 : 4;
}
