/* What goes into a backup's stream comes out; whatever is changed, cut off or added is noticed. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"
#include "store/backup/stream.h"

struct bytes {
    struct buf buf;
    size_t read;
};

static int keep(void *ctx, const void *data, size_t len, struct err *err)
{
    buf_add(&((struct bytes *)ctx)->buf, data, len);
    return 0;
}

static ssize_t give(void *ctx, void *out, size_t len, struct err *err)
{
    struct bytes *bytes = ctx;
    size_t step = MIN(MIN(len, bytes->buf.len - bytes->read), (size_t)777);

    memcpy(out, bytes->buf.data + bytes->read, step);
    bytes->read += step;
    return (ssize_t)step;
}

/* count records; the number says what is in each. */
static void write_stream(struct bytes *bytes, struct str passphrase, int count, size_t size)
{
    const struct stream_sink sink = { keep, bytes };
    AUTO(stream_writer) writer = NULL;
    struct seeded_rng rng;
    char *data = calloc(1, size);

    seeded_rng_init(&rng, 1);
    assert_non_null(data);
    assert_int_equal(stream_writer_new(&sink, passphrase, &rng.rng, &writer, NULL), 0);
    for (int i = 0; i < count; i++) {
        rng_fill(&rng.rng, data, size / 2);
        data[0] = (char)i;
        assert_int_equal(stream_put(writer, &(struct stream_entry){ STREAM_RECORD, (uint64_t)i, str_of(data, size) }, NULL),
                         0);
    }
    assert_int_equal(stream_end(writer, NULL), 0);
    free(data);
}

/* 0 when all of it is whole; what was read until then is counted. */
static int read_stream(struct bytes *bytes, struct str passphrase, int *ret_count, struct err *err)
{
    const struct stream_source source = { give, bytes };
    AUTO(stream_reader) reader = NULL;
    struct stream_entry entry;
    int more, count = 0;

    bytes->read = 0;
    int code = stream_reader_new(&source, passphrase, &reader, err);
    if (code < 0)
        return code;
    while ((more = stream_next(reader, &entry, err)) > 0) {
        assert_int_equal(entry.kind, STREAM_RECORD);
        assert_int_equal(entry.number, count);
        if (entry.data.len)
            assert_int_equal((unsigned char)entry.data.data[0], count & 0xff);
        count++;
    }
    *ret_count = count;
    return more;
}

static void test_round_trip(void **state)
{
    static const struct {
        const char *passphrase;
        int count;
        size_t size;
    } cases[] = { { NULL, 0, 1 },       { NULL, 1, 1 },       { NULL, 300, 20000 }, { NULL, 3, STREAM_ENTRY_MAX },
                  { "open sesame", 0, 1 }, { "open sesame", 300, 20000 } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes bytes = { BUF_INIT, 0 };
        struct err err = { 0 };
        int count = -1;

        write_stream(&bytes, str_from(cases[i].passphrase), cases[i].count, cases[i].size);
        assert_true(stream_is_encrypted(buf_str(&bytes.buf)) == (cases[i].passphrase != NULL));
        if (read_stream(&bytes, str_from(cases[i].passphrase), &count, &err) != 0)
            fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(count, cases[i].count);
        buf_deinit(&bytes.buf);
    }
}

static void test_every_byte_counts(void **state)
{
    struct bytes bytes = { BUF_INIT, 0 };
    int count;

    write_stream(&bytes, STR_NULL, 5, 100);
    for (size_t i = 0; i < bytes.buf.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes.buf.data[i] ^= (char)(1 << bit);
            if (read_stream(&bytes, STR_NULL, &count, NULL) >= 0)
                fail_msg("bit %d of byte %zu of %zu was changed, and nobody noticed", bit, i, bytes.buf.len);
            bytes.buf.data[i] ^= (char)(1 << bit);
        }
    assert_int_equal(read_stream(&bytes, STR_NULL, &count, NULL), 0);
    buf_deinit(&bytes.buf);
}

static void test_every_length(void **state)
{
    struct bytes bytes = { BUF_INIT, 0 };
    int count;

    write_stream(&bytes, STR_NULL, 5, 100);
    size_t whole = bytes.buf.len;
    for (bytes.buf.len = 0; bytes.buf.len < whole; bytes.buf.len++)
        if (read_stream(&bytes, STR_NULL, &count, NULL) >= 0)
            fail_msg("%zu bytes of %zu, and nobody noticed", bytes.buf.len, whole);
    buf_add_char(&bytes.buf, 'x');
    assert_int_equal(read_stream(&bytes, STR_NULL, &count, NULL), -ERR_INVALID);
    buf_deinit(&bytes.buf);
}

/* A few places only: each look costs a key. */
static void test_encrypted(void **state)
{
    struct bytes bytes = { BUF_INIT, 0 };
    struct err err = { 0 };
    int count;

    write_stream(&bytes, STR("right"), 5, 100);
    assert_int_equal(read_stream(&bytes, STR("wrong"), &count, &err), -ERR_UNAUTHORIZED);
    assert_int_equal(read_stream(&bytes, STR_NULL, &count, &err), -ERR_UNAUTHORIZED);
    size_t whole = bytes.buf.len;
    const size_t places[] = { 16, 20, 24, 36, 40, 63, 64, 67, 68, 72, 100, whole - 17, whole - 1 };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        bytes.buf.data[places[i]] ^= 4;
        assert_true(read_stream(&bytes, STR("right"), &count, NULL) < 0);
        bytes.buf.data[places[i]] ^= 4;
    }
    const size_t lengths[] = { 63, 64, 71, 72, whole - 1 };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        bytes.buf.len = lengths[i];
        assert_true(read_stream(&bytes, STR("right"), &count, NULL) < 0);
        bytes.buf.len = whole;
    }
    assert_int_equal(read_stream(&bytes, STR("right"), &count, NULL), 0);
    assert_true(str_find(buf_str(&bytes.buf), STR("caravel backup")) == 0);
    buf_deinit(&bytes.buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_encrypted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
