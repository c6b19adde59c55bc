#include "kubelet/image/manifest.h"

#include <stdio.h>

#include "codec/json.h"
#include "kubelet/image/image.h"
#include "kubelet/image/platform.h"

#define INDEX_ENTRIES_MAX 10000
#define DEPTH_MAX 32

enum kind { KIND_INDEX, KIND_IMAGE, KIND_OLD };

static const struct {
    struct str media_type;
    enum kind kind;
} kinds[] = {
    { STR_INIT("application/vnd.oci.image.index.v1+json"), KIND_INDEX },
    { STR_INIT("application/vnd.docker.distribution.manifest.list.v2+json"), KIND_INDEX },
    { STR_INIT("application/vnd.oci.image.manifest.v1+json"), KIND_IMAGE },
    { STR_INIT("application/vnd.docker.distribution.manifest.v2+json"), KIND_IMAGE },
    { STR_INIT("application/vnd.docker.distribution.manifest.v1+json"), KIND_OLD },
    { STR_INIT("application/vnd.docker.distribution.manifest.v1+prettyjws"), KIND_OLD },
};

const char manifest_accept[] = "application/vnd.oci.image.index.v1+json, "
                               "application/vnd.docker.distribution.manifest.list.v2+json, "
                               "application/vnd.oci.image.manifest.v1+json, "
                               "application/vnd.docker.distribution.manifest.v2+json";

static int kind_of(const struct json *root, struct str media_type, enum kind *ret_kind, struct err *err)
{
    struct str own = json_str_at(root, "mediaType");
    struct str type = STR_NULL;

    if (own.data)
        type = own;
    else if (media_type.data && str_split(&media_type, ';', &type))
        type = str_trim(type);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].media_type, type)) {
            *ret_kind = kinds[i].kind;
            return 0;
        }
    if (own.data)
        return err_set(err, ERR_NOT_SUPPORTED, "manifest of type \"" STR_FMT "\" is not supported",
                       STR_ARG(str_first(own, 128)));
    /* OCI lets both leave out their type: the members tell. */
    if (json_is(json_member(root, "manifests"), JSON_ARRAY))
        *ret_kind = KIND_INDEX;
    else if (json_is(json_member(root, "config"), JSON_OBJECT))
        *ret_kind = KIND_IMAGE;
    else if (json_is(json_member(root, "fsLayers"), JSON_ARRAY))
        *ret_kind = KIND_OLD;
    else
        return err_set(err, ERR_NOT_SUPPORTED, "neither an image manifest nor an image index");
    return 0;
}

int manifest_read(struct arena *arena, struct str text, struct str media_type, struct json **ret_root, bool *ret_index,
                  struct err *err)
{
    const struct json_options options = { .max_depth = DEPTH_MAX };
    struct json *root;
    enum kind kind = KIND_OLD;

    if (text.len > MANIFEST_MAX)
        return err_set(err, ERR_TOO_LARGE, "the manifest is larger than %u bytes", MANIFEST_MAX);
    int r = json_parse(arena, text, &options, &root, err);
    if (r == 0 && root->kind != JSON_OBJECT)
        r = err_set(err, ERR_INVALID, "not an object");
    if (r == 0)
        r = kind_of(root, media_type, &kind, err);
    if (r < 0)
        return err_wrap(err, r, "manifest");
    if (kind == KIND_OLD)
        return err_set(err, ERR_NOT_SUPPORTED,
                       "the image has a manifest of schema version 1, which is not supported: "
                       "push it again with a current tool");
    *ret_root = root;
    *ret_index = kind == KIND_INDEX;
    return 0;
}

int manifest_descriptor(const struct json *json, struct descriptor *ret_descriptor, struct err *err)
{
    struct descriptor descriptor = { .media_type = json_str_at(json, "mediaType") };
    int64_t size = json_int(json_member(json, "size"), -1);
    int r = digest_parse(json_str_at(json, "digest"), &descriptor.digest, err);

    if (r < 0)
        return err_wrap(err, r, "manifest");
    if (size < 0)
        return err_set(err, ERR_INVALID, "manifest: %s has no size", descriptor.digest.text);
    descriptor.size = (uint64_t)size;
    *ret_descriptor = descriptor;
    return 0;
}

static int check_layer_type(struct str type, struct err *err)
{
    static const struct str known[] = {
        STR_INIT("application/vnd.oci.image.layer."),
        STR_INIT("application/vnd.docker.image.rootfs."),
    };

    if (str_find(type, STR("encrypted")) >= 0)
        return err_set(err, ERR_NOT_SUPPORTED, "the image has encrypted layers, which are not supported");
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_has_prefix(type, known[i]))
            return 0;
    return err_set(err, ERR_NOT_SUPPORTED, "a layer of type \"" STR_FMT "\" is not one of a container image",
                   STR_ARG(str_first(type, 128)));
}

int manifest_image(struct arena *arena, const struct json *root, struct manifest *ret_manifest, struct err *err)
{
    const struct json *list = json_member(root, "layers");
    struct manifest manifest = { .layer_count = json_is(list, JSON_ARRAY) ? list->count : 0 };
    int r = manifest_descriptor(json_member(root, "config"), &manifest.config, err);

    if (r < 0)
        return r;
    if (manifest.config.size > IMAGE_CONFIG_MAX)
        return err_set(err, ERR_TOO_LARGE, "the image's configuration is larger than %u bytes", IMAGE_CONFIG_MAX);
    if (manifest.layer_count > IMAGE_LAYERS_MAX)
        return err_set(err, ERR_TOO_LARGE, "the image has more than %d layers", IMAGE_LAYERS_MAX);
    struct descriptor *layers = arena_array_of(arena, MAX(manifest.layer_count, 1), struct descriptor);
    if (!layers)
        return err_set(err, ERR_NO_MEMORY, "manifest");
    for (size_t i = 0; i < manifest.layer_count; i++)
        if ((r = manifest_descriptor(&list->items[i], &layers[i], err)) < 0 ||
            (r = check_layer_type(layers[i].media_type, err)) < 0)
            return r;
    manifest.layers = layers;
    *ret_manifest = manifest;
    return 0;
}

int manifest_fit(const struct json *entry, struct str architecture, struct str variant)
{
    const struct json *platform = json_member(entry, "platform");

    return platform_fit(architecture, variant, json_str_at(platform, "os"), json_str_at(platform, "architecture"),
                        json_str_at(platform, "variant"));
}

static void name_platforms(const struct json *list, char *out, size_t size)
{
    size_t used = 0;

    for (uint32_t i = 0; i < list->count && used < size - 1; i++) {
        const struct json *platform = json_member(&list->items[i], "platform");
        struct str os = str_first(json_str_at(platform, "os"), 32);
        if (str_is(os, "unknown") || !os.data)
            continue;
        int n = snprintf(out + used, size - used, "%s" STR_FMT "/" STR_FMT, used ? ", " : "", STR_ARG(os),
                         STR_ARG(str_first(json_str_at(platform, "architecture"), 32)));
        used += n > 0 ? (size_t)n : 0;
    }
}

int manifest_choose(const struct json *root, struct str architecture, struct str variant,
                    struct descriptor *ret_descriptor, struct err *err)
{
    const struct json *list = json_member(root, "manifests"), *best = NULL;
    char have[512] = "none";
    int best_fit = 0;

    if (!json_is(list, JSON_ARRAY) || list->count > INDEX_ENTRIES_MAX)
        return err_set(err, ERR_INVALID, "the image index has no usable list of manifests");
    for (uint32_t i = 0; i < list->count; i++) {
        int fit = manifest_fit(&list->items[i], architecture, variant);
        if (fit > best_fit) {
            best_fit = fit;
            best = &list->items[i];
        }
    }
    /* An index of one image need not say for which platform it is: its configuration does. */
    if (!best && list->count == 1 && !json_member(&list->items[0], "platform"))
        best = &list->items[0];
    if (!best) {
        name_platforms(list, have, sizeof have);
        return err_set(err, ERR_NOT_FOUND,
                       "no match for platform in manifest: linux/" STR_FMT " is wanted, there is: %s",
                       STR_ARG(architecture), have);
    }
    return manifest_descriptor(best, ret_descriptor, err);
}
