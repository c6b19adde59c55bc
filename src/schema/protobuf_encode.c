/* protobuf_encode.c - from a tree to protobuf's wire format, by table.
 *
 * The rows of a type are walked in the order of their numbers, from the last to the first, as the writer goes
 * backwards; rows of a struct that Go embeds share the beginning of their numbers and lie together, so that such a
 * group becomes one message. Members are looked up in the order of the tree, which is the table's in all that was
 * normalized.
 *
 * What is written is what Kubernetes' generated marshallers write, byte by byte: a field that is no pointer in Go is
 * there even when it is empty, an empty list is not, maps go by their keys. */
#include "schema/protobuf.h"

#include "codec/base64.h"
#include "codec/pb_wire.h"
#include "schema/protobuf_row.h"
#include "schema/time.h"
#include "schema/walk.h"

struct encoder {
    struct pb_writer w;
    struct buf text; /* of raw JSON, again and again */
    struct err *err;
    int depth;
};

static int misfit(struct encoder *e, const struct type *type)
{
    return err_set(e->err, ERR_INTERNAL, "a value of kind %d does not fit protobuf", (int)type->kind);
}

/* -- scalars -- */

static int put_number(struct encoder *e, const struct type *type, uint32_t number, const struct json *json)
{
    double value;
    uint64_t bits;

    switch (type->kind) {
    case TYPE_BOOL:
        if (json->kind != JSON_BOOL)
            return misfit(e, type);
        pb_field_varint(&e->w, number, json->boolean);
        return 0;
    case TYPE_INT32:
    case TYPE_INT64:
        if (json->kind != JSON_NUMBER || !json->is_int ||
            (type->kind == TYPE_INT32 && json->number.i64 != (int32_t)json->number.i64))
            return misfit(e, type);
        pb_field_varint(&e->w, number, (uint64_t)json->number.i64);
        return 0;
    default:
        if (json->kind != JSON_NUMBER)
            return misfit(e, type);
        value = json_double(json, 0);
        memcpy(&bits, &value, sizeof bits);
        pb_field_64(&e->w, number, bits);
        return 0;
    }
}

static int put_base64(struct encoder *e, uint32_t number, struct str text)
{
    struct str bytes;

    if (!base64_decode(e->w.arena, text, &bytes))
        return misfit(e, &type_bytes);
    pb_field_bytes(&e->w, number, bytes);
    return 0;
}

/* {seconds = 1, nanos = 2}, both always; what is no MicroTime has whole seconds. */
static int put_time(struct encoder *e, const struct type *type, uint32_t number, struct str text)
{
    size_t mark = pb_len(&e->w);
    nsec_t time, seconds, nanos;

    if (!api_time_parse(text, &time))
        return misfit(e, type);
    seconds = time / NSEC_PER_SEC;
    nanos = time % NSEC_PER_SEC;
    if (nanos < 0) {
        nanos += NSEC_PER_SEC;
        seconds--;
    }
    pb_field_varint(&e->w, 2, type->kind == TYPE_MICRO_TIME ? (uint64_t)(nanos / 1000 * 1000) : 0);
    pb_field_varint(&e->w, 1, (uint64_t)seconds);
    pb_field_since(&e->w, number, mark);
    return 0;
}

static void put_in_message(struct encoder *e, uint32_t number, struct str bytes)
{
    size_t mark = pb_len(&e->w);

    pb_field_bytes(&e->w, 1, bytes);
    pb_field_since(&e->w, number, mark);
}

static int put_int_or_string(struct encoder *e, uint32_t number, const struct json *json)
{
    size_t mark = pb_len(&e->w);
    bool is_string = json->kind == JSON_STRING;

    if (!is_string && (json->kind != JSON_NUMBER || !json->is_int || json->number.i64 != (int32_t)json->number.i64))
        return misfit(e, &type_int_or_string);
    pb_field_bytes(&e->w, 3, is_string ? json->string : STR(""));
    pb_field_varint(&e->w, 2, is_string ? 0 : (uint64_t)json->number.i64);
    pb_field_varint(&e->w, 1, is_string);
    pb_field_since(&e->w, number, mark);
    return 0;
}

static int put_text(struct encoder *e, const struct type *type, uint32_t number, struct str text)
{
    switch (type->kind) {
    case TYPE_STRING: pb_field_bytes(&e->w, number, text); return 0;
    case TYPE_BYTES: return put_base64(e, number, text);
    case TYPE_QUANTITY: put_in_message(e, number, text); return 0;
    default: return put_time(e, type, number, text);
    }
}

static int put_raw(struct encoder *e, uint32_t number, const struct json *json)
{
    buf_clear(&e->text);
    json_write(&e->text, json);
    if (!buf_ok(&e->text))
        e->w.failed = true;
    put_in_message(e, number, buf_str(&e->text));
    return 0;
}

/* -- values by type; owner: the struct that the field belongs to -- */

static int put_message(struct encoder *e, const struct type *type, uint32_t number, const struct json *object);
static int put_list(struct encoder *e, const struct type *owner, const struct type *elem, uint32_t number,
                    const struct json *array);

/* {1: a schema, 2: several of them or strings}, {1: allowed, 2: a schema}. */
static int put_schema_or(struct encoder *e, const struct type *owner, const struct type *type, uint32_t number,
                         const struct json *json)
{
    static const struct json yes = { .kind = JSON_BOOL, .boolean = true };
    bool or_bool = type->any_form == ANY_SCHEMA_OR_BOOL;
    size_t mark = pb_len(&e->w);
    int code = 0;

    if (json->kind == JSON_OBJECT)
        code = put_message(e, owner, or_bool ? 2 : 1, json);
    if (code == 0 && or_bool)
        code = put_number(e, &type_bool, 1, json->kind == JSON_OBJECT ? &yes : json);
    else if (code == 0 && json->kind != JSON_OBJECT)
        code = put_list(e, owner, type->any_form == ANY_SCHEMA_OR_LIST ? owner : &type_string, 2, json);
    pb_field_since(&e->w, number, mark);
    return code;
}

static int put_value(struct encoder *e, const struct type *owner, const struct type *type, uint32_t number,
                     const struct json *json)
{
    size_t mark = pb_len(&e->w);
    int code;

    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_QUANTITY:
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return json->kind == JSON_STRING ? put_text(e, type, number, json->string) : misfit(e, type);
    case TYPE_INT_OR_STRING: return put_int_or_string(e, number, json);
    case TYPE_ANY:
        return type->any_form == ANY_JSON ? put_raw(e, number, json) : put_schema_or(e, owner, type, number, json);
    case TYPE_STRUCT: return put_message(e, type, number, json);
    case TYPE_LIST:
        /* In a map: a message of its own. */
        if ((code = put_list(e, owner, type->elem, 1, json)) == 0)
            pb_field_since(&e->w, number, mark);
        return code;
    case TYPE_MAP: return misfit(e, type);
    default: return put_number(e, type, number, json);
    }
}

static int put_list(struct encoder *e, const struct type *owner, const struct type *elem, uint32_t number,
                    const struct json *array)
{
    int code = array->kind == JSON_ARRAY ? 0 : misfit(e, elem);

    for (uint32_t i = array->count; code == 0 && i-- > 0;)
        code = put_value(e, owner, elem, number, &array->items[i]);
    return code;
}

/* By their keys, whatever order they have in the tree. */
static const struct json *sorted(struct encoder *e, const struct json *map, struct json *copy)
{
    if (members_sorted(map))
        return map;
    *copy = (struct json){ .kind = JSON_OBJECT, .count = map->count, .cap = map->count };
    copy->members = arena_array_of(e->w.arena, map->count, struct json_member);
    if (!copy->members) {
        e->w.failed = true;
        return map;
    }
    memcpy(copy->members, map->members, map->count * sizeof *map->members);
    members_sort(copy);
    return copy;
}

static int put_map(struct encoder *e, const struct type *owner, const struct type *elem, uint32_t number,
                   const struct json *map)
{
    struct json copy;
    int code = map->kind == JSON_OBJECT ? 0 : misfit(e, elem);

    if (code < 0)
        return code;
    map = sorted(e, map, &copy);
    for (uint32_t i = map->count; code == 0 && i-- > 0;) {
        const struct json_member *member = &map->members[i];
        size_t mark = pb_len(&e->w);

        code = put_value(e, owner, elem, 2, &member->value);
        pb_field_bytes(&e->w, 1, member->key);
        pb_field_since(&e->w, number, mark);
    }
    return code;
}

/* -- messages -- */

/* A field that is not there, or null: written where Go has no way to leave it out. */
static int put_absent(struct encoder *e, const struct field *field, uint32_t number)
{
    static const struct json nothing = { .kind = JSON_OBJECT };
    bool plain = !(field->flags & FIELD_POINTER) && field->flags & (FIELD_ALWAYS | FIELD_OMIT_EMPTY);

    if (field->flags & FIELD_INLINE)
        return put_message(e, field->type, number, &nothing);
    if (!plain)
        return 0;
    switch (field->type->kind) {
    case TYPE_STRING:
    case TYPE_TIME:
    case TYPE_MICRO_TIME: pb_field_bytes(&e->w, number, STR("")); return 0;
    case TYPE_QUANTITY: put_in_message(e, number, STR("0")); return 0;
    case TYPE_BOOL:
    case TYPE_INT32:
    case TYPE_INT64: pb_field_varint(&e->w, number, 0); return 0;
    case TYPE_DOUBLE: pb_field_64(&e->w, number, 0); return 0;
    default: return 0;
    }
}

static int put_field(struct encoder *e, const struct type *owner, const struct field *field, const struct json *json)
{
    uint32_t number = field->pb[field->pb_depth - 1];

    if (!json || json->kind == JSON_NULL)
        return put_absent(e, field, number);
    if (field->type->kind == TYPE_LIST)
        return put_list(e, owner, field->type->elem, number, json);
    if (field->type->kind == TYPE_MAP)
        return put_map(e, owner, field->type->elem, number, json);
    return put_value(e, owner, field->type, number, json);
}

/* The rows from first to behind, whose numbers agree up to depth. */
static int put_rows(struct encoder *e, const struct type *type, const struct json *const *values, uint32_t first,
                    uint32_t behind, uint8_t depth)
{
    int code = 0;

    while (code == 0 && behind > first) {
        const struct field *field = protobuf_row(type, behind - 1);
        uint32_t begin = --behind;
        size_t mark = pb_len(&e->w);

        if (field->pb_depth == depth + 1) {
            code = put_field(e, type, field, values[type->pb_order[behind]]);
            continue;
        }
        while (begin > first && protobuf_row(type, begin - 1)->pb_depth > depth + 1 &&
               protobuf_row(type, begin - 1)->pb[depth] == field->pb[depth])
            begin--;
        code = put_rows(e, type, values, begin, behind + 1, (uint8_t)(depth + 1));
        pb_field_since(&e->w, field->pb[depth], mark);
        behind = begin;
    }
    return code;
}

static int put_fields(struct encoder *e, const struct type *type, const struct json *object)
{
    const struct json *values[PROTOBUF_FIELDS_MAX];
    struct field_cursor cursor = field_cursor(type);
    int code;

    if (object->kind != JSON_OBJECT)
        return misfit(e, type);
    if (e->depth == PROTOBUF_DEPTH_MAX)
        return err_set(e->err, ERR_INTERNAL, "the object is nested too deep for protobuf");
    INVARIANT(type->field_count <= PROTOBUF_FIELDS_MAX);
    memset(values, 0, type->field_count * sizeof *values);
    for (uint32_t i = 0; i < object->count; i++) {
        const struct field *field = field_cursor_find(&cursor, object->members[i].key);

        if (field)
            values[field - type->fields] = &object->members[i].value;
    }
    e->depth++;
    code = put_rows(e, type, values, 0, type->pb_count, 0);
    e->depth--;
    return code;
}

static int put_message(struct encoder *e, const struct type *type, uint32_t number, const struct json *object)
{
    size_t mark = pb_len(&e->w);
    int code = put_fields(e, type, object);

    pb_field_since(&e->w, number, mark);
    return code;
}

/* -- the envelope -- */

static void put_head(struct pb_writer *w, struct str api_version, struct str kind, size_t message_len)
{
    size_t mark;

    pb_put_varint(w, message_len);
    pb_put_varint(w, UNKNOWN_RAW << 3 | PB_BYTES);
    mark = pb_len(w);
    pb_field_bytes(w, TYPE_META_KIND, kind);
    pb_field_bytes(w, TYPE_META_API_VERSION, api_version);
    pb_field_since(w, UNKNOWN_TYPE_META, mark);
    pb_put(w, PROTOBUF_MAGIC);
}

static int result(const struct pb_writer *w, struct str *ret_bytes, struct err *err)
{
    struct str bytes = pb_end(w);

    if (!bytes.data)
        return err_set(err, w->arena->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY, "no memory left for the object");
    *ret_bytes = bytes;
    return 0;
}

static int encode(struct arena *arena, const struct type *type, const struct json *object, size_t expected,
                  bool envelope, struct str *ret_bytes, struct err *err)
{
    struct encoder e = { .err = err };
    size_t mark;
    int code;

    pb_begin(&e.w, arena, expected);
    if (envelope)
        pb_put(&e.w, PROTOBUF_TAIL);
    mark = pb_len(&e.w);
    code = put_fields(&e, type, object);
    if (envelope)
        put_head(&e.w, json_str(json_member(object, "apiVersion")), json_str(json_member(object, "kind")),
                 pb_len(&e.w) - mark);
    buf_deinit(&e.text);
    return code < 0 ? code : result(&e.w, ret_bytes, err);
}

int protobuf_encode(struct arena *arena, const struct type *type, const struct json *object, size_t expected,
                    struct str *ret_bytes, struct err *err)
{
    return encode(arena, type, object, expected, true, ret_bytes, err);
}

int protobuf_encode_message(struct arena *arena, const struct type *type, const struct json *object, size_t expected,
                            struct str *ret_bytes, struct err *err)
{
    return encode(arena, type, object, expected, false, ret_bytes, err);
}

int protobuf_head(struct arena *arena, struct str api_version, struct str kind, size_t message_len,
                  struct str *ret_head, struct err *err)
{
    struct pb_writer w;

    pb_begin(&w, arena, 0);
    put_head(&w, api_version, kind, message_len);
    return result(&w, ret_head, err);
}
