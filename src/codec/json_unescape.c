/* json_unescape.c - runs between escapes are found 16 bytes at a time and copied as they are; UTF-8 in them is checked.
 * Surrogates must come in pairs. */
#include "codec/json_unescape.h"

#include "codec/json_scan.h"

/* A quote after an odd number of backslashes does not end the string. */
const char *json_find_quote(const char *at, const char *end)
{
    const char *from = at;

    while ((at = memchr(at, '"', (size_t)(end - at)))) {
        const char *slash = at;

        while (slash > from && slash[-1] == '\\')
            slash--;
        if ((at - slash) % 2 == 0)
            return at;
        from = ++at;
    }
    return NULL;
}

static int hex4(const char *at, const char *end)
{
    int value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

static const char *error(struct json_unescape *u, const char *at, const char *expected)
{
    u->at = at;
    return expected;
}

/* u->at: behind "\\u". */
static const char *decode_unicode(struct json_unescape *u, const char *end)
{
    const char *at = u->at;
    int high = hex4(at, end), low = 0;

    if (high < 0)
        return error(u, at, "four hexadecimal digits after \\u");
    if (high >= 0xDC00 && high <= 0xDFFF)
        return error(u, at - 2, "a high surrogate before a low one");
    if (high < 0xD800 || high > 0xDFFF) {
        u->out = put_utf8(u->out, (uint32_t)high);
        u->at += 4;
        return NULL;
    }
    if (end - at < 10 || at[4] != '\\' || at[5] != 'u' || (low = hex4(at + 6, end)) < 0xDC00 || low > 0xDFFF)
        return error(u, at - 2, "a low surrogate after a high one");
    u->out = put_utf8(u->out, 0x10000 + (((uint32_t)high - 0xD800) << 10 | ((uint32_t)low - 0xDC00)));
    u->at += 10;
    return NULL;
}

/* u->at: the backslash. What follows is the closing quote at the latest, so it may be read. */
static inline const char *decode_escape(struct json_unescape *u, const char *end)
{
    static const char escapes[128] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'
    };
    unsigned char c = (unsigned char)u->at[1];

    if (c == 'u') {
        u->at += 2;
        return decode_unicode(u, end);
    }
    if (c >= sizeof escapes || !escapes[c])
        return error(u, u->at + 1, "one of \"\\/bfnrtu after a backslash");
    *u->out++ = escapes[c];
    u->at += 2;
    return NULL;
}

const char *json_unescape(struct json_unescape *u, const char *end)
{
    for (;;) {
        const char *run = u->at, *at = run, *expected;

        while ((at = json_skip_plain(at, end)) < end && (*at & 0x80)) {
            unsigned len = json_utf8_len(at, end);

            if (!len)
                return error(u, at, "valid UTF-8");
            at += len;
        }
        memcpy(u->out, run, (size_t)(at - run));
        u->out += at - run;
        u->at = at;
        if (at == end)
            return NULL;
        if (*at != '\\')
            return error(u, at, "control characters to be escaped");
        if ((expected = decode_escape(u, end)))
            return expected;
    }
}
