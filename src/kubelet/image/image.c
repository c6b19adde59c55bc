#include "kubelet/image/image.h"

#include "codec/json.h"

static int bad_config(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "image configuration: %s", what);
}

static bool has_nul(struct str s)
{
    return s.len && memchr(s.data, 0, s.len);
}

/* A text without NUL bytes, copied. Absent and null leave *ret alone. */
static int read_text(struct arena *arena, const struct json *value, struct str *ret, struct err *err)
{
    if (!value || value->kind == JSON_NULL)
        return 0;
    if (value->kind != JSON_STRING || has_nul(value->string))
        return bad_config(err, "a text was expected");
    *ret = arena_str(arena, value->string);
    return ret->data ? 0 : err_set(err, ERR_NO_MEMORY, "image configuration");
}

static int read_list(struct arena *arena, const struct json *value, struct image_strings *ret, struct err *err)
{
    if (!value || value->kind == JSON_NULL)
        return 0;
    if (value->kind != JSON_ARRAY)
        return bad_config(err, "a list was expected");
    struct str *items = arena_array_of(arena, value->count, struct str);
    if (!items && value->count)
        return err_set(err, ERR_NO_MEMORY, "image configuration");
    for (uint32_t i = 0; i < value->count; i++) {
        int r = read_text(arena, &value->items[i], &items[i], err);
        if (r < 0)
            return r;
        if (!items[i].data)
            items[i] = STR("");
    }
    *ret = (struct image_strings){ items, value->count };
    return 0;
}

/* The keys of an object: exposed ports and volumes. */
static int read_keys(struct arena *arena, const struct json *value, struct image_strings *ret, struct err *err)
{
    if (!value || value->kind == JSON_NULL)
        return 0;
    if (value->kind != JSON_OBJECT)
        return bad_config(err, "an object was expected");
    struct str *items = arena_array_of(arena, value->count, struct str);
    if (!items && value->count)
        return err_set(err, ERR_NO_MEMORY, "image configuration");
    for (uint32_t i = 0; i < value->count; i++) {
        if (has_nul(value->members[i].key))
            return bad_config(err, "a NUL byte in a name");
        items[i] = arena_str(arena, value->members[i].key);
        if (!items[i].data)
            return err_set(err, ERR_NO_MEMORY, "image configuration");
    }
    *ret = (struct image_strings){ items, value->count };
    return 0;
}

static int read_labels(struct arena *arena, const struct json *value, struct image_config *config, struct err *err)
{
    if (!value || value->kind == JSON_NULL)
        return 0;
    if (value->kind != JSON_OBJECT)
        return bad_config(err, "labels must be an object");
    struct image_label *labels = arena_array_of(arena, value->count, struct image_label);
    if (!labels && value->count)
        return err_set(err, ERR_NO_MEMORY, "image configuration");
    for (uint32_t i = 0; i < value->count; i++) {
        labels[i].key = arena_str(arena, value->members[i].key);
        labels[i].value = arena_str(arena, json_str(&value->members[i].value));
    }
    config->labels = labels;
    config->label_count = value->count;
    return arena_failed(arena) ? err_set(err, ERR_NO_MEMORY, "image configuration") : 0;
}

static int read_config(struct arena *arena, const struct json *root, struct image_config *config, struct err *err)
{
    const struct json *run = json_member(root, "config");
    struct {
        const struct json *value;
        struct str *ret;
    } texts[] = {
        { json_member(root, "os"), &config->os },
        { json_member(root, "architecture"), &config->architecture },
        { json_member(root, "variant"), &config->variant },
        { json_member(run, "WorkingDir"), &config->working_dir },
        { json_member(run, "User"), &config->user },
        { json_member(run, "StopSignal"), &config->stop_signal },
    };
    struct {
        const struct json *value;
        struct image_strings *ret;
        int (*read)(struct arena *, const struct json *, struct image_strings *, struct err *);
    } lists[] = {
        { json_member(run, "Entrypoint"), &config->entrypoint, read_list },
        { json_member(run, "Cmd"), &config->cmd, read_list },
        { json_member(run, "Env"), &config->env, read_list },
        { json_member(run, "ExposedPorts"), &config->exposed_ports, read_keys },
        { json_member(run, "Volumes"), &config->volumes, read_keys },
    };
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts) && r == 0; i++)
        r = read_text(arena, texts[i].value, texts[i].ret, err);
    for (size_t i = 0; i < ARRAY_LEN(lists) && r == 0; i++)
        r = lists[i].read(arena, lists[i].value, lists[i].ret, err);
    return r == 0 ? read_labels(arena, json_member(run, "Labels"), config, err) : r;
}

static int read_diff_ids(struct arena *arena, const struct json *root, struct digest **ret_ids, size_t *ret_count,
                         struct err *err)
{
    const struct json *list = json_at(root, "rootfs.diff_ids");

    if (!json_is(root, JSON_OBJECT))
        return bad_config(err, "not an object");
    if (!json_is(json_member(root, "rootfs"), JSON_OBJECT))
        return bad_config(err, "no rootfs: this is not a container image");
    if (list && list->kind != JSON_ARRAY && list->kind != JSON_NULL)
        return bad_config(err, "rootfs.diff_ids must be a list");
    size_t count = json_is(list, JSON_ARRAY) ? list->count : 0;
    if (count > IMAGE_LAYERS_MAX)
        return err_set(err, ERR_TOO_LARGE, "image configuration: more than %d layers", IMAGE_LAYERS_MAX);
    struct digest *ids = arena_array_of(arena, MAX(count, 1), struct digest);
    if (!ids)
        return err_set(err, ERR_NO_MEMORY, "image configuration");
    for (size_t i = 0; i < count; i++) {
        int r = digest_parse(json_str(&list->items[i]), &ids[i], err);
        if (r < 0)
            return err_wrap(err, r, "image configuration: rootfs.diff_ids");
    }
    *ret_ids = ids;
    *ret_count = count;
    return 0;
}

static int parse(struct arena *arena, struct str config_json, struct json **ret_root, struct err *err)
{
    const struct json_options options = { .max_depth = 64 };

    if (config_json.len > IMAGE_CONFIG_MAX)
        return err_set(err, ERR_TOO_LARGE, "image configuration: larger than %u bytes", IMAGE_CONFIG_MAX);
    int r = json_parse(arena, config_json, &options, ret_root, err);
    return r < 0 ? err_wrap(err, r, "image configuration") : 0;
}

int image_diff_ids(struct arena *arena, struct str config_json, struct digest **ret_ids, size_t *ret_count,
                   struct err *err)
{
    struct json *root;
    int r = parse(arena, config_json, &root, err);

    return r < 0 ? r : read_diff_ids(arena, root, ret_ids, ret_count, err);
}

static int copy_strings(struct arena *arena, struct image_strings from, struct image_strings *ret, struct err *err)
{
    struct str *items = arena_array_of(arena, MAX(from.count, 1), struct str);

    for (size_t i = 0; items && i < from.count; i++)
        items[i] = arena_str(arena, from.items[i]);
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "image");
    *ret = (struct image_strings){ items, from.count };
    return 0;
}

static int set_layers(struct image *image, const struct image_parts *parts, const struct digest *ids, size_t count,
                      struct err *err)
{
    struct image_layer *layers = arena_array_of(image->arena, MAX(count, 1), struct image_layer);

    if (!layers)
        return err_set(err, ERR_NO_MEMORY, "image");
    if (count != parts->size_count)
        return err_set(err, ERR_INVALID, "the image has %zu layers, its configuration lists %zu", parts->size_count,
                       count);
    for (size_t i = 0; i < count; i++) {
        layers[i] = (struct image_layer){ ids[i], parts->sizes[i] };
        image->size += parts->sizes[i];
    }
    image->layers = layers;
    image->layer_count = count;
    return 0;
}

int image_new(const struct image_parts *parts, struct image **ret_image, struct err *err)
{
    AUTO(arena) scratch = arena_new(0);
    AUTO(image) image = calloc(1, sizeof *image);
    struct digest *ids;
    struct json *root;
    size_t count;
    int r;

    if (!scratch || !image)
        return err_set(err, ERR_NO_MEMORY, "image");
    atomic_init(&image->refs, 1);
    image->arena = arena_new(0);
    if (!image->arena)
        return err_set(err, ERR_NO_MEMORY, "image");
    image->manifest = parts->manifest;
    image->attributes = parts->attributes;
    image->config_json = arena_str(image->arena, parts->config_json);
    if (!image->config_json.data)
        return err_set(err, ERR_NO_MEMORY, "image");
    if ((r = digest_of(parts->config_json, &image->id, err)) < 0 ||
        (r = parse(scratch, image->config_json, &root, err)) < 0 ||
        (r = read_diff_ids(scratch, root, &ids, &count, err)) < 0 ||
        (r = set_layers(image, parts, ids, count, err)) < 0 ||
        (r = read_config(image->arena, root, &image->config, err)) < 0 ||
        (r = copy_strings(image->arena, parts->repo_tags, &image->repo_tags, err)) < 0 ||
        (r = copy_strings(image->arena, parts->repo_digests, &image->repo_digests, err)) < 0)
        return r;
    *ret_image = TAKE(image);
    return 0;
}

struct image *image_keep(struct image *image)
{
    atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
    return image;
}

struct image *image_drop(struct image *image)
{
    if (image && atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) == 1) {
        arena_free(image->arena);
        free(image);
    }
    return NULL;
}

struct str image_status_id(const struct image *image)
{
    return image->repo_digests.count ? image->repo_digests.items[0] : digest_str(&image->id);
}

bool image_has(const struct image_strings *strings, struct str s)
{
    for (size_t i = 0; i < strings->count; i++)
        if (str_eq(strings->items[i], s))
            return true;
    return false;
}
