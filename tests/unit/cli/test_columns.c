/* Aligned columns, and what a terminal must not obey. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/columns.h"

static void add_all(struct columns *columns, const char *const *cells)
{
    for (; *cells; cells++)
        columns_add(columns, str_from(*cells));
}

static char *flushed(struct columns *columns)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    assert_int_equal(columns_flush(columns, out), 0);
    fclose(out);
    return text;
}

static void expect(struct columns *columns, const char *want)
{
    AUTO_FREE char *text = flushed(columns);

    assert_string_equal(text, want);
}

static void test_alignment(void **state)
{
    struct columns columns;

    columns_init(&columns, 3);
    add_all(&columns, (const char *const[]){ "NAME", "A", "LAST", "longer-name", "b", "", "x", "", "end", NULL });
    expect(&columns, "NAME          A     LAST\n"
                     "longer-name   b     \n"
                     "x                   end\n");
    /* What comes later stays under the heading. */
    add_all(&columns, (const char *const[]){ "y", "c", "z", NULL });
    expect(&columns, "y             c     z\n");
    columns_deinit(&columns);
}

static void test_width_in_characters(void **state)
{
    struct columns columns;

    columns_init(&columns, 2);
    add_all(&columns, (const char *const[]){ "größe", "1", "laenge", "2", NULL });
    expect(&columns, "größe    1\nlaenge   2\n");
    columns_deinit(&columns);
}

static void test_only_the_first_line(void **state)
{
    struct columns columns;

    columns_init(&columns, 2);
    add_all(&columns, (const char *const[]){ "one\ntwo", "a\x1b[31m\tb\x7f", NULL });
    expect(&columns, "one   a^[[31m\tb?\n");
    columns_deinit(&columns);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_alignment),
    cmocka_unit_test(test_width_in_characters),
    cmocka_unit_test(test_only_the_first_line),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
