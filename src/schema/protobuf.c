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
#include "schema/time.h"

#define DEPTH_MAX 100

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct decoder {
    struct arena *arena;
    struct err *err;
    int depth;
};

/* One field of a message. */
struct piece {
    uint32_t number;
    enum wire wire;
    uint64_t value;   /* but for WIRE_BYTES */
    struct str bytes; /* WIRE_BYTES */
};

static int damaged(struct decoder *d, const char *what)
{
    return err_set(d->err, ERR_BAD_REQUEST, "the body of the request is no valid protobuf: %s", what);
}

static int no_memory(struct decoder *d)
{
    return err_set(d->err, d->arena->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY, "no memory left for the object");
}

/* -- wire format -- */

static bool take_varint(struct str *rest, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && rest->len; shift += 7) {
        uint8_t byte = (uint8_t)rest->data[0];

        *rest = str_skip(*rest, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct str *rest, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (rest->len < size)
        return false;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)(uint8_t)rest->data[i] << (8 * i);
    *rest = str_skip(*rest, size);
    *ret_value = value;
    return true;
}

static bool take_bytes(struct str *rest, struct str *ret_bytes)
{
    uint64_t len;

    if (!take_varint(rest, &len) || len > rest->len)
        return false;
    *ret_bytes = str_first(*rest, (size_t)len);
    *rest = str_skip(*rest, (size_t)len);
    return true;
}

/* 1: here is one, 0: the message is at its end, negative: damaged. */
static int take_piece(struct decoder *d, struct str *rest, struct piece *ret_piece)
{
    struct piece piece = { 0 };
    uint64_t key;
    bool ok;

    if (rest->len == 0)
        return 0;
    if (!take_varint(rest, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX >> 3)
        return damaged(d, "the key of a field");
    piece.number = (uint32_t)(key >> 3);
    piece.wire = (enum wire)(key & 7);
    switch (piece.wire) {
    case WIRE_VARINT: ok = take_varint(rest, &piece.value); break;
    case WIRE_64: ok = take_fixed(rest, 8, &piece.value); break;
    case WIRE_32: ok = take_fixed(rest, 4, &piece.value); break;
    case WIRE_BYTES: ok = take_bytes(rest, &piece.bytes); break;
    default: return damaged(d, "an unknown wire type");
    }
    if (!ok)
        return damaged(d, "a field is cut short");
    *ret_piece = piece;
    return 1;
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
    text = arena_printf(d->arena, "%.17g", value);
    if (!text.data)
        return no_memory(d);
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
    struct piece piece;
    int more;

    if (message.len == 0) {
        *ret_json = (struct json){ .kind = JSON_NULL };
        return 0;
    }
    while ((more = take_piece(d, &message, &piece)) > 0) {
        if (piece.number == 1 && piece.wire == WIRE_VARINT)
            seconds = (int64_t)piece.value;
        else if (piece.number == 2 && piece.wire == WIRE_VARINT)
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
    struct piece piece;
    struct str text = STR("");
    int64_t kind = 0, number = 0;
    int more;

    while ((more = take_piece(d, &message, &piece)) > 0) {
        if (piece.number == 1 && piece.wire == WIRE_VARINT)
            kind = (int64_t)piece.value;
        else if (piece.number == 2 && piece.wire == WIRE_VARINT)
            number = (int32_t)piece.value;
        else if (piece.number == 3 && piece.wire == WIRE_BYTES)
            text = piece.bytes;
    }
    if (more < 0)
        return more;
    return kind == 0 ? number_of(d, number, ret_json) : text_of(d, text, ret_json);
}

/* The bytes in field 1 of a message; STR_NULL when there is none. */
static int first_bytes(struct decoder *d, struct str message, struct str *ret_bytes)
{
    struct piece piece;
    int more;

    *ret_bytes = STR_NULL;
    while ((more = take_piece(d, &message, &piece)) > 0)
        if (piece.number == 1 && piece.wire == WIRE_BYTES)
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

static int list_of(struct decoder *d, const struct type *elem, struct str message, struct json *array);

/* A value that takes bytes. */
static int value_in_bytes(struct decoder *d, const struct type *type, struct str bytes, struct json *ret_json)
{
    switch (type->kind) {
    case TYPE_STRING: return text_of(d, bytes, ret_json);
    case TYPE_BYTES: return base64_of(d, bytes, ret_json);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return time_of(d, type->kind == TYPE_MICRO_TIME, bytes, ret_json);
    case TYPE_QUANTITY: return quantity_of(d, bytes, ret_json);
    case TYPE_INT_OR_STRING: return int_or_string_of(d, bytes, ret_json);
    case TYPE_ANY: return any_of(d, bytes, ret_json);
    case TYPE_STRUCT: *ret_json = (struct json){ .kind = JSON_OBJECT }; return message_of(d, type, bytes, ret_json);
    case TYPE_LIST: *ret_json = (struct json){ .kind = JSON_ARRAY }; return list_of(d, type->elem, bytes, ret_json);
    default: return damaged(d, "a field has another wire type than its table says");
    }
}

static int value_of(struct decoder *d, const struct type *type, const struct piece *piece, struct json *ret_json)
{
    if (piece->wire == WIRE_BYTES)
        return value_in_bytes(d, type, piece->bytes, ret_json);
    if (type->kind == TYPE_BOOL && piece->wire == WIRE_VARINT) {
        *ret_json = (struct json){ .kind = JSON_BOOL, .boolean = piece->value != 0 };
        return 0;
    }
    if (type->kind == TYPE_INT64 && piece->wire == WIRE_VARINT)
        return number_of(d, (int64_t)piece->value, ret_json);
    if (type->kind == TYPE_INT32 && piece->wire == WIRE_VARINT)
        return number_of(d, (int32_t)piece->value, ret_json);
    if (type->kind == TYPE_DOUBLE && piece->wire == WIRE_64)
        return double_of(d, piece->value, ret_json);
    return damaged(d, "a field has another wire type than its table says");
}

static int append(struct decoder *d, const struct type *elem, const struct piece *piece, struct json *array)
{
    struct json value = { 0 };
    int code = value_of(d, elem, piece, &value);

    if (code < 0)
        return code;
    return json_append(d->arena, array, &value) ? 0 : no_memory(d);
}

/* Numbers may come in one go. */
static int append_packed(struct decoder *d, const struct type *elem, struct str bytes, struct json *array)
{
    struct piece piece = { .wire = elem->kind == TYPE_DOUBLE ? WIRE_64 : WIRE_VARINT };
    int code = 0;

    while (code == 0 && bytes.len) {
        bool ok = piece.wire == WIRE_64 ? take_fixed(&bytes, 8, &piece.value) : take_varint(&bytes, &piece.value);

        code = ok ? append(d, elem, &piece, array) : damaged(d, "a list is cut short");
    }
    return code;
}

static int append_any(struct decoder *d, const struct type *elem, const struct piece *piece, struct json *array)
{
    bool number =
        elem->kind == TYPE_BOOL || elem->kind == TYPE_INT32 || elem->kind == TYPE_INT64 || elem->kind == TYPE_DOUBLE;

    return number && piece->wire == WIRE_BYTES ? append_packed(d, elem, piece->bytes, array)
                                               : append(d, elem, piece, array);
}

static int list_of(struct decoder *d, const struct type *elem, struct str message, struct json *array)
{
    struct piece piece;
    int more, code = 0;

    while (code == 0 && (more = take_piece(d, &message, &piece)) != 0)
        if ((code = MIN(more, 0)) == 0 && piece.number == 1)
            code = append_any(d, elem, &piece, array);
    return code;
}

static int map_entry(struct decoder *d, const struct type *elem, struct str message, struct json *object)
{
    struct piece piece, value = { .wire = WIRE_BYTES };
    struct json key, json = { 0 };
    struct str name = STR("");
    int code;

    while ((code = take_piece(d, &message, &piece)) > 0) {
        if (piece.number == 1 && piece.wire == WIRE_BYTES)
            name = piece.bytes;
        else if (piece.number == 2)
            value = piece;
    }
    if (code == 0)
        code = text_of(d, name, &key);
    if (code == 0)
        code = value_of(d, elem, &value, &json);
    if (code < 0)
        return code;
    return json_set(d->arena, object, key.string, &json) ? 0 : no_memory(d);
}

/* -- messages -- */

static int put(struct decoder *d, const struct field *field, const struct piece *piece, struct json *object)
{
    const struct type *type = field->type;
    bool list = type->kind == TYPE_LIST, map = type->kind == TYPE_MAP;
    struct json value = { 0 }, *place;
    int code;

    if (!list && !map) {
        if ((code = value_of(d, type, piece, &value)) < 0 || value.kind == JSON_NULL)
            return code;
        return json_set(d->arena, object, field->name, &value) ? 0 : no_memory(d);
    }
    place = json_ensure(d->arena, object, field->name, list ? JSON_ARRAY : JSON_OBJECT);
    if (!place)
        return no_memory(d);
    if (list)
        return append_any(d, type->elem, piece, place);
    return piece->wire == WIRE_BYTES ? map_entry(d, type->elem, piece->bytes, place) : damaged(d, "an entry of a map");
}

/* The way from the object's message to the one that is read: numbers of the embedded structs. */
struct way {
    uint16_t numbers[3];
    uint8_t count;
};

static bool lies_on(const struct field *field, const struct way *way)
{
    return field->pb_depth >= way->count && memcmp(field->pb, way->numbers, way->count * sizeof *way->numbers) == 0;
}

/* The row of that way; or *ret_beyond when rows begin with it. */
static const struct field *find(const struct type *type, const struct way *way, bool *ret_beyond)
{
    *ret_beyond = false;
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];

        if (!lies_on(field, way))
            continue;
        if (field->pb_depth == way->count)
            return field;
        *ret_beyond = true;
    }
    return NULL;
}

static int walk(struct decoder *d, const struct type *type, struct way way, struct str message, struct json *object)
{
    struct piece piece;
    int more, code = 0;

    if (way.count == ARRAY_LEN(way.numbers))
        return 0;
    way.count++;
    while (code == 0 && (more = take_piece(d, &message, &piece)) != 0) {
        const struct field *field;
        bool beyond;

        if (more < 0)
            return more;
        if (piece.number > UINT16_MAX)
            continue;
        way.numbers[way.count - 1] = (uint16_t)piece.number;
        field = find(type, &way, &beyond);
        if (field)
            code = put(d, field, &piece, object);
        else if (beyond && piece.wire == WIRE_BYTES)
            code = walk(d, type, way, piece.bytes, object);
    }
    return code;
}

static int message_of(struct decoder *d, const struct type *type, struct str message, struct json *object)
{
    int code;

    if (d->depth == DEPTH_MAX)
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
    struct piece piece;
    struct json text;
    int more;

    while ((more = take_piece(d, &type_meta, &piece)) > 0) {
        if (piece.number < 1 || piece.number > ARRAY_LEN(names) || piece.wire != WIRE_BYTES || piece.bytes.len == 0)
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
    struct piece piece;
    int more, code = 0;

    if (!object)
        return no_memory(&d);
    if (bytes.len < 4 || memcmp(bytes.data, "k8s", 4) != 0)
        return damaged(&d, "it does not begin with \"k8s\"");
    bytes = str_skip(bytes, 4);
    while (code == 0 && (more = take_piece(&d, &bytes, &piece)) != 0) {
        if (more < 0)
            return more;
        if (piece.number == 1 && piece.wire == WIRE_BYTES)
            code = name_kind(&d, piece.bytes, object);
        else if (piece.number == 2 && piece.wire == WIRE_BYTES)
            code = message_of(&d, type, piece.bytes, object);
        else if (piece.number == 3 && piece.bytes.len)
            code = damaged(&d, "its content is encoded once more");
    }
    if (code == 0)
        *ret_object = object;
    return code;
}
