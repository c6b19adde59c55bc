/* Lists: pages at one revision and after it is gone, revisions asked for, options that do not go together, tokens that
 * nobody gave out. */
#include "fixture.h"

#include "base/buf.h"
#include "codec/base64.h"

#define CM "/api/v1/namespaces/default/configmaps"

static void create(struct fixture *f, const char *name)
{
    must(f, 201, "POST", CM, arena_printf(f->arena, "{'metadata':{'name':'%s','labels':{'n':'%s'}}}", name, name).data);
}

/* "a b" */
static const char *names_of(struct fixture *f, struct answer a)
{
    const struct json *items = json_at(a.json, "items");
    AUTO_DEINIT(buf, out) = BUF_INIT;

    for (uint32_t i = 0; items && i < items->count; i++)
        buf_printf(&out, "%s" STR_FMT, i ? " " : "", STR_ARG(json_str_at(&items->items[i], "metadata.name")));
    return arena_cstr(f->arena, buf_str(&out));
}

static int64_t left(struct answer a)
{
    return json_int(json_at(a.json, "metadata.remainingItemCount"), -1);
}

static struct answer page(struct fixture *f, int status, const char *query, const char *token)
{
    return must(f, status, "GET", arena_printf(f->arena, CM "?%s&continue=%s", query, token).data, NULL);
}

static void test_pages(void **state)
{
    struct answer a, b;
    struct fixture f;

    fixture_init(&f);
    for (const char *p = "abcdefg"; *p; p++)
        create(&f, (char[]){ *p, 0 });
    a = must(&f, 200, "GET", CM "?limit=3", NULL);
    assert_string_equal(names_of(&f, a), "a b c");
    assert_int_equal(left(a), 4);
    create(&f, "dd");
    must(&f, 200, "DELETE", CM "/e", NULL);
    b = page(&f, 200, "limit=3", at(&f, a, "metadata.continue"));
    assert_string_equal(names_of(&f, b), "d e f");
    assert_int_equal(left(b), 1);
    assert_string_equal(at(&f, b, "metadata.resourceVersion"), at(&f, a, "metadata.resourceVersion"));
    b = page(&f, 200, "limit=3", at(&f, b, "metadata.continue"));
    assert_string_equal(names_of(&f, b), "g");
    assert_string_equal(at(&f, b, "metadata.continue"), "");
    assert_int_equal(left(b), -1);
    b = page(&f, 200, "limit=0", at(&f, a, "metadata.continue"));
    assert_string_equal(names_of(&f, b), "d e f g");
    /* With a selector nobody knows how many are left; the token is good for another selector too. */
    a = must(&f, 200, "GET", CM "?limit=1&labelSelector=n%20in%20(b,c,g)", NULL);
    assert_string_equal(names_of(&f, a), "b");
    assert_int_equal(left(a), -1);
    a = page(&f, 200, "labelSelector=n%20in%20(c,g)", at(&f, a, "metadata.continue"));
    assert_string_equal(names_of(&f, a), "c g");
    a = must(&f, 200, "GET", CM "?limit=100", NULL);
    assert_string_equal(names_of(&f, a), "a b c d dd f g");
    assert_string_equal(at(&f, a, "metadata.continue"), "");
    a = must(&f, 200, "GET", CM "?limit=-1", NULL);
    assert_string_equal(names_of(&f, a), "a b c d dd f g");
    a = must(&f, 200, "GET", CM "?limit=9223372036854775807", NULL);
    assert_string_equal(names_of(&f, a), "a b c d dd f g");
    fixture_deinit(&f);
}

static const char many[] = "or use the continue token in this response to retrieve the remainder of the results.";

static void test_expired_token(void **state)
{
    struct answer a, b;
    struct fixture f;

    fixture_init(&f);
    for (const char *p = "abcdef"; *p; p++)
        create(&f, (char[]){ *p, 0 });
    a = must(&f, 200, "GET", CM "?limit=2", NULL);
    create(&f, "cc");
    assert_int_equal(store_compact(f.store, store_revision(f.store), NULL), 0);
    b = page(&f, 410, "limit=2", at(&f, a, "metadata.continue"));
    assert_string_equal(at(&f, b, "reason"), "Expired");
    assert_non_null(strstr(at(&f, b, "message"), many));
    b = page(&f, 200, "limit=2", at(&f, b, "metadata.continue"));
    assert_string_equal(names_of(&f, b), "c cc");
    assert_int_equal(left(b), 3);
    create(&f, "dd");
    b = page(&f, 200, "limit=10", at(&f, b, "metadata.continue"));
    assert_string_equal(names_of(&f, b), "d e f");
    a = must(&f, 410, "GET", CM "?resourceVersion=1&resourceVersionMatch=Exact", NULL);
    assert_string_equal(at(&f, a, "message"), "The resourceVersion for the provided list is too old.");
    assert_string_equal(at(&f, a, "metadata.continue"), "");
    fixture_deinit(&f);
}

static void test_revisions(void **state)
{
    unsigned long long first;
    struct answer a;
    struct fixture f;

    fixture_init(&f);
    create(&f, "a");
    first = store_revision(f.store);
    create(&f, "b");
#define LIST(status, query) must(&f, status, "GET", arena_printf(f.arena, CM "?" query, first).data, NULL)
    assert_string_equal(names_of(&f, LIST(200, "resourceVersion=%llu")), "a b");
    assert_string_equal(names_of(&f, LIST(200, "resourceVersion=%llu&resourceVersionMatch=NotOlderThan")), "a b");
    a = LIST(200, "resourceVersion=%llu&resourceVersionMatch=Exact");
    assert_string_equal(names_of(&f, a), "a");
    assert_string_equal(at(&f, a, "metadata.resourceVersion"), arena_printf(f.arena, "%llu", first).data);
    assert_string_equal(names_of(&f, LIST(200, "resourceVersion=%llu&limit=5")), "a");
    assert_string_equal(names_of(&f, LIST(200, "resourceVersion=%llu&resourceVersionMatch=NotOlderThan&limit=5")),
                        "a b");
    assert_string_equal(names_of(&f, must(&f, 200, "GET", CM "?resourceVersion=0", NULL)), "a b");
    assert_string_equal(
        names_of(&f, must(&f, 200, "GET", CM "?resourceVersion=0&resourceVersionMatch=NotOlderThan", NULL)), "a b");
    a = LIST(504, "resourceVersion=%llu00");
    assert_string_equal(at(&f, a, "reason"), "Timeout");
    assert_int_equal(json_int(json_at(a.json, "details.retryAfterSeconds"), 0), 1);
    assert_string_equal(
        json_str(json_get(&json_at(a.json, "details.causes")->items[0], STR("reason"))).data ? "yes" : "", "yes");
    assert_memory_equal(at(&f, a, "message"), "Timeout: Too large resource version: ", 37);
    fixture_deinit(&f);
}

/* -- options -- */

#define IN_LIST "ListOptions.meta.k8s.io \"\" is invalid: "

static void test_bad_options(void **state)
{
    static const struct {
        const char *query;
        int status;
        const char *message;
    } cases[] = {
        { "resourceVersionMatch=Exact", 422,
          IN_LIST
          "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided" },
        { "resourceVersionMatch=Foo&resourceVersion=1", 422,
          IN_LIST
          "resourceVersionMatch: Unsupported value: \"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\"" },
        { "resourceVersionMatch=Exact&resourceVersion=0", 422,
          IN_LIST
          "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"" },
        { "resourceVersionMatch=NotOlderThan&resourceVersion=1&continue=x", 422,
          IN_LIST "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided" },
        { "sendInitialEvents=false", 422,
          IN_LIST "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list" },
        { "resourceVersionMatch=Foo", 422,
          IN_LIST "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
                  "provided, resourceVersionMatch: Unsupported value: \"Foo\": supported values: \"Exact\", "
                  "\"NotOlderThan\", \"\"]" },
        { "resourceVersion=x", 400,
          "invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid "
          "syntax" },
        { "resourceVersion=99999999999999999999999", 400, NULL },
        { "limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "limit=99999999999999999999", 400, "strconv.ParseInt: parsing \"99999999999999999999\": value out of range" },
        { "timeoutSeconds=1m", 400, "strconv.ParseInt: parsing \"1m\": invalid syntax" },
        { "watch=1&resourceVersionMatch=NotOlderThan", 422,
          IN_LIST
          "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents "
          "is provided" },
        { "watch=1&sendInitialEvents=true", 422,
          IN_LIST "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                  "NotOlderThan" },
        { "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", 422,
          IN_LIST "[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                  "NotOlderThan, resourceVersionMatch: Unsupported value: \"Exact\": supported values: "
                  "\"NotOlderThan\"]" },
        { "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999", 504, NULL },
        { "watch=1&resourceVersion=x", 400, NULL },
        { "watch=1&resourceVersion=999999", 200, NULL },
        { "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0", 200, NULL },
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = must(&f, cases[i].status, "GET", arena_printf(f.arena, CM "?%s", cases[i].query).data, NULL);

        if (cases[i].message)
            assert_string_equal(at(&f, a, "message"), cases[i].message);
        if (cases[i].status == 422)
            assert_string_equal(at(&f, a, "details.kind"), "ListOptions");
    }
    fixture_deinit(&f);
}

/* -- tokens -- */

static const char *token_of(struct fixture *f, const char *text)
{
    AUTO_DEINIT(buf, out) = BUF_INIT;

    base64url_encode(&out, quoted(f->arena, text));
    return arena_cstr(f->arena, buf_str(&out));
}

#define INVALID "invalid continue token: continue key is not valid: "

static void test_bad_tokens(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", NULL },
        { "no json", INVALID "it is not what this server gave out" },
        { "[]", INVALID "it is not what this server gave out" },
        { "{'v':'v2','rv':1,'start':'a'}", INVALID "server does not recognize this encoded version \"v2\"" },
        { "{'v':'meta.k8s.io/v1','start':'a'}",
          INVALID "incorrect encoded start resourceVersion (version meta.k8s.io/v1)" },
        { "{'v':'meta.k8s.io/v1','rv':1,'start':''}", INVALID "encoded start key empty (version meta.k8s.io/v1)" },
        { "{'v':'meta.k8s.io/v1','rv':1,'start':'../secrets/a'}", "invalid continue token: invalid key: ../secrets/a" },
        { "{'v':'meta.k8s.io/v1','rv':1,'start':'/a'}", "invalid continue token: invalid key: /a" },
    };
    struct answer a;
    struct fixture f;

    fixture_init(&f);
    create(&f, "a");
    create(&f, "b");
    for (size_t i = 1; i < ARRAY_LEN(cases); i++) {
        a = page(&f, 400, "limit=1", token_of(&f, cases[i].text));
        assert_string_equal(at(&f, a, "message"), cases[i].message);
        assert_string_equal(at(&f, a, "reason"), "BadRequest");
    }
    a = page(&f, 400, "limit=1", "!!!");
    assert_string_equal(at(&f, a, "message"), INVALID "illegal base64 data");
    page(&f, 400, "limit=1", token_of(&f, "{'v':'meta.k8s.io/v1','rv':999999,'start':'a'}"));
    a = must(&f, 200, "GET", CM "?limit=1", NULL);
    const char *token = at(&f, a, "metadata.continue");
    a = page(&f, 400, "resourceVersion=1", token);
    assert_string_equal(at(&f, a, "message"), "specifying resource version is not allowed when using continue");
    a = page(&f, 200, "resourceVersion=0", token);
    assert_string_equal(names_of(&f, a), "b");
    /* On another path it goes on behind the same name there, and never above it. */
    must(&f, 201, "POST", "/api/v1/namespaces", "{'metadata':{'name':'other'}}");
    must(&f, 201, "POST", "/api/v1/namespaces/other/configmaps", "{'metadata':{'name':'a'}}");
    must(&f, 201, "POST", "/api/v1/namespaces/other/configmaps", "{'metadata':{'name':'c'}}");
    token = token_of(&f, "{'v':'meta.k8s.io/v1','rv':-1,'start':'b'}");
    a = must(&f, 200, "GET", arena_printf(f.arena, "/api/v1/namespaces/other/configmaps?continue=%s", token).data,
             NULL);
    assert_string_equal(names_of(&f, a), "c");
    /* With one name there is one look, wherever the token points. */
    a = must(&f, 200, "GET", arena_printf(f.arena, CM "?fieldSelector=metadata.name%%3Da&continue=%s", token).data,
             NULL);
    assert_string_equal(names_of(&f, a), "");
    a = must(&f, 200, "GET", arena_printf(f.arena, CM "?fieldSelector=metadata.name%%3Db&continue=%s", token).data,
             NULL);
    assert_string_equal(names_of(&f, a), "b");
    fixture_deinit(&f);
}

/* Pages through the index of terms, at their first revision. */
static void test_pages_of_a_node(void **state)
{
    struct answer a;
    struct fixture f;

    fixture_init(&f);
    for (const char *p = "abcd"; *p; p++)
        must(&f, 201, "POST", PODS, arena_printf(f.arena, POD_ON("%c", "%s"), *p, *p == 'b' ? "other" : "mine").data);
    a = must(&f, 200, "GET", PODS "?fieldSelector=spec.nodeName%3Dmine&limit=1", NULL);
    assert_string_equal(names_of(&f, a), "a");
    assert_int_equal(left(a), -1);
    must(&f, 200, "DELETE", PODS "/c?gracePeriodSeconds=0", NULL);
    must(&f, 201, "POST", PODS, POD_ON("aa", "mine"));
    const char *token = at(&f, a, "metadata.continue");
    a = must(&f, 200, "GET", arena_printf(f.arena, PODS "?fieldSelector=spec.nodeName%%3Dmine&continue=%s", token).data,
             NULL);
    assert_string_equal(names_of(&f, a), "c d");
    a = must(&f, 200, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dmine", NULL);
    assert_string_equal(names_of(&f, a), "a aa d");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),      cmocka_unit_test(test_expired_token),
        cmocka_unit_test(test_revisions),  cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_tokens), cmocka_unit_test(test_pages_of_a_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
