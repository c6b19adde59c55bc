/* gzip.c - a deflate stream with a gzip head. It keeps a quarter of a megabyte, however long the answer. */
#include "apiserver/gzip.h"

#include <zlib.h>

#define WINDOW_BITS (15 + 16) /* 16: with head and checksum of gzip */
#define MEMORY_LEVEL 8
#define STEP (64u << 10)

struct gzip {
    z_stream z;
};

int gzip_new(struct gzip **ret_gzip, struct err *err)
{
    struct gzip *gzip = calloc(1, sizeof *gzip);

    if (!gzip ||
        deflateInit2(&gzip->z, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return err_set(err, ERR_NO_MEMORY, "compressing an answer");
    }
    *ret_gzip = gzip;
    return 0;
}

struct gzip *gzip_free(struct gzip *gzip)
{
    if (gzip) {
        deflateEnd(&gzip->z);
        free(gzip);
    }
    return NULL;
}

/* Until all of the input is taken and, at the end, all of the output is out. */
static int deflate_some(struct gzip *gzip, bool last, struct buf *out, struct err *err)
{
    for (;;) {
        char *place = buf_reserve(out, STEP);
        int code;

        if (!place)
            return err_set(err, ERR_NO_MEMORY, "compressing an answer");
        gzip->z.next_out = (Bytef *)place;
        gzip->z.avail_out = STEP;
        code = deflate(&gzip->z, last ? Z_FINISH : Z_NO_FLUSH);
        INVARIANT(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
        out->len += STEP - gzip->z.avail_out;
        if (code == Z_STREAM_END || (!last && gzip->z.avail_out > 0))
            return 0;
    }
}

int gzip_add(struct gzip *gzip, struct str bytes, bool last, struct buf *out, struct err *err)
{
    int code = 0;

    do {
        struct str some = str_first(bytes, 1u << 30);

        bytes = str_skip(bytes, some.len);
        gzip->z.next_in = (Bytef *)some.data;
        gzip->z.avail_in = (uInt)some.len;
        code = deflate_some(gzip, last && bytes.len == 0, out, err);
    } while (code == 0 && bytes.len);
    return code;
}
