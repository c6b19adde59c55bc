/* buf.h - a growing byte buffer with a cap. Errors stick: append freely, check buf_ok() once.
 *
 * Not thread-safe. The contents move when it grows. */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct buf {
    char *data;
    size_t len, cap;
    size_t limit; /* 0: none */
    bool failed;  /* no memory, or the limit was reached */
};

#define BUF_INIT { NULL, 0, 0, 0, false }

void buf_init(struct buf *buf, size_t limit);
void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf); /* empties, keeps the memory */
/* Makes room for extra bytes after len and returns where they go, or NULL. Advance len yourself. */
char *buf_reserve(struct buf *buf, size_t extra);
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, struct str s);
void buf_add_cstr(struct buf *buf, const char *s);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF(2, 3);
/* Drops the first n bytes. */
void buf_consume(struct buf *buf, size_t n);

static inline void buf_add_char(struct buf *buf, char c)
{
    if (buf->len < buf->cap)
        buf->data[buf->len++] = c;
    else
        buf_add(buf, &c, 1);
}

static inline bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){ buf->data ? buf->data : "", buf->len };
}
