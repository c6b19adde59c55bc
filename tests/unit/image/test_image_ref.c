#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kubelet/image/image_ref.h"

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    const char *text, *want, *domain, *path, *tag, *digest, *host;
} good[] = {
    { "nginx", "docker.io/library/nginx:latest", "docker.io", "library/nginx", "latest", NULL, "registry-1.docker.io" },
    { "nginx:1.27", "docker.io/library/nginx:1.27", "docker.io", "library/nginx", "1.27", NULL,
      "registry-1.docker.io" },
    { "nginx@" D, "docker.io/library/nginx@" D, "docker.io", "library/nginx", NULL, D, "registry-1.docker.io" },
    { "nginx:1@" D, "docker.io/library/nginx:1@" D, "docker.io", "library/nginx", "1", D, "registry-1.docker.io" },
    { "bitnami/redis", "docker.io/bitnami/redis:latest", "docker.io", "bitnami/redis", "latest", NULL, NULL },
    { "index.docker.io/library/a", "docker.io/library/a:latest", "docker.io", "library/a", "latest", NULL, NULL },
    { "docker.io/a", "docker.io/library/a:latest", "docker.io", "library/a", "latest", NULL, NULL },
    { "localhost/a", "localhost/a:latest", "localhost", "a", "latest", NULL, "localhost" },
    { "localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1", "localhost:5000", "a/b/c", "v1", NULL, "localhost:5000" },
    { "registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10", "registry.k8s.io", "pause", "3.10", NULL, NULL },
    { "ghcr.io/a-b/c_d.e--f__g", "ghcr.io/a-b/c_d.e--f__g:latest", "ghcr.io", "a-b/c_d.e--f__g", "latest", NULL, NULL },
    { "[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000", "a", "latest", NULL, "[::1]:5000" },
    { "10.0.0.1/a:_x.Y-z", "10.0.0.1/a:_x.Y-z", "10.0.0.1", "a", "_x.Y-z", NULL, NULL },
    { "HOST/a", "HOST/a:latest", "HOST", "a", "latest", NULL, NULL },
    { "a/b", "docker.io/a/b:latest", "docker.io", "a/b", "latest", NULL, NULL },
};

static const char *const bad[] = {
    "",
    " ",
    "Nginx",
    "nginx:",
    "nginx:-x",
    "nginx@",
    "nginx@sha256:abc",
    "nginx@" D "0",
    "/nginx",
    "nginx/",
    "a//b",
    "a..b",
    "a___b",
    "a-",
    "-a",
    ".a",
    "a:b:c",
    "host.io/A",
    "host.io:99999/a",
    "host.io:0/a",
    "host.io:x/a",
    "-host.io/a",
    "ho_st.io/a",
    "[::z]/a",
    "a b",
    "a\nb",
    "https://a.b/c",
    "host.io/",
    "../a",
    "a/../b",
    "a/./b",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "a@b@c",
    "nginx@md5:",
    "nginx@" D "@" D,
    "a/b:c/d",
    "caf\xc3\xa9",
};

static void assert_str(struct str got, const char *want)
{
    if (!want) {
        assert_null(got.data);
        return;
    }
    assert_non_null(got.data);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
}

static void test_good(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(arena) arena = arena_new(0);
        struct err err = { 0 };
        struct image_ref ref;

        if (image_ref_parse(arena, str_from(good[i].text), &ref, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.message);
        assert_str(ref.text, good[i].want);
        assert_int_equal(ref.text.data[ref.text.len], 0);
        assert_str(ref.domain, good[i].domain);
        assert_str(ref.path, good[i].path);
        assert_str(ref.tag, good[i].tag);
        assert_str(ref.digest, good[i].digest);
        if (good[i].host)
            assert_str(image_ref_host(&ref), good[i].host);
        /* What was normalised stays as it is. */
        struct image_ref again;
        assert_int_equal(image_ref_parse(arena, ref.text, &again, NULL), 0);
        assert_str(again.text, good[i].want);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(arena) arena = arena_new(0);
        struct err err = { 0 };
        struct image_ref ref;

        if (image_ref_parse(arena, str_from(bad[i]), &ref, &err) != -ERR_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(str_has_prefix(str_from(err.message), STR("invalid reference format")));
    }
}

static void test_parts(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct image_ref ref;

    assert_int_equal(image_ref_parse(arena, STR("nginx:1@" D), &ref, NULL), 0);
    assert_str(image_ref_tagged(arena, &ref), "docker.io/library/nginx:1");
    assert_str(image_ref_digested(arena, &ref, ref.digest), "docker.io/library/nginx@" D);
    assert_str(image_ref_digested(arena, &ref, STR_NULL), NULL);
}

static void test_too_long(void **state)
{
    AUTO(arena) arena = arena_new(0);
    static char text[300];
    struct image_ref ref;

    memset(text, 'a', sizeof text);
    memcpy(text, "a:", 2);
    assert_int_equal(image_ref_parse(arena, str_of(text, 2 + 128), &ref, NULL), 0);
    assert_int_equal(image_ref_parse(arena, str_of(text, 2 + 129), &ref, NULL), -ERR_INVALID);
    memset(text, 'a', 2);
    assert_int_equal(image_ref_parse(arena, str_of(text, 255 - strlen("docker.io/library/")), &ref, NULL), 0);
    assert_int_equal(image_ref_parse(arena, str_of(text, 256 - strlen("docker.io/library/")), &ref, NULL),
                     -ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
