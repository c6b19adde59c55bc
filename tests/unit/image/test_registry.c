#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "tests/unit/image/fake_registry.h"
#include "tests/unit/image/images.h"

#define DOCKER_CONFIG(user, password)                                                                            \
    {                                                                                                            \
        IMAGE_SECRET_CONFIG_JSON, STR_INIT("{\"auths\":{\"127.0.0.1:*\":{}, \"*.0.0.1\":{}," user password "}}") \
    }

struct fixture {
    struct fake_registry fake;
    struct test_image image;
    struct buf manifest;
    struct digest digest;
    char dir[64], images[80], ref[64], secret[256];
    struct image_secret secrets[1];
    struct image_store *store;
};

static void open_store(struct fixture *fixture, const struct registry_host *hosts, size_t count)
{
    const struct image_store_options options = {
        .dir = fixture->images, .no_sync = true, .retry_delay = 1, .hosts = hosts, .host_count = count
    };
    struct err err = { 0 };

    if (image_store_open(&options, &fixture->store, &err) < 0)
        fail_msg("%s", err.message);
}

/* A registry with app:1, an image of three layers, one of them large enough to break in the middle. */
static void setup(struct fixture *fixture)
{
    AUTO_FREE char *large = malloc(300000);

    *fixture = (struct fixture){ .fake = { .token = 1 } };
    for (size_t i = 0; i < 300000; i++)
        large[i] = (char)('a' + i * i % 26);
    large[299999] = 0;
    test_image_layer(&fixture->image, TAR_GZIP, "small", "1");
    test_image_layer(&fixture->image, TAR_PLAIN, "large", large);
    test_image_layer(&fixture->image, TAR_ZSTD, "last", "3");
    test_image_configure(&fixture->image, NULL, "{}");
    write_manifest(&fixture->image, &fixture->manifest);
    fixture->digest = digest_for(buf_str(&fixture->manifest));
    fake_add_manifest(&fixture->fake, STR("1"), buf_str(&fixture->manifest));
    fake_add_manifest(&fixture->fake, digest_str(&fixture->digest), buf_str(&fixture->manifest));
    for (size_t i = 0; i < fixture->image.count; i++)
        fixture->fake.blobs[fixture->fake.blob_count++] = buf_str(&fixture->image.layers[i]);
    fixture->fake.blobs[fixture->fake.blob_count++] = buf_str(&fixture->image.config);
    fake_start(&fixture->fake);
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/caravel-registry-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->images, sizeof fixture->images, "%s/images", fixture->dir);
    snprintf(fixture->ref, sizeof fixture->ref, "127.0.0.1:%d/app:1", fixture->fake.port);
    snprintf(fixture->secret, sizeof fixture->secret,
             "{\"auths\":{\"127.0.0.1:%d\":{\"username\":\"anna\",\"password\":\"s3cret\"}}}", fixture->fake.port);
    fixture->secrets[0] = (struct image_secret){ IMAGE_SECRET_CONFIG_JSON, str_from(fixture->secret) };
    open_store(fixture, NULL, 0);
}

static void teardown(struct fixture *fixture)
{
    image_store_close(fixture->store);
    fake_stop(&fixture->fake);
    assert_int_equal(file_remove_tree(fixture->dir, NULL), 0);
    test_image_deinit(&fixture->image);
    buf_deinit(&fixture->manifest);
}

static int pull_as(struct fixture *fixture, const char *ref, bool with_secret, struct err *err)
{
    const struct image_pull pull = { .ref = str_from(ref), .secrets = fixture->secrets, .secret_count = with_secret };
    struct image *image;
    int r = image_store_pull(fixture->store, &pull, &image, err);

    if (r < 0)
        return r;
    struct digest id = digest_for(buf_str(&fixture->image.config));
    assert_true(digest_eq(&id, &image->id));
    assert_int_equal(image->layer_count, 3);
    image_drop(image);
    return 0;
}

static void assert_pulls(struct fixture *fixture, bool with_secret)
{
    struct err err = { 0 };

    if (pull_as(fixture, fixture->ref, with_secret, &err) < 0)
        fail_msg("%s", err.message);
}

static void assert_fails(struct fixture *fixture, bool with_secret, int code, const char *words)
{
    struct err err = { 0 };
    int r = pull_as(fixture, fixture->ref, with_secret, &err);

    if (r != code || !strstr(err.message, words))
        fail_msg("%d %s", r, err.message);
}

/* -- cases -- */

static void test_plain(struct fixture *fixture)
{
    struct image *image;
    char text[160];

    assert_pulls(fixture, false);
    assert_int_equal(fixture->fake.blob_requests, 4);
    assert_int_equal(image_store_find(fixture->store, str_from(fixture->ref), &image, NULL), 0);
    snprintf(text, sizeof text, "127.0.0.1:%d/app@%s", fixture->fake.port, fixture->digest.text);
    assert_true(str_is(image_status_id(image), text));
    image_drop(image);
    /* By digest it is the same image, and nothing but the configuration is asked for again. */
    assert_int_equal(pull_as(fixture, text, false, NULL), 0);
    assert_int_equal(fixture->fake.blob_requests, 5);
}

static void test_by_digest_only(struct fixture *fixture)
{
    struct image *image;
    char text[160];

    snprintf(text, sizeof text, "127.0.0.1:%d/app:whatever@%s", fixture->fake.port, fixture->digest.text);
    assert_int_equal(pull_as(fixture, text, false, NULL), 0);
    assert_int_equal(image_store_find(fixture->store, str_from(text), &image, NULL), 0);
    assert_int_equal(image->repo_tags.count, 0);
    assert_int_equal(image->repo_digests.count, 1);
    image_drop(image);
}

static void test_wrong_manifest(struct fixture *fixture)
{
    struct digest other = digest_for(STR("other"));
    struct err err = { 0 };
    char text[160];

    fake_add_manifest(&fixture->fake, digest_str(&other), buf_str(&fixture->manifest));
    snprintf(text, sizeof text, "127.0.0.1:%d/app@%s", fixture->fake.port, other.text);
    assert_int_equal(pull_as(fixture, text, false, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "has digest"));
}

static void test_index(struct fixture *fixture)
{
    AUTO_DEINIT(buf, index) = BUF_INIT;
    struct str architecture, variant;
    struct image *image;
    char ref[64];

    platform_of_machine(&architecture, &variant);
    buf_printf(&index,
               "{\"mediaType\":\"application/vnd.docker.distribution.manifest.list.v2+json\",\"manifests\":["
               "{\"digest\":\"sha256:%064d\",\"size\":1,\"platform\":{\"os\":\"windows\",\"architecture\":\"%.*s\"}},"
               "{\"digest\":\"sha256:%064d\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"vax\"}},"
               "{\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\",\"architecture\":\"%.*s\"}}]}",
               1, STR_ARG(architecture), 2, fixture->digest.text, fixture->manifest.len, STR_ARG(architecture));
    fake_add_manifest(&fixture->fake, STR("multi"), buf_str(&index));
    snprintf(ref, sizeof ref, "127.0.0.1:%d/app:multi", fixture->fake.port);
    struct err err = { 0 };
    if (pull_as(fixture, ref, false, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(image_store_find(fixture->store, str_from(ref), &image, NULL), 0);
    struct digest top = digest_for(buf_str(&index));
    assert_true(str_has_suffix(image->repo_digests.items[0], digest_str(&top)));
    image_drop(image);
}

static void test_no_platform(struct fixture *fixture)
{
    struct err err = { 0 };
    char ref[64];

    fake_add_manifest(&fixture->fake, STR("vax"),
                      STR("{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{\"digest\":"
                          "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\",\"size\":1,"
                          "\"platform\":{\"os\":\"linux\",\"architecture\":\"vax\"}}]}"));
    snprintf(ref, sizeof ref, "127.0.0.1:%d/app:vax", fixture->fake.port);
    assert_int_equal(pull_as(fixture, ref, false, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "linux/vax"));
}

static void test_unknown(struct fixture *fixture)
{
    struct err err = { 0 };
    char ref[64];

    snprintf(ref, sizeof ref, "127.0.0.1:%d/app:2", fixture->fake.port);
    assert_int_equal(pull_as(fixture, ref, false, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "MANIFEST_UNKNOWN: manifest unknown"));
    assert_non_null(strstr(err.message, ref));
}

static void test_basic(struct fixture *fixture)
{
    fixture->fake.auth = FAKE_BASIC;
    fixture->fake.user = "anna";
    fixture->fake.password = "s3cret";
    assert_fails(fixture, false, -ERR_UNAUTHORIZED, "UNAUTHORIZED: authentication required");
    assert_pulls(fixture, true);
}

static void test_wrong_password(struct fixture *fixture)
{
    fixture->fake.auth = FAKE_BASIC;
    fixture->fake.user = "anna";
    fixture->fake.password = "other";
    assert_fails(fixture, true, -ERR_UNAUTHORIZED, "authentication required");
}

static void test_bearer_anonymous(struct fixture *fixture)
{
    fixture->fake.auth = FAKE_BEARER;
    assert_pulls(fixture, false);
    assert_int_equal(fixture->fake.tokens, 1);
}

static void test_bearer_with_password(struct fixture *fixture)
{
    fixture->fake.auth = FAKE_BEARER;
    fixture->fake.user = "anna";
    fixture->fake.password = "s3cret";
    assert_fails(fixture, false, -ERR_UNAUTHORIZED, "incorrect username or password");
    assert_pulls(fixture, true);
}

static void test_tokens_expire(struct fixture *fixture)
{
    fixture->fake.auth = FAKE_BEARER;
    fixture->fake.tokens_expire = true;
    const struct registry_host host = { .host = str_chop(str_from(fixture->ref), 6), .plain_http = true };
    image_store_close(fixture->store);
    const struct image_store_options options = {
        .dir = fixture->images, .no_sync = true, .retry_delay = 1, .parallel = 1, .hosts = &host, .host_count = 1
    };
    assert_int_equal(image_store_open(&options, &fixture->store, NULL), 0);
    assert_pulls(fixture, false);
    assert_int_equal(fixture->fake.tokens, 5);
}

static void test_redirect(struct fixture *fixture)
{
    struct fake_registry cdn = fixture->fake;

    fake_start(&cdn);
    fixture->fake.auth = FAKE_BEARER;
    fixture->fake.cdn = &cdn;
    assert_pulls(fixture, false);
    assert_int_equal(cdn.leaked, 0);
    assert_int_equal(cdn.blob_requests, 4);
    fake_stop(&cdn);
}

static void test_broken_connections(struct fixture *fixture)
{
    fixture->fake.break_after = 100000;
    fixture->fake.breaks = 2;
    assert_pulls(fixture, false);
    assert_true(fixture->fake.ranges >= 1);
}

static void test_no_ranges(struct fixture *fixture)
{
    fixture->fake.break_after = 100000;
    fixture->fake.breaks = 3;
    fixture->fake.ignore_range = true;
    assert_pulls(fixture, false);
}

static void test_wrong_ranges(struct fixture *fixture)
{
    fixture->fake.break_after = 100000;
    fixture->fake.breaks = 1;
    fixture->fake.wrong_range = true;
    assert_fails(fixture, false, -ERR_UNAVAILABLE, "another part");
}

static void test_always_broken(struct fixture *fixture)
{
    fixture->fake.break_after = 1;
    fixture->fake.breaks = 1000000;
    fixture->fake.ignore_range = true;
    assert_fails(fixture, false, -ERR_UNAVAILABLE, "");
    /* What the next pull finds half done does no harm. */
    fixture->fake.breaks = 0;
    assert_pulls(fixture, false);
}

static void test_corrupt(struct fixture *fixture)
{
    fixture->fake.corrupt = true;
    assert_fails(fixture, false, -ERR_INVALID, "digest");
    fixture->fake.corrupt = false;
    assert_pulls(fixture, false);
}

static void test_busy_registry(struct fixture *fixture)
{
    fixture->fake.fail_with = 503;
    fixture->fake.fails = 3; /* two probes find no registry, so the third request is the first for the manifest */
    const struct registry_host host = { .host = str_chop(str_from(fixture->ref), 6), .plain_http = true };
    image_store_close(fixture->store);
    open_store(fixture, &host, 1);
    assert_pulls(fixture, false);
    fixture->fake.fail_with = 429;
    fixture->fake.fails = 2;
    assert_pulls(fixture, false);
    fixture->fake.fails = 1000;
    assert_fails(fixture, false, -ERR_TOO_MANY_REQUESTS, "429");
}

static void test_mirror(struct fixture *fixture)
{
    char url[64];
    struct registry_host host = { .host = STR("registry.invalid"), .mirror = STR_NULL };
    struct image *image;

    snprintf(url, sizeof url, "http://127.0.0.1:%d", fixture->fake.port);
    host.mirror = str_from(url);
    image_store_close(fixture->store);
    open_store(fixture, &host, 1);
    assert_int_equal(pull_as(fixture, "registry.invalid/app:1", false, NULL), 0);
    assert_int_equal(image_store_find(fixture->store, STR("registry.invalid/app:1"), &image, NULL), 0);
    image_drop(image);
}

static void test_no_registry(struct fixture *fixture)
{
    char ref[64];
    struct err err = { 0 };

    snprintf(ref, sizeof ref, "127.0.0.1:%d/app:1", 1); /* nobody listens there */
    assert_int_equal(pull_as(fixture, ref, false, &err), -ERR_UNAVAILABLE);
}

struct puller {
    struct fixture *fixture;
    struct thread thread;
    int result;
    struct err err;
};

static void pull_thread(void *arg)
{
    struct puller *puller = arg;

    puller->result = pull_as(puller->fixture, puller->fixture->ref, false, &puller->err);
}

static void test_pull_at_once(struct fixture *fixture)
{
    struct puller pullers[4] = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(pullers); i++) {
        pullers[i].fixture = fixture;
        assert_int_equal(thread_start(&pullers[i].thread, "pull", pull_thread, &pullers[i], NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(pullers); i++) {
        thread_join(&pullers[i].thread);
        if (pullers[i].result < 0)
            fail_msg("%s", pullers[i].err.message);
    }
    /* Each layer came once; everybody asks for the configuration. */
    assert_int_equal(fixture->fake.blob_requests, 3 + 4);
}

/* Closing the store ends a pull that waits for a registry. */
static void test_closing(struct fixture *fixture)
{
    struct puller puller = { .fixture = fixture };

    fixture->fake.stall = true;
    assert_int_equal(thread_start(&puller.thread, "pull", pull_thread, &puller, NULL), 0);
    mutex_lock(&fixture->fake.lock);
    while (fixture->fake.stalled_count == 0)
        cond_wait(&fixture->fake.stalling, &fixture->fake.lock);
    mutex_unlock(&fixture->fake.lock);
    fixture->store = image_store_close(fixture->store);
    thread_join(&puller.thread);
    assert_int_equal(puller.result, -ERR_CANCELLED);
}

struct seen {
    struct mutex lock;
    int phases[5];
    uint64_t downloaded;
};

static void see(void *ctx, const struct image_event *event)
{
    struct seen *seen = ctx;
    LOCKED(&seen->lock);

    seen->phases[event->phase]++;
    assert_int_equal(event->layer_count, 3);
    if (event->phase == IMAGE_DOWNLOADING)
        seen->downloaded = MAX(seen->downloaded, event->bytes);
}

static void test_progress(struct fixture *fixture)
{
    struct seen seen = { 0 };
    const struct image_pull pull = { .ref = str_from(fixture->ref), .progress = { see, &seen } };
    struct image *image;

    mutex_init(&seen.lock);
    assert_int_equal(image_store_pull(fixture->store, &pull, &image, NULL), 0);
    image_drop(image);
    assert_int_equal(seen.phases[IMAGE_RESOLVED], 1);
    assert_int_equal(seen.phases[IMAGE_LAYER_DONE], 3);
    assert_int_equal(seen.downloaded, fixture->image.layers[1].len);
    assert_int_equal(image_store_pull(fixture->store, &pull, &image, NULL), 0);
    image_drop(image);
    assert_int_equal(seen.phases[IMAGE_EXISTS], 3);
    mutex_deinit(&seen.lock);
}

static void test_oversized(struct fixture *fixture)
{
    AUTO_DEINIT(buf, huge) = BUF_INIT;
    char ref[64];
    struct err err = { 0 };

    for (size_t i = 0; i < (5u << 20); i++)
        buf_add_char(&huge, ' ');
    fake_add_manifest(&fixture->fake, STR("huge"), buf_str(&huge));
    snprintf(ref, sizeof ref, "127.0.0.1:%d/app:huge", fixture->fake.port);
    assert_int_equal(pull_as(fixture, ref, false, &err), -ERR_TOO_LARGE);
}

/* A layer that is longer than its manifest says. */
static void test_longer_layer(struct fixture *fixture)
{
    char *size = memmem(fixture->manifest.data, fixture->manifest.len, "\"size\":3", 8);

    assert_non_null(size); /* the large layer */
    size[7] = '2';
    assert_fails(fixture, false, -ERR_INVALID, "larger than");
}

static void (*const cases[])(struct fixture *) = {
    test_plain,
    test_by_digest_only,
    test_wrong_manifest,
    test_index,
    test_no_platform,
    test_unknown,
    test_basic,
    test_wrong_password,
    test_bearer_anonymous,
    test_bearer_with_password,
    test_tokens_expire,
    test_redirect,
    test_broken_connections,
    test_no_ranges,
    test_wrong_ranges,
    test_always_broken,
    test_corrupt,
    test_busy_registry,
    test_mirror,
    test_no_registry,
    test_pull_at_once,
    test_progress,
    test_oversized,
    test_longer_layer,
    test_closing,
};

static void test_all(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fixture;

        setup(&fixture);
        cases[i](&fixture);
        teardown(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all) };

    if (geteuid() != 0) {
        print_message("unpacking layers takes root: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
