/* OpenAPI documents in their three forms. */
#include "fixture.h"

#include "apiserver/openapi.h"
#include "apiserver/openapi_proto.h"

static struct answer get(struct fixture *f, const char *target, const char *accept)
{
    return send_raw(f, &(struct raw){ .method = "GET", .target = target, .accept = accept });
}

static void test_v3(void **state)
{
    const struct json *paths, *served;
    struct answer index, document;
    struct fixture f;

    fixture_init(&f);
    index = get(&f, "/openapi/v3", "application/json, */*");
    assert_int_equal(index.status, 200);
    paths = json_member(index.json, "paths");
    for (uint32_t i = 0; i < paths->count; i++) {
        struct str url = json_str(json_member(&paths->members[i].value, "serverRelativeURL"));

        document = get(&f, arena_cstr(f.arena, url), "application/json");
        assert_int_equal(document.status, 200);
        served = json_at(document.json, "components.schemas");
        assert_true(served && served->count > 0);
    }
    assert_string_equal(get(&f, "/openapi/v3", NULL).text, index.text);
    must(&f, 404, "GET", "/openapi/v3/api/v2", NULL);
    must(&f, 404, "GET", "/openapi/v3/apis//v1", NULL);
    must(&f, 404, "GET", "/openapi/v3/nonsense/v1", NULL);
    must(&f, 404, "GET", "/openapi/v3/apis/apps", NULL);
    must(&f, 405, "POST", "/openapi/v3", "{}");
    assert_int_equal(get(&f, "/openapi/v3/api/v1", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf").status,
                     406);
    assert_int_equal(send_raw(&f, &(struct raw){ .method = "GET", .target = "/openapi/v3", .user = "" }).status, 401);
    fixture_deinit(&f);
}

static const struct resource widgets = {
    .group = STR_INIT("x.io"),
    .version = STR_INIT("v1"),
    .plural = STR_INIT("widgets"),
    .singular = STR_INIT("widget"),
    .kind = STR_INIT("Widget"),
    .list_kind = STR_INIT("WidgetList"),
    .namespaced = true,
    .served = true,
    .verbs = VERB_GET,
    .type = &type_any,
    .storage = &widgets,
};

static void test_custom(void **state)
{
    static const struct resource *const custom[] = { &widgets };
    struct fixture f;
    const char *before;

    fixture_init(&f);
    before = get(&f, "/openapi/v3", NULL).text;
    must(&f, 404, "GET", "/openapi/v3/apis/x.io/v1", NULL);
    assert_int_equal(openapi_docs_set_custom(f.server->openapi, custom, 1, NULL), 0);
    must(&f, 200, "GET", "/openapi/v3/apis/x.io/v1", NULL);
    assert_string_not_equal(before, get(&f, "/openapi/v3", NULL).text);
    fixture_deinit(&f);
}

/* No reference may lead to where version 3 keeps its schemas, or nowhere. */
static void check_refs(const struct json *json, const struct json *definitions)
{
    for (uint32_t i = 0; json->kind == JSON_ARRAY && i < json->count; i++)
        check_refs(&json->items[i], definitions);
    for (uint32_t i = 0; json->kind == JSON_OBJECT && i < json->count; i++) {
        const struct json_member *member = &json->members[i];

        if (str_is(member->key, "$ref") && member->value.kind == JSON_STRING) {
            assert_true(str_has_prefix(member->value.string, STR("#/definitions/")));
            assert_non_null(json_get(definitions, str_skip(member->value.string, sizeof "#/definitions/" - 1)));
        }
        check_refs(&member->value, definitions);
    }
}

static void test_v2(void **state)
{
    const struct json *definitions, *patch;
    struct answer answer;
    struct fixture f;

    fixture_init(&f);
    answer = get(&f, "/openapi/v2", "application/json");
    assert_int_equal(answer.status, 200);
    assert_string_equal(at(&f, answer, "swagger"), "2.0");
    definitions = json_member(answer.json, "definitions");
    check_refs(answer.json, definitions);
    assert_string_equal(
        arena_cstr(f.arena, json_str(json_member(
                                json_member(definitions, "io.k8s.apimachinery.pkg.api.resource.Quantity"), "type"))),
        "string");
    patch = json_member(json_member(json_member(answer.json, "paths"), "/api/v1/namespaces/{namespace}/pods/{name}"),
                        "patch");
    bool found = false;
    for (uint32_t i = 0; i < json_member(patch, "parameters")->count; i++)
        found = found ||
                str_is(json_str(json_member(&json_member(patch, "parameters")->items[i], "name")), "fieldValidation");
    assert_true(found);
    assert_null(json_member(patch, "requestBody"));
    fixture_deinit(&f);
}

/* -- protobuf, read back as far as its framing goes -- */

static bool cut_varint(struct str *rest, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (int shift = 0; rest->len && shift < 64; shift += 7) {
        unsigned char c = (unsigned char)rest->data[0];

        *rest = str_skip(*rest, 1);
        value |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Counts the fields of that number; every field must be whole. */
static size_t count_fields(struct str message, uint64_t number, struct str *ret_last)
{
    size_t count = 0;

    while (message.len) {
        uint64_t tag = 0, len = 0;

        assert_true(cut_varint(&message, &tag));
        if ((tag & 7) == 2) {
            assert_true(cut_varint(&message, &len) && len <= message.len);
            if (tag >> 3 == number)
                *ret_last = str_first(message, len);
        } else if ((tag & 7) == 1) {
            len = 8;
            assert_true(len <= message.len);
        } else {
            assert_int_equal(tag & 7, 0);
            assert_true(cut_varint(&message, &len));
            len = 0;
        }
        message = str_skip(message, len);
        count += tag >> 3 == number;
    }
    return count;
}

static const struct {
    const char *document, *want; /* hexadecimal */
} messages[] = {
    { "{'swagger':'2.0'}", "0a03322e30" },
    { "{'info':{'title':'a','version':'b','x-y':1}}", "12120a01611201623a0a0a03782d791203120131" },
    { "{'definitions':{'A':{'type':'string'}}}", "4a120a100a0141120bb201080a06737472696e67" },
    { "{'definitions':{'A':{'minimum':1.5,'minLength':2,'required':['b']}}}",
      "4a160a140a0141120f49000000000000f83f60029a010162" },
    { "{'unknown':1}", "" },
};

static void test_messages(void **state)
{
    struct arena *arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        AUTO_DEINIT(buf, out) = BUF_INIT;
        char hex[256] = "";
        struct json *tree;

        assert_int_equal(json_parse(arena, quoted(arena, messages[i].document), NULL, &tree, NULL), 0);
        openapi_proto_write(&out, tree);
        for (size_t j = 0; j < out.len && j < 100; j++)
            snprintf(hex + 2 * j, 3, "%02x", (unsigned char)out.data[j]);
        if (strcmp(hex, messages[i].want) != 0)
            fail_msg("%s: %s", messages[i].document, hex);
    }
    arena_free(arena);
}

static void test_proto(void **state)
{
    struct str text, last = STR_NULL;
    struct request *request;
    struct fixture f;
    const struct http_header header = { STR("accept"), STR(OPENAPI_V2_PROTO_ASKED) };
    const struct tls_identity peer = { .common_name = STR("admin") };
    const struct http_request http = { .method = HTTP_GET_,
                                       .path = STR("/openapi/v2"),
                                       .query = STR(""),
                                       .peer = &peer,
                                       .headers = &header,
                                       .header_count = 1 };

    fixture_init(&f);
    request = arena_new_of(f.arena, struct request);
    request_init(request, f.server, f.arena);
    assert_int_equal(request_route(request, &http, NULL), 0);
    request_run(request);
    assert_int_equal(request->reply.status, 200);
    assert_string_equal(request->reply.content_type, OPENAPI_V2_PROTO);
    text = request->reply.text;
    assert_int_equal(count_fields(text, 1, &last), 1);
    assert_true(str_is(last, "2.0"));
    assert_true(count_fields(text, 8, &last) > 0);
    assert_true(count_fields(text, 9, &last) > 0);
    assert_true(count_fields(last, 1, &last) > 0);
    request_release(request);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v3),       cmocka_unit_test(test_custom), cmocka_unit_test(test_v2),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_proto),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
