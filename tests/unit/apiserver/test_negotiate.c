/* Accept, Accept-Encoding and Content-Type: what is chosen from what is on offer. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "apiserver/negotiate.h"

#define TABLE ";as=Table;v=v1;g=meta.k8s.io"
#define PARTIAL ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define PROTOBUF "application/vnd.kubernetes.protobuf"

static const struct media_offer all = { .shapes = true, .protobuf = true };
static const struct media_offer custom = { .shapes = true };
static const struct media_offer watch = { .shapes = true, .protobuf = true, .watch = true };
static const struct media_offer plain = { .protobuf = true };

static const struct accept_case {
    const struct media_offer *offer;
    const char *accept;
    int format, shape; /* format -1: not acceptable */
    const char *version;
} accepts[] = {
    { &all, "", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "*/*", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "*", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/*", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/json", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "Application/JSON; charset=utf-8", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/yaml", MEDIA_YAML, SHAPE_OBJECT, "" },
    { &all, "application/yaml;profile=x", MEDIA_YAML, SHAPE_OBJECT, "" },
    { &all, PROTOBUF, MEDIA_PROTOBUF, SHAPE_OBJECT, "" },
    { &all, PROTOBUF ",application/json", MEDIA_PROTOBUF, SHAPE_OBJECT, "" },
    { &all, "application/json," PROTOBUF, MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/json;q=0.5," PROTOBUF ";q=0.6", MEDIA_PROTOBUF, SHAPE_OBJECT, "" },
    { &all, "*/*," PROTOBUF, MEDIA_PROTOBUF, SHAPE_OBJECT, "" },
    { &all, "*/*,application/*;q=1,application/yaml", MEDIA_YAML, SHAPE_OBJECT, "" },
    { &all, "text/html", -1, 0, "" },
    { &all, "text/html, */*;q=0.1", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/yaml;q=0.5, application/json;q=0.9", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/json;q=0", -1, 0, "" },
    { &all, "application/json;q=zero", -1, 0, "" },
    { &all, ";;;,,=;q=", -1, 0, "" },
    { &all, "application/json" TABLE ",application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", MEDIA_JSON,
      SHAPE_TABLE, "v1" },
    { &all, "application/json;as=Table;v=v1beta1;g=meta.k8s.io", MEDIA_JSON, SHAPE_TABLE, "v1beta1" },
    { &all, "application/json;as=Table;v=v9;g=meta.k8s.io,application/json", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/json;as=Table;v=v9;g=meta.k8s.io", -1, 0, "" },
    { &all, "application/json;as=Table;v=v1", -1, 0, "" },
    { &all, "application/json;as=Chair;v=v1;g=meta.k8s.io", -1, 0, "" },
    { &all, "application/json;g=meta.k8s.io", -1, 0, "" },
    { &all, "application/yaml" TABLE, MEDIA_YAML, SHAPE_TABLE, "v1" },
    { &all, PROTOBUF TABLE ",application/json" TABLE, MEDIA_JSON, SHAPE_TABLE, "v1" },
    { &all, PROTOBUF TABLE, -1, 0, "" },
    { &all, PROTOBUF PARTIAL ",application/json" PARTIAL ",application/json", MEDIA_PROTOBUF, SHAPE_PARTIAL, "v1" },
    { &all, "application/json;sv=v1", -1, 0, "" },
    { &all, "application/json;stream=watch", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &all, "application/json;stream=other,application/yaml", MEDIA_YAML, SHAPE_OBJECT, "" },
    { &plain, "application/json" TABLE, -1, 0, "" },
    { &plain, "application/json" TABLE ",application/json", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &custom, PROTOBUF, -1, 0, "" },
    { &custom, PROTOBUF ",application/json", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &custom, PROTOBUF PARTIAL ",application/json", MEDIA_PROTOBUF, SHAPE_PARTIAL, "v1" },
    { &watch, "application/json;stream=watch", MEDIA_JSON, SHAPE_OBJECT, "" },
    { &watch, PROTOBUF ";stream=watch,application/json", MEDIA_PROTOBUF, SHAPE_OBJECT, "" },
    { &watch, "application/yaml", -1, 0, "" },
    { &watch, "application/yaml,application/json", -1, 0, "" },
    { &watch, "application/yaml;stream=watch,application/json", MEDIA_JSON, SHAPE_OBJECT, "" },
};

static void test_accept(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(accepts); i++) {
        const struct accept_case *c = &accepts[i];
        struct media media = { 0 };
        int code = negotiate_accept(str_from(c->accept), c->offer, &media, NULL);

        if (c->format < 0 ? code != -ERR_NOT_ACCEPTABLE : code != 0)
            fail_msg("%s: %d", c->accept, code);
        if (c->format < 0)
            continue;
        if ((int)media.format != c->format || (int)media.shape != c->shape)
            fail_msg("%s: format %d, shape %d", c->accept, (int)media.format, (int)media.shape);
        assert_true(str_is(media.version, c->version) || (!*c->version && str_empty(media.version)));
    }
}

/* What went wrong is said in a format of the list too, but without shapes; else in JSON. */
static void test_status(void **state)
{
    static const struct {
        const char *accept;
        enum media_format format;
    } cases[] = {
        { "", MEDIA_JSON },
        { PROTOBUF, MEDIA_PROTOBUF },
        { "application/yaml", MEDIA_YAML },
        { "application/yaml" TABLE, MEDIA_JSON },
        { PROTOBUF PARTIAL ",application/json", MEDIA_JSON },
        { "text/html", MEDIA_JSON },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(negotiate_status(str_from(cases[i].accept)), cases[i].format);
}

static void test_refusals(void **state)
{
    static const struct {
        const struct media_offer *offer;
        const char *message;
    } cases[] = {
        { &all, "only the following media types are accepted: application/json, application/yaml, " PROTOBUF },
        { &custom, "only the following media types are accepted: application/json, application/yaml" },
        { &watch,
          "only the following media types are accepted: application/json;stream=watch, " PROTOBUF ";stream=watch" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct media media;
        struct err err = { 0 };

        assert_int_equal(negotiate_accept(STR("image/png"), cases[i].offer, &media, &err), -ERR_NOT_ACCEPTABLE);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_gzip(void **state)
{
    assert_true(negotiate_gzip(STR("gzip")));
    assert_true(negotiate_gzip(STR("deflate, gzip")));
    assert_false(negotiate_gzip(STR("")));
    assert_false(negotiate_gzip(STR_NULL));
    assert_false(negotiate_gzip(STR("identity, gzipped")));
    assert_false(negotiate_gzip(STR("gzip;q=0")));
}

static void test_body(void **state)
{
    static const struct {
        const char *type;
        bool patch;
        int kind; /* -1: unsupported */
    } cases[] = {
        { "", false, BODY_JSON },
        { "application/json; charset=utf-8", false, BODY_JSON },
        { "application/yaml", false, BODY_YAML },
        { PROTOBUF, false, BODY_PROTOBUF },
        { "application/merge-patch+json", false, -1 },
        { "text/plain", false, -1 },
        { "application/merge-patch+json", true, BODY_MERGE_PATCH },
        { "application/apply-patch+yaml", true, BODY_APPLY },
        { "application/json", true, -1 },
        { "", true, -1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum body_kind kind = BODY_JSON;
        int code = negotiate_body(str_from(cases[i].type), cases[i].patch, &kind, NULL);

        assert_int_equal(code, cases[i].kind < 0 ? -ERR_UNSUPPORTED_MEDIA_TYPE : 0);
        if (code == 0)
            assert_int_equal(kind, cases[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept), cmocka_unit_test(test_status), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_gzip),   cmocka_unit_test(test_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
