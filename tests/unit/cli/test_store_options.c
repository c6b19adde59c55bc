/* --store and what goes with it; which folder it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/store_options.h"

#define CERT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

static char folder[] = "/tmp/test-store-options-XXXXXX";

static const char *path_of(const char *name, char out[256])
{
    snprintf(out, 256, "%s/%s", folder, name);
    return out;
}

static void write_file(const char *name, struct str text)
{
    char path[256];

    assert_int_equal(file_write_atomic(path_of(name, path), text, 0600, NULL), 0);
}

static int make_folder(void **state)
{
    assert_non_null(mkdtemp(folder));
    write_file("cert", STR(CERT));
    write_file("key", STR(KEY));
    write_file("password", STR("se cret\r\n"));
    write_file("empty", STR(" \n"));
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "cert", "key", "password", "empty" };
    char path[256];

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i], path));
    return rmdir(folder);
}

static void urls(void **state)
{
    static const struct {
        const char *url;
        const char *endpoints, *prefix; /* endpoints NULL: refused, prefix is a part of the message */
        bool exposed;
    } cases[] = {
        { "etcd://localhost", "localhost", "", false },
        { "etcd://127.0.0.1:2379,127.0.0.2:23", "127.0.0.1:2379,127.0.0.2:23", "", false },
        { "etcd://h1,h2:2379,[fd00::1],[::1]:4/a/b-c", "h1,h2:2379,[fd00::1],[::1]:4", "/a/b-c", true },
        { "etcd://[::1]/", "[::1]", "", false },
        { "etcd://h1/one_two/", "h1", "/one_two", true },
        { "http://h1", NULL, "expected etcd://", false },
        { "h1:2379", NULL, "expected etcd://", false },
        { "", NULL, "expected etcd://", false },
        { "etcd://", NULL, "no host", false },
        { "etcd:///p", NULL, "no host", false },
        { "etcd://h1,", NULL, "last comma", false },
        { "etcd://h1,,h2", NULL, "no HOST", false },
        { "etcd://h1:0", NULL, "no port", false },
        { "etcd://h1:65536", NULL, "no port", false },
        { "etcd://h1:", NULL, "no port", false },
        { "etcd://u:p@h1", NULL, "no port", false },
        { "etcd://h 1", NULL, "no HOST", false },
        { "etcd://[::1", NULL, "no HOST", false },
        { "etcd://[]", NULL, "no HOST", false },
        { "etcd://[::1]x", NULL, "no HOST", false },
        { "etcd://h1//p", NULL, "single slashes", false },
        { "etcd://h1/p q", NULL, "single slashes", false },
        { "etcd://h1/\xc3\xa4", NULL, "single slashes", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct store_flags flags = { .store = cases[i].url };
        struct store_place place;
        struct err err = { 0 };
        int code = store_place_parse(arena, &flags, &place, &err);

        if (!cases[i].endpoints) {
            assert_int_equal(code, -ERR_BAD_REQUEST);
            assert_non_null(strstr(err.message, "--store"));
            if (!strstr(err.message, cases[i].prefix))
                fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].url, err.message, cases[i].prefix);
            continue;
        }
        assert_int_equal(code, 0);
        assert_true(place.shared);
        assert_true(str_is(place.etcd.endpoints, cases[i].endpoints));
        assert_true(str_is(place.etcd.prefix, cases[i].prefix));
        assert_int_equal(place.exposed, cases[i].exposed);
    }
}

static void what_goes_together(void **state)
{
    char cert[256], key[256], password[256], empty[256], absent[256];
    path_of("cert", cert), path_of("key", key), path_of("password", password);
    path_of("empty", empty), path_of("absent", absent);
    const struct {
        struct store_flags flags;
        const char *message; /* NULL: it is fine */
    } cases[] = {
        { { 0 }, NULL },
        { { .store = "etcd://h", .ca_file = cert }, NULL },
        { { .store = "etcd://h", .ca_file = cert, .cert_file = cert, .key_file = key, .user = "u",
            .password_file = password }, NULL },
        { { .ca_file = cert }, "--etcd-cafile needs --store" },
        { { .user = "u", .password_file = password }, "--etcd-user needs --store" },
        { { .store = "etcd://h", .cert_file = cert, .key_file = key }, "--etcd-certfile needs --etcd-cafile" },
        { { .store = "etcd://h", .ca_file = cert, .cert_file = cert }, "--etcd-certfile needs --etcd-keyfile" },
        { { .store = "etcd://h", .ca_file = cert, .key_file = key }, "--etcd-keyfile needs --etcd-certfile" },
        { { .store = "etcd://h", .user = "u" }, "--etcd-user needs --etcd-password-file" },
        { { .store = "etcd://h", .password_file = password }, "--etcd-password-file needs --etcd-user" },
        { { .store = "etcd://h", .user = "", .password_file = password }, "--etcd-user: the name is empty" },
        { { .store = "etcd://h", .ca_file = absent }, "--etcd-cafile" },
        { { .store = "etcd://h", .ca_file = empty }, "--etcd-cafile: " },
        { { .store = "etcd://h", .ca_file = key }, "has no CERTIFICATE" },
        { { .store = "etcd://h", .ca_file = cert, .cert_file = cert, .key_file = cert }, "has no PRIVATE KEY" },
        { { .store = "etcd://h", .user = "u", .password_file = empty }, "--etcd-password-file: " },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct store_place place;
        struct err err = { 0 };
        int code = store_place_parse(arena, &cases[i].flags, &place, &err);

        if (!cases[i].message) {
            if (code < 0)
                fail_msg("case %zu: %s", i, err.message);
            assert_int_equal(place.shared, cases[i].flags.store != NULL);
            assert_true(!cases[i].flags.ca_file || !place.exposed);
            assert_true(!cases[i].flags.user || str_is(place.etcd.password, "se cret"));
        } else if (code == 0 || !strstr(err.message, cases[i].message)) {
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, code ? err.message : "fine", cases[i].message);
        }
    }
}

static void folders(void **state)
{
    static const struct {
        const char *present; /* a file */
        bool shared;
        const char *want; /* NULL: refused */
    } cases[] = {
        { NULL, false, "store" },
        { NULL, true, "cache" },
        { "store/data.mdb", false, "store" },
        { "store/data.mdb", true, NULL },
        { "cache/data.mdb", true, "cache" },
        { "cache/data.mdb", false, NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store_place place = { .shared = cases[i].shared };
        struct instance instance = { 0 };
        char file[256], dir[256] = "", out[INSTANCE_PATH_MAX], want[INSTANCE_PATH_MAX];
        struct err err = { 0 };

        snprintf(instance.data_dir, sizeof instance.data_dir, "%s", folder);
        if (cases[i].present) {
            path_of(cases[i].present, file);
            path_of(str_has_prefix(str_from(cases[i].present), STR("store")) ? "store" : "cache", dir);
            assert_int_equal(file_make_dirs(dir, 0700, NULL), 0);
            assert_int_equal(file_write_atomic(file, STR("x"), 0600, NULL), 0);
        }
        int code = store_place_folder(&place, &instance, out, &err);

        if (cases[i].present) {
            unlink(file);
            rmdir(dir);
        }
        if (!cases[i].want) {
            assert_int_equal(code, -ERR_CONFLICT);
            assert_non_null(strstr(err.message, "--store"));
            continue;
        }
        assert_int_equal(code, 0);
        assert_string_equal(out, instance_path(&instance, cases[i].want, want));
    }
}

static void add_name(void *arg, const char *name, const char *value)
{
    buf_printf(arg, "%s=%s ", name, value);
}

static void handed_down(void **state)
{
    const struct store_flags flags = { .store = "etcd://h", .ca_file = "c", .user = "u", .password_file = "p" };
    AUTO_DEINIT(buf, text) = BUF_INIT;

    store_flags_each(&flags, add_name, &text);
    assert_true(str_is(buf_str(&text), "--store=etcd://h --etcd-cafile=c --etcd-user=u --etcd-password-file=p "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(what_goes_together),
        cmocka_unit_test(folders),
        cmocka_unit_test(handed_down),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
