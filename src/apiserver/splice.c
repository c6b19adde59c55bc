/* splice.c - canonical text with the place of the revision.
 *
 * The place is found by writing metadata member by member; searching the text would find a label of that name. */
#include "apiserver/splice.h"

#include "store/store.h"

static void write_metadata(struct buf *buf, const struct json *metadata, uint32_t *ret_at)
{
    struct json_writer w = json_writer(buf);

    jw_begin_object(&w);
    for (uint32_t i = 0; i < metadata->count; i++) {
        const struct json_member *member = &metadata->members[i];

        jw_key(&w, member->key);
        if (str_is(member->key, "resourceVersion")) {
            *ret_at = (uint32_t)buf->len + 1;
            jw_str(&w, STR(""));
        } else {
            jw_json(&w, &member->value);
        }
    }
    jw_end_object(&w);
}

/* Where the members of metadata's table order put it: before "selfLink" and "uid", behind everything else. */
static int ensure_version(struct arena *arena, struct json *metadata, struct err *err)
{
    struct json *version = json_member(metadata, "resourceVersion");

    if (version && version->kind == JSON_STRING)
        return 0;
    if (!json_set_str(arena, metadata, STR("resourceVersion"), STR("")))
        return err_set(err, ERR_NO_MEMORY, "object metadata");
    return 0;
}

static bool is_sorted(const struct json *object)
{
    for (uint32_t i = 1; i < object->count; i++)
        if (str_cmp(object->members[i - 1].key, object->members[i].key) > 0)
            return false;
    return true;
}

static int compare_members(const void *a, const void *b)
{
    return str_cmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

/* The index of a large object refers to places, so it may not be sorted in place: a new one is built. */
static int sort_members(struct arena *arena, struct json *object, struct err *err)
{
    struct json_member *members;
    struct json *sorted;

    if (is_sorted(object))
        return 0;
    members = arena_array_of(arena, object->count, struct json_member);
    sorted = json_new(arena, JSON_OBJECT);
    if (!members || !sorted)
        return err_set(err, ERR_NO_MEMORY, "object members");
    memcpy(members, object->members, object->count * sizeof *members);
    qsort(members, object->count, sizeof *members, compare_members);
    for (uint32_t i = 0; i < object->count; i++)
        if (!json_set(arena, sorted, members[i].key, &members[i].value))
            return err_set(err, ERR_NO_MEMORY, "object members");
    *object = *sorted;
    return 0;
}

int splice_object(struct arena *arena, struct json *object, struct spliced *ret_spliced, struct err *err)
{
    struct json *metadata = json_ensure(arena, object, STR("metadata"), JSON_OBJECT);
    struct spliced spliced = { .at = UINT32_MAX };
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);
    int code;

    if (!metadata)
        return err_set(err, ERR_NO_MEMORY, "object metadata");
    if ((code = ensure_version(arena, metadata, err)) < 0 || (code = sort_members(arena, metadata, err)) < 0 ||
        (code = sort_members(arena, object, err)) < 0)
        return code;
    buf_init(&buf, STORE_VALUE_MAX - 32);
    jw_begin_object(&w);
    for (uint32_t i = 0; i < object->count; i++) {
        const struct json_member *member = &object->members[i];

        jw_key(&w, member->key);
        if (str_is(member->key, "metadata")) {
            write_metadata(&buf, &member->value, &spliced.at);
            w.comma = true;
        } else {
            jw_json(&w, &member->value);
        }
    }
    jw_end_object(&w);
    if (!buf_ok(&buf))
        return err_set(err, ERR_TOO_LARGE, "the object is too large to be stored");
    spliced.text = arena_str(arena, buf_str(&buf));
    if (!spliced.text.data)
        return err_set(err, ERR_NO_MEMORY, "object text");
    *ret_spliced = spliced;
    return 0;
}

bool splice_equal(const struct spliced *spliced, struct str stored)
{
    size_t tail = spliced->text.len - spliced->at, digits;

    if (stored.len <= spliced->text.len || memcmp(stored.data, spliced->text.data, spliced->at) != 0)
        return false;
    digits = stored.len - spliced->text.len;
    for (size_t i = 0; i < digits; i++)
        if (stored.data[spliced->at + i] < '0' || stored.data[spliced->at + i] > '9')
            return false;
    return memcmp(stored.data + spliced->at + digits, spliced->text.data + spliced->at, tail) == 0;
}

struct str splice_fill(struct arena *arena, const struct spliced *spliced, struct str revision)
{
    size_t len = spliced->text.len + revision.len;
    char *out = arena_alloc(arena, len + 1);

    if (!out)
        return STR_NULL;
    memcpy(out, spliced->text.data, spliced->at);
    memcpy(out + spliced->at, revision.data, revision.len);
    memcpy(out + spliced->at + revision.len, spliced->text.data + spliced->at, spliced->text.len - spliced->at);
    return str_of(out, len);
}
