/* openapi_proto.c - from the JSON tree of an OpenAPI v2 document to the messages of openapi.v2.Document.
 *
 * The messages are tables: which member becomes which field, and how. What JSON says with a key of an object (paths,
 * definitions, properties, responses), the messages say with a list of named values; what may be of several kinds
 * there, lies in a message more. Members that start with "x-" become vendor extensions, as YAML text, which JSON is. */
#include "apiserver/openapi_proto.h"

enum proto_kind {
    PROTO_STRING,
    PROTO_STRINGS, /* array of strings: repeated */
    PROTO_BOOL,
    PROTO_INT,
    PROTO_DOUBLE,
    PROTO_ANY,  /* any JSON */
    PROTO_ANYS, /* array of any JSON: repeated */
    PROTO_MESSAGE,
    PROTO_ITEM,       /* a message whose field 1 is the string or the message */
    PROTO_NAMED,      /* object: a message whose field `entry` repeats {name, value} */
    PROTO_NAMED_ITEM, /* the same, the value in field 1 of a message more */
    PROTO_PARAMETERS,
    PROTO_SCHEMAS, /* array of messages: repeated */
};

struct proto_message;
struct proto_field {
    struct str name;
    uint8_t number, kind, entry;
    const struct proto_message *message;
};
struct proto_message {
    const struct proto_field *fields;
    size_t count;
    uint8_t extensions; /* where members that start with "x-" go; 0: nowhere */
};
#define MESSAGE(rows, ext) { (rows), ARRAY_LEN(rows), (ext) }

static const struct proto_message schema_message;
static const struct proto_field schema_fields[] = {
    { STR_INIT("$ref"), 1, PROTO_STRING, 0, NULL },
    { STR_INIT("format"), 2, PROTO_STRING, 0, NULL },
    { STR_INIT("title"), 3, PROTO_STRING, 0, NULL },
    { STR_INIT("description"), 4, PROTO_STRING, 0, NULL },
    { STR_INIT("default"), 5, PROTO_ANY, 0, NULL },
    { STR_INIT("multipleOf"), 6, PROTO_DOUBLE, 0, NULL },
    { STR_INIT("maximum"), 7, PROTO_DOUBLE, 0, NULL },
    { STR_INIT("exclusiveMaximum"), 8, PROTO_BOOL, 0, NULL },
    { STR_INIT("minimum"), 9, PROTO_DOUBLE, 0, NULL },
    { STR_INIT("exclusiveMinimum"), 10, PROTO_BOOL, 0, NULL },
    { STR_INIT("maxLength"), 11, PROTO_INT, 0, NULL },
    { STR_INIT("minLength"), 12, PROTO_INT, 0, NULL },
    { STR_INIT("pattern"), 13, PROTO_STRING, 0, NULL },
    { STR_INIT("maxItems"), 14, PROTO_INT, 0, NULL },
    { STR_INIT("minItems"), 15, PROTO_INT, 0, NULL },
    { STR_INIT("uniqueItems"), 16, PROTO_BOOL, 0, NULL },
    { STR_INIT("maxProperties"), 17, PROTO_INT, 0, NULL },
    { STR_INIT("minProperties"), 18, PROTO_INT, 0, NULL },
    { STR_INIT("required"), 19, PROTO_STRINGS, 0, NULL },
    { STR_INIT("enum"), 20, PROTO_ANYS, 0, NULL },
    { STR_INIT("additionalProperties"), 21, PROTO_ITEM, 0, &schema_message },
    { STR_INIT("type"), 22, PROTO_ITEM, 0, NULL },
    { STR_INIT("items"), 23, PROTO_ITEM, 0, &schema_message },
    { STR_INIT("allOf"), 24, PROTO_SCHEMAS, 0, &schema_message },
    { STR_INIT("properties"), 25, PROTO_NAMED, 1, &schema_message },
};
static const struct proto_message schema_message = MESSAGE(schema_fields, 31);

static const struct proto_field response_fields[] = {
    { STR_INIT("description"), 1, PROTO_STRING, 0, NULL },
    { STR_INIT("schema"), 2, PROTO_ITEM, 0, &schema_message },
};
static const struct proto_message response_message = MESSAGE(response_fields, 5);

static const struct proto_field body_fields[] = {
    { STR_INIT("description"), 1, PROTO_STRING, 0, NULL },
    { STR_INIT("name"), 2, PROTO_STRING, 0, NULL },
    { STR_INIT("in"), 3, PROTO_STRING, 0, NULL },
    { STR_INIT("required"), 4, PROTO_BOOL, 0, NULL },
    { STR_INIT("schema"), 5, PROTO_MESSAGE, 0, &schema_message },
};
static const struct proto_message body_message = MESSAGE(body_fields, 6);

static const struct proto_field query_fields[] = {
    { STR_INIT("required"), 1, PROTO_BOOL, 0, NULL },      { STR_INIT("in"), 2, PROTO_STRING, 0, NULL },
    { STR_INIT("description"), 3, PROTO_STRING, 0, NULL }, { STR_INIT("name"), 4, PROTO_STRING, 0, NULL },
    { STR_INIT("type"), 6, PROTO_STRING, 0, NULL },        { STR_INIT("format"), 7, PROTO_STRING, 0, NULL },
    { STR_INIT("uniqueItems"), 20, PROTO_BOOL, 0, NULL },
};
static const struct proto_message query_message = MESSAGE(query_fields, 23);

static const struct proto_field path_fields[] = {
    { STR_INIT("required"), 1, PROTO_BOOL, 0, NULL },      { STR_INIT("in"), 2, PROTO_STRING, 0, NULL },
    { STR_INIT("description"), 3, PROTO_STRING, 0, NULL }, { STR_INIT("name"), 4, PROTO_STRING, 0, NULL },
    { STR_INIT("type"), 5, PROTO_STRING, 0, NULL },        { STR_INIT("format"), 6, PROTO_STRING, 0, NULL },
    { STR_INIT("uniqueItems"), 19, PROTO_BOOL, 0, NULL },
};
static const struct proto_message path_message = MESSAGE(path_fields, 22);

static const struct proto_field operation_fields[] = {
    { STR_INIT("tags"), 1, PROTO_STRINGS, 0, NULL },
    { STR_INIT("description"), 3, PROTO_STRING, 0, NULL },
    { STR_INIT("operationId"), 5, PROTO_STRING, 0, NULL },
    { STR_INIT("produces"), 6, PROTO_STRINGS, 0, NULL },
    { STR_INIT("consumes"), 7, PROTO_STRINGS, 0, NULL },
    { STR_INIT("parameters"), 8, PROTO_PARAMETERS, 0, NULL },
    { STR_INIT("responses"), 9, PROTO_NAMED_ITEM, 1, &response_message },
    { STR_INIT("schemes"), 10, PROTO_STRINGS, 0, NULL },
    { STR_INIT("deprecated"), 11, PROTO_BOOL, 0, NULL },
};
static const struct proto_message operation_message = MESSAGE(operation_fields, 13);

static const struct proto_field path_item_fields[] = {
    { STR_INIT("get"), 2, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("put"), 3, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("post"), 4, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("delete"), 5, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("options"), 6, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("head"), 7, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("patch"), 8, PROTO_MESSAGE, 0, &operation_message },
    { STR_INIT("parameters"), 9, PROTO_PARAMETERS, 0, NULL },
};
static const struct proto_message path_item_message = MESSAGE(path_item_fields, 10);

static const struct proto_field info_fields[] = {
    { STR_INIT("title"), 1, PROTO_STRING, 0, NULL },
    { STR_INIT("version"), 2, PROTO_STRING, 0, NULL },
};
static const struct proto_message info_message = MESSAGE(info_fields, 7);

static const struct proto_field document_fields[] = {
    { STR_INIT("swagger"), 1, PROTO_STRING, 0, NULL },
    { STR_INIT("info"), 2, PROTO_MESSAGE, 0, &info_message },
    { STR_INIT("paths"), 8, PROTO_NAMED, 2, &path_item_message },
    { STR_INIT("definitions"), 9, PROTO_NAMED, 1, &schema_message },
};
static const struct proto_message document_message = MESSAGE(document_fields, 16);

/* -- the wire -- */

enum wire { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES };

static size_t varint(uint64_t value, char out[10])
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        out[n++] = (char)(value | 0x80);
    out[n++] = (char)value;
    return n;
}

static void add_varint(struct buf *buf, uint64_t value)
{
    char text[10];

    buf_add(buf, text, varint(value, text));
}

static void add_tag(struct buf *buf, uint8_t number, enum wire wire)
{
    add_varint(buf, (uint64_t)number << 3 | wire);
}

static void add_bytes(struct buf *buf, uint8_t number, struct str s)
{
    add_tag(buf, number, WIRE_BYTES);
    add_varint(buf, s.len);
    buf_add_str(buf, s);
}

/* A message is written behind its tag; end() puts its length in between. */
static size_t begin(struct buf *buf, uint8_t number)
{
    add_tag(buf, number, WIRE_BYTES);
    return buf->len;
}

static void end(struct buf *buf, size_t start)
{
    size_t len = buf->len - start, n;
    char text[10];

    n = varint(len, text);
    buf_add(buf, text, n); /* only for the room */
    if (!buf_ok(buf))
        return;
    memmove(buf->data + start + n, buf->data + start, len);
    memcpy(buf->data + start, text, n);
}

/* -- the tree -- */

static void write_message(struct buf *buf, const struct proto_message *message, const struct json *json);

static void write_any(struct buf *buf, uint8_t number, const struct json *json)
{
    size_t any = begin(buf, number), yaml = begin(buf, 2);

    json_write(buf, json);
    end(buf, yaml);
    end(buf, any);
}

static void write_extension(struct buf *buf, uint8_t number, const struct json_member *member)
{
    size_t named = begin(buf, number);

    add_bytes(buf, 1, member->key);
    write_any(buf, 2, &member->value);
    end(buf, named);
}

static void write_nested(struct buf *buf, uint8_t number, const struct proto_message *message, const struct json *json)
{
    size_t start = begin(buf, number);

    write_message(buf, message, json);
    end(buf, start);
}

static void write_item(struct buf *buf, const struct proto_field *field, const struct json *json)
{
    size_t start = begin(buf, field->number);

    if (json->kind == JSON_STRING)
        add_bytes(buf, 1, json->string);
    else if (json->kind == JSON_OBJECT && field->message)
        write_nested(buf, 1, field->message, json);
    else if (json->kind == JSON_BOOL) {
        add_tag(buf, 2, WIRE_VARINT);
        add_varint(buf, json->boolean);
    }
    end(buf, start);
}

static void write_named(struct buf *buf, const struct proto_field *field, const struct json *json)
{
    size_t all = begin(buf, field->number);

    for (uint32_t i = 0; json->kind == JSON_OBJECT && i < json->count; i++) {
        const struct json_member *member = &json->members[i];
        size_t entry = begin(buf, field->entry);

        add_bytes(buf, 1, member->key);
        if (field->kind == PROTO_NAMED_ITEM) {
            size_t value = begin(buf, 2);

            write_nested(buf, 1, field->message, &member->value);
            end(buf, value);
        } else {
            write_nested(buf, 2, field->message, &member->value);
        }
        end(buf, entry);
    }
    end(buf, all);
}

/* ParametersItem { Parameter { body | NonBodyParameter { header | query | path } } } */
static void write_parameter(struct buf *buf, uint8_t number, const struct json *json)
{
    struct str in = json_str(json_member(json, "in"));
    size_t item = begin(buf, number), parameter = begin(buf, 1);

    if (str_is(in, "body")) {
        write_nested(buf, 1, &body_message, json);
    } else {
        size_t other = begin(buf, 2);

        if (str_is(in, "path"))
            write_nested(buf, 4, &path_message, json);
        else if (str_is(in, "query"))
            write_nested(buf, 3, &query_message, json);
        end(buf, other);
    }
    end(buf, parameter);
    end(buf, item);
}

static void write_each(struct buf *buf, const struct proto_field *field, const struct json *array)
{
    for (uint32_t i = 0; array->kind == JSON_ARRAY && i < array->count; i++) {
        const struct json *item = &array->items[i];

        if (field->kind == PROTO_STRINGS)
            add_bytes(buf, field->number, json_str(item));
        else if (field->kind == PROTO_ANYS)
            write_any(buf, field->number, item);
        else if (field->kind == PROTO_PARAMETERS)
            write_parameter(buf, field->number, item);
        else
            write_nested(buf, field->number, field->message, item);
    }
}

static void write_double(struct buf *buf, uint8_t number, double value)
{
    uint64_t bits;
    char bytes[8];

    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++, bits >>= 8)
        bytes[i] = (char)bits;
    add_tag(buf, number, WIRE_FIXED64);
    buf_add(buf, bytes, sizeof bytes);
}

static void write_field(struct buf *buf, const struct proto_field *field, const struct json *json)
{
    switch ((enum proto_kind)field->kind) {
    case PROTO_STRING: add_bytes(buf, field->number, json_str(json)); return;
    case PROTO_BOOL:
        add_tag(buf, field->number, WIRE_VARINT);
        add_varint(buf, json_bool(json, false));
        return;
    case PROTO_INT:
        add_tag(buf, field->number, WIRE_VARINT);
        add_varint(buf, (uint64_t)json_int(json, 0));
        return;
    case PROTO_DOUBLE: write_double(buf, field->number, json_double(json, 0)); return;
    case PROTO_ANY: write_any(buf, field->number, json); return;
    case PROTO_MESSAGE: write_nested(buf, field->number, field->message, json); return;
    case PROTO_ITEM: write_item(buf, field, json); return;
    case PROTO_NAMED:
    case PROTO_NAMED_ITEM: write_named(buf, field, json); return;
    case PROTO_STRINGS:
    case PROTO_ANYS:
    case PROTO_PARAMETERS:
    case PROTO_SCHEMAS: write_each(buf, field, json); return;
    }
}

static void write_message(struct buf *buf, const struct proto_message *message, const struct json *json)
{
    for (uint32_t i = 0; json->kind == JSON_OBJECT && i < json->count; i++) {
        const struct json_member *member = &json->members[i];
        size_t f = 0;

        while (f < message->count && !str_eq(message->fields[f].name, member->key))
            f++;
        if (f < message->count)
            write_field(buf, &message->fields[f], &member->value);
        else if (message->extensions && str_has_prefix(member->key, STR("x-")))
            write_extension(buf, message->extensions, member);
    }
}

void openapi_proto_write(struct buf *buf, const struct json *document)
{
    write_message(buf, &document_message, document);
}
