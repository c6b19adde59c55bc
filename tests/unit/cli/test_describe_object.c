/* Objects in words: everyday kinds in their order, everything else by its form, and nothing left out. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/describe_object.h"
#include "schema/time.h"

static const struct {
    const char *name, *group, *kind, *object, *want;
} cases[] = {
    { "any kind, by its form", "sea.example.com", "Boat",
      "{\"apiVersion\":\"sea.example.com/v1\",\"kind\":\"Boat\",\"metadata\":{\"name\":\"argo\",\"uid\":\"u\",\"labels\":"
      "{\"a\":\"1\",\"b\":\"2\"}},\"spec\":{\"crew\":[\"jason\",\"orpheus\"],\"dnsPolicy\":\"None\",\"masts\":[{\"name\":\"main\","
      "\"height\":9}],\"ports\":[{\"number\":1,\"side\":\"left\"}],\"empty\":{},\"none\":[]},\"status\":{}}",
      "Name:         argo\n"
      "Labels:       a=1\n"
      "              b=2\n"
      "Annotations:  <none>\n"
      "Spec:\n"
      "  Crew:\n"
      "    jason\n"
      "    orpheus\n"
      "  DNS Policy:  None\n"
      "  Masts:\n"
      "    main:\n"
      "      Height:  9\n"
      "  Ports:\n"
      "    number=1, side=left\n" },
    { "secrets keep theirs", "", "Secret",
      "{\"metadata\":{\"name\":\"s\"},\"type\":\"Opaque\",\"data\":{\"pw\":\"aHVzaA==\",\"raw\":\"AAAA\",\"odd\":\"YWI=\"}}",
      "Name:         s\n"
      "Labels:       <none>\n"
      "Annotations:  <none>\n"
      "Type:         Opaque\n"
      "Data:\n"
      "  pw:   4 bytes\n"
      "  raw:  3 bytes\n"
      "  odd:  2 bytes\n" },
    { "times, owners, conditions", "apps", "ReplicaSet",
      "{\"metadata\":{\"name\":\"r\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"ownerReferences\":[{\"kind\":\"Deployment\","
      "\"name\":\"d\",\"controller\":true}]},\"spec\":{\"replicas\":2,\"selector\":{\"matchLabels\":{\"app\":\"w\"}}},"
      "\"status\":{\"conditions\":[{\"type\":\"Ok\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}",
      "Name:              r\n"
      "Labels:            <none>\n"
      "Annotations:       <none>\n"
      "Created:           2026-01-01T00:00:00Z (60s ago)\n"
      "Controlled By:     Deployment/d\n"
      "Selector:          app=w\n"
      "Replicas Desired:  2\n"
      "Conditions:\n"
      "  TYPE   STATUS   SINCE   REASON   MESSAGE\n"
      "  Ok     True     60s              \n" },
    { "texts in full, escapes disarmed", "", "ConfigMap",
      "{\"metadata\":{\"name\":\"c\"},\"data\":{\"k\":\"one\\ntwo\\u001b[2J\\n\"}}",
      "Name:         c\n"
      "Labels:       <none>\n"
      "Annotations:  <none>\n"
      "Data:\n"
      "  k:\n"
      "    one\n"
      "    two^[[2J\n" },
};

static void test_objects(void **state)
{
    nsec_t now;

    assert_true(api_time_parse(STR("2026-01-01T00:01:00Z"), &now));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        const struct resource resource = { .group = str_from(cases[i].group), .kind = str_from(cases[i].kind) };
        AUTO_FREE char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        struct json *json;
        struct doc doc;

        assert_int_equal(json_parse(arena, str_from(cases[i].object), NULL, &json, NULL), 0);
        doc_init(&doc, arena);
        describe_object(&doc, &resource, json, now);
        assert_int_equal(doc_print(&doc, out, NULL), 0);
        doc_deinit(&doc);
        fclose(out);
        if (strcmp(text, cases[i].want) != 0)
            fail_msg("%s:\n%s", cases[i].name, text);
    }
}

/* Objects that have the wrong form everywhere are still described. */
static void test_wrong_forms(void **state)
{
    static const char *const objects[] = {
        "{}",
        "{\"metadata\":5,\"spec\":\"x\",\"status\":[1]}",
        "{\"metadata\":{\"name\":[],\"labels\":7,\"ownerReferences\":{}},\"spec\":{\"containers\":5,\"volumes\":[1],"
        "\"tolerations\":{},\"template\":[]},\"status\":{\"conditions\":[1,null]}}",
        "{\"spec\":{\"containers\":[null,5,{\"env\":[1],\"ports\":[null],\"volumeMounts\":[1],\"livenessProbe\":3}]}}",
    };
    static const char *const kinds[] = { "Pod", "Node", "Service", "Secret", "ConfigMap", "Namespace", "Boat" };

    for (size_t i = 0; i < ARRAY_LEN(objects) * ARRAY_LEN(kinds); i++) {
        AUTO(arena) arena = arena_new(0);
        const struct resource resource = { .group = STR(""), .kind = str_from(kinds[i % ARRAY_LEN(kinds)]) };
        struct json *json;
        struct doc doc;

        assert_int_equal(json_parse(arena, str_from(objects[i / ARRAY_LEN(kinds)]), NULL, &json, NULL), 0);
        doc_init(&doc, arena);
        describe_object(&doc, &resource, json, 0);
        assert_true(doc.lines.count > 0);
        doc_deinit(&doc);
    }
}

static void test_deep(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct resource resource = { .group = STR("x"), .kind = STR("Deep") };
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json *json;
    struct doc doc;

    for (int i = 0; i < 400; i++)
        buf_add_cstr(&text, "{\"a\":");
    buf_add_char(&text, '1');
    for (int i = 0; i < 400; i++)
        buf_add_char(&text, '}');
    assert_int_equal(json_parse(arena, buf_str(&text), NULL, &json, NULL), 0);
    doc_init(&doc, arena);
    describe_object(&doc, &resource, json, 0);
    assert_false(doc.failed);
    doc_deinit(&doc);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_objects),
    cmocka_unit_test(test_wrong_forms),
    cmocka_unit_test(test_deep),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
