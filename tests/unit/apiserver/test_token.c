/* Tokens of service accounts: what is asked for and what is refused, whom a token stands for, and when no longer. */
#include "apiserver/token.h"

#include "fixture.h"

#include "codec/base64.h"

#define ACCOUNTS "/api/v1/namespaces/default/serviceaccounts"
#define TOKEN ACCOUNTS "/sailor/token"
#define REVIEWS "/apis/authentication.k8s.io/v1/tokenreviews"
#define SELF "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define NAME "system:serviceaccount:default:sailor"

static void set_up(struct fixture *f)
{
    fixture_init(f);
    must(f, 201, "POST", ACCOUNTS, "{'metadata':{'name':'sailor'}}");
    must(f, 201, "POST", ACCOUNTS, "{'metadata':{'name':'cook'}}");
    must(f, 201, "POST", "/api/v1/nodes", "{'metadata':{'name':'node-a'}}");
    must(f, 201, "POST", "/api/v1/namespaces/default/secrets", "{'metadata':{'name':'s'}}");
    must(f, 201, "POST", PODS,
         "{'metadata':{'name':'p'},'spec':{'serviceAccountName':'sailor','nodeName':'node-a','containers':[{'name':'c',"
         "'image':'i'}]}}");
}

static const char *token_of(struct fixture *f, const char *spec)
{
    struct answer answer =
        must(f, 201, "POST", TOKEN, arena_printf(f->arena, "{'spec':{%s}}", spec).data);

    assert_string_equal(at(f, answer, "kind"), "TokenRequest");
    return at(f, answer, "status.token");
}

static struct answer with_token(struct fixture *f, const char *token, const char *method, const char *target,
                                const char *body)
{
    return send_raw(f, &(struct raw){ .method = method, .target = target, .body = body, .user = "",
                                      .token = arena_printf(f->arena, "Bearer %s", token).data });
}

static struct json *claims_of(struct fixture *f, const char *token)
{
    struct str rest = str_from(token), part, text;
    struct json *json = NULL;

    assert_true(str_split(&rest, '.', &part) && str_split(&rest, '.', &part));
    assert_true(base64url_decode(f->arena, part, &text));
    assert_int_equal(json_parse(f->arena, text, NULL, &json, NULL), 0);
    return json;
}

static bool believed(struct fixture *f, const char *token)
{
    int status = with_token(f, token, "GET", "/api/v1/namespaces/default", NULL).status;

    assert_true(status == 200 || status == 401);
    return status == 200;
}

/* -- asking -- */

static const struct {
    const char *name, *target, *body;
    int status;
    const char *message; /* a part of it */
} requests[] = {
    { "nothing said", TOKEN, "{}", 201, NULL },
    { "the names of the path", TOKEN, "{'metadata':{'name':'sailor','namespace':'default'}}", 201, NULL },
    { "another name", TOKEN, "{'metadata':{'name':'cook'}}", 422,
      "metadata.name: Invalid value: \"cook\": must match the service account name if specified" },
    { "another namespace", TOKEN, "{'metadata':{'namespace':'kube-system'}}", 422,
      "metadata.namespace: Invalid value: \"kube-system\": must match the service account namespace if specified" },
    { "no such account", ACCOUNTS "/nobody/token", "{}", 404, "serviceaccounts \"nobody\" not found" },
    { "ten minutes", TOKEN, "{'spec':{'expirationSeconds':600}}", 201, NULL },
    { "less", TOKEN, "{'spec':{'expirationSeconds':599}}", 422,
      "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a "
      "duration less than 10 minutes" },
    { "for ever", TOKEN, "{'spec':{'expirationSeconds':4294967297}}", 422,
      "may not specify a duration larger than 2^32 seconds" },
    { "the longest", TOKEN, "{'spec':{'expirationSeconds':4294967296}}", 201, NULL },
    { "a pod", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Pod','apiVersion':'v1','name':'p'}}}", 201, NULL },
    { "a node", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Node','apiVersion':'v1','name':'node-a'}}}", 201, NULL },
    { "a secret", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Secret','apiVersion':'v1','name':'s'}}}", 201, NULL },
    { "a pod that is not there", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Pod','apiVersion':'v1','name':'q'}}}", 404,
      "pods \"q\" not found" },
    { "another account's pod", ACCOUNTS "/cook/token",
      "{'spec':{'boundObjectRef':{'kind':'Pod','apiVersion':'v1','name':'p'}}}", 400,
      "cannot bind token for serviceaccount \"cook\" to pod running with different serviceaccount name." },
    { "another uid", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Secret','apiVersion':'v1','name':'s','uid':'x'}}}", 409,
      "the UID in the bound object reference (x) does not match the UID in record" },
    { "another kind", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Deployment','apiVersion':'apps/v1','name':'d'}}}", 400,
      "cannot bind token to object of type apps/v1, Kind=Deployment" },
    { "another group's pod", TOKEN, "{'spec':{'boundObjectRef':{'kind':'Pod','apiVersion':'x/v1','name':'p'}}}", 400,
      "cannot bind token to object of type x/v1, Kind=Pod" },
};

static void test_requests(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct answer answer = send(&f, "POST", requests[i].target, requests[i].body);

        if (answer.status != requests[i].status ||
            (requests[i].message && !strstr(at(&f, answer, "message"), requests[i].message)))
            fail_msg("%s: %d %s", requests[i].name, answer.status, answer.text);
    }
    fixture_deinit(&f);
}

/* -- what is in it -- */

static void test_claims(void **state)
{
    struct fixture f;
    struct json *json;
    struct answer answer;

    (void)state;
    set_up(&f);
    answer = must(&f, 201, "POST", TOKEN, "{'spec':{'audiences':['a','b'],'expirationSeconds':700}}");
    json = claims_of(&f, at(&f, answer, "status.token"));
    assert_string_equal(at(&f, answer, "status.expirationTimestamp"), "2026-01-02T15:15:45Z");
    assert_string_equal(at(&f, answer, "metadata.name"), "sailor");
    assert_int_equal(json_int(json_member(json, "exp"), 0) - json_int(json_member(json, "iat"), 0), 700);
    assert_int_equal(json_member(json, "aud")->count, 2);
    assert_true(str_is(json_str(json_member(json, "sub")), NAME));
    assert_null(json_get(json_member(json, "kubernetes.io"), STR("warnafter")));
    /* A pod's own: a year, and a time after which it is frowned upon. */
    json = claims_of(&f, token_of(&f, "'expirationSeconds':3607,'boundObjectRef':{'kind':'Pod','name':'p'}"));
    assert_int_equal(json_int(json_member(json, "exp"), 0) - json_int(json_member(json, "iat"), 0), 365 * 24 * 3600);
    json = json_member(json, "kubernetes.io");
    assert_int_equal(json_int(json_member(json, "warnafter"), 0), 1767366245 + 3607);
    assert_true(str_is(json_str(json_at(json, "pod.name")), "p"));
    assert_true(str_is(json_str(json_at(json, "node.name")), "node-a"));
    assert_true(json_str(json_at(json, "node.uid")).len > 0);
    fixture_deinit(&f);
}

/* -- whom it stands for -- */

static void test_user(void **state)
{
    struct fixture f;
    struct answer answer;
    const char *token;

    (void)state;
    set_up(&f);
    token = token_of(&f, "'boundObjectRef':{'kind':'Pod','name':'p'}");
    answer = with_token(&f, token, "POST", SELF, "{}");
    assert_int_equal(answer.status, 201);
    const struct json *user = json_at(answer.json, "status.userInfo");
    const struct json *extra = json_member(user, "extra");

    assert_true(str_is(json_str(json_member(user, "username")), NAME));
    assert_int_equal(json_member(user, "groups")->count, 3);
    assert_true(str_is(json_str(&json_member(user, "groups")->items[1]), "system:serviceaccounts:default"));
    assert_int_equal(extra->count, 5);
    assert_true(str_is(json_str(&json_member(extra, "authentication.kubernetes.io/pod-name")->items[0]), "p"));
    /* A certificate goes before it. */
    answer = send_raw(&f, &(struct raw){ .method = "POST", .target = SELF, .body = "{}", .user = "ann",
                                         .token = arena_printf(f.arena, "Bearer %s", token).data });
    assert_string_equal(at(&f, answer, "status.userInfo.username"), "ann");
    fixture_deinit(&f);
}

static void test_reviews(void **state)
{
    struct fixture f;
    struct answer answer;
    const char *token;

    (void)state;
    set_up(&f);
    token = token_of(&f, "'audiences':['a','b']");
    assert_false(believed(&f, token)); /* it is for others */
    answer = must(&f, 201, "POST", REVIEWS,
                  arena_printf(f.arena, "{'spec':{'token':'%s','audiences':['b','c']}}", token).data);
    assert_string_equal(at(&f, answer, "status.user.username"), NAME);
    assert_int_equal(json_at(answer.json, "status.audiences")->count, 1);
    assert_true(json_bool(json_at(answer.json, "status.authenticated"), false));
    answer = must(&f, 201, "POST", REVIEWS, arena_printf(f.arena, "{'spec':{'token':'%s'}}", token).data);
    assert_false(json_bool(json_at(answer.json, "status.authenticated"), false));
    assert_true(strlen(at(&f, answer, "status.error")) > 0);
    fixture_deinit(&f);
}

/* -- when no longer -- */

static void test_time(void **state)
{
    struct fixture f;
    const char *token;

    (void)state;
    set_up(&f);
    token = token_of(&f, "'expirationSeconds':600");
    assert_true(believed(&f, token));
    f.clock.now += 600 * NSEC_PER_SEC;
    assert_true(believed(&f, token));
    f.clock.now += NSEC_PER_SEC;
    assert_false(believed(&f, token));
    fixture_deinit(&f);
}

static const struct {
    const char *name, *spec, *path;
} bound[] = {
    { "the account", "", ACCOUNTS "/sailor" },
    { "a pod", "'boundObjectRef':{'kind':'Pod','name':'p'}", PODS "/p?gracePeriodSeconds=0" },
    { "a secret", "'boundObjectRef':{'kind':'Secret','name':'s'}", "/api/v1/namespaces/default/secrets/s" },
    { "a node", "'boundObjectRef':{'kind':'Node','name':'node-a'}", "/api/v1/nodes/node-a" },
};

static void test_gone(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
        struct fixture f;
        const char *token;

        (void)state;
        set_up(&f);
        token = token_of(&f, bound[i].spec);
        if (!believed(&f, token))
            fail_msg("%s: not believed while it is there", bound[i].name);
        must(&f, 200, "DELETE", bound[i].path, NULL);
        if (believed(&f, token))
            fail_msg("%s: believed though it is gone", bound[i].name);
        fixture_deinit(&f);
    }
}

static void test_made_again(void **state)
{
    struct fixture f;
    const char *token;

    (void)state;
    set_up(&f);
    token = token_of(&f, "");
    must(&f, 200, "DELETE", ACCOUNTS "/sailor", NULL);
    must(&f, 201, "POST", ACCOUNTS, "{'metadata':{'name':'sailor'}}");
    assert_false(believed(&f, token));
    fixture_deinit(&f);
}

/* -- what is no token -- */

static void test_others(void **state)
{
    struct fixture f;
    const char *token;
    AUTO(tokens) other = NULL;
    struct err err = { 0 };
    struct str pem, foreign;

    (void)state;
    set_up(&f);
    token = token_of(&f, "");
    const size_t len = strlen(token);

    for (size_t i = 0; i < len; i += 7) {
        char *spoilt = arena_cstr(f.arena, str_from(token));

        spoilt[i] = spoilt[i] == 'A' ? 'Q' : 'A';
        if (believed(&f, spoilt))
            fail_msg("spoilt at %zu", i);
        if (believed(&f, arena_cstr(f.arena, str_of(token, i + 1))))
            fail_msg("cut at %zu", i);
    }
    static const char *const bad[] = { "", ".", "..", "...", "a.b.c", "eyJhbGciOiJub25lIn0.e30." };

    for (size_t i = 1; i < ARRAY_LEN(bad); i++)
        assert_false(believed(&f, bad[i]));
    assert_false(believed(&f, arena_printf(f.arena, "%s.", token).data));
    assert_false(believed(&f, arena_printf(f.arena, "%*s.%s", TOKEN_MAX, "", token).data));
    /* Another cluster's. */
    assert_int_equal(signer_make_key(f.arena, &pem, &err), 0);
    assert_int_equal(tokens_new(pem, tokens_issuer(f.server->tokens), &other, &err), 0);
    assert_int_equal(tokens_sign(other, f.arena,
                                 &(struct token_claims){ .ns = STR("default"),
                                                         .account = { STR("sailor"), STR("x") },
                                                         .id = STR("i"),
                                                         .audiences = json_new(f.arena, JSON_ARRAY),
                                                         .expires = INT64_MAX },
                                 &foreign, &err),
                     0);
    assert_false(believed(&f, foreign.data));
    /* Another scheme is another's business: nobody is known. */
    assert_int_equal(send_raw(&f, &(struct raw){ .method = "GET", .target = "/version", .user = "", .token = "Basic eA==" })
                         .status,
                     200);
    assert_int_equal(with_token(&f, "x", "GET", "/version", NULL).status, 401);
    fixture_deinit(&f);
}

static void test_openid(void **state)
{
    struct fixture f;
    struct answer answer;

    (void)state;
    fixture_init(&f);
    answer = must(&f, 200, "GET", "/.well-known/openid-configuration", NULL);
    assert_string_equal(at(&f, answer, "issuer"), "https://kubernetes.default.svc.cluster.local");
    assert_string_equal(at(&f, answer, "jwks_uri"), "https://kubernetes.default.svc.cluster.local/openid/v1/jwks");
    answer = must(&f, 200, "GET", "/openid/v1/jwks", NULL);
    assert_string_equal(answer.content_type, "application/jwk-set+json");
    const struct json *keys = json_member(answer.json, "keys");

    assert_int_equal(keys->count, 1);
    assert_true(str_is(json_str(json_member(&keys->items[0], "alg")), "ES256"));
    assert_int_equal(json_str(json_member(&keys->items[0], "x")).len, 43);
    must(&f, 405, "POST", "/openid/v1/jwks", "{}");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_claims),     cmocka_unit_test(test_user),
        cmocka_unit_test(test_reviews),  cmocka_unit_test(test_time),       cmocka_unit_test(test_gone),
        cmocka_unit_test(test_made_again), cmocka_unit_test(test_others),   cmocka_unit_test(test_openid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
