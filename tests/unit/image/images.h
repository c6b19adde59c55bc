/* images.h - small images for tests: layers, configurations, docker and OCI archives. Include it after cmocka.h. */
#pragma once

#include "base/file.h"
#include "kubelet/image/image_store.h"
#include "kubelet/image/platform.h"
#include "tests/unit/image/tar.h"

#define TEST_LAYERS_MAX 128

struct test_image {
    struct buf layers[TEST_LAYERS_MAX]; /* as they lie in the archive */
    struct digest diff_ids[TEST_LAYERS_MAX];
    size_t count;
    struct buf config;
};

static inline void test_image_deinit(struct test_image *image)
{
    for (size_t i = 0; i < image->count; i++)
        buf_deinit(&image->layers[i]);
    buf_deinit(&image->config);
}

/* A layer with one file, "<path>" with text in it. */
static inline void test_image_layer(struct test_image *image, enum tar_packing packing, const char *path,
                                    const char *text)
{
    struct tar plain, packed;

    tar_begin(&plain, TAR_PLAIN);
    tar_dir(&plain, "./", 0755);
    tar_file(&plain, path, 0644, text);
    struct buf bytes = tar_end(&plain);
    image->diff_ids[image->count] = digest_for(buf_str(&bytes));
    buf_deinit(&bytes);
    tar_begin(&packed, packing);
    tar_dir(&packed, "./", 0755);
    tar_file(&packed, path, 0644, text);
    image->layers[image->count++] = tar_end(&packed);
}

static inline void test_image_configure(struct test_image *image, const char *architecture, const char *run)
{
    struct str here, variant;

    platform_of_machine(&here, &variant);
    buf_printf(&image->config, "{\"os\":\"linux\",\"architecture\":\"%.*s\",\"config\":%s,\"rootfs\":{\"diff_ids\":[",
               architecture ? (int)strlen(architecture) : (int)here.len, architecture ? architecture : here.data, run);
    for (size_t i = 0; i < image->count; i++)
        buf_printf(&image->config, "%s\"%s\"", i ? "," : "", image->diff_ids[i].text);
    buf_add_cstr(&image->config, "]}}");
    assert_true(buf_ok(&image->config));
}

static inline void put_bytes(struct tar *tar, const char *path, struct str bytes)
{
    tar_put(tar, tar_entry(path, AE_IFREG, 0644), bytes);
}

/* tags: what stands in RepoTags, e.g. "[\"a:1\"]". The description stands last, as docker save writes it. */
static inline struct buf docker_archive(const struct test_image *image, const char *tags, enum tar_packing packing)
{
    AUTO_DEINIT(buf, manifest) = BUF_INIT;
    struct tar tar;
    char name[64];

    tar_begin(&tar, packing);
    buf_printf(&manifest, "[{\"Config\":\"config.json\",\"RepoTags\":%s,\"Layers\":[", tags);
    for (size_t i = 0; i < image->count; i++) {
        snprintf(name, sizeof name, "%zu/layer.tar", i);
        put_bytes(&tar, name, buf_str(&image->layers[i]));
        buf_printf(&manifest, "%s\"%s\"", i ? "," : "", name);
    }
    buf_add_cstr(&manifest, "]}]");
    put_bytes(&tar, "config.json", buf_str(&image->config));
    put_bytes(&tar, "manifest.json", buf_str(&manifest));
    return tar_end(&tar);
}

static inline void put_blob(struct tar *tar, struct str bytes)
{
    struct digest digest = digest_for(bytes);
    char name[128];

    snprintf(name, sizeof name, "blobs/sha256/%s", digest.text + 7);
    put_bytes(tar, name, bytes);
}

static inline void write_manifest(const struct test_image *image, struct buf *manifest)
{
    struct digest config = digest_for(buf_str(&image->config));

    buf_printf(
        manifest,
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
        "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
        config.text, image->config.len);
    for (size_t i = 0; i < image->count; i++) {
        struct digest layer = digest_for(buf_str(&image->layers[i]));
        buf_printf(manifest,
                   "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"%s\",\"size\":%zu}",
                   i ? "," : "", layer.text, image->layers[i].len);
    }
    buf_add_cstr(manifest, "]}");
}

/* annotations: of the entry in index.json, e.g. "{\"org.opencontainers.image.ref.name\":\"a:1\"}". */
static inline struct buf oci_archive(const struct test_image *image, const char *annotations)
{
    AUTO_DEINIT(buf, manifest) = BUF_INIT;
    AUTO_DEINIT(buf, index) = BUF_INIT;
    struct tar tar;

    write_manifest(image, &manifest);
    struct digest digest = digest_for(buf_str(&manifest));
    buf_printf(&index,
               "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
               "\"digest\":\"%s\",\"size\":%zu,\"annotations\":%s}]}",
               digest.text, manifest.len, annotations);
    tar_begin(&tar, TAR_PLAIN);
    put_bytes(&tar, "oci-layout", STR("{\"imageLayoutVersion\":\"1.0.0\"}"));
    for (size_t i = 0; i < image->count; i++)
        put_blob(&tar, buf_str(&image->layers[i]));
    put_blob(&tar, buf_str(&image->config));
    put_blob(&tar, buf_str(&manifest));
    put_bytes(&tar, "index.json", buf_str(&index));
    return tar_end(&tar);
}

/* -- a store in a folder of its own -- */

struct test_store {
    char dir[64], images[80];
    struct virtual_clock clock;
    uint64_t capacity, available; /* what the disk says */
    struct image_store *store;
};

static inline int test_disk(void *ctx, uint64_t *ret_capacity, uint64_t *ret_available)
{
    struct test_store *test = ctx;

    *ret_capacity = test->capacity;
    *ret_available = test->available;
    return 0;
}

static inline void test_store_open(struct test_store *test)
{
    const struct image_store_options options = {
        .dir = test->images, .clock = &test->clock.clock, .no_sync = true, .disk_stat = test_disk, .disk_stat_ctx = test
    };
    struct err err = { 0 };

    if (image_store_open(&options, &test->store, &err) < 0)
        fail_msg("%s", err.message);
}

static inline void test_store_init(struct test_store *test)
{
    *test = (struct test_store){ .capacity = 1000, .available = 900 };
    snprintf(test->dir, sizeof test->dir, "/tmp/caravel-images-XXXXXX");
    assert_non_null(mkdtemp(test->dir));
    snprintf(test->images, sizeof test->images, "%s/images", test->dir);
    virtual_clock_init(&test->clock, 1700000000 * NSEC_PER_SEC);
    test_store_open(test);
}

static inline void test_store_deinit(struct test_store *test)
{
    test->store = image_store_close(test->store);
    assert_int_equal(file_remove_tree(test->dir, NULL), 0);
}

static inline int test_store_import(struct test_store *test, struct str archive, struct str name,
                                    struct image_list *ret_images, struct err *err)
{
    const struct image_import import = { .fd = memory_file(archive), .name = name };
    int r = image_store_import(test->store, &import, ret_images, err);

    close(import.fd);
    return r;
}

/* Imports an image of one layer, tagged as given; the layer's file says so too. */
static inline struct image *test_store_add(struct test_store *test, const char *tag)
{
    struct test_image image = { 0 };
    struct image_list list;
    struct err err = { 0 };
    char tags[256];

    snprintf(tags, sizeof tags, "[\"%s\"]", tag);
    test_image_layer(&image, TAR_PLAIN, "name", tag);
    test_image_configure(&image, NULL, "{}");
    struct buf archive = docker_archive(&image, tags, TAR_PLAIN);
    if (test_store_import(test, buf_str(&archive), STR_NULL, &list, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(list.count, 1);
    struct image *added = image_keep(list.items[0]);
    image_list_deinit(&list);
    buf_deinit(&archive);
    test_image_deinit(&image);
    return added;
}

static inline bool test_store_has(struct test_store *test, const char *ref)
{
    struct image *image;

    if (image_store_find(test->store, str_from(ref), &image, NULL) < 0)
        return false;
    image_drop(image);
    return true;
}
