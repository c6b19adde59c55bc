#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/json.h"
#include "kubelet/image/manifest.h"
#include "kubelet/image/platform.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
    const char *architecture, *variant, *os, *image_architecture, *image_variant;
    int want;
} fits[] = {
    { "amd64", "", "linux", "amd64", "", 1 },     { "amd64", "", "windows", "amd64", "", 0 },
    { "amd64", "", "linux", "arm64", "", 0 },     { "amd64", "", "linux", "amd64", "v2", 0 },
    { "amd64", "v3", "linux", "amd64", "v2", 2 }, { "arm64", "v8", "linux", "arm64", "", 8 },
    { "arm64", "v8", "linux", "arm64", "v8", 8 }, { "arm", "v7", "linux", "arm", "v6", 6 },
    { "arm", "v6", "linux", "arm", "v7", 0 },     { "arm", "v7", "linux", "arm", "", 7 },
    { "arm", "v7", "linux", "arm", "vx", 7 },     { "amd64", "", "", "", "", 0 },
};

static void test_fits(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fits); i++)
        assert_int_equal(platform_fit(str_from(fits[i].architecture), str_from(fits[i].variant), str_from(fits[i].os),
                                      str_from(fits[i].image_architecture), str_from(fits[i].image_variant)),
                         fits[i].want);
}

static const struct {
    const char *text, *media_type;
    int code;
    bool index;
} kinds[] = {
    { "{\"manifests\":[]}", NULL, 0, true },
    { "{\"config\":{},\"layers\":[]}", NULL, 0, false },
    { "{}", "application/vnd.oci.image.index.v1+json", 0, true },
    { "{}", "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8", 0, false },
    { "{\"mediaType\":\"application/vnd.oci.image.index.v1+json\"}", "application/json", 0, true },
    { "{\"manifests\":[]}", "application/json", 0, true },
    { "{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", -ERR_NOT_SUPPORTED, false },
    { "{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, -ERR_NOT_SUPPORTED, false },
    { "{\"mediaType\":\"text/html\"}", NULL, -ERR_NOT_SUPPORTED, false },
    { "{}", NULL, -ERR_NOT_SUPPORTED, false },
    { "[]", NULL, -ERR_INVALID, false },
    { "{", NULL, -ERR_BAD_REQUEST, false },
};

static void test_kinds(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *root;
        bool index = false;

        assert_int_equal(
            manifest_read(arena, str_from(kinds[i].text), str_from(kinds[i].media_type), &root, &index, NULL),
            kinds[i].code);
        assert_int_equal(index, kinds[i].index);
    }
}

#define LAYER(type, digest) "{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":3}"
#define CONFIG "\"config\":{\"mediaType\":\"x\",\"digest\":\"" A "\",\"size\":2}"

static const struct {
    const char *text;
    int code;
    size_t layers;
} images[] = {
    { "{" CONFIG ",\"layers\":[" LAYER("application/vnd.oci.image.layer.v1.tar+zstd", B) "]}", 0, 1 },
    { "{" CONFIG ",\"layers\":[" LAYER("application/vnd.docker.image.rootfs.diff.tar.gzip", B) "]}", 0, 1 },
    { "{" CONFIG ",\"layers\":[]}", 0, 0 },
    { "{" CONFIG ",\"layers\":[" LAYER("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", B) "]}",
      -ERR_NOT_SUPPORTED, 0 },
    { "{" CONFIG ",\"layers\":[" LAYER("application/vnd.cncf.helm.chart.content.v1.tar+gzip", B) "]}",
      -ERR_NOT_SUPPORTED, 0 },
    { "{" CONFIG ",\"layers\":[" LAYER("application/vnd.oci.image.layer.v1.tar", "sha256:b") "]}", -ERR_INVALID, 0 },
    { "{" CONFIG ",\"layers\":[" LAYER("application/vnd.oci.image.layer.v1.tar", "sha512:b") "]}", -ERR_NOT_SUPPORTED,
      0 },
    { "{" CONFIG ",\"layers\":[{}]}", -ERR_INVALID, 0 },
    { "{\"config\":{\"digest\":\"" A "\",\"size\":-1}}", -ERR_INVALID, 0 },
    { "{\"config\":{\"digest\":\"" A "\",\"size\":99999999}}", -ERR_TOO_LARGE, 0 },
    { "{}", -ERR_INVALID, 0 },
};

static void test_images(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(images); i++) {
        AUTO(arena) arena = arena_new(0);
        struct manifest manifest;
        struct json *root;

        assert_int_equal(json_parse(arena, str_from(images[i].text), NULL, &root, NULL), 0);
        int r = manifest_image(arena, root, &manifest, NULL);
        if (r != images[i].code)
            fail_msg("%s: %d", images[i].text, r);
        if (r == 0)
            assert_int_equal(manifest.layer_count, images[i].layers);
    }
}

#define ENTRY(digest, os, architecture, variant)                                                             \
    "{\"digest\":\"" digest "\",\"size\":1,\"platform\":{\"os\":\"" os "\",\"architecture\":\"" architecture \
    "\",\"variant\":\"" variant "\"}}"

static const struct {
    const char *list, *architecture, *variant, *want; /* NULL: none fits */
} choices[] = {
    { ENTRY(A, "linux", "amd64", "") "," ENTRY(B, "linux", "arm64", ""), "arm64", "v8", B },
    { ENTRY(A, "linux", "arm", "v6") "," ENTRY(B, "linux", "arm", "v7"), "arm", "v7", B },
    { ENTRY(A, "linux", "arm", "v6") "," ENTRY(B, "linux", "arm", "v7"), "arm", "v6", A },
    { ENTRY(A, "unknown", "unknown", "") "," ENTRY(B, "linux", "amd64", ""), "amd64", "", B },
    { "{\"digest\":\"" A "\",\"size\":1}", "amd64", "", A },
    { ENTRY(A, "linux", "s390x", ""), "amd64", "", NULL },
    { "", "amd64", "", NULL },
};

static void test_choices(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        AUTO(arena) arena = arena_new(0);
        struct descriptor chosen;
        struct json *root;

        assert_int_equal(
            json_parse(arena, arena_printf(arena, "{\"manifests\":[%s]}", choices[i].list), NULL, &root, NULL), 0);
        int r = manifest_choose(root, str_from(choices[i].architecture), str_from(choices[i].variant), &chosen, NULL);
        assert_int_equal(r, choices[i].want ? 0 : -ERR_NOT_FOUND);
        if (r == 0)
            assert_string_equal(chosen.digest.text, choices[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_choices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
