/* Pulling from Debian's docker-registry, filled by skopeo: plain, with a password, and over TLS with an authority of
 * its own. Skipped where one of the programs is not installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "base/process.h"
#include "net/tls.h"
#include "tests/unit/image/images.h"

extern char **environ;

struct fixture {
    char dir[64], path[PATH_MAX];
    pid_t pid;
    int port, log;
    struct arena *arena;
    struct tls_pair ca;
};

static const char *path_of(struct fixture *fixture, const char *name)
{
    return arena_printf(fixture->arena, "%s/%s", fixture->dir, name).data;
}

static void write_file(struct fixture *fixture, const char *name, struct str text)
{
    assert_int_equal(file_write_atomic(path_of(fixture, name), text, 0600, NULL), 0);
}

static bool runs(const char *const *argv)
{
    const struct process_options options = { .argv = argv, .timeout = 60 * NSEC_PER_SEC };
    struct process_result result = { 0 };
    struct err err = { 0 };

    if (process_run(&options, &result, &err) < 0)
        return false;
    bool ok = result.exit_code == 0;
    if (!ok)
        print_message("%s: %.*s\n", argv[0], STR_ARG(buf_str(&result.err)));
    process_result_deinit(&result);
    return ok;
}

/* The registry chooses a free port and says so in its log. */
static int read_port(int log)
{
    static const char mark[] = "listening on 127.0.0.1:";
    char text[16384];
    size_t len = 0;

    while (len < sizeof text - 1) {
        ssize_t n = read(log, text + len, sizeof text - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = 0;
        const char *at = strstr(text, mark);
        if (at && strpbrk(at + sizeof mark - 1, ",\" "))
            return (int)strtol(at + sizeof mark - 1, NULL, 10);
    }
    fail_msg("the registry did not start: %.*s", (int)len, text);
    return 0;
}

static void start(struct fixture *fixture, const char *more)
{
    AUTO_DEINIT(buf, config) = BUF_INIT;
    char *const argv[] = { "docker-registry", "serve", (char *)path_of(fixture, "config.yml"), NULL };
    posix_spawn_file_actions_t actions;
    int fds[2];

    buf_printf(&config,
               "version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: %s/data}}\n"
               "http:\n  addr: 127.0.0.1:0\n%s",
               fixture->dir, more);
    write_file(fixture, "config.yml", buf_str(&config));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    assert_int_equal(posix_spawnp(&fixture->pid, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    fixture->log = fds[0];
    fixture->port = read_port(fds[0]);
}

static void setup(struct fixture *fixture)
{
    *fixture = (struct fixture){ .arena = arena_new(0) };
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/caravel-real-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
}

static void teardown(struct fixture *fixture)
{
    kill(fixture->pid, SIGKILL);
    waitpid(fixture->pid, NULL, 0);
    close(fixture->log);
    assert_int_equal(file_remove_tree(fixture->dir, NULL), 0);
    arena_free(fixture->arena);
}

/* Puts an image of ours there as app:1, in the given format (oci, v2s2). */
static struct digest push(struct fixture *fixture, const char *format, const char *credentials)
{
    struct test_image image = { 0 };
    const char *archive = path_of(fixture, "archive.tar");

    test_image_layer(&image, TAR_PLAIN, "base", "1");
    test_image_layer(&image, TAR_PLAIN, "top", "22");
    test_image_configure(&image, NULL, "{\"Cmd\":[\"/app\"]}");
    struct buf bytes = docker_archive(&image, "[\"app:1\"]", TAR_PLAIN);
    write_file(fixture, "archive.tar", buf_str(&bytes));
    const char *const argv[] = {
        "skopeo",
        "copy",
        "-q",
        "--format",
        format,
        "--dest-tls-verify=false",
        credentials ? "--dest-creds" : "-q",
        credentials ? credentials : "-q",
        arena_printf(fixture->arena, "docker-archive:%s", archive).data,
        arena_printf(fixture->arena, "docker://127.0.0.1:%d/team/app:1", fixture->port).data,
        NULL,
    };
    assert_true(runs(argv));
    buf_deinit(&bytes);
    struct digest id = image.diff_ids[1];
    test_image_deinit(&image);
    return id;
}

static int pull(struct fixture *fixture, const struct registry_host *hosts, size_t host_count, const char *secret,
                struct digest *ret_top_layer, struct err *err)
{
    const struct image_store_options options = {
        .dir = path_of(fixture, "images"), .no_sync = true, .retry_delay = 1, .hosts = hosts, .host_count = host_count
    };
    const struct image_secret secrets[] = { { IMAGE_SECRET_CONFIG_JSON, str_from(secret) } };
    const struct image_pull request = {
        .ref = arena_printf(fixture->arena, "127.0.0.1:%d/team/app:1", fixture->port),
        .secrets = secrets,
        .secret_count = secret != NULL,
    };
    AUTO(image_store) store = NULL;
    struct image *image;
    int r = image_store_open(&options, &store, err);

    if (r < 0 || (r = image_store_pull(store, &request, &image, err)) < 0)
        return r;
    assert_int_equal(image->layer_count, 2);
    assert_true(str_is(image->config.cmd.items[0], "/app"));
    assert_int_equal(image->repo_digests.count, 1);
    *ret_top_layer = image->layers[1].diff_id;
    image_drop(image);
    return 0;
}

static void assert_pulls(struct fixture *fixture, const struct registry_host *host, const char *secret,
                         const struct digest *want)
{
    struct err err = { 0 };
    struct digest top;

    if (pull(fixture, host, host != NULL, secret, &top, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(digest_eq(&top, want));
    assert_int_equal(file_remove_tree(path_of(fixture, "images"), NULL), 0);
}

static void test_plain(void **state)
{
    static const char *const formats[] = { "oci", "v2s2" };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct fixture fixture;

        setup(&fixture);
        start(&fixture, "");
        struct digest want = push(&fixture, formats[i], NULL);
        assert_pulls(&fixture, NULL, NULL, &want);
        teardown(&fixture);
    }
}

static void test_password(void **state)
{
    struct fixture fixture;
    struct err err = { 0 };
    struct digest top;

    setup(&fixture);
    const char *const argv[] = { "htpasswd", "-Bbc", path_of(&fixture, "htpasswd"), "anna", "s3cret", NULL };
    assert_true(runs(argv));
    start(
        &fixture,
        arena_printf(fixture.arena, "auth: {htpasswd: {realm: test, path: %s}}\n", path_of(&fixture, "htpasswd")).data);
    struct digest want = push(&fixture, "oci", "anna:s3cret");
    assert_int_equal(pull(&fixture, NULL, 0, NULL, &top, &err), -ERR_UNAUTHORIZED);
    assert_non_null(strstr(err.message, "UNAUTHORIZED"));
    assert_pulls(
        &fixture, NULL,
        arena_printf(fixture.arena, "{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"YW5uYTpzM2NyZXQ=\"}}}", fixture.port)
            .data,
        &want);
    teardown(&fixture);
}

static void make_certificate(struct fixture *fixture)
{
    const struct str address = STR("127.0.0.1");
    const struct tls_subject subject = {
        .common_name = STR("registry"), .ip_addresses = &address, .ip_address_count = 1, .server = true, .days = 1
    };
    struct tls_pair pair;

    assert_int_equal(tls_make_ca(fixture->arena, STR("test"), 1, &fixture->ca, NULL), 0);
    assert_int_equal(tls_make_cert(fixture->arena, &fixture->ca, &subject, &pair, NULL), 0);
    write_file(fixture, "cert.pem", pair.cert_pem);
    write_file(fixture, "key.pem", pair.key_pem);
}

static void test_tls(void **state)
{
    struct fixture fixture;
    struct err err = { 0 };
    struct digest top;

    setup(&fixture);
    make_certificate(&fixture);
    start(&fixture, arena_printf(fixture.arena, "  tls: {certificate: %s, key: %s}\n", path_of(&fixture, "cert.pem"),
                                 path_of(&fixture, "key.pem"))
                        .data);
    struct digest want = push(&fixture, "oci", NULL);
    struct registry_host host = { .host = arena_printf(fixture.arena, "127.0.0.1:%d", fixture.port) };
    /* An authority that nobody here knows. */
    assert_int_equal(pull(&fixture, NULL, 0, NULL, &top, &err), -ERR_UNAVAILABLE);
    assert_int_equal(pull(&fixture, &host, 1, NULL, &top, &err), -ERR_UNAVAILABLE);
    host.ca_pem = fixture.ca.cert_pem;
    assert_pulls(&fixture, &host, NULL, &want);
    host.ca_pem = STR_NULL;
    host.insecure = true;
    assert_pulls(&fixture, &host, NULL, &want);
    teardown(&fixture);
}

/* skopeo's own archives, of an image it pulled from the registry. */
static void test_skopeo_archives(void **state)
{
    static const char *const targets[] = { "oci-archive", "docker-archive" };
    struct fixture fixture;

    setup(&fixture);
    start(&fixture, "");
    struct digest want = push(&fixture, "oci", NULL);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        const char *file = path_of(&fixture, targets[i]);
        const char *const argv[] = {
            "skopeo",
            "copy",
            "-q",
            "--src-tls-verify=false",
            arena_printf(fixture.arena, "docker://127.0.0.1:%d/team/app:1", fixture.port).data,
            arena_printf(fixture.arena, "%s:%s:reg.io/team/app:2", targets[i], file).data,
            NULL,
        };
        struct test_store test;
        struct image_list list;
        struct err err = { 0 };
        AUTO_DEINIT(buf, bytes) = BUF_INIT;

        assert_true(runs(argv));
        assert_int_equal(file_read(file, 1 << 20, &bytes, NULL), 0);
        test_store_init(&test);
        if (test_store_import(&test, buf_str(&bytes), STR_NULL, &list, &err) < 0)
            fail_msg("%s: %s", targets[i], err.message);
        assert_int_equal(list.count, 1);
        assert_true(digest_eq(&list.items[0]->layers[1].diff_id, &want));
        assert_true(test_store_has(&test, "reg.io/team/app:2"));
        image_list_deinit(&list);
        test_store_deinit(&test);
    }
    teardown(&fixture);
}

static bool installed(const char *program)
{
    const char *const argv[] = { "which", program, NULL };

    return runs(argv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_skopeo_archives),
    };

    if (geteuid() != 0 || !installed("docker-registry") || !installed("skopeo") || !installed("htpasswd")) {
        print_message("docker-registry, skopeo, htpasswd and root are needed: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
