/* Kubeconfig files: written and read back, as kubectl writes them, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "client/kubeconfig.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/caravel-kubeconfig-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    assert_int_equal(file_write_atomic(path_of(name), str_from(text), 0600, NULL), 0);
}

static void test_round_trip(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct client_config config = { .server = STR("https://127.0.0.1:6443"),
                                          .ca_pem = STR("CA\n"),
                                          .cert_pem = STR("CERT\n"),
                                          .key_pem = STR("KEY\n") };
    struct client_config back = { 0 };
    struct stat st;

    (void)state;
    assert_int_equal(kubeconfig_write(path_of("config"), STR("caravel"), &config, NULL), 0);
    assert_int_equal(stat(path_of("config"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(kubeconfig_load(arena, path_of("config"), &back, NULL), 0);
    assert_true(str_eq(back.server, config.server));
    assert_true(str_eq(back.ca_pem, config.ca_pem));
    assert_true(str_eq(back.cert_pem, config.cert_pem));
    assert_true(str_eq(back.key_pem, config.key_pem));
    assert_true(str_empty(back.token));
}

/* Two of each; the current context decides. Files are beside the kubeconfig, or anywhere. */
static void test_as_kubectl_writes(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct client_config config = { 0 };
    char text[1024];

    (void)state;
    write_text("ca.crt", "FILE CA");
    snprintf(
        text, sizeof text,
        "apiVersion: v1\nkind: Config\ncurrent-context: two\npreferences: {}\n"
        "clusters:\n- name: c1\n  cluster: {server: 'https://one'}\n"
        "- name: c2\n  cluster:\n    certificate-authority: ca.crt\n    server: https://two\n"
        "contexts:\n- context: {cluster: c1, user: u1}\n  name: one\n- context:\n    cluster: c2\n    namespace: x\n"
        "    user: u2\n  name: two\n"
        "users:\n- name: u1\n  user: {token: wrong}\n- name: u2\n  user: {token: right, client-key: '%s/ca.crt'}\n",
        dir);
    write_text("config", text);
    assert_int_equal(kubeconfig_load(arena, path_of("config"), &config, NULL), 0);
    assert_true(str_is(config.server, "https://two"));
    assert_true(str_is(config.token, "right"));
    assert_true(str_is(config.ca_pem, "FILE CA"));
    assert_true(str_is(config.key_pem, "FILE CA"));
}

#define GOOD "contexts:\n- name: x\n  context: {cluster: c, user: u}\n"

static const struct broken_case {
    const char *name, *text;
    int code;
} broken[] = {
    { "not YAML", "a: [", -ERR_BAD_REQUEST },
    { "empty", "", -ERR_BAD_REQUEST },
    { "a list", "- a\n- b\n", -ERR_BAD_REQUEST },
    { "no such context", "current-context: y\n" GOOD "clusters:\n- name: c\n  cluster: {server: s}\n",
      -ERR_BAD_REQUEST },
    { "no such cluster", "current-context: x\n" GOOD, -ERR_BAD_REQUEST },
    { "contexts no list", "current-context: x\ncontexts: 5\nclusters: 7\n", -ERR_BAD_REQUEST },
    { "bad base64",
      "current-context: x\n" GOOD "clusters:\n- name: c\n  cluster: {server: s, certificate-authority-data: '%%%'}\n",
      -ERR_BAD_REQUEST },
    { "file that is not there",
      "current-context: x\n" GOOD "clusters:\n- name: c\n  cluster: {server: s, certificate-authority: absent.crt}\n",
      -ERR_NOT_FOUND },
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        AUTO(arena) arena = arena_new(0);
        struct client_config config = { .server = STR("untouched") };
        struct err err = { 0 };

        write_text("config", broken[i].text);
        int code = kubeconfig_load(arena, path_of("config"), &config, &err);

        if (code != broken[i].code)
            fail_msg("%s: %d (%s), not %d", broken[i].name, code, err.message, broken[i].code);
        assert_true(str_is(config.server, "untouched"));
    }
    AUTO(arena) arena = arena_new(0);
    struct client_config config;

    assert_int_equal(kubeconfig_load(arena, path_of("absent"), &config, NULL), -ERR_NOT_FOUND);
}

/* Two files as one: the first that has a name counts; certificates are beside the file that names them. */
static void test_several_files(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const char *paths[3];
    struct kubeconfig config = { 0 };
    struct str_array names;

    (void)state;
    write_text("one", "current-context: a\ncontexts:\n- {name: a, context: {cluster: c, user: u, namespace: n1}}\n"
                      "users:\n- {name: u, user: {tokenFile: tok}}\n");
    write_text("two", "current-context: b\ncontexts:\n- {name: b, context: {cluster: c, user: v}}\n"
                      "- {name: a, context: {cluster: other}}\nclusters:\n- {name: c, cluster: {server: 'https://s', "
                      "insecure-skip-tls-verify: true}}\nusers:\n- {name: v, user: {exec: {command: x}}}\n");
    write_text("tok", " secret\n");
    paths[0] = arena_cstr(arena, str_from(path_of("absent")));
    paths[1] = arena_cstr(arena, str_from(path_of("one")));
    paths[2] = arena_cstr(arena, str_from(path_of("two")));
    assert_int_equal(kubeconfig_choose(arena, paths, 3, STR_NULL, &config, NULL), 0);
    assert_true(str_is(config.context, "a") && str_is(config.ns, "n1"));
    assert_true(str_is(config.client.server, "https://s") && config.client.insecure);
    assert_true(str_is(config.client.token, "secret"));
    assert_int_equal(kubeconfig_choose(arena, paths, 3, STR("b"), &config, NULL), -ERR_NOT_SUPPORTED);
    assert_int_equal(kubeconfig_choose(arena, paths, 3, STR("x"), &config, NULL), -ERR_NOT_FOUND);
    assert_int_equal(kubeconfig_choose(arena, paths, 1, STR_NULL, &config, NULL), -ERR_NOT_FOUND);
    assert_int_equal(kubeconfig_contexts(arena, paths, 3, &names, NULL), 0);
    assert_int_equal(names.count, 3);
    assert_true(str_is(names.items[0], "a") && str_is(names.items[1], "b"));
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(test_round_trip), cmocka_unit_test(test_as_kubectl_writes),
                                           cmocka_unit_test(test_several_files), cmocka_unit_test(test_broken) };

int main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
