#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/sync.h"
#include "tests/unit/image/images.h"

static int setup(void **state)
{
    struct test_store *test = calloc(1, sizeof *test);

    test_store_init(test);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    test_store_deinit(*state);
    free(*state);
    return 0;
}

static size_t entries_in(const char *format, const struct test_store *test)
{
    char path[PATH_MAX];
    struct dirent *entry;
    size_t count = 0;

    snprintf(path, sizeof path, "%s/%s", test->images, format);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* -- importing -- */

#define RUN                                                                                                    \
    "{\"Entrypoint\":[\"/bin/app\"],\"Cmd\":[\"-v\",\"\"],\"Env\":[\"A=1\",\"B=2\"],\"WorkingDir\":\"/srv\","  \
    "\"User\":\"7:8\",\"StopSignal\":\"SIGQUIT\",\"ExposedPorts\":{\"80/tcp\":{}},\"Volumes\":{\"/data\":{}}," \
    "\"Labels\":{\"k\":\"v\"}}"

static void check_config(const struct image *image)
{
    const struct image_config *config = &image->config;

    assert_int_equal(config->entrypoint.count, 1);
    assert_true(str_is(config->entrypoint.items[0], "/bin/app"));
    assert_int_equal(config->cmd.count, 2);
    assert_true(str_is(config->cmd.items[1], ""));
    assert_int_equal(config->env.count, 2);
    assert_true(str_is(config->env.items[1], "B=2"));
    assert_true(str_is(config->working_dir, "/srv"));
    assert_true(str_is(config->user, "7:8"));
    assert_true(str_is(config->stop_signal, "SIGQUIT"));
    assert_true(str_is(config->exposed_ports.items[0], "80/tcp"));
    assert_true(str_is(config->volumes.items[0], "/data"));
    assert_int_equal(config->label_count, 1);
    assert_true(str_is(config->labels[0].value, "v"));
}

static void build_image(struct test_image *image, const char *architecture)
{
    test_image_layer(image, TAR_PLAIN, "base", "1");
    test_image_layer(image, TAR_GZIP, "middle", "22");
    test_image_layer(image, TAR_ZSTD, "top", "333");
    test_image_configure(image, architecture, RUN);
}

static void test_docker_archive(void **state)
{
    static const enum tar_packing packings[] = { TAR_PLAIN, TAR_GZIP, TAR_ZSTD };

    for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
        struct test_image image = { 0 };
        struct test_store test;
        struct image_list list;
        struct err err = { 0 };

        test_store_init(&test);
        build_image(&image, NULL);
        struct buf archive = docker_archive(&image, "[\"app:1\",\"reg.io/app:2\"]", packings[i]);
        if (test_store_import(&test, buf_str(&archive), STR_NULL, &list, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0]->layer_count, 3);
        assert_int_equal(list.items[0]->size, 6);
        check_config(list.items[0]);
        assert_true(test_store_has(&test, "app:1"));
        assert_true(test_store_has(&test, "docker.io/library/app:1"));
        assert_true(test_store_has(&test, "reg.io/app:2"));
        assert_true(test_store_has(&test, list.items[0]->id.text));
        assert_false(test_store_has(&test, "app"));
        assert_int_equal(entries_in("layers", &test), 3);
        struct digest id = digest_for(buf_str(&image.config));
        assert_true(digest_eq(&id, &list.items[0]->id));
        image_list_deinit(&list);
        buf_deinit(&archive);
        test_image_deinit(&image);
        test_store_deinit(&test);
    }
}

static const struct {
    const char *annotations, *name, *found; /* found: NULL when it has no name */
} oci_names[] = {
    { "{\"org.opencontainers.image.ref.name\":\"app:1\"}", NULL, "app:1" },
    { "{\"org.opencontainers.image.ref.name\":\"latest\"}", NULL, NULL },
    { "{\"org.opencontainers.image.ref.name\":\"1\",\"io.containerd.image.name\":\"reg.io/app:1\"}", NULL,
      "reg.io/app:1" },
    { "{}", NULL, NULL },
    { "{\"org.opencontainers.image.ref.name\":\"app:1\"}", "other:3", "other:3" },
};

static void test_oci_archive(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(oci_names); i++) {
        struct test_image image = { 0 };
        struct test_store test;
        struct image_list list;
        struct err err = { 0 };

        test_store_init(&test);
        build_image(&image, NULL);
        struct buf archive = oci_archive(&image, oci_names[i].annotations);
        if (test_store_import(&test, buf_str(&archive), str_from(oci_names[i].name), &list, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0]->repo_tags.count, oci_names[i].found != NULL);
        if (oci_names[i].found)
            assert_true(test_store_has(&test, oci_names[i].found));
        assert_true(list.items[0]->manifest.text[0]);
        image_list_deinit(&list);
        buf_deinit(&archive);
        test_image_deinit(&image);
        test_store_deinit(&test);
    }
}

/* What an archive may be wrong in; each must leave nothing behind. */
static struct buf make_wrong_digest(struct test_image *image)
{
    struct digest swapped = image->diff_ids[0];

    image->diff_ids[0] = image->diff_ids[1];
    image->diff_ids[1] = swapped;
    test_image_configure(image, NULL, "{}");
    return docker_archive(image, "[]", TAR_PLAIN);
}

static struct buf make_wrong_blob(struct test_image *image)
{
    test_image_configure(image, NULL, "{}");
    struct buf archive = oci_archive(image, "{}");
    char *config = memmem(archive.data, archive.len, "{\"os\":\"linux\"", 13);

    assert_non_null(config);
    config[2] = 'O';
    return archive;
}

static struct buf make_wrong_count(struct test_image *image)
{
    test_image_configure(image, NULL, "{}");
    buf_deinit(&image->layers[--image->count]);
    return docker_archive(image, "[]", TAR_PLAIN);
}

static struct buf make_foreign(struct test_image *image)
{
    test_image_configure(image, "vax", "{}");
    return docker_archive(image, "[]", TAR_PLAIN);
}

static struct buf make_bad_name(struct test_image *image)
{
    test_image_configure(image, NULL, "{}");
    return docker_archive(image, "[\"Not A Name\"]", TAR_PLAIN);
}

static struct buf make_missing_layer(struct test_image *image)
{
    struct tar tar;

    test_image_configure(image, NULL, "{}");
    tar_begin(&tar, TAR_PLAIN);
    put_bytes(&tar, "config.json", buf_str(&image->config));
    tar_link(&tar, "loop", "loop");
    put_bytes(&tar, "manifest.json",
              STR("[{\"Config\":\"config.json\",\"Layers\":[\"loop\",\"nowhere\",\"/etc/passwd\"]}]"));
    return tar_end(&tar);
}

static struct buf make_nothing(struct test_image *image)
{
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    put_bytes(&tar, "README", STR("hello"));
    return tar_end(&tar);
}

static struct buf make_garbage(struct test_image *image)
{
    struct buf bytes = BUF_INIT;

    for (int i = 0; i < 1000; i++)
        buf_add_u64(&bytes, (uint64_t)i * 7919);
    return bytes;
}

static struct buf make_truncated(struct test_image *image)
{
    test_image_configure(image, NULL, "{}");
    struct buf archive = docker_archive(image, "[]", TAR_GZIP);
    archive.len /= 2;
    return archive;
}

static struct buf make_nul_entrypoint(struct test_image *image)
{
    test_image_configure(image, NULL, "{\"Entrypoint\":[\"/bin/a\\u0000b\"]}");
    return docker_archive(image, "[]", TAR_PLAIN);
}

static const struct {
    const char *name;
    struct buf (*make)(struct test_image *image);
    int code;
} wrong[] = {
    { "digest of a layer", make_wrong_digest, -ERR_INVALID },
    { "digest of a blob", make_wrong_blob, -ERR_INVALID },
    { "number of layers", make_wrong_count, -ERR_INVALID },
    { "another machine's", make_foreign, -ERR_NOT_SUPPORTED },
    { "name", make_bad_name, -ERR_INVALID },
    { "missing layer", make_missing_layer, -ERR_INVALID },
    { "no image", make_nothing, -ERR_INVALID },
    { "garbage", make_garbage, -ERR_INVALID },
    { "truncated", make_truncated, -ERR_INVALID },
    { "NUL in the entry point", make_nul_entrypoint, -ERR_INVALID },
};

static void test_wrong_archives(void **state)
{
    struct test_store *test = *state;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct test_image image = { 0 };
        struct image_list list;
        struct err err = { 0 };

        test_image_layer(&image, TAR_PLAIN, "a", "a");
        test_image_layer(&image, TAR_GZIP, "b", "b");
        test_image_layer(&image, TAR_GZIP, "c", "c");
        struct buf archive = wrong[i].make(&image);
        int r = test_store_import(test, buf_str(&archive), STR_NULL, &list, &err);
        if (r != wrong[i].code)
            fail_msg("%s: %d %s", wrong[i].name, r, err.message);
        assert_int_equal(image_store_list(test->store, &list, NULL), 0);
        assert_int_equal(list.count, 0);
        image_list_deinit(&list);
        buf_deinit(&archive);
        test_image_deinit(&image);
    }
    assert_int_equal(entries_in("tmp", test), 1); /* the session */
    assert_int_equal(entries_in("blobs", test), 0);
}

/* -- the list -- */

static void test_persistence(void **state)
{
    struct test_store *test = *state;
    struct image *a = test_store_add(test, "a:1"), *b = test_store_add(test, "b:1");

    virtual_clock_advance(&test->clock, NSEC_PER_SEC);
    image_store_touch(test->store, a);
    image_store_close(test->store);
    test_store_open(test);
    assert_true(test_store_has(test, "a:1"));
    assert_true(test_store_has(test, b->id.text));
    assert_true(test_store_has(test, "b:1"));
    assert_int_equal(entries_in("tmp", test), 1);
    /* The time of use was kept: b goes first. */
    test->available = 100;
    struct image_gc gc = { .min_age = -1 };
    struct image_gc_result result;
    image_store_gc(test->store, &gc, &result, NULL);
    assert_false(test_store_has(test, "b:1"));
    image_drop(a);
    image_drop(b);
}

static void test_tag_moves(void **state)
{
    struct test_store *test = *state;
    struct image *first = test_store_add(test, "app:1"), *found;
    struct test_image image = { 0 };
    struct image_list list;

    test_image_layer(&image, TAR_PLAIN, "new", "version");
    test_image_configure(&image, NULL, "{}");
    struct buf archive = docker_archive(&image, "[\"app:1\"]", TAR_PLAIN);
    assert_int_equal(test_store_import(test, buf_str(&archive), STR_NULL, &list, NULL), 0);
    assert_int_equal(image_store_find(test->store, STR("app:1"), &found, NULL), 0);
    assert_false(digest_eq(&found->id, &first->id));
    image_drop(found);
    assert_int_equal(image_store_find(test->store, digest_str(&first->id), &found, NULL), 0);
    assert_int_equal(found->repo_tags.count, 0);
    image_drop(found);
    image_list_deinit(&list);
    buf_deinit(&archive);
    test_image_deinit(&image);
    image_drop(first);
}

static void test_find_by_id(void **state)
{
    struct test_store *test = *state;
    struct image *image = test_store_add(test, "app:1"), *found;
    char text[DIGEST_TEXT_LEN + 1];

    for (int len = 1; len <= DIGEST_HEX_LEN; len++) {
        snprintf(text, sizeof text, "%.*s", len, image->id.text + 7);
        assert_int_equal(test_store_has(test, text), len >= 8);
    }
    assert_int_equal(image_store_find(test->store, STR("ffffffffff"), &found, NULL), -ERR_NOT_FOUND);
    assert_int_equal(image_store_find(test->store, STR("No Name"), &found, NULL), -ERR_INVALID);
    image_drop(image);
}

static void test_remove(void **state)
{
    struct test_store *test = *state;
    struct test_image image = { 0 };
    struct image_list list;
    struct image *other = test_store_add(test, "other:1");

    build_image(&image, NULL);
    struct buf archive = docker_archive(&image, "[\"app:1\",\"app:2\"]", TAR_PLAIN);
    assert_int_equal(test_store_import(test, buf_str(&archive), STR_NULL, &list, NULL), 0);
    assert_int_equal(entries_in("layers", test), 4);
    assert_int_equal(image_store_remove(test->store, STR("app:1"), NULL), 0);
    assert_false(test_store_has(test, "app:1"));
    assert_true(test_store_has(test, "app:2"));
    assert_int_equal(entries_in("layers", test), 4);
    assert_int_equal(image_store_remove(test->store, STR("app:1"), NULL), -ERR_NOT_FOUND);
    assert_int_equal(image_store_remove(test->store, STR("app:2"), NULL), 0);
    assert_false(test_store_has(test, list.items[0]->id.text));
    assert_int_equal(entries_in("layers", test), 1);
    assert_int_equal(entries_in("blobs", test), 1);
    assert_int_equal(image_store_remove(test->store, digest_str(&other->id), NULL), 0);
    assert_int_equal(entries_in("layers", test), 0);
    image_drop(other);
    image_list_deinit(&list);
    buf_deinit(&archive);
    test_image_deinit(&image);
}

static void test_shared_layers(void **state)
{
    struct test_store *test = *state;
    struct test_image a = { 0 }, b = { 0 };
    struct image_list list_a, list_b;

    test_image_layer(&a, TAR_PLAIN, "base", "shared");
    test_image_layer(&a, TAR_PLAIN, "a", "a");
    test_image_configure(&a, NULL, "{}");
    test_image_layer(&b, TAR_GZIP, "base", "shared"); /* the same content, packed otherwise */
    test_image_layer(&b, TAR_PLAIN, "b", "b");
    test_image_configure(&b, NULL, "{}");
    struct buf archive_a = docker_archive(&a, "[\"a:1\"]", TAR_PLAIN);
    struct buf archive_b = docker_archive(&b, "[\"b:1\"]", TAR_PLAIN);
    assert_int_equal(test_store_import(test, buf_str(&archive_a), STR_NULL, &list_a, NULL), 0);
    assert_int_equal(test_store_import(test, buf_str(&archive_b), STR_NULL, &list_b, NULL), 0);
    assert_int_equal(entries_in("layers", test), 3);
    struct image_usage usage;
    assert_int_equal(image_store_usage(test->store, &usage, NULL), 0);
    assert_int_equal(usage.used, 6 + 1 + 1 + a.config.len + b.config.len);
    assert_int_equal(image_store_remove(test->store, STR("a:1"), NULL), 0);
    assert_int_equal(entries_in("layers", test), 2);
    image_list_deinit(&list_a);
    image_list_deinit(&list_b);
    buf_deinit(&archive_a);
    buf_deinit(&archive_b);
    test_image_deinit(&a);
    test_image_deinit(&b);
}

/* -- collecting -- */

static bool is_app(void *ctx, const struct image *image)
{
    return image_has(&image->repo_tags, STR("docker.io/library/app:1"));
}

static void test_gc(void **state)
{
    static const char *const tags[] = { "old:1", "app:1", "used:1", "fresh:1" };
    struct test_store *test = *state;
    struct image *images[ARRAY_LEN(tags)];
    struct image_gc gc = { .in_use = is_app };
    struct image_gc_result result;

    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        virtual_clock_advance(&test->clock, i == 3 ? 600 * NSEC_PER_SEC : NSEC_PER_SEC);
        images[i] = test_store_add(test, tags[i]);
    }
    image_store_touch(test->store, images[2]);
    /* Below the high mark nothing happens. */
    test->available = 160;
    assert_int_equal(image_store_gc(test->store, &gc, &result, NULL), 0);
    assert_int_equal(result.removed, 0);
    /* Above: the longest unused first, and only as many as it takes. */
    test->capacity = 100;
    test->available = 16;
    gc.high_percent = 80;
    assert_int_equal(image_store_gc(test->store, &gc, &result, NULL), 0);
    assert_int_equal(result.wanted, 4);
    assert_int_equal(result.removed, 1);
    assert_int_equal(result.freed, 5);
    assert_false(test_store_has(test, "old:1"));
    /* Never those in use or too young; then it says that it was not enough. */
    test->available = 0;
    assert_int_equal(image_store_gc(test->store, &gc, &result, NULL), -ERR_NO_SPACE);
    assert_false(test_store_has(test, "used:1"));
    assert_true(test_store_has(test, "app:1"));
    assert_true(test_store_has(test, "fresh:1"));
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        image_drop(images[i]);
}

static void test_gc_by_age(void **state)
{
    struct test_store *test = *state;
    struct image *a = test_store_add(test, "a:1"), *b = test_store_add(test, "b:1");
    struct image_gc gc = { .max_unused = 3600 * NSEC_PER_SEC };
    struct image_gc_result result;

    virtual_clock_advance(&test->clock, 7200 * NSEC_PER_SEC);
    image_store_touch(test->store, b);
    assert_int_equal(image_store_gc(test->store, &gc, &result, NULL), 0);
    assert_int_equal(result.removed, 1);
    assert_true(test_store_has(test, "b:1"));
    image_drop(a);
    image_drop(b);
}

/* -- crashes -- */

static void make_file(const struct test_store *test, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", test->images, name);
    *strrchr(path, '/') = 0;
    assert_int_equal(file_make_dirs(path, 0700, NULL), 0);
    snprintf(path, sizeof path, "%s/%s", test->images, name);
    assert_int_equal(file_write_atomic(path, STR("half"), 0600, NULL), 0);
}

static void test_leftovers(void **state)
{
    struct test_store *test = *state;
    struct image *image = test_store_add(test, "app:1");

    image_store_close(test->store);
    make_file(test, "tmp/0123456789abcdef/layer-1/fs/etc/passwd");
    make_file(test, "tmp/0123456789abcdef/part-x");
    make_file(test, "tmp/stray");
    make_file(test, "images.json.tmp-AbCdEf");
    make_file(test, "blobs/abc.tmp-AbCdEf");
    test_store_open(test);
    assert_true(test_store_has(test, "app:1"));
    assert_int_equal(entries_in("tmp", test), 1);
    assert_int_equal(entries_in("blobs", test), 1);
    assert_int_equal(entries_in("", test), 5); /* blobs images.json layers lock tmp */
    image_drop(image);
}

/* A child imports images without end and is killed; the store must open, and every image it lists must be whole. */
static void import_forever(struct test_store *test)
{
    char tag[32];

    for (int i = 0;; i++) {
        snprintf(tag, sizeof tag, "app:%d", i % 7);
        image_drop(test_store_add(test, tag));
        if (i % 3 == 2)
            image_store_remove(test->store, str_from(tag), NULL);
    }
}

static void assert_whole(struct test_store *test)
{
    struct image_list list;
    char path[PATH_MAX];

    assert_int_equal(image_store_list(test->store, &list, NULL), 0);
    for (size_t i = 0; i < list.count; i++)
        for (size_t k = 0; k < list.items[i]->layer_count; k++) {
            AUTO_DEINIT(buf, text) = BUF_INIT;
            struct str tag = list.items[i]->repo_tags.items[0];
            snprintf(path, sizeof path, "%s/layers/%.20s/fs/name", test->images,
                     list.items[i]->layers[k].diff_id.text + 7);
            assert_int_equal(file_read(path, 100, &text, NULL), 0);
            assert_true(str_has_suffix(tag, buf_str(&text)));
        }
    image_list_deinit(&list);
}

static void test_killed(void **state)
{
    struct test_store *test = *state;

    for (int round = 0; round < 20; round++) {
        int pipe_fds[2];
        char byte;

        test->store = image_store_close(test->store);
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t child = fork();
        if (child == 0) {
            test_store_open(test);
            assert_int_equal(write(pipe_fds[1], "x", 1), 1);
            import_forever(test);
        }
        assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
        for (volatile int spin = 0; spin < round * 1000000; spin++)
            ;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        test_store_open(test);
        assert_whole(test);
        assert_int_equal(entries_in("tmp", test), 1);
    }
}

/* -- several at once -- */

static void test_two_stores(void **state)
{
    struct test_store *first = *state, second = *first;

    test_store_open(&second);
    struct image *image = test_store_add(first, "a:1");
    assert_true(test_store_has(&second, "a:1"));
    assert_int_equal(image_store_remove(second.store, STR("a:1"), NULL), 0);
    assert_false(test_store_has(first, "a:1"));
    image_drop(test_store_add(&second, "b:1"));
    image_drop(test_store_add(first, "c:1"));
    image_store_close(second.store);
    assert_true(test_store_has(first, "b:1"));
    assert_true(test_store_has(first, "c:1"));
    image_drop(image);
}

struct importer {
    struct test_store *test;
    struct buf archive;
    struct thread thread;
    int result;
    struct err err;
};

static void import_many(void *arg)
{
    struct importer *importer = arg;

    for (int i = 0; i < 10 && importer->result == 0; i++) {
        struct image_list list = { 0 };
        importer->result =
            test_store_import(importer->test, buf_str(&importer->archive), STR_NULL, &list, &importer->err);
        image_list_deinit(&list);
        if (i % 2)
            image_store_remove(importer->test->store, STR("app:1"), NULL);
    }
}

/* Threads of two stores import and remove the same image: whatever the order, none fails. */
static void test_threads(void **state)
{
    struct test_store *test = *state, second = *test;
    struct importer importers[6] = { 0 };
    struct test_image image = { 0 };

    test_store_open(&second);
    build_image(&image, NULL);
    for (size_t i = 0; i < ARRAY_LEN(importers); i++) {
        importers[i].test = i % 2 ? &second : test;
        importers[i].archive = docker_archive(&image, "[\"app:1\"]", TAR_PLAIN);
        assert_int_equal(thread_start(&importers[i].thread, "import", import_many, &importers[i], NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(importers); i++) {
        thread_join(&importers[i].thread);
        if (importers[i].result < 0)
            fail_msg("%s", importers[i].err.message);
        buf_deinit(&importers[i].archive);
    }
    image_store_close(second.store);
    test_image_deinit(&image);
}

static void test_bad_folder(void **state)
{
    static const char *const dirs[] = { "", "/tmp/a:b", "/tmp/a,b", "/tmp/a\\b", "/dev/null/x" };

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        const struct image_store_options options = { .dir = dirs[i] };
        struct image_store *store;
        struct err err = { 0 };
        assert_true(image_store_open(&options, &store, &err) < 0);
        assert_int_not_equal(err.message[0], 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docker_archive),
        cmocka_unit_test(test_oci_archive),
        cmocka_unit_test(test_bad_folder),
        TEST(test_wrong_archives),
        TEST(test_persistence),
        TEST(test_tag_moves),
        TEST(test_find_by_id),
        TEST(test_remove),
        TEST(test_shared_layers),
        TEST(test_gc),
        TEST(test_gc_by_age),
        TEST(test_leftovers),
        TEST(test_killed),
        TEST(test_two_stores),
        TEST(test_threads),
    };

    if (geteuid() != 0) {
        print_message("unpacking layers takes root: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
