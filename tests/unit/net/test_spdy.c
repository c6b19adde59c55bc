/* SPDY frames as raw bytes: good, split anywhere, and hostile. */
#include "net/spdy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <zlib.h>

struct fixture {
    struct buf got, out;
    struct spdy *spdy;
    bool refuse;
};

static void on_opened(void *ctx, uint32_t stream, const struct http_header *headers, size_t count, bool end)
{
    struct fixture *fixture = ctx;

    buf_printf(&fixture->got, "open %u", stream);
    for (size_t i = 0; i < count; i++)
        buf_printf(&fixture->got, " " STR_FMT "=" STR_FMT, STR_ARG(headers[i].name), STR_ARG(headers[i].value));
    buf_printf(&fixture->got, "%s;", end ? " end" : "");
    if (fixture->refuse)
        spdy_reset(fixture->spdy, stream, SPDY_REFUSED_STREAM);
    else
        spdy_reply(fixture->spdy, stream);
}

static void on_data(void *ctx, uint32_t stream, struct str bytes, bool end)
{
    struct fixture *fixture = ctx;

    buf_printf(&fixture->got, STR_FMT "%s", STR_ARG(bytes), end ? " end;" : "");
}

static void on_reset(void *ctx, uint32_t stream)
{
    buf_printf(&((struct fixture *)ctx)->got, "reset %u;", stream);
}

static void fixture_init(struct fixture *fixture)
{
    const struct spdy_events events = { fixture, on_opened, on_data, on_reset };

    memset(fixture, 0, sizeof *fixture);
    fixture->spdy = spdy_new(&events, &fixture->out);
    assert_non_null(fixture->spdy);
}

static void fixture_deinit(struct fixture *fixture)
{
    spdy_free(fixture->spdy);
    buf_deinit(&fixture->got);
    buf_deinit(&fixture->out);
}

static struct str got(struct fixture *fixture)
{
    return buf_str(&fixture->got);
}

/* Header blocks as the Go library writes them (level: best compression), one after the other on one connection. */
#include "spdy_blocks.h"

/* SYN_STREAM 1 "streamtype: stdin", then 3 "streamtype: error", "port: 80". */
static const char *const opened = "open 1 streamtype=stdin;open 3 streamtype=error port=80;";

static void feed(struct fixture *fixture, struct str bytes, size_t step, bool want)
{
    bool alive = true;

    while (bytes.len > 0 && alive) {
        alive = spdy_input(fixture->spdy, str_first(bytes, step));
        bytes = str_skip(bytes, MIN(step, bytes.len));
    }
    assert_int_equal(alive, want);
}

static void feed_all(struct fixture *fixture, struct str bytes)
{
    feed(fixture, bytes, SIZE_MAX, true);
}

static const struct str open_two = { (const char *)two_streams, sizeof two_streams };

static void test_open(void **state)
{
    for (size_t step = 1; step <= open_two.len; step++) {
        struct fixture fixture;

        fixture_init(&fixture);
        feed(&fixture, open_two, step, true);
        assert_true(str_is(got(&fixture), opened));
        /* two SYN_REPLY */
        assert_true(str_has_prefix(buf_str(&fixture.out), STR("\x80\x03\0\2\0\0\0")));
        fixture_deinit(&fixture);
    }
}

static void test_reply_unpacks(void **state)
{
    struct fixture fixture;
    unsigned char plain[64];
    z_stream z = { 0 };

    fixture_init(&fixture);
    feed_all(&fixture, open_two);
    z.next_in = (Bytef *)fixture.out.data + 12;
    z.avail_in = (uInt)((unsigned char)fixture.out.data[7] - 4);
    z.next_out = plain;
    z.avail_out = sizeof plain;
    assert_int_equal(inflateInit(&z), Z_OK);
    assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_NEED_DICT);
    assert_int_equal(z.adler, 0xe3c6a7c2);
    inflateEnd(&z);
    fixture_deinit(&fixture);
}

static void test_data(void **state)
{
    struct fixture fixture;

    fixture_init(&fixture);
    feed_all(&fixture, open_two);
    buf_clear(&fixture.got);
    buf_clear(&fixture.out);
    feed(&fixture, STR("\0\0\0\1\0\0\0\3abc\0\0\0\1\1\0\0\0\0\0\0\1\0\0\0\1x\0\0\0\x09\0\0\0\1y"), 5, true);
    assert_true(str_is(got(&fixture), "abc end;")); /* nothing after the end, nothing for an unknown stream */
    spdy_data(fixture.spdy, 1, STR("hi"), false);
    assert_true(str_eq(buf_str(&fixture.out), STR("\0\0\0\1\0\0\0\2hi")));
    buf_clear(&fixture.out);
    spdy_data(fixture.spdy, 1, STR(""), true);
    assert_true(str_eq(buf_str(&fixture.out), STR("\0\0\0\1\1\0\0\0")));
    buf_clear(&fixture.out);
    spdy_data(fixture.spdy, 1, STR("late"), false);
    spdy_data(fixture.spdy, 99, STR("never"), false);
    assert_int_equal(fixture.out.len, 0);
    fixture_deinit(&fixture);
}

static void test_ping_and_goaway(void **state)
{
    struct fixture fixture;

    fixture_init(&fixture);
    feed_all(&fixture, STR("\x80\3\0\6\0\0\0\4\0\0\0\1\x80\3\0\6\0\0\0\4\0\0\0\2"));
    assert_true(str_eq(buf_str(&fixture.out), STR("\x80\3\0\6\0\0\0\4\0\0\0\1")));
    feed_all(&fixture, STR("\x80\3\0\x7f\0\0\0\1!")); /* unknown: skipped */
    assert_false(spdy_is_leaving(fixture.spdy));
    feed_all(&fixture, STR("\x80\3\0\7\0\0\0\x08\0\0\0\0\0\0\0\0"));
    assert_true(spdy_is_leaving(fixture.spdy));
    feed_all(&fixture, open_two);
    assert_int_equal(fixture.got.len, 0);
    fixture_deinit(&fixture);
}

static void test_reset(void **state)
{
    struct fixture fixture;

    fixture_init(&fixture);
    feed_all(&fixture, open_two);
    buf_clear(&fixture.got);
    feed_all(&fixture, STR("\x80\3\0\3\0\0\0\x08\0\0\0\1\0\0\0\5\x80\3\0\3\0\0\0\x08\0\0\0\1\0\0\0\5"));
    assert_true(str_is(got(&fixture), "reset 1;"));
    assert_int_equal(spdy_window(fixture.spdy, 1), 0);
    fixture_deinit(&fixture);
}

static void test_refuse(void **state)
{
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.refuse = true;
    feed_all(&fixture, open_two);
    assert_true(str_eq(buf_str(&fixture.out), STR("\x80\3\0\3\0\0\0\x08\0\0\0\1\0\0\0\3"
                                                  "\x80\3\0\3\0\0\0\x08\0\0\0\3\0\0\0\3")));
    fixture_deinit(&fixture);
}

static void test_windows(void **state)
{
    struct fixture fixture;
    static char block[40000];

    fixture_init(&fixture);
    feed_all(&fixture, open_two);
    assert_int_equal(spdy_window(fixture.spdy, 1), SIZE_MAX);
    spdy_data(fixture.spdy, 1, str_of(block, sizeof block), false);
    buf_clear(&fixture.out);
    spdy_consumed(fixture.spdy, 1, 40000);
    assert_int_equal(fixture.out.len, 0); /* the peer has not shown that it counts */
    feed_all(&fixture, STR("\x80\3\0\x09\0\0\0\x08\0\0\0\1\0\0\0\x10"));
    assert_int_equal(spdy_window(fixture.spdy, 1), 65536 - 40000); /* the connection's is the smaller one */
    feed_all(&fixture, STR("\x80\3\0\x09\0\0\0\x08\0\0\0\0\0\1\0\0"));
    assert_int_equal(spdy_window(fixture.spdy, 1), 65536 - 40000 + 16);
    feed_all(&fixture, STR("\x80\3\0\4\0\0\0\x0c\0\0\0\1\0\0\0\7\0\0\0\0"));
    assert_int_equal(spdy_window(fixture.spdy, 1), 0);
    spdy_consumed(fixture.spdy, 1, 1);
    assert_true(str_eq(buf_str(&fixture.out), STR("\x80\3\0\x09\0\0\0\x08\0\0\0\0\0\0\x9c\x41"
                                                  "\x80\3\0\x09\0\0\0\x08\0\0\0\1\0\0\x9c\x41")));
    buf_clear(&fixture.out);
    buf_clear(&fixture.got);
    feed_all(&fixture, STR("\x80\3\0\x09\0\0\0\x08\0\0\0\3\x7f\xff\xff\xff"
                           "\x80\3\0\x09\0\0\0\x08\0\0\0\3\x7f\xff\xff\xff"));
    assert_true(str_is(got(&fixture), "reset 3;"));
    fixture_deinit(&fixture);
}

static void test_hostile(void **state)
{
    static const struct str bad[] = {
        STR_INIT("\x80\2\0\1\0\0\0\0"),                                  /* another version */
        STR_INIT("\x80\3\0\1\0\xff\xff\xff"),                            /* too long a control frame */
        STR_INIT("\x80\3\0\1\0\0\0\4\0\0\0\1"),                          /* too short */
        STR_INIT("\x80\3\0\1\0\0\0\x0e\0\0\0\1\0\0\0\0\0\0junk"),        /* no deflate stream */
        STR_INIT("\x80\3\0\3\0\0\0\1a"),                                 /* RST_STREAM */
        STR_INIT("\x80\3\0\4\0\0\0\4\0\0\0\1"),                          /* SETTINGS without its entry */
        STR_INIT("\x80\3\0\4\0\0\0\x0c\0\0\0\1\0\0\0\7\xff\xff\xff\xff"), /* too large a window */
        STR_INIT("\x80\3\0\6\0\0\0\0"),                                  /* PING */
        STR_INIT("\x80\3\0\x09\0\0\0\x08\0\0\0\0\0\0\0\0"),              /* a window that grows by nothing */
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fixture fixture;

        fixture_init(&fixture);
        feed(&fixture, bad[i], SIZE_MAX, false);
        assert_true(str_has_prefix(buf_str(&fixture.out), STR("\x80\3\0\7")));
        assert_false(spdy_input(fixture.spdy, STR("more")));
        fixture_deinit(&fixture);
    }
}

/* A block that unpacks to far more than it takes. */
static void test_bomb(void **state)
{
    static char zeros[1 << 20];
    unsigned char packed[8192];
    struct fixture fixture;
    z_stream z = { .next_in = (Bytef *)zeros, .avail_in = sizeof zeros, .next_out = packed + 18,
                   .avail_out = sizeof packed - 18 };

    assert_int_equal(deflateInit(&z, 9), Z_OK);
    deflate(&z, Z_SYNC_FLUSH);
    size_t len = 10 + sizeof packed - 18 - z.avail_out;
    const unsigned char head[18] = { 0x80, 3, 0, 1, 0, 0, (unsigned char)(len >> 8), (unsigned char)len, 0, 0, 0, 1 };
    memcpy(packed, head, sizeof head);
    fixture_init(&fixture);
    feed(&fixture, str_of(packed, len + 8), SIZE_MAX, false);
    assert_int_equal(fixture.got.len, 0);
    fixture_deinit(&fixture);
    deflateEnd(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),    cmocka_unit_test(test_reply_unpacks), cmocka_unit_test(test_data),
        cmocka_unit_test(test_reset),   cmocka_unit_test(test_refuse),        cmocka_unit_test(test_ping_and_goaway),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_hostile),       cmocka_unit_test(test_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
