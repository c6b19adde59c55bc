/* normalize.c - the decoder's half of admission: what a client sent becomes what the table allows, in place.
 *
 * Nothing is allocated when the object is canonical already, as all that components write is; then this is one walk.
 * Members out of order are sorted at the end of their object; empty ones go where Go would not write them. Values of
 * wrong kinds are errors for built-in types, as they are for a decoder into Go structs; below a dynamic type they stay,
 * and object_check() reports them, as validation by a CustomResourceDefinition's schema does. */
#include <stdio.h>

#include "schema/object.h"
#include "schema/quantity.h"
#include "schema/time.h"
#include "schema/walk.h"

#define UNKNOWN_MAX 256

struct normalizer {
    struct arena *arena;
    struct json *unknown;
    struct err *err;
};

static int normalize_value(struct normalizer *n, const struct type *type, bool dynamic, struct json *json,
                           const struct path *path);

static int no_memory(struct normalizer *n)
{
    return err_set(n->err, ERR_NO_MEMORY, "decoding an object");
}

/* --- quantities --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Most quantities are canonical: few digits, a suffix that no larger one could replace. False: ask the parser. */
static bool quantity_is_canonical(struct str text)
{
    struct str suffix;
    int value = 0;
    size_t digits = 0;

    for (; digits < text.len && digits < 6 && is_digit(text.data[digits]); digits++)
        value = value * 10 + (text.data[digits] - '0');
    suffix = str_skip(text, digits);
    if (digits == 0 || text.data[0] == '0')
        return text.len == 1 && digits == 1;
    if (suffix.len == 2)
        return suffix.data[1] == 'i' && memchr("KMGT", suffix.data[0], 4) && value % 1024 != 0;
    return value % 1000 != 0 && (suffix.len == 0 || (suffix.len == 1 && memchr("numkMGT", suffix.data[0], 7)));
}

static int normalize_quantity(struct normalizer *n, const struct type *type, struct json *json, const struct path *path)
{
    struct quantity quantity;
    struct str text;

    if (json->kind != JSON_STRING && json->kind != JSON_NUMBER)
        return kind_error(n->err, path, type, json);
    text = json->kind == JSON_STRING ? json->string : json->number.text;
    if (!quantity_is_canonical(text)) {
        if (!quantity_parse(text, &quantity))
            return value_error(n->err, path,
                               "quantities must match the regular expression "
                               "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
        struct str canonical = quantity_text(n->arena, quantity);

        if (!canonical.data)
            return no_memory(n);
        text = canonical;
    }
    *json = (struct json){ .kind = JSON_STRING, .string = text };
    return 0;
}

/* --- times --- */

/* 0000-00-00T00:00:00Z, or with .000000 before the Z. The parser has already found the numbers sensible. */
static bool time_is_canonical(struct str text, bool micro)
{
    static const char shape[] = "0000-00-00T00:00:00.000000";
    size_t len = micro ? 26 : 19;

    if (text.len != len + 1 || text.data[len] != 'Z')
        return false;
    for (size_t i = 0; i < len; i++)
        if (shape[i] == '0' ? !is_digit(text.data[i]) : text.data[i] != shape[i])
            return false;
    return true;
}

static int normalize_time(struct normalizer *n, const struct type *type, struct json *json, const struct path *path)
{
    bool micro = type->kind == TYPE_MICRO_TIME;
    char out[API_TIME_LEN];
    nsec_t time;

    if (json->kind != JSON_STRING)
        return kind_error(n->err, path, type, json);
    if (!api_time_parse(json->string, &time)) {
        char why[160];

        snprintf(why, sizeof why, "parsing time \"" STR_FMT "\" as \"%s\": cannot parse",
                 STR_ARG(str_first(json->string, 40)),
                 micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00");
        return value_error(n->err, path, why);
    }
    if (time_is_canonical(json->string, micro))
        return 0;
    json->string = arena_str(n->arena, micro ? api_micro_time_text(time, out) : api_time_text(time, out));
    return json->string.data ? 0 : no_memory(n);
}

/* --- base64 --- */

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* How many unused bits the last character before the padding carries; they are zero in canonical text. */
static int base64_unused(size_t padding)
{
    return padding == 2 ? 16 : padding == 1 ? 4 : 1;
}

static size_t base64_padding(struct str text)
{
    size_t padding = 0;

    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    return padding;
}

static bool base64_is_canonical(struct str text)
{
    size_t padding = base64_padding(text), body = text.len - padding;
    const char *last;

    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < body; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !is_digit((char)c) && c != '+' && c != '/')
            return false;
    }
    if (padding == 0)
        return true;
    last = memchr(base64_alphabet, text.data[body - 1], 64);
    return last && (last - base64_alphabet) % base64_unused(padding) == 0;
}

/* Go's decoder skips line ends and does not look at the unused bits; what it then writes has neither. */
static struct str base64_canonical(struct arena *arena, struct str text)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0, padding;
    const char *last;

    if (!out)
        return STR_NULL;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\r' && text.data[i] != '\n')
            out[len++] = text.data[i];
    padding = base64_padding(str_of(out, len));
    last = len > padding ? memchr(base64_alphabet, out[len - padding - 1], 64) : NULL;
    if (last)
        out[len - padding - 1] =
            base64_alphabet[(last - base64_alphabet) / base64_unused(padding) * base64_unused(padding)];
    return str_of(out, len);
}

static int normalize_bytes(struct normalizer *n, const struct type *type, struct json *json, const struct path *path)
{
    struct str text;

    if (json->kind != JSON_STRING)
        return kind_error(n->err, path, type, json);
    if (base64_is_canonical(json->string))
        return 0;
    text = base64_canonical(n->arena, json->string);
    if (!text.data)
        return no_memory(n);
    if (!base64_is_canonical(text))
        return value_error(n->err, path, "illegal base64 data");
    json->string = text;
    return 0;
}

/* --- scalars --- */

static bool scalar_fits(const struct type *type, const struct json *json)
{
    bool integer = json->kind == JSON_NUMBER && json->is_int;

    switch (type->kind) {
    case TYPE_STRING: return json->kind == JSON_STRING;
    case TYPE_BOOL: return json->kind == JSON_BOOL;
    case TYPE_INT64: return integer;
    case TYPE_INT_OR_STRING:
        if (json->kind == JSON_STRING)
            return true;
        /* fallthrough */
    case TYPE_INT32: return integer && json->number.i64 >= INT32_MIN && json->number.i64 <= INT32_MAX;
    case TYPE_DOUBLE: return json->kind == JSON_NUMBER;
    default: return true;
    }
}

/* What null means where it cannot be left out: Go's zero value of an element. */
static void set_zero(const struct type *type, struct json *json)
{
    static const enum json_kind kinds[] = {
        [TYPE_STRING] = JSON_STRING,   [TYPE_BYTES] = JSON_STRING,
        [TYPE_BOOL] = JSON_BOOL,       [TYPE_INT32] = JSON_NUMBER,
        [TYPE_INT64] = JSON_NUMBER,    [TYPE_DOUBLE] = JSON_NUMBER,
        [TYPE_TIME] = JSON_NULL,       [TYPE_MICRO_TIME] = JSON_NULL,
        [TYPE_QUANTITY] = JSON_STRING, [TYPE_INT_OR_STRING] = JSON_NUMBER,
        [TYPE_ANY] = JSON_NULL,        [TYPE_STRUCT] = JSON_OBJECT,
        [TYPE_LIST] = JSON_ARRAY,      [TYPE_MAP] = JSON_OBJECT,
    };

    *json = (struct json){ .kind = kinds[type->kind] };
    if (json->kind == JSON_STRING)
        json->string = type->kind == TYPE_QUANTITY ? STR("0") : STR("");
    if (json->kind == JSON_NUMBER) {
        json->is_int = true;
        json->number.text = STR("0");
    }
}

/* --- structs, lists, maps --- */

static int note_unknown(struct normalizer *n, const struct path *path)
{
    char text[PATH_TEXT_MAX];
    struct json *item;

    if (!n->unknown || n->unknown->count >= UNKNOWN_MAX)
        return 0;
    item = json_new_str(n->arena, arena_str(n->arena, path_text(path, PATH_DECODER, text)));
    return item && item->string.data && json_append(n->arena, n->unknown, item) ? 0 : no_memory(n);
}

static int normalize_struct(struct normalizer *n, const struct type *type, struct json *json, const struct path *path)
{
    struct field_cursor cursor = field_cursor(type);
    bool dynamic = type_is_dynamic(type), sorted = true;
    uint32_t kept = 0, count = json->count;
    int r;

    for (uint32_t i = 0; i < count; i++) {
        struct json_member *member = &json->members[i];
        uint32_t expected = cursor.next;
        const struct field *field = field_cursor_find(&cursor, member->key);
        struct path at = path_field(path, type, member->key);

        if (!field && !type->preserve_unknown) {
            r = note_unknown(n, &at);
            if (r < 0)
                return r;
            continue;
        }
        if (field && member->value.kind == JSON_NULL && !(field->flags & FIELD_NULLABLE))
            continue;
        sorted &= field && cursor.next > expected;
        r = field ? normalize_value(n, field->type, dynamic, &member->value, &at) : 0;
        if (r < 0)
            return r;
        if (field && field->flags & FIELD_OMIT_EMPTY && json_is_empty(&member->value))
            continue;
        if (kept < i)
            json->members[kept] = *member;
        kept++;
    }
    if (kept < count) {
        json->count = kept;
        json->index = NULL;
    }
    if (!sorted && !members_sorted(json))
        members_sort(json);
    return 0;
}

static int normalize_list(struct normalizer *n, const struct type *type, bool dynamic, struct json *json,
                          const struct path *path)
{
    int r;

    for (uint32_t i = 0; i < json->count; i++) {
        struct path at = path_index(path, i);

        if (json->items[i].kind == JSON_NULL && !dynamic)
            set_zero(type->elem, &json->items[i]);
        r = normalize_value(n, type->elem, dynamic, &json->items[i], &at);
        if (r < 0)
            return r;
    }
    return 0;
}

static int normalize_map(struct normalizer *n, const struct type *type, bool dynamic, struct json *json,
                         const struct path *path)
{
    int r;

    for (uint32_t i = 0; i < json->count; i++) {
        struct json_member *member = &json->members[i];
        struct path at = path_key(path, member->key);

        if (member->value.kind == JSON_NULL && !dynamic)
            set_zero(type->elem, &member->value);
        r = normalize_value(n, type->elem, dynamic, &member->value, &at);
        if (r < 0)
            return r;
    }
    if (!members_sorted(json))
        members_sort(json);
    return 0;
}

static int normalize_value(struct normalizer *n, const struct type *type, bool dynamic, struct json *json,
                           const struct path *path)
{
    enum json_kind wanted;

    switch (type->kind) {
    case TYPE_ANY: return 0;
    case TYPE_STRUCT:
    case TYPE_MAP: wanted = JSON_OBJECT; break;
    case TYPE_LIST: wanted = JSON_ARRAY; break;
    case TYPE_QUANTITY: return dynamic ? 0 : normalize_quantity(n, type, json, path);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return dynamic || json->kind == JSON_NULL ? 0 : normalize_time(n, type, json, path);
    case TYPE_BYTES: return dynamic ? 0 : normalize_bytes(n, type, json, path);
    default: return dynamic || scalar_fits(type, json) ? 0 : kind_error(n->err, path, type, json);
    }
    if (json->kind != wanted)
        return dynamic ? 0 : kind_error(n->err, path, type, json);
    if (type->kind == TYPE_STRUCT)
        return normalize_struct(n, type, json, path);
    if (type->kind == TYPE_LIST)
        return normalize_list(n, type, dynamic, json, path);
    return normalize_map(n, type, dynamic, json, path);
}

int object_normalize(struct arena *arena, const struct type *type, struct json *object, struct json *unknown,
                     struct err *err)
{
    struct normalizer n = { arena, unknown, err };

    return normalize_value(&n, type, false, object, NULL);
}
