/* protobuf.c - from protobuf's wire format to a tree, by table.
 *
 * A message is a row of fields: a key (number and wire type), then a varint, eight bytes, four bytes or a length and as
 * many bytes. The table gives a field's number, or its numbers from the outside in where Go embeds a struct that JSON
 * does not show (a volume's hostPath is field 3 of the message in field 2): then messages without a row of their own
 * are entered in search of rows that begin with their number.
 *
 * Scalars that have a message of their own: times {seconds = 1, nanos = 2}, quantities {string = 1}, int-or-string
 * {kind = 1, int = 2, string = 3}, raw JSON {bytes = 1}. A map is a list of messages {key = 1, value = 2}; a list
 * inside a map is a message {items = 1}. */
#include "schema/protobuf.h"

#include <stdio.h>

#include "codec/base64.h"
#include "codec/pb_wire.h"
#include "schema/object.h"
#include "schema/protobuf_row.h"
#include "schema/time.h"

struct decoder {
    struct arena *arena;
    struct err *err;
    int depth;
};

static int damaged(struct decoder *d, const char *what)
{
    return err_set(d->err, ERR_BAD_REQUEST, "the body of the request is no valid protobuf: %s", what);
}

static int no_memory(struct decoder *d)
{
    return err_set(d->err, d->arena->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY, "no memory left for the object");
}

/* 1: here is one, 0: the message is at its end, negative: damaged. */
static int take_field(struct decoder *d, struct str *rest, struct pb_field *ret_field)
{
    const char *why = "";
    int more = pb_next(rest, ret_field, &why);

    return more < 0 ? damaged(d, why) : more;
}

/* -- scalars -- */

static int text_of(struct decoder *d, struct str bytes, struct json *ret_json)
{
    if (!str_is_utf8(bytes))
        return damaged(d, "a string is not UTF-8");
    *ret_json = (struct json){ .kind = JSON_STRING, .string = bytes };
    return 0;
}

static int number_of(struct decoder *d, int64_t value, struct json *ret_json)
{
    struct str text = arena_printf(d->arena, "%lld", (long long)value);

    if (!text.data)
        return no_memory(d);
    *ret_json = (struct json){ .kind = JSON_NUMBER, .is_int = true, .number = { text, value } };
    return 0;
}

static int double_of(struct decoder *d, uint64_t bits, struct json *ret_json)
{
    double value;
    struct str text;
    struct json *json;
    int code;

    memcpy(&value, &bits, sizeof value);
    if (!(value - value == 0))
        return damaged(d, "a number is not finite");
    /* The shortest that means the same. */
    for (int digits = 15; digits <= 17; digits++) {
        double again;

        text = arena_printf(d->arena, "%.*g", digits, value);
        if (!text.data)
            return no_memory(d);
        if (str_to_double(text, &again) && again == value)
            break;
    }
    if ((code = json_parse(d->arena, text, NULL, &json, d->err)) < 0)
        return code;
    *ret_json = *json;
    return 0;
}

static int base64_of(struct decoder *d, struct str bytes, struct json *ret_json)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    base64_encode(&text, bytes);
    struct str copy = arena_str(d->arena, buf_str(&text));

    if (text.failed || !copy.data)
        return no_memory(d);
    *ret_json = (struct json){ .kind = JSON_STRING, .string = copy };
    return 0;
}

/* The last of each field counts. A time of no seconds is Go's zero time: null. */
static int time_of(struct decoder *d, bool micro, struct str message, struct json *ret_json)
{
    int64_t seconds = 0, nanos = 0, unix_nsec;
    char text[API_TIME_LEN];
    struct pb_field piece;
    int more;

    if (message.len == 0) {
        *ret_json = (struct json){ .kind = JSON_NULL };
        return 0;
    }
    while ((more = take_field(d, &message, &piece)) > 0) {
        if (piece.number == 1 && piece.wire == PB_VARINT)
            seconds = (int64_t)piece.value;
        else if (piece.number == 2 && piece.wire == PB_VARINT)
            nanos = (int32_t)piece.value;
    }
    if (more < 0)
        return more;
    if (__builtin_mul_overflow(seconds, (int64_t)NSEC_PER_SEC, &unix_nsec) ||
        __builtin_add_overflow(unix_nsec, nanos, &unix_nsec))
        return damaged(d, "a time out of range");
    struct str copy =
        arena_str(d->arena, micro ? api_micro_time_text(unix_nsec, text) : api_time_text(unix_nsec, text));

    if (!copy.data)
        return no_memory(d);
    *ret_json = (struct json){ .kind = JSON_STRING, .string = copy };
    return 0;
}

static int int_or_string_of(struct decoder *d, struct str message, struct json *ret_json)
{
    struct pb_field piece;
    struct str text = STR("");
    int64_t kind = 0, number = 0;
    int more;

    while ((more = take_field(d, &message, &piece)) > 0) {
        if (piece.number == 1 && piece.wire == PB_VARINT)
            kind = (int64_t)piece.value;
        else if (piece.number == 2 && piece.wire == PB_VARINT)
            number = (int32_t)piece.value;
        else if (piece.number == 3 && piece.wire == PB_BYTES)
            text = piece.bytes;
    }
    if (more < 0)
        return more;
    return kind == 0 ? number_of(d, number, ret_json) : text_of(d, text, ret_json);
}

/* The bytes in field 1 of a message; STR_NULL when there is none. */
static int first_bytes(struct decoder *d, struct str message, struct str *ret_bytes)
{
    struct pb_field piece;
    int more;

    *ret_bytes = STR_NULL;
    while ((more = take_field(d, &message, &piece)) > 0)
        if (piece.number == 1 && piece.wire == PB_BYTES)
            *ret_bytes = piece.bytes;
    return more;
}

static int any_of(struct decoder *d, struct str message, struct json *ret_json)
{
    struct str text;
    struct json *json;
    int code = first_bytes(d, message, &text);

    if (code < 0)
        return code;
    if (str_empty(text)) {
        *ret_json = (struct json){ .kind = JSON_NULL };
        return 0;
    }
    if ((code = json_parse(d->arena, text, NULL, &json, d->err)) < 0)
        return code;
    *ret_json = *json;
    return 0;
}

/* -- values by type -- */

static int message_of(struct decoder *d, const struct type *type, struct str message, struct json *object);

static int quantity_of(struct decoder *d, struct str message, struct json *ret_json)
{
    struct str text;
    int code = first_bytes(d, message, &text);

    return code < 0 ? code : text_of(d, text.data ? text : STR("0"), ret_json);
}

static int list_of(struct decoder *d, const struct type *owner, const struct type *elem, struct str message,
                   struct json *array);
static int value_in_bytes(struct decoder *d, const struct type *owner, const struct type *type, struct str bytes,
                          struct json *ret_json);

/* A schema has no table around it that would normalize it. */
static int schema_of(struct decoder *d, const struct type *schema, struct str bytes, struct json *ret_json)
{
    int code = value_in_bytes(d, schema, schema, bytes, ret_json);

    return code < 0 ? code : object_normalize(d->arena, schema, ret_json, NULL, d->err);
}

static int append_schema(struct decoder *d, const struct type *owner, const struct type *type, struct str bytes,
                         struct json *array)
{
    struct json item = { 0 };
    int code = type->any_form == ANY_SCHEMA_OR_LIST ? schema_of(d, owner, bytes, &item) : text_of(d, bytes, &item);

    if (code < 0)
        return code;
    return json_append(d->arena, array, &item) ? 0 : no_memory(d);
}

/* Either a schema or something else; ANY_SCHEMA_OR_... says where they are. */
static int schema_or(struct decoder *d, const struct type *owner, const struct type *type, struct str message,
                     struct json *ret_json)
{
    bool or_bool = type->any_form == ANY_SCHEMA_OR_BOOL;
    uint32_t schema_number = or_bool ? 2 : 1;
    struct json value = { .kind = or_bool ? JSON_BOOL : JSON_ARRAY }, schema = { 0 };
    struct pb_field piece;
    int more, code = 0;

    while (code == 0 && (more = take_field(d, &message, &piece)) != 0) {
        if (more < 0)
            return more;
        if (piece.number == schema_number && piece.wire == PB_BYTES)
            code = schema_of(d, owner, piece.bytes, &schema);
        else if (piece.number == 1 && or_bool)
            value.boolean = piece.value != 0;
        else if (piece.number == 2 && piece.wire == PB_BYTES)
            code = append_schema(d, owner, type, piece.bytes, &value);
    }
    if (code == 0)
        *ret_json = schema.kind == JSON_OBJECT ? schema : value;
    return code;
}

/* A value that takes bytes. */
static int value_in_bytes(struct decoder *d, const struct type *owner, const struct type *type, struct str bytes,
                          struct json *ret_json)
{
    switch (type->kind) {
    case TYPE_STRING: return text_of(d, bytes, ret_json);
    case TYPE_BYTES: return base64_of(d, bytes, ret_json);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return time_of(d, type->kind == TYPE_MICRO_TIME, bytes, ret_json);
    case TYPE_QUANTITY: return quantity_of(d, bytes, ret_json);
    case TYPE_INT_OR_STRING: return int_or_string_of(d, bytes, ret_json);
    case TYPE_ANY:
        return type->any_form == ANY_JSON ? any_of(d, bytes, ret_json) : schema_or(d, owner, type, bytes, ret_json);
    case TYPE_STRUCT: *ret_json = (struct json){ .kind = JSON_OBJECT }; return message_of(d, type, bytes, ret_json);
    case TYPE_LIST:
        *ret_json = (struct json){ .kind = JSON_ARRAY };
        return list_of(d, owner, type->elem, bytes, ret_json);
    default: return damaged(d, "a field has another wire type than its table says");
    }
}

static int value_of(struct decoder *d, const struct type *owner, const struct type *type, const struct pb_field *piece,
                    struct json *ret_json)
{
    if (piece->wire == PB_BYTES)
        return value_in_bytes(d, owner, type, piece->bytes, ret_json);
    if (type->kind == TYPE_BOOL && piece->wire == PB_VARINT) {
        *ret_json = (struct json){ .kind = JSON_BOOL, .boolean = piece->value != 0 };
        return 0;
    }
    if (type->kind == TYPE_INT64 && piece->wire == PB_VARINT)
        return number_of(d, (int64_t)piece->value, ret_json);
    if (type->kind == TYPE_INT32 && piece->wire == PB_VARINT)
        return number_of(d, (int32_t)piece->value, ret_json);
    if (type->kind == TYPE_DOUBLE && piece->wire == PB_64)
        return double_of(d, piece->value, ret_json);
    return damaged(d, "a field has another wire type than its table says");
}

static int append(struct decoder *d, const struct type *owner, const struct type *elem, const struct pb_field *piece,
                  struct json *array)
{
    struct json value = { 0 };
    int code = value_of(d, owner, elem, piece, &value);

    if (code < 0)
        return code;
    return json_append(d->arena, array, &value) ? 0 : no_memory(d);
}

/* Numbers may come in one go. */
static int append_packed(struct decoder *d, const struct type *elem, struct str bytes, struct json *array)
{
    struct pb_field piece = { .wire = elem->kind == TYPE_DOUBLE ? PB_64 : PB_VARINT };
    int code = 0;

    while (code == 0 && bytes.len) {
        bool ok = piece.wire == PB_64 ? pb_take_64(&bytes, &piece.value) : pb_take_varint(&bytes, &piece.value);

        code = ok ? append(d, NULL, elem, &piece, array) : damaged(d, "a list is cut short");
    }
    return code;
}

static int append_any(struct decoder *d, const struct type *owner, const struct type *elem,
                      const struct pb_field *piece, struct json *array)
{
    return kind_is_number(elem->kind) && piece->wire == PB_BYTES ? append_packed(d, elem, piece->bytes, array)
                                                                 : append(d, owner, elem, piece, array);
}

static int list_of(struct decoder *d, const struct type *owner, const struct type *elem, struct str message,
                   struct json *array)
{
    struct pb_field piece;
    int more, code = 0;

    while (code == 0 && (more = take_field(d, &message, &piece)) != 0)
        if ((code = MIN(more, 0)) == 0 && piece.number == 1)
            code = append_any(d, owner, elem, &piece, array);
    return code;
}

static int map_entry(struct decoder *d, const struct type *owner, const struct type *elem, struct str message,
                     struct json *object)
{
    struct pb_field piece, value = { .wire = PB_BYTES };
    struct json key, json = { 0 };
    struct str name = STR("");
    int code;

    while ((code = take_field(d, &message, &piece)) > 0) {
        if (piece.number == 1 && piece.wire == PB_BYTES)
            name = piece.bytes;
        else if (piece.number == 2)
            value = piece;
    }
    if (code == 0)
        code = text_of(d, name, &key);
    if (code == 0)
        code = value_of(d, owner, elem, &value, &json);
    if (code < 0)
        return code;
    return json_set(d->arena, object, key.string, &json) ? 0 : no_memory(d);
}

/* -- messages -- */

static int put(struct decoder *d, const struct type *owner, const struct field *field, const struct pb_field *piece,
               struct json *object)
{
    const struct type *type = field->type;
    bool list = type->kind == TYPE_LIST, map = type->kind == TYPE_MAP;
    struct json value = { 0 }, *place;
    int code;

    if (!list && !map) {
        if ((code = value_of(d, owner, type, piece, &value)) < 0 || value.kind == JSON_NULL)
            return code;
        return json_set(d->arena, object, field->name, &value) ? 0 : no_memory(d);
    }
    place = json_ensure(d->arena, object, field->name, list ? JSON_ARRAY : JSON_OBJECT);
    if (!place)
        return no_memory(d);
    if (list)
        return append_any(d, owner, type->elem, piece, place);
    return piece->wire == PB_BYTES ? map_entry(d, owner, type->elem, piece->bytes, place)
                                   : damaged(d, "an entry of a map");
}

/* The way from the object's message to the one that is read: numbers of the embedded structs. */
struct way {
    uint16_t numbers[3];
    uint8_t count;
};

/* Where a row stands to the way: before it, on it, behind it. */
static int compare(const struct field *field, const struct way *way)
{
    for (uint8_t i = 0; i < way->count; i++) {
        if (i == field->pb_depth)
            return -1;
        if (field->pb[i] != way->numbers[i])
            return field->pb[i] < way->numbers[i] ? -1 : 1;
    }
    return 0;
}

/* The row of that way, or the first of those whose numbers begin with it; NULL: there is none. */
static const struct field *find(const struct type *type, const struct way *way)
{
    uint32_t low = 0, high = type->pb_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare(protobuf_row(type, middle), way) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == type->pb_count || compare(protobuf_row(type, low), way) != 0)
        return NULL;
    return protobuf_row(type, low);
}

static int walk(struct decoder *d, const struct type *type, struct way way, struct str message, struct json *object)
{
    struct pb_field piece;
    int more, code = 0;

    if (way.count == ARRAY_LEN(way.numbers))
        return 0;
    way.count++;
    while (code == 0 && (more = take_field(d, &message, &piece)) != 0) {
        const struct field *field;

        if (more < 0)
            return more;
        if (piece.number > UINT16_MAX)
            continue;
        way.numbers[way.count - 1] = (uint16_t)piece.number;
        field = find(type, &way);
        if (field && field->pb_depth == way.count)
            code = put(d, type, field, &piece, object);
        else if (field && piece.wire == PB_BYTES)
            code = walk(d, type, way, piece.bytes, object);
    }
    return code;
}

static int message_of(struct decoder *d, const struct type *type, struct str message, struct json *object)
{
    int code;

    if (d->depth == PROTOBUF_DEPTH_MAX)
        return damaged(d, "messages are nested too deep");
    d->depth++;
    code = walk(d, type, (struct way){ 0 }, message, object);
    d->depth--;
    return code;
}

/* -- the envelope -- */

static int name_kind(struct decoder *d, struct str type_meta, struct json *object)
{
    static const struct str names[] = { STR_INIT("apiVersion"), STR_INIT("kind") };
    struct pb_field piece;
    struct json text;
    int more;

    while ((more = take_field(d, &type_meta, &piece)) > 0) {
        if (piece.number < 1 || piece.number > ARRAY_LEN(names) || piece.wire != PB_BYTES || piece.bytes.len == 0)
            continue;
        int code = text_of(d, piece.bytes, &text);

        if (code < 0)
            return code;
        if (!json_set(d->arena, object, names[piece.number - 1], &text))
            return no_memory(d);
    }
    return more;
}

int protobuf_decode(struct arena *arena, const struct type *type, struct str bytes, struct json **ret_object,
                    struct err *err)
{
    struct decoder d = { .arena = arena, .err = err };
    struct json *object = json_new(arena, JSON_OBJECT);
    struct pb_field piece;
    int more, code = 0;

    if (!object)
        return no_memory(&d);
    if (!str_has_prefix(bytes, PROTOBUF_MAGIC))
        return damaged(&d, "it does not begin with \"k8s\"");
    bytes = str_skip(bytes, PROTOBUF_MAGIC.len);
    while (code == 0 && (more = take_field(&d, &bytes, &piece)) != 0) {
        if (more < 0)
            return more;
        if (piece.number == UNKNOWN_TYPE_META && piece.wire == PB_BYTES)
            code = name_kind(&d, piece.bytes, object);
        else if (piece.number == UNKNOWN_RAW && piece.wire == PB_BYTES)
            code = message_of(&d, type, piece.bytes, object);
        else if (piece.number == UNKNOWN_ENCODING && piece.bytes.len)
            code = damaged(&d, "its content is encoded once more");
    }
    if (code == 0)
        *ret_object = object;
    return code;
}
