/* store_index.c - images.json:
 *
 *   {"version":1,"images":[{"id":"sha256:..","manifest":"sha256:..","repoTags":[..],"repoDigests":[..],
 *     "sizes":[..],"firstSeen":<ns>,"lastUsed":<ns>}]}
 *
 * What containers need to know stands in the configuration, blobs/<digits of the id>, whose digest is the id: it is
 * read and verified again when the list is loaded. */
#include "kubelet/image/store_index.h"

#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "codec/json.h"
#include "kubelet/image/image_ref.h"

#define INDEX_MAX (256u << 20)
#define SHORT_ID_MIN 8

void store_index_deinit(struct store_index *index)
{
    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));)
        image_drop(entry->image);
    vec_deinit(&index->entries);
}

int store_index_copy(const struct store_index *index, struct store_index *ret_copy, struct err *err)
{
    AUTO_DEINIT(store_index, copy) = { VEC_INIT };

    if (vec_room(&copy.entries, index->entries.count) < 0)
        return err_set(err, ERR_NO_MEMORY, "list of images");
    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));) {
        copy.entries.items[copy.entries.count] = *entry;
        image_keep(copy.entries.items[copy.entries.count++].image);
    }
    *ret_copy = copy;
    copy = (struct store_index){ VEC_INIT };
    return 0;
}

struct index_entry *store_index_by_id(const struct store_index *index, struct str id)
{
    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));)
        if (str_eq(digest_str(&entry->image->id), id))
            return entry;
    return NULL;
}

static bool is_short_id(struct str ref)
{
    if (ref.len < SHORT_ID_MIN || ref.len > DIGEST_HEX_LEN)
        return false;
    for (size_t i = 0; i < ref.len; i++)
        if (!((ref.data[i] >= '0' && ref.data[i] <= '9') || (ref.data[i] >= 'a' && ref.data[i] <= 'f')))
            return false;
    return true;
}

static struct index_entry *by_name(const struct store_index *index, struct arena *arena, const struct image_ref *ref)
{
    struct str name = ref->digest.data ? image_ref_digested(arena, ref, ref->digest) : image_ref_tagged(arena, ref);

    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));)
        if (image_has(ref->digest.data ? &entry->image->repo_digests : &entry->image->repo_tags, name))
            return entry;
    return NULL;
}

static int by_short_id(const struct store_index *index, struct str ref, struct index_entry **ret_entry, struct err *err)
{
    struct index_entry *found = NULL;

    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));) {
        if (!str_has_prefix(digest_hex(&entry->image->id), ref))
            continue;
        if (found)
            return err_set(err, ERR_CONFLICT, "image id " STR_FMT " is ambiguous", STR_ARG(ref));
        found = entry;
    }
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "image " STR_FMT " is not here", STR_ARG(ref));
    *ret_entry = found;
    return 0;
}

int store_index_find(const struct store_index *index, struct str ref, struct index_entry **ret_entry, bool *ret_by_id,
                     struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct index_entry *entry = NULL;
    struct image_ref parsed;
    struct digest id;
    int r = arena ? 0 : err_set(err, ERR_NO_MEMORY, "image");

    *ret_by_id = digest_parse(ref, &id, NULL) == 0;
    if (r == 0 && *ret_by_id) {
        entry = store_index_by_id(index, ref);
    } else if (r == 0) {
        r = ref.len == DIGEST_HEX_LEN && is_short_id(ref) ? 0 : image_ref_parse(arena, ref, &parsed, err);
        if (r == 0 && ref.len != DIGEST_HEX_LEN)
            entry = by_name(index, arena, &parsed);
        if (r == 0 && !entry && is_short_id(ref)) {
            *ret_by_id = true;
            return by_short_id(index, ref, ret_entry, err);
        }
    }
    if (r == 0 && !entry)
        r = err_set(err, ERR_NOT_FOUND, "image " STR_FMT " is not here", STR_ARG(str_first(ref, 300)));
    if (r == 0)
        *ret_entry = entry;
    return r;
}

static int remake(const struct image *image, struct image_strings tags, struct image_strings digests,
                  const struct digest *manifest, struct image **ret_image, struct err *err)
{
    uint64_t sizes[IMAGE_LAYERS_MAX];

    for (size_t i = 0; i < image->layer_count; i++)
        sizes[i] = image->layers[i].size;
    const struct image_parts parts = { image->config_json, *manifest, image->attributes, tags, digests, sizes,
                                       image->layer_count };
    return image_new(&parts, ret_image, err);
}

/* The strings of a and, unless there already, of b; without those in minus. */
static int join(struct arena *arena, const struct image_strings *a, const struct image_strings *b,
                const struct image_strings *minus, struct image_strings *ret, struct err *err)
{
    struct str *items = arena_array_of(arena, a->count + b->count + 1, struct str);
    struct image_strings joined = { items, 0 };

    if (!items)
        return err_set(err, ERR_NO_MEMORY, "names of an image");
    for (size_t i = 0; i < a->count + b->count; i++) {
        struct str s = i < a->count ? a->items[i] : b->items[i - a->count];
        if (!image_has(minus, s) && !image_has(&joined, s))
            items[joined.count++] = s;
    }
    *ret = joined;
    return 0;
}

static const struct image_strings no_strings = { NULL, 0 };

/* Replaces entry's image by one with the names of plus and without those of minus. */
static int rename_image(struct index_entry *entry, const struct image *plus, const struct image_strings *minus,
                        struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct image_strings tags, digests;
    const struct image *old = entry->image;
    const struct digest *manifest = plus && plus->manifest.text[0] ? &plus->manifest : &old->manifest;
    struct image *image;
    int r = arena ? 0 : err_set(err, ERR_NO_MEMORY, "image");

    if (r < 0 || (r = join(arena, &old->repo_tags, plus ? &plus->repo_tags : &no_strings, minus, &tags, err)) < 0 ||
        (r = join(arena, &old->repo_digests, plus ? &plus->repo_digests : &no_strings, minus, &digests, err)) < 0 ||
        (r = remake(old, tags, digests, manifest, &image, err)) < 0)
        return r;
    image_drop(entry->image);
    entry->image = image;
    return 0;
}

static bool shares(const struct image_strings *a, const struct image_strings *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (image_has(b, a->items[i]))
            return true;
    return false;
}

int store_index_put(struct store_index *index, struct image *image, nsec_t now, struct err *err)
{
    struct index_entry *mine = store_index_by_id(index, digest_str(&image->id));
    int r = 0;

    if (!mine) {
        if (vec_push(&index->entries, ((struct index_entry){ image_keep(image), now, now })) < 0) {
            image_drop(image);
            return err_set(err, ERR_NO_MEMORY, "list of images");
        }
        mine = &index->entries.items[index->entries.count - 1];
    } else {
        r = rename_image(mine, image, &no_strings, err);
        mine->last_used = MAX(mine->last_used, now);
    }
    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));)
        if (r == 0 && entry != mine && shares(&entry->image->repo_tags, &image->repo_tags))
            r = rename_image(entry, NULL, &image->repo_tags, err);
    return r;
}

int store_index_untag(struct store_index *index, struct index_entry *entry, struct str name, struct err *err)
{
    const struct image_strings minus = { &name, 1 };

    return rename_image(entry, NULL, &minus, err);
}

void store_index_remove(struct store_index *index, struct index_entry *entry)
{
    image_drop(entry->image);
    vec_remove(&index->entries, (size_t)(entry - index->entries.items));
}

/* -- the file -- */

static int read_strings(struct arena *arena, const struct json *list, struct image_strings *ret, struct err *err)
{
    size_t count = json_is(list, JSON_ARRAY) ? list->count : 0;
    struct str *items = arena_array_of(arena, MAX(count, 1), struct str);

    if (!items)
        return err_set(err, ERR_NO_MEMORY, "list of images");
    for (size_t i = 0; i < count; i++)
        items[i] = json_str(&list->items[i]);
    *ret = (struct image_strings){ items, count };
    return 0;
}

static int read_image(const char *dir, struct arena *arena, const struct json *record, struct image **ret_image,
                      struct err *err)
{
    AUTO_DEINIT(buf, config) = BUF_INIT;
    uint64_t sizes[IMAGE_LAYERS_MAX];
    const struct json *list = json_member(record, "sizes");
    size_t count = json_is(list, JSON_ARRAY) ? list->count : 0;
    struct image_parts parts = { .sizes = sizes, .size_count = count };
    AUTO(image) image = NULL;
    char path[PATH_MAX];
    struct digest id;
    int r = digest_parse(json_str_at(record, "id"), &id, err);

    if (r < 0 || count > IMAGE_LAYERS_MAX)
        return r < 0 ? r : err_set(err, ERR_INVALID, "too many layers");
    for (size_t i = 0; i < count; i++)
        sizes[i] = (uint64_t)MAX(json_int(&list->items[i], 0), 0);
    snprintf(path, sizeof path, "%s/blobs/%s", dir, id.text + 7);
    digest_parse(json_str_at(record, "manifest"), &parts.manifest, NULL);
    digest_parse(json_str_at(record, "attributes"), &parts.attributes, NULL);
    if ((r = read_strings(arena, json_member(record, "repoTags"), &parts.repo_tags, err)) < 0 ||
        (r = read_strings(arena, json_member(record, "repoDigests"), &parts.repo_digests, err)) < 0 ||
        (r = file_read(path, IMAGE_CONFIG_MAX, &config, err)) < 0)
        return r;
    parts.config_json = buf_str(&config);
    if ((r = image_new(&parts, &image, err)) < 0)
        return r;
    if (!digest_eq(&image->id, &id))
        return err_set(err, ERR_INVALID, "%s is damaged", path);
    *ret_image = TAKE(image);
    return 0;
}

static int read_index(const char *dir, struct arena *arena, struct str text, struct store_index *index, struct err *err)
{
    struct json *root;
    int r = json_parse(arena, text, NULL, &root, err);

    if (r < 0)
        return r;
    if (json_int(json_member(root, "version"), 0) != 1)
        return err_set(err, ERR_NOT_SUPPORTED, "written by another version");
    const struct json *list = json_member(root, "images");
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++) {
        const struct json *record = &list->items[i];
        struct index_entry entry = { NULL, json_int(json_member(record, "firstSeen"), 0),
                                     json_int(json_member(record, "lastUsed"), 0) };
        r = read_image(dir, arena, record, &entry.image, err);
        if (r == -ERR_NO_MEMORY)
            return r;
        if (r < 0)
            continue;
        if (vec_push(&index->entries, entry) < 0) {
            image_drop(entry.image);
            return err_set(err, ERR_NO_MEMORY, "list of images");
        }
    }
    return 0;
}

int store_index_load(const char *dir, struct store_index *ret_index, struct err *err)
{
    AUTO_DEINIT(store_index, index) = { VEC_INIT };
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO(arena) arena = arena_new(0);
    char path[PATH_MAX];

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "list of images");
    snprintf(path, sizeof path, "%s/images.json", dir);
    int r = file_read(path, INDEX_MAX, &text, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    if (r == 0 && (r = read_index(dir, arena, buf_str(&text), &index, err)) < 0)
        return err_wrap(err, r, "%s", path);
    *ret_index = index;
    index = (struct store_index){ VEC_INIT };
    return 0;
}

static void write_strings(struct json_writer *w, struct str key, const struct image_strings *strings)
{
    jw_key(w, key);
    jw_begin_array(w);
    for (size_t i = 0; i < strings->count; i++)
        jw_str(w, strings->items[i]);
    jw_end_array(w);
}

static void write_entry(struct json_writer *w, const struct index_entry *entry)
{
    const struct image *image = entry->image;

    jw_begin_object(w);
    jw_field_str(w, "id", digest_str(&image->id));
    if (image->manifest.text[0])
        jw_field_str(w, "manifest", digest_str(&image->manifest));
    if (image->attributes.text[0])
        jw_field_str(w, "attributes", digest_str(&image->attributes));
    write_strings(w, STR("repoTags"), &image->repo_tags);
    write_strings(w, STR("repoDigests"), &image->repo_digests);
    jw_key(w, STR("sizes"));
    jw_begin_array(w);
    for (size_t i = 0; i < image->layer_count; i++)
        jw_int(w, (int64_t)image->layers[i].size);
    jw_end_array(w);
    jw_field_int(w, "firstSeen", entry->first_seen);
    jw_field_int(w, "lastUsed", entry->last_used);
    jw_end_object(w);
}

int store_index_save(const char *dir, const struct store_index *index, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json_writer w = json_writer(&text);
    char path[PATH_MAX];

    jw_begin_object(&w);
    jw_field_int(&w, "version", 1);
    jw_key(&w, STR("images"));
    jw_begin_array(&w);
    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));)
        write_entry(&w, entry);
    jw_end_array(&w);
    jw_end_object(&w);
    if (!buf_ok(&text))
        return err_set(err, ERR_NO_MEMORY, "list of images");
    snprintf(path, sizeof path, "%s/images.json", dir);
    return file_write_atomic(path, buf_str(&text), 0600, err);
}
