#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kubelet/image/challenge.h"
#include "kubelet/image/credentials.h"
#include "kubelet/image/url.h"

static const struct {
    const char *key, *name;
    bool want;
} keys[] = {
    { "ghcr.io", "ghcr.io/a/b", true },
    { "ghcr.io", "quay.io/a/b", false },
    { "ghcr.io/a", "ghcr.io/a/b", true },
    { "ghcr.io/ab", "ghcr.io/a/b", false },
    { "https://ghcr.io", "ghcr.io/a/b", true },
    { "https://ghcr.io/v1/", "ghcr.io/a/b", true },
    { "https://ghcr.io/v2/a", "ghcr.io/a/b", true },
    { "http://ghcr.io/", "ghcr.io/a/b", true },
    { "*.example.io", "x.example.io/a", true },
    { "*.example.io", "x.y.example.io/a", false },
    { "*.*.io", "x.example.io/a", true },
    { "x*.io", "xy.io/a", true },
    { "example.io:5000", "example.io:5000/a", true },
    { "example.io", "example.io:5000/a", false },
    { "example.io:5000", "example.io/a", false },
    { "docker.io", "docker.io/library/nginx", true },
    { "", "docker.io/library/nginx", false },
    { "[::1]:5000", "[::1]:5000/a", true },
};

static void test_keys(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (credential_key_matches(str_from(keys[i].key), str_from(keys[i].name)) != keys[i].want)
            fail_msg("%s against %s", keys[i].key, keys[i].name);
}

static const struct image_secret secrets[] = {
    { IMAGE_SECRET_CONFIG_JSON,
      STR_INIT("{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnNlY3JldDpjb2xvbg==\"},"
               "\"reg.io\":{\"username\":\"u\",\"password\":\"p\"},\"reg.io/team\":{\"auth\":\"dGVhbTpwdw==\"}}}") },
    { IMAGE_SECRET_CFG, STR_INIT("{\"reg.io\":{\"username\":\"second\",\"password\":\"q\",\"email\":\"x\"}}") },
    { IMAGE_SECRET_CONFIG_JSON, STR_INIT("not json") },
    { IMAGE_SECRET_CONFIG_JSON, STR_INIT("{\"auths\":{\"x.io\":{\"auth\":\"no base64!\"}}}") },
};

static const struct {
    const char *name, *users; /* in order, blank between */
} matches[] = {
    { "reg.io/team/app", "team u second" },
    { "reg.io/other", "u second" },
    { "docker.io/library/nginx", "hub" },
    { "quay.io/x", "" },
};

static void test_match(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
        AUTO(arena) arena = arena_new(0);
        struct credential *list;
        size_t count, bad;
        struct str want = str_from(matches[i].users), user;

        assert_int_equal(
            credentials_match(arena, secrets, ARRAY_LEN(secrets), str_from(matches[i].name), &list, &count, &bad, NULL),
            0);
        assert_int_equal(bad, 2);
        if (want.len == 0)
            want = STR_NULL;
        for (size_t k = 0; k < count; k++) {
            assert_true(str_split(&want, ' ', &user));
            assert_true(str_eq(user, list[k].username));
        }
        assert_null(want.data);
    }
}

static void test_password_with_colon(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct credential *list;
    size_t count;

    assert_int_equal(credentials_match(arena, secrets, 1, STR("docker.io/a/b"), &list, &count, NULL, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(str_is(list[0].username, "hub"));
    assert_true(str_is(list[0].password, "secret:colon"));
}

static const struct {
    const char *header;
    bool good, bearer, basic;
    const char *realm, *service, *scope;
} challenges[] = {
    { "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
      true, true, false, "https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull" },
    { "Basic realm=\"Registry Realm\"", true, false, true, NULL, NULL, NULL },
    { "bearer REALM=\"a\\\"b\"", true, true, false, "a\"b", NULL, NULL },
    { "Basic realm=\"x\", Bearer realm=\"y\", scope=z", true, true, true, "y", NULL, "z" },
    { "Negotiate", true, false, false, NULL, NULL, NULL },
    { "Bearer", true, true, false, NULL, NULL, NULL },
    { "", true, false, false, NULL, NULL, NULL },
    { "Bearer realm=\"open", false, true, false, NULL, NULL, NULL },
    { "Bearer realm=\"open\\", false, true, false, NULL, NULL, NULL },
    { "\"", false, false, false, NULL, NULL, NULL },
    { "Bearer =", false, false, false, NULL, NULL, NULL },
};

static void test_challenges(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(challenges); i++) {
        AUTO(arena) arena = arena_new(0);
        struct challenge got = { 0 };

        assert_int_equal(challenge_parse(arena, str_from(challenges[i].header), &got), challenges[i].good);
        assert_int_equal(got.bearer, challenges[i].bearer);
        assert_int_equal(got.basic, challenges[i].basic);
        if (!challenges[i].good)
            continue;
        assert_true(str_eq(got.realm, str_from(challenges[i].realm)));
        assert_true(str_eq(got.service, str_from(challenges[i].service)));
        assert_true(str_eq(got.scope, str_from(challenges[i].scope)));
    }
}

static const struct {
    const char *base, *location, *want; /* NULL: refused */
} moves[] = {
    { "https://r.io/v2/a/blobs/x", "https://cdn.io/y?z=1", "https://cdn.io/y?z=1" },
    { "https://r.io/v2/a", "/y", "https://r.io/y" },
    { "http://r.io:5000/v2/a", "//cdn.io/y", "http://cdn.io/y" },
    { "https://r.io/v2/a?q=/", "b", "https://r.io/v2/b" },
    { "https://r.io", "b", "https://r.io/b" },
    { "https://r.io/", "file:///etc/passwd", NULL },
    { "https://r.io/", "https://user@cdn.io/", NULL },
    { "https://r.io/", "https:///x", NULL },
    { "https://r.io/", "/a b", NULL },
    { "https://r.io/", "/a\r\nX: y", NULL },
    { "https://r.io/", "/a#fragment", "https://r.io/a" },
};

static void test_urls(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        AUTO(arena) arena = arena_new(0);
        struct url base, url;

        assert_true(url_parse(str_from(moves[i].base), &base));
        bool ok = url_resolve(arena, &base, str_from(moves[i].location), &url);
        assert_int_equal(ok, moves[i].want != NULL);
        if (ok)
            assert_true(str_is(url.text, moves[i].want));
    }
}

static const struct {
    const char *authority;
    bool want;
} hosts[] = {
    { "localhost", true }, { "localhost:5000", true }, { "127.0.0.1", true },    { "127.1.2.3:80", true },
    { "[::1]:80", true },  { "128.0.0.1", false },     { "127.0.0.1.x", false }, { "127.0.0", false },
    { "127", false },      { "127.0.0.256", false },   { "example.io", false },  { "127.example.io.x", false },
};

static void test_loopback(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (authority_is_loopback(str_from(hosts[i].authority)) != hosts[i].want)
            fail_msg("%s", hosts[i].authority);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_match), cmocka_unit_test(test_password_with_colon),
        cmocka_unit_test(test_challenges), cmocka_unit_test(test_urls),  cmocka_unit_test(test_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
