/* render.c - stored text to tree, tree to version, version to shape, shape to format.
 *
 * Shapes are JSON texts (table.h writes them); in another format they are parsed once more. That is dear only for a
 * Table in YAML. Protobuf is written from the tree at once, metadata only by a type of one field: all objects have
 * their metadata in field 1.
 *
 * What stands around a list's items is written in JSON with one null for an item, brought into the format as a whole,
 * and cut where the null is: so indented JSON and YAML stream as well. */
#include "apiserver/render.h"

#include "api/meta_v1.h"
#include "apiserver/convert.h"
#include "apiserver/request.h"
#include "codec/pb_wire.h"
#include "codec/yaml.h"
#include "schema/object.h"
#include "schema/protobuf.h"

#define RENDERED_MAX (128u << 20) /* indenting can make a thousand bytes of one */
#define ITEM_INDENT 4

static const struct field partial_fields[] = { { .name = STR_INIT("metadata"),
                                                 .type = &TYPE_OBJECT_META,
                                                 .flags = FIELD_ALWAYS | FIELD_INLINE,
                                                 .pb_depth = 1,
                                                 .pb = { 1 } } };
static const uint16_t partial_order[] = { 0 };
static const struct type partial_type = {
    .kind = TYPE_STRUCT, .fields = partial_fields, .field_count = 1, .pb_order = partial_order, .pb_count = 1
};

void render_init(struct render *render, const struct request *request)
{
    *render = (struct render){
        .resource = request->resource,
        .storage = request->resource ? request_storage(request) : NULL,
        .media = request->media,
        .table = request_table_format(request),
    };
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "answer");
}

static int take(struct arena *arena, const struct buf *buf, struct str *ret_bytes, struct err *err)
{
    struct str bytes = buf_ok(buf) ? arena_str(arena, buf_str(buf)) : STR_NULL;

    if (!bytes.data)
        return no_memory(err);
    *ret_bytes = bytes;
    return 0;
}

/* -- formats -- */

/* Line breaks of indented JSON are outside of its strings. */
static void add_indented(struct buf *out, struct str text)
{
    static const char blanks[ITEM_INDENT] = { ' ', ' ', ' ', ' ' };

    for (size_t at = 0; at < text.len;) {
        ssize_t line = str_chr(str_skip(text, at), '\n');
        size_t len = line < 0 ? text.len - at : (size_t)line + 1;

        buf_add(out, text.data + at, len);
        at += len;
        if (line >= 0)
            buf_add(out, blanks, sizeof blanks);
    }
}

static int write_yaml(struct buf *buf, const struct json *tree, bool item, struct err *err)
{
    struct json copy = *tree;
    const struct json list = { .kind = JSON_ARRAY, .count = 1, .items = &copy };

    return yaml_write(buf, item ? &list : tree, err);
}

static int write_text(struct buf *buf, enum media_format format, bool pretty, const struct json *tree, bool item,
                      struct err *err)
{
    AUTO_DEINIT(buf, lines) = BUF_INIT;

    if (format == MEDIA_YAML)
        return write_yaml(buf, tree, item, err);
    if (!pretty) {
        json_write(buf, tree);
    } else if (!item) {
        json_write_pretty(buf, tree, 2);
    } else {
        buf_init(&lines, RENDERED_MAX);
        json_write_pretty(&lines, tree, 2);
        add_indented(buf, buf_str(&lines));
        buf->failed = buf->failed || !buf_ok(&lines);
    }
    return buf_ok(buf) ? 0 : no_memory(err);
}

/* -- shapes -- */

static struct str group_version(struct arena *arena, struct str group, struct str version)
{
    if (str_empty(group))
        return version;
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(group), STR_ARG(version));
}

static int to_protobuf(const struct render *render, struct arena *arena, struct json *object, size_t expected,
                       bool item, struct str *ret_bytes, struct err *err)
{
    const struct type *type = render->resource->type;
    struct pb_writer w;
    struct str message, bytes;
    int code;

    if (render->media.shape == SHAPE_PARTIAL) {
        struct str version = group_version(arena, STR("meta.k8s.io"), render->media.version);

        type = &partial_type;
        expected /= 4;
        if (!version.data || !json_set_str(arena, object, STR("apiVersion"), version) ||
            !json_set_str(arena, object, STR("kind"), STR("PartialObjectMetadata")))
            return no_memory(err);
    }
    if (!item)
        return protobuf_encode(arena, type, object, expected, ret_bytes, err);
    if ((code = protobuf_encode_message(arena, type, object, expected, &message, err)) < 0)
        return code;
    pb_begin(&w, arena, message.len + 2 * PB_VARINT_MAX);
    pb_field_bytes(&w, 2, message);
    bytes = pb_end(&w);
    if (!bytes.data)
        return no_memory(err);
    *ret_bytes = bytes;
    return 0;
}

/* text: the same as JSON, or unset. */
static int write_shape(const struct render *render, struct arena *arena, const struct json *object, struct str text,
                       bool item, struct buf *buf, struct err *err)
{
    if (render->media.shape == SHAPE_PARTIAL) {
        partial_write(buf, render->media.version, object);
        return buf_ok(buf) ? 0 : no_memory(err);
    }
    if (item)
        return table_write_row(arena, buf, render->resource, &render->table, object, text, err);
    return table_write(arena, buf, render->resource, &render->table, !render->no_columns, object, text, err);
}

static int render_one(const struct render *render, struct arena *arena, struct str text, bool item,
                      struct str *ret_bytes, struct err *err)
{
    const struct media *media = &render->media;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    size_t expected = text.len;
    struct json *tree;
    int code;

    if ((code = json_parse(arena, text, NULL, &tree, err)) < 0)
        return code == -ERR_BAD_REQUEST ? err_set(err, ERR_INTERNAL, "a stored object is damaged") : code;
    if (render->resource != render->storage) {
        if ((code = convert_object(arena, render->storage, render->resource, tree, err)) < 0 ||
            (code = object_normalize(arena, render->resource->type, tree, NULL, err)) < 0)
            return code;
        text = STR_NULL;
    }
    if (media->format == MEDIA_PROTOBUF)
        return to_protobuf(render, arena, tree, expected, item, ret_bytes, err);
    buf_init(&buf, RENDERED_MAX);
    if (media->shape != SHAPE_OBJECT) {
        if ((code = write_shape(render, arena, tree, text, item, &buf, err)) < 0 ||
            (code = take(arena, &buf, ret_bytes, err)) < 0 || (media->format == MEDIA_JSON && !media->pretty))
            return code;
        if ((code = json_parse(arena, *ret_bytes, NULL, &tree, err)) < 0)
            return code;
        buf_clear(&buf);
    }
    if ((code = write_text(&buf, media->format, media->pretty, tree, item, err)) < 0)
        return code;
    return take(arena, &buf, ret_bytes, err);
}

int render_object(const struct render *render, struct arena *arena, struct str text, struct str *ret_bytes,
                  struct err *err)
{
    if (render_is_stored(render)) {
        *ret_bytes = text;
        return 0;
    }
    return render_one(render, arena, text, false, ret_bytes, err);
}

int render_item(const struct render *render, struct arena *arena, struct str text, struct str *ret_bytes,
                struct err *err)
{
    if (render_is_stored(render)) {
        *ret_bytes = text;
        return 0;
    }
    return render_one(render, arena, text, true, ret_bytes, err);
}

/* -- other answers -- */

/* The type with that apiVersion and kind; NULL: it has no protobuf. Discovery's oldest answers say no apiVersion. */
static const struct type *type_of(const struct json *answer)
{
    struct str api_version = json_str(json_member(answer, "apiVersion")), kind = json_str(json_member(answer, "kind"));
    ssize_t slash = str_chr(api_version, '/');
    struct str group = slash < 0 ? STR("") : str_first(api_version, (size_t)slash);
    struct str version = slash < 0 ? api_version : str_skip(api_version, (size_t)slash + 1);

    if (str_is(kind, "Status") && str_is(api_version, "v1"))
        return &TYPE_STATUS;
    if (str_empty(version))
        version = STR("v1");
    for (size_t i = 0; i < api_type_count; i++)
        if (str_eq(api_types[i]->kind_name, kind) && str_eq(api_types[i]->group, group) &&
            str_eq(api_types[i]->version, version) && !str_empty(kind))
            return type_has_protobuf(api_types[i]) ? api_types[i] : NULL;
    return NULL;
}

int render_answer(struct arena *arena, enum media_format *format, bool pretty, struct str text, struct str *ret_bytes,
                  struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    const struct type *type;
    struct json *tree;
    int code;

    if (*format == MEDIA_JSON && !pretty) {
        *ret_bytes = text;
        return 0;
    }
    if ((code = json_parse(arena, text, NULL, &tree, err)) < 0)
        return code == -ERR_BAD_REQUEST ? err_set(err, ERR_INTERNAL, "the answer is not JSON") : code;
    if (*format == MEDIA_PROTOBUF && (type = type_of(tree)))
        return protobuf_encode(arena, type, tree, text.len, ret_bytes, err);
    if (*format == MEDIA_PROTOBUF)
        *format = MEDIA_JSON;
    buf_init(&buf, RENDERED_MAX);
    if ((code = write_text(&buf, *format, pretty, tree, false, err)) < 0)
        return code;
    return take(arena, &buf, ret_bytes, err);
}

/* -- lists -- */

const struct render_marks *render_marks(const struct render *render)
{
    static const struct render_marks json = { STR_INIT(""), STR_INIT(","), STR_INIT(""), STR_INIT("") };
    static const struct render_marks indented = { STR_INIT("\n    "), STR_INIT(",\n    "), STR_INIT("\n  "),
                                                  STR_INIT("") };
    static const struct render_marks yaml = { STR_INIT("\n"), STR_INIT(""), STR_INIT(""), STR_INIT(" []\n") };
    static const struct render_marks protobuf = { STR_INIT(""), STR_INIT(""), STR_INIT(""), STR_INIT("") };

    switch (render->media.format) {
    case MEDIA_YAML: return &yaml;
    case MEDIA_PROTOBUF: return &protobuf;
    default: return render->media.pretty ? &indented : &json;
    }
}

static void list_names(const struct render *render, struct str *ret_group, struct str *ret_version,
                       struct str *ret_kind)
{
    bool partial = render->media.shape == SHAPE_PARTIAL;

    *ret_group = partial ? STR("meta.k8s.io") : render->resource->group;
    *ret_version = partial ? render->media.version : render->resource->version;
    *ret_kind = partial ? STR("PartialObjectMetadataList") : render->resource->list_kind;
}

static void write_head(const struct render *render, struct str list_meta, struct buf *buf)
{
    struct str group, version, kind;

    if (render->media.shape == SHAPE_TABLE) {
        table_write_head(buf, render->resource, &render->table, true);
        return;
    }
    list_names(render, &group, &version, &kind);
    buf_printf(buf, "{\"kind\":\"" STR_FMT "\",\"apiVersion\":\"" STR_FMT "%s" STR_FMT "\"", STR_ARG(kind),
               STR_ARG(group), str_empty(group) ? "" : "/", STR_ARG(version));
    if (list_meta.data) {
        buf_add_cstr(buf, ",\"metadata\":");
        buf_add_str(buf, list_meta);
    }
    buf_add_cstr(buf, ",\"items\":[");
}

static void write_tail(const struct render *render, struct str list_meta, bool at_end, struct buf *buf)
{
    if (render->media.shape == SHAPE_TABLE) {
        table_write_tail(buf, list_meta);
        return;
    }
    buf_add_char(buf, ']');
    if (at_end) {
        buf_add_cstr(buf, ",\"metadata\":");
        buf_add_str(buf, list_meta);
    }
    buf_add_char(buf, '}');
}

/* The list with a null for its items, in the format; the parts before and behind it. */
static int frame(const struct render *render, struct arena *arena, struct str list_meta, bool at_end,
                 struct str *ret_head, struct str *ret_tail, struct err *err)
{
    bool yaml = render->media.format == MEDIA_YAML;
    struct str mark = yaml ? STR("\n- null\n") : STR("\n    null\n  "), text;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json *tree;
    ssize_t at;
    int code;

    write_head(render, at_end ? STR_NULL : list_meta, &buf);
    buf_add_cstr(&buf, "null");
    write_tail(render, list_meta, at_end, &buf);
    if ((code = take(arena, &buf, &text, err)) < 0 || (code = json_parse(arena, text, NULL, &tree, err)) < 0)
        return code;
    buf_clear(&buf);
    if ((code = write_text(&buf, render->media.format, render->media.pretty, tree, false, err)) < 0 ||
        (code = take(arena, &buf, &text, err)) < 0)
        return code;
    at = str_find(text, mark);
    INVARIANT(at >= 0);
    *ret_head = str_first(text, (size_t)at);
    *ret_tail = str_skip(text, (size_t)at + mark.len);
    return 0;
}

static bool is_compact(const struct render *render)
{
    return render->media.format == MEDIA_JSON && !render->media.pretty;
}

int render_list_head(const struct render *render, struct arena *arena, struct str list_meta, struct buf *out,
                     struct err *err)
{
    struct str head, tail;
    int code;

    if (is_compact(render)) {
        write_head(render, list_meta, out);
        return buf_ok(out) ? 0 : no_memory(err);
    }
    if ((code = frame(render, arena, list_meta.data ? list_meta : STR("{}"), !list_meta.data, &head, &tail, err)) < 0)
        return code;
    buf_add_str(out, head);
    return buf_ok(out) ? 0 : no_memory(err);
}

int render_list_tail(const struct render *render, struct arena *arena, struct str list_meta, bool at_end,
                     struct buf *out, struct err *err)
{
    struct str head, tail;
    int code;

    if (is_compact(render)) {
        write_tail(render, list_meta, at_end, out);
        return buf_ok(out) ? 0 : no_memory(err);
    }
    if ((code = frame(render, arena, list_meta, at_end, &head, &tail, err)) < 0)
        return code;
    buf_add_str(out, tail);
    return buf_ok(out) ? 0 : no_memory(err);
}

int render_protobuf_list(const struct render *render, struct arena *arena, struct str list_meta, uint64_t items_len,
                         struct str *ret_head, struct str *ret_tail, struct err *err)
{
    struct str group, version, kind, api_version, meta, envelope, head;
    struct json *tree;
    struct pb_writer w;
    int code;

    list_names(render, &group, &version, &kind);
    api_version = group_version(arena, group, version);
    if (!api_version.data)
        return no_memory(err);
    if ((code = json_parse(arena, list_meta, NULL, &tree, err)) < 0 ||
        (code = protobuf_encode_message(arena, &TYPE_LIST_META, tree, 0, &meta, err)) < 0)
        return code;
    pb_begin(&w, arena, 0);
    pb_field_bytes(&w, 1, meta);
    if ((code = protobuf_head(arena, api_version, kind, pb_len(&w) + items_len, &envelope, err)) < 0)
        return code;
    pb_put(&w, envelope);
    head = pb_end(&w);
    if (!head.data)
        return no_memory(err);
    *ret_head = head;
    *ret_tail = PROTOBUF_TAIL;
    return 0;
}
