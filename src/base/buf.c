#include "base/buf.h"

#include <stdio.h>

void buf_init(struct buf *buf, size_t limit)
{
    *buf = (struct buf){ .limit = limit };
}

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

char *buf_reserve(struct buf *buf, size_t extra)
{
    size_t need;

    if (buf->failed)
        return NULL;
    if (__builtin_add_overflow(buf->len, extra, &need) || (buf->limit && need > buf->limit)) {
        buf->failed = true;
        return NULL;
    }
    if (need > buf->cap || !buf->data) {
        size_t cap = MAX(need, buf->cap + buf->cap / 2);

        cap = MAX(cap, 64);
        if (buf->limit)
            cap = MIN(cap, buf->limit);
        char *data = realloc(buf->data, cap);

        if (!data) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    char *place = len ? buf_reserve(buf, len) : NULL;

    if (!place)
        return;
    memcpy(place, data, len);
    buf->len += len;
}

void buf_add_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.data, s.len);
}

void buf_add_cstr(struct buf *buf, const char *s)
{
    buf_add(buf, s, strlen(s));
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_add(buf, digits + at, sizeof digits - at);
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    if (value < 0)
        buf_add_char(buf, '-');
    buf_add_u64(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *place = len >= 0 ? buf_reserve(buf, (size_t)len + 1) : NULL;

    if (place) {
        vsnprintf(place, (size_t)len + 1, fmt, args);
        buf->len += (size_t)len;
    } else if (len < 0) {
        buf->failed = true;
    }
    va_end(args);
}

void buf_consume(struct buf *buf, size_t n)
{
    n = MIN(n, buf->len);
    if (n == 0)
        return;
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
}
