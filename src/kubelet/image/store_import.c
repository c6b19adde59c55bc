/* store_import.c - images out of archives.
 *
 * Both forms may stand in one file (docker save writes both): index.json makes it an OCI layout, else manifest.json
 * makes it a docker archive. As the descriptions may come after the layers, the archive is first taken apart into the
 * session's folder, and stays there to the end: a layer may have to be read again, for another image or because
 * somebody removed it meanwhile. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "codec/json.h"
#include "kubelet/image/image_archive.h"
#include "kubelet/image/image_ref.h"
#include "kubelet/image/manifest.h"
#include "kubelet/image/store_private.h"

#define IMAGES_MAX 1000
#define NESTING_MAX 3

struct importer {
    struct image_store *store;
    const struct image_import *options;
    struct image_archive archive;
    struct arena arena;
    struct image_list images;
    const struct archive_file **layers; /* of the image at hand */
};

static int open_layer(void *ctx, size_t layer, int *ret_fd, struct err *err)
{
    struct importer *importer = ctx;

    return image_archive_open(&importer->archive, importer->layers[layer], ret_fd, err);
}

/* The names of an image: --name, else what the archive says. */
static int read_names(struct importer *importer, const struct str *names, size_t count, struct image_strings *ret_tags,
                      struct err *err)
{
    struct str *tags = arena_array_of(&importer->arena, MAX(count, 1), struct str);
    struct str given = importer->options->name;
    struct image_ref ref;
    size_t used = 0;

    if (given.data) {
        names = &given;
        count = 1;
    }
    for (size_t i = 0; tags && i < count; i++) {
        int r = image_ref_parse(&importer->arena, names[i], &ref, err);
        if (r < 0)
            return r;
        if (ref.tag.data)
            tags[used++] = image_ref_tagged(&importer->arena, &ref);
    }
    if (arena_failed(&importer->arena))
        return err_set(err, ERR_NO_MEMORY, "importing");
    *ret_tags = (struct image_strings){ tags, used };
    return 0;
}

/* files: the layers' names in the archive, bottom first. */
static int import_image(struct importer *importer, struct str config_json, const struct digest *manifest,
                        struct image_strings tags, const struct str *files, size_t count, struct err *err)
{
    struct arena *arena = &importer->arena;
    struct recipe_layer *layers = arena_array_of(arena, MAX(count, 1), struct recipe_layer);
    struct digest *ids;
    size_t id_count;
    int r = image_diff_ids(arena, config_json, &ids, &id_count, err);

    if (r < 0)
        return r;
    if (id_count != count)
        return err_set(err, ERR_INVALID, "the image has %zu layers, its configuration lists %zu", count, id_count);
    importer->layers = arena_array_of(arena, MAX(count, 1), const struct archive_file *);
    if (!layers || !importer->layers)
        return err_set(err, ERR_NO_MEMORY, "importing");
    for (size_t i = 0; i < count; i++) {
        importer->layers[i] = image_archive_find(&importer->archive, files[i]);
        if (!importer->layers[i])
            return err_set(err, ERR_INVALID, "the archive has no file " STR_FMT, STR_ARG(str_first(files[i], 256)));
        layers[i] = (struct recipe_layer){ ids[i], importer->layers[i]->size };
    }
    const struct recipe recipe = {
        .config_json = config_json,
        .manifest = *manifest,
        .repo_tags = tags,
        .layers = layers,
        .layer_count = count,
        .open_layer = open_layer,
        .ctx = importer,
        .progress = importer->options->progress,
    };
    store_report(&recipe.progress, IMAGE_RESOLVED, 0, count, NULL, 0, 0);
    struct image **items = realloc(importer->images.items, (importer->images.count + 1) * sizeof(*items));
    if (!items)
        return err_set(err, ERR_NO_MEMORY, "importing");
    importer->images.items = items;
    r = store_assemble(importer->store, &recipe, &items[importer->images.count], err);
    importer->images.count += r == 0;
    return r;
}

/* -- docker archive -- */

static int list_of(struct arena *arena, const struct json *json, const struct str **ret_items, size_t *ret_count,
                   struct err *err)
{
    size_t count = json_is(json, JSON_ARRAY) ? json->count : 0;
    struct str *items = arena_array_of(arena, MAX(count, 1), struct str);

    if (!items)
        return err_set(err, ERR_NO_MEMORY, "importing");
    for (size_t i = 0; i < count; i++) {
        items[i] = json_str(&json->items[i]);
        if (!items[i].data)
            return err_set(err, ERR_INVALID, "a list of texts was expected");
    }
    *ret_items = items;
    *ret_count = count;
    return 0;
}

static int import_docker_image(struct importer *importer, const struct json *entry, struct err *err)
{
    const struct digest no_manifest = { "" };
    struct arena *arena = &importer->arena;
    const struct str *names, *files;
    size_t name_count, file_count;
    struct image_strings tags;
    struct str config;
    int r;

    if ((r = list_of(arena, json_member(entry, "RepoTags"), &names, &name_count, err)) < 0 ||
        (r = list_of(arena, json_member(entry, "Layers"), &files, &file_count, err)) < 0 ||
        (r = read_names(importer, names, name_count, &tags, err)) < 0 ||
        (r = image_archive_load(&importer->archive, json_str_at(entry, "Config"), IMAGE_CONFIG_MAX, arena, &config,
                                err)) < 0)
        return r;
    return import_image(importer, config, &no_manifest, tags, files, file_count, err);
}

static int check_count(struct importer *importer, size_t count, struct err *err)
{
    if (count == 0 || count > IMAGES_MAX)
        return err_set(err, ERR_INVALID, "%zu images in the archive", count);
    if (count > 1 && importer->options->name.data)
        return err_set(err, ERR_INVALID, "a name was given, but the archive has %zu images", count);
    return 0;
}

static int import_docker(struct importer *importer, struct err *err)
{
    struct json *root;
    struct str text;
    int r;

    if ((r = image_archive_load(&importer->archive, STR("manifest.json"), MANIFEST_MAX, &importer->arena, &text, err)) <
            0 ||
        (r = json_parse(&importer->arena, text, NULL, &root, err)) < 0 ||
        (r = check_count(importer, json_is(root, JSON_ARRAY) ? root->count : 0, err)) < 0)
        return err_wrap(err, r, "manifest.json");
    for (uint32_t i = 0; i < root->count && r == 0; i++)
        r = import_docker_image(importer, &root->items[i], err);
    return r;
}

/* -- OCI layout -- */

static int load_blob(struct importer *importer, const struct digest *digest, size_t max, struct str *ret_text,
                     struct err *err)
{
    struct str name = arena_printf(&importer->arena, "blobs/sha256/" STR_FMT, STR_ARG(digest_hex(digest)));
    struct digest actual;
    int r;

    if (!name.data)
        return err_set(err, ERR_NO_MEMORY, "importing");
    if ((r = image_archive_load(&importer->archive, name, max, &importer->arena, ret_text, err)) < 0 ||
        (r = digest_of(*ret_text, &actual, err)) < 0)
        return r;
    if (!digest_eq(digest, &actual))
        return err_set(err, ERR_INVALID, STR_FMT " has digest %s", STR_ARG(name), actual.text);
    return 0;
}

static int read_oci_names(struct importer *importer, const struct json *entry, struct image_strings *ret_tags,
                          struct err *err)
{
    const struct json *annotations = json_member(entry, "annotations");
    struct str full = json_str(json_get(annotations, STR("io.containerd.image.name")));
    struct str ref = json_str(json_get(annotations, STR("org.opencontainers.image.ref.name")));
    struct str names[1] = { full.data ? full : ref };
    /* The second may be a mere tag ("latest"), which names no image. */
    bool named = full.data || str_chr(ref, '/') >= 0 || str_chr(ref, ':') >= 0;

    return read_names(importer, names, named ? 1 : 0, ret_tags, err);
}

static int import_oci_image(struct importer *importer, const struct json *entry, struct err *err)
{
    struct arena *arena = &importer->arena;
    struct str text, config, *files;
    struct descriptor descriptor;
    struct image_strings tags;
    struct manifest manifest;
    struct json *root;
    bool index = true;
    int r = manifest_descriptor(entry, &descriptor, err);

    for (int depth = 0; r == 0 && index; depth++) {
        if ((r = load_blob(importer, &descriptor.digest, MANIFEST_MAX, &text, err)) < 0 ||
            (r = manifest_read(arena, text, descriptor.media_type, &root, &index, err)) < 0 || !index)
            break;
        r = depth < NESTING_MAX ? manifest_choose(root, importer->store->options.architecture,
                                                  importer->store->options.variant, &descriptor, err)
                                : err_set(err, ERR_INVALID, "image indexes are nested too deeply");
    }
    if (r < 0 || (r = manifest_image(arena, root, &manifest, err)) < 0 ||
        (r = load_blob(importer, &manifest.config.digest, IMAGE_CONFIG_MAX, &config, err)) < 0 ||
        (r = read_oci_names(importer, entry, &tags, err)) < 0)
        return r;
    files = arena_array_of(arena, MAX(manifest.layer_count, 1), struct str);
    for (size_t i = 0; files && i < manifest.layer_count; i++)
        files[i] = arena_printf(arena, "blobs/sha256/" STR_FMT, STR_ARG(digest_hex(&manifest.layers[i].digest)));
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "importing");
    return import_image(importer, config, &descriptor.digest, tags, files, manifest.layer_count, err);
}

static bool runs_here(const struct importer *importer, const struct json *entry)
{
    return !json_member(entry, "platform") ||
           manifest_fit(entry, importer->store->options.architecture, importer->store->options.variant) > 0;
}

static int import_oci(struct importer *importer, struct err *err)
{
    const struct json *list = NULL;
    struct json *root;
    struct str text;
    size_t count = 0;
    int r;

    if ((r = image_archive_load(&importer->archive, STR("index.json"), MANIFEST_MAX, &importer->arena, &text, err)) <
            0 ||
        (r = json_parse(&importer->arena, text, NULL, &root, err)) < 0)
        return err_wrap(err, r, "index.json");
    list = json_member(root, "manifests");
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        count += runs_here(importer, &list->items[i]);
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "the archive has no image for linux/" STR_FMT,
                       STR_ARG(importer->store->options.architecture));
    if ((r = check_count(importer, count, err)) < 0)
        return r;
    for (uint32_t i = 0; i < list->count && r == 0; i++)
        if (runs_here(importer, &list->items[i]))
            r = import_oci_image(importer, &list->items[i], err);
    return r;
}

static int import_archive(struct importer *importer, struct err *err)
{
    if (image_archive_find(&importer->archive, STR("index.json")))
        return import_oci(importer, err);
    if (image_archive_find(&importer->archive, STR("manifest.json")))
        return import_docker(importer, err);
    return err_set(err, ERR_INVALID, "not an image archive: neither index.json nor manifest.json is in it");
}

static int import_into(struct importer *importer, const char *dir, struct err *err)
{
    struct image_store *store = importer->store;

    if (mkdir(dir, 0700) < 0)
        return err_errno(err, errno, "making folder %s", dir);
    int r = image_archive_read(importer->options->fd, dir, store->options.max_archive, &store->closing,
                               &importer->archive, err);
    if (r < 0)
        return r;
    r = import_archive(importer, err);
    image_archive_deinit(&importer->archive);
    return r;
}

int image_store_import(struct image_store *store, const struct image_import *import, struct image_list *ret_images,
                       struct err *err)
{
    struct importer importer = { .store = store, .options = import };
    char dir[PATH_MAX];
    int r = store_enter(store, err);

    if (r < 0)
        return r;
    arena_init(&importer.arena, 256u << 20);
    snprintf(dir, sizeof dir, "%s/import-%016llx", store->session, (unsigned long long)rng_u64(store->options.rng));
    r = import_into(&importer, dir, err);
    if (r == 0)
        *ret_images = importer.images;
    else
        image_list_deinit(&importer.images);
    file_remove_tree(dir, NULL);
    arena_deinit(&importer.arena);
    store_leave(store);
    return r < 0 ? err_wrap(err, r, "importing an image archive") : 0;
}
