#include "store_fixture.h"

#include "store/record.h"

static const struct record sample = {
    .created = 5,
    .trigger = 6,
    .time = 11,
    .previous = 7,
    .jump = 8,
    .depth = 9,
    .jump_depth = 10,
    .key = STR_INIT("/registry/pods/a/b"),
    .actor = STR_INIT("me"),
    .rule = STR_INIT("test"),
    .value = STR_INIT("{'kind':'Pod'}"),
};

static void test_round_trip(void **state)
{
    struct record got;
    char bytes[256];
    size_t size = record_size(&sample);

    for (int deleted = 0; deleted < 2; deleted++) {
        struct record record = sample;

        record.deleted = deleted;
        record_encode(&record, position_of(3, 1), bytes);
        assert_true(record_intact(str_of(bytes, size), position_of(3, 1)));
        assert_false(record_intact(str_of(bytes, size), position_of(3, 2)));
        assert_true(record_decode(str_of(bytes, size), &got));
        assert_int_equal(got.deleted, deleted);
        assert_int_equal(got.created, 5);
        assert_int_equal(got.trigger, 6);
        assert_int_equal(got.time, 11);
        assert_int_equal(got.previous, 7);
        assert_int_equal(got.jump, 8);
        assert_int_equal(got.depth, 9);
        assert_int_equal(got.jump_depth, 10);
        assert_true(str_eq(got.key, record.key) && str_eq(got.actor, record.actor));
        assert_true(str_eq(got.rule, record.rule) && str_eq(got.value, record.value));
    }
}

/* Whatever is damaged shows: by its lengths or by the checksum. */
static void test_damage(void **state)
{
    struct record got;
    char bytes[256], copy[256];
    size_t size = record_size(&sample);

    record_encode(&sample, 1, bytes);
    for (size_t len = 0; len <= size + 1; len++) {
        char *exact = malloc(len + 1); /* so that a sanitizer sees a byte too far */

        memcpy(exact, bytes, MIN(len, size));
        assert_int_equal(record_decode(str_of(exact, len), &got), len == size);
        if (len <= size)
            assert_int_equal(record_intact(str_of(exact, len), 1), len == size);
        free(exact);
    }
    for (size_t bit = 0; bit < size * 8; bit++) {
        memcpy(copy, bytes, size);
        copy[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(record_intact(str_of(copy, size), 1));
        record_decode(str_of(copy, size), &got);
    }
}

static void test_positions(void **state)
{
    assert_int_equal(position_revision(position_of(77, 1023)), 77);
    assert_int_equal(position_end(77) + 1, position_of(78, 0));
    assert_int_equal(position_of(78, 0) - 1, position_end(77));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_positions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
