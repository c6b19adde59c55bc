/* Tables of the server as they are printed. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/table.h"
#include "schema/jsonpath.h"

#define ROW(name, ready, node, labels)                                                                                 \
    "{\"cells\":[\"" name "\"," ready ",\"" node "\"],\"object\":{\"metadata\":{\"name\":\"" name                      \
    "\",\"namespace\":\"ns\",\"labels\":" labels "}}}"

static const char table_text[] =
    "{\"kind\":\"Table\",\"columnDefinitions\":[{\"name\":\"Name\",\"type\":\"string\",\"format\":\"name\",\"priority\":0},"
    "{\"name\":\"Ready\",\"type\":\"integer\",\"priority\":0},{\"name\":\"Node\",\"type\":\"string\",\"priority\":1}],\"rows\":["
    ROW("web", "10", "n1", "{\"b\":\"2\",\"a/x\":\"1\"}") "," ROW("db", "9", "n2", "{}") "," ROW("odd", "null", "n1", "null") "]}";

static const struct str label_columns[] = { STR_INIT("a/x") };

static const struct {
    const char *name;
    struct table_options options;
    const char *sort_by, *want;
} cases[] = {
    { "plain", { 0 }, NULL, "NAME   READY\nweb    10\ndb     9\nodd    \n" },
    { "wide", { .wide = true }, NULL, "NAME   READY   NODE\nweb    10      n1\ndb     9       n2\nodd            n1\n" },
    { "no heading", { .no_headers = true }, NULL, "web   10\ndb    9\nodd   \n" },
    { "namespace and type",
      { .with_namespace = true, .type_prefix = STR_INIT("pod") },
      NULL,
      "NAMESPACE   NAME      READY\nns          pod/web   10\nns          pod/db    9\nns          pod/odd   \n" },
    { "labels",
      { .show_labels = true, .label_columns = label_columns, .label_column_count = 1 },
      NULL,
      "NAME   READY   X     LABELS\nweb    10      1     a/x=1,b=2\ndb     9             <none>\nodd                  <none>\n" },
    { "sorted", { .no_headers = true }, ".metadata.name", "db    9\nodd   \nweb   10\n" },
};

static void test_printing(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_FREE char *text = NULL;
        struct table_options options = cases[i].options;
        struct table table;
        struct json *json;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        if (cases[i].sort_by)
            assert_int_equal(jsonpath_compile(arena, str_from(cases[i].sort_by), &options.sort_by, NULL), 0);
        assert_int_equal(json_parse(arena, str_from(table_text), NULL, &json, NULL), 0);
        table_init(&table, &options, arena);
        assert_int_equal(table_add(&table, json, NULL), 0);
        assert_int_equal(table_flush(&table, out, NULL), 0);
        table_deinit(&table);
        fclose(out);
        if (strcmp(text, cases[i].want) != 0)
            fail_msg("%s:\n%s", cases[i].name, text);
    }
}

static void test_no_table(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct table_options options = { 0 };
    struct table table;
    struct json *json;

    assert_int_equal(json_parse(arena, STR("{\"kind\":\"Pod\"}"), NULL, &json, NULL), 0);
    table_init(&table, &options, arena);
    assert_int_equal(table_add(&table, json, NULL), -ERR_NOT_SUPPORTED);
    table_deinit(&table);
}

static const struct {
    const char *a, *b;
    int want;
} orders[] = {
    { "1", "2", -1 },         { "10", "9", 1 },           { "\"10\"", "\"9\"", 1 }, { "\"1Gi\"", "\"500Mi\"", 1 },
    { "\"a\"", "\"b\"", -1 }, { "\"same\"", "\"same\"", 0 }, { "true", "false", 1 },
};

static void test_order(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *a, *b;

        assert_int_equal(json_parse(arena, str_from(orders[i].a), NULL, &a, NULL), 0);
        assert_int_equal(json_parse(arena, str_from(orders[i].b), NULL, &b, NULL), 0);
        int order = sort_compare(a, b);

        assert_int_equal((order > 0) - (order < 0), orders[i].want);
        assert_true(sort_compare(NULL, a) < 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_printing),
    cmocka_unit_test(test_no_table),
    cmocka_unit_test(test_order),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
