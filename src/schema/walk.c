/* walk.c - members over fields, paths, slots.
 *
 * The store keeps objects in the order of their tables, so a cursor that expects the next field, or one a few further
 * on, finds nearly all members without a search; whatever comes out of order is found by bisection. */
#include "schema/walk.h"

#define CURSOR_STEPS 3

static const struct field *search(const struct type *type, uint32_t low, uint32_t high, struct str name,
                                  uint32_t *ret_index)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = name_cmp(name, type->fields[middle].name);

        if (order == 0) {
            *ret_index = middle;
            return &type->fields[middle];
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct field *field_cursor_find(struct field_cursor *cursor, struct str name)
{
    const struct type *type = cursor->type;
    uint32_t low = cursor->next, high = type->field_count, found;
    const struct field *field;

    for (int step = 0; step < CURSOR_STEPS && low < high; step++, low++) {
        int order = name_cmp(name, type->fields[low].name);

        if (order == 0) {
            cursor->next = low + 1;
            return &type->fields[low];
        }
        if (order < 0) {
            high = low;
            low = 0;
            break;
        }
    }
    field = search(type, low, high, name, &found);
    if (!field && low > 0)
        field = search(type, 0, MIN(low, type->field_count), name, &found);
    if (field)
        cursor->next = found + 1;
    return field;
}

/* --- paths --- */

struct path_writer {
    char *out;
    size_t len;
};

static void path_put(struct path_writer *w, struct str s)
{
    size_t len = MIN(s.len, PATH_TEXT_MAX - 1 - w->len);

    if (len > 0)
        memcpy(w->out + w->len, s.data, len);
    w->len += len;
}

static void path_put_frame(struct path_writer *w, const struct path *path, enum path_style style)
{
    char number[16];

    if (path->up)
        path_put_frame(w, path->up, style);
    if (path->owner || (path->name.data && style == PATH_DECODER)) {
        if (w->len > 0)
            path_put(w, STR("."));
        path_put(w, path->name);
    } else if (style != PATH_GO) {
        snprintf(number, sizeof number, "%u", path->index);
        path_put(w, STR("["));
        path_put(w, path->name.data ? path->name : str_from(number));
        path_put(w, STR("]"));
    }
}

struct str path_text(const struct path *path, enum path_style style, char out[PATH_TEXT_MAX])
{
    struct path_writer w = { out, 0 };

    if (path)
        path_put_frame(&w, path, style);
    out[w.len] = '\0';
    return (struct str){ out, w.len };
}

/* --- errors of the decoder --- */

/* "io.k8s.api.core.v1.PodSpec" is "v1.PodSpec" in Go, and "PodSpec" among its own. */
static struct str type_short_name(const struct type *type, int components)
{
    struct str name = type->name;

    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '.' && --components == 0)
            return str_skip(name, i);
    return name.len ? name : STR("object");
}

static struct str type_go_name(const struct type *type, char out[PATH_TEXT_MAX])
{
    static const struct str names[] = {
        [TYPE_STRING] = STR_INIT("string"),
        [TYPE_BYTES] = STR_INIT("[]uint8"),
        [TYPE_BOOL] = STR_INIT("bool"),
        [TYPE_INT32] = STR_INIT("int32"),
        [TYPE_INT64] = STR_INIT("int64"),
        [TYPE_DOUBLE] = STR_INIT("float64"),
        [TYPE_TIME] = STR_INIT("string"),
        [TYPE_MICRO_TIME] = STR_INIT("string"),
        [TYPE_QUANTITY] = STR_INIT("string"),
        [TYPE_INT_OR_STRING] = STR_INIT("int32"),
        [TYPE_ANY] = STR_INIT("runtime.RawExtension"),
    };
    struct path_writer w = { out, 0 };

    for (; type->kind == TYPE_LIST || type->kind == TYPE_MAP; type = type->elem)
        path_put(&w, type->kind == TYPE_LIST ? STR("[]") : STR("map[string]"));
    path_put(&w, type->kind == TYPE_STRUCT ? type_short_name(type, 2) : names[type->kind]);
    return (struct str){ out, w.len };
}

static struct str json_go_kind(const struct json *json)
{
    switch (json->kind) {
    case JSON_NULL: return STR("null");
    case JSON_BOOL: return STR("bool");
    case JSON_NUMBER: return STR("number");
    case JSON_STRING: return STR("string");
    case JSON_ARRAY: return STR("array");
    case JSON_OBJECT: return STR("object");
    }
    return STR("value");
}

int kind_error(struct err *err, const struct path *path, const struct type *type, const struct json *json)
{
    bool number = json->kind == JSON_NUMBER &&
                  (type->kind == TYPE_INT32 || type->kind == TYPE_INT64 || type->kind == TYPE_INT_OR_STRING);
    char text[PATH_TEXT_MAX], name[PATH_TEXT_MAX];
    struct str what = json_go_kind(json), where, go = type_go_name(type, name);
    struct str digits = number ? str_first(json->number.text, 64) : STR("");
    const struct path *at = path;

    while (at && !at->owner)
        at = at->up;
    if (!at)
        return err_set(err, ERR_BAD_REQUEST,
                       "json: cannot unmarshal " STR_FMT "%s" STR_FMT " into Go value of type " STR_FMT, STR_ARG(what),
                       number ? " " : "", STR_ARG(digits), STR_ARG(go));
    where = path_text(at, PATH_GO, text);
    return err_set(err, ERR_BAD_REQUEST,
                   "json: cannot unmarshal " STR_FMT "%s" STR_FMT " into Go struct field " STR_FMT "." STR_FMT
                   " of type " STR_FMT,
                   STR_ARG(what), number ? " " : "", STR_ARG(digits), STR_ARG(type_short_name(at->owner, 1)),
                   STR_ARG(where), STR_ARG(go));
}

int value_error(struct err *err, const struct path *path, const char *why)
{
    char text[PATH_TEXT_MAX];

    return err_set(err, ERR_BAD_REQUEST, STR_FMT ": %s", STR_ARG(path_text(path, PATH_VALIDATION, text)), why);
}

bool json_is_empty(const struct json *json)
{
    switch (json->kind) {
    case JSON_NULL: return true;
    case JSON_BOOL: return !json->boolean;
    case JSON_NUMBER: return json_double(json, 1) == 0;
    case JSON_STRING: return json->string.len == 0;
    case JSON_ARRAY:
    case JSON_OBJECT: return json->count == 0;
    }
    return false;
}

/* --- order of members --- */

#define SORT_BY_INSERTION 32

bool members_sorted(const struct json *object)
{
    for (uint32_t i = 1; i < object->count; i++)
        if (name_cmp(object->members[i - 1].key, object->members[i].key) > 0)
            return false;
    return true;
}

static int member_order(const void *a, const void *b)
{
    return name_cmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

void members_sort(struct json *object)
{
    struct json_member *members = object->members;

    object->index = NULL;
    if (object->count > SORT_BY_INSERTION) {
        qsort(members, object->count, sizeof *members, member_order);
        return;
    }
    for (uint32_t i = 1; i < object->count; i++) {
        struct json_member moved = members[i];
        uint32_t at = i;

        for (; at > 0 && name_cmp(members[at - 1].key, moved.key) > 0; at--)
            members[at] = members[at - 1];
        members[at] = moved;
    }
}

/* --- slots --- */

size_t element_size(const struct type *elem)
{
    switch (elem->kind) {
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_QUANTITY: return sizeof(struct str);
    case TYPE_BOOL: return sizeof(bool);
    case TYPE_INT32: return sizeof(int32_t);
    case TYPE_INT64: return sizeof(int64_t);
    case TYPE_DOUBLE: return sizeof(double);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return sizeof(struct api_time);
    case TYPE_INT_OR_STRING: return sizeof(struct int_or_string);
    case TYPE_ANY: return sizeof(const struct json *);
    case TYPE_STRUCT: return elem->size;
    case TYPE_LIST:
    case TYPE_MAP: return sizeof(struct any_array);
    }
    return 0;
}

bool slot_bool(uint32_t flags, const void *slot, bool *ret_value)
{
    const struct opt_bool *opt = slot;

    if (slot_is_plain(flags))
        return *ret_value = *(const bool *)slot, true;
    if (opt->set)
        *ret_value = opt->value;
    return opt->set;
}

bool slot_int(const struct type *type, uint32_t flags, const void *slot, int64_t *ret_value)
{
    bool plain = slot_is_plain(flags);

    if (type->kind == TYPE_INT32) {
        const struct opt_i32 *opt = slot;

        if (plain || opt->set)
            *ret_value = plain ? *(const int32_t *)slot : opt->value;
        return plain || opt->set;
    }
    const struct opt_i64 *opt = slot;

    if (plain || opt->set)
        *ret_value = plain ? *(const int64_t *)slot : opt->value;
    return plain || opt->set;
}

bool slot_double(uint32_t flags, const void *slot, double *ret_value)
{
    const struct opt_double *opt = slot;

    if (slot_is_plain(flags))
        return *ret_value = *(const double *)slot, true;
    if (opt->set)
        *ret_value = opt->value;
    return opt->set;
}
