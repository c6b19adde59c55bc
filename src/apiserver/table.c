/* table.c - rows and metadata-only objects. */
#include "apiserver/table.h"

#include "apiserver/registry.h"
#include "schema/time.h"

static const struct column default_columns[] = {
    { .name = STR_INIT("Name"),
      .type = STR_INIT("string"),
      .format = STR_INIT("name"),
      .doc = STR_INIT("Name must be unique within a namespace."),
      .path = STR_INIT(".metadata.name") },
    { .name = STR_INIT("Age"),
      .type = STR_INIT("string"),
      .doc = STR_INIT("The time since the object was created."),
      .path = STR_INIT(".metadata.creationTimestamp") },
};

static const struct column *columns_of(const struct resource *resource, size_t *ret_count)
{
    *ret_count = resource->column_count ? resource->column_count : ARRAY_LEN(default_columns);
    return resource->column_count ? resource->columns : default_columns;
}

static struct str version_or_v1(struct str version)
{
    return str_empty(version) ? STR("v1") : version;
}

void table_write_head(struct buf *buf, const struct resource *resource, const struct table_format *format,
                      bool definitions)
{
    struct json_writer w = json_writer(buf);
    const struct column *columns;
    size_t count;

    columns = columns_of(resource, &count);
    buf_printf(buf, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/" STR_FMT "\",\"columnDefinitions\":",
               STR_ARG(version_or_v1(format->version)));
    jw_begin_array(&w);
    for (size_t i = 0; definitions && i < count; i++) {
        jw_begin_object(&w);
        jw_field_str(&w, "name", columns[i].name);
        jw_field_str(&w, "type", columns[i].type);
        jw_field_str(&w, "format", columns[i].format.data ? columns[i].format : STR(""));
        jw_field_str(&w, "description", columns[i].doc.data ? columns[i].doc : STR(""));
        jw_field_int(&w, "priority", columns[i].priority);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    buf_add_cstr(buf, ",\"rows\":[");
}

static void write_age(struct json_writer *w, const struct json *object, nsec_t now)
{
    char text[API_TIME_LEN];
    nsec_t at;

    if (api_time_parse(json_str_at(object, "metadata.creationTimestamp"), &at))
        jw_str(w, duration_text(MAX(now - at, 0), text));
    else
        jw_str(w, STR("<unknown>"));
}

static void write_cell(struct arena *arena, struct json_writer *w, const struct resource *resource,
                       const struct column *column, const struct json *object, nsec_t now)
{
    table_cell_fn *fn = str_empty(column->function) ? NULL : table_cell_find(resource, column->function);
    struct json cell = { .kind = JSON_NULL };
    const struct json *value = NULL;
    const char *path;

    if (fn) {
        fn(arena, object, now, &cell);
        jw_json(w, &cell);
        return;
    }
    if (str_is(column->name, "Age") || str_is(column->path, ".metadata.creationTimestamp")) {
        write_age(w, object, now);
        return;
    }
    path = str_empty(column->path) ? NULL : arena_cstr(arena, str_skip(column->path, column->path.data[0] == '.'));
    value = path ? json_at(object, path) : NULL;
    if (value)
        jw_json(w, value);
    else
        jw_str(w, STR(""));
}

int table_write_row(struct arena *arena, struct buf *buf, const struct resource *resource,
                    const struct table_format *format, const struct json *object, struct str text, struct err *err)
{
    struct json_writer w = json_writer(buf);
    const struct column *columns;
    size_t count;

    columns = columns_of(resource, &count);
    buf_add_cstr(buf, "{\"cells\":");
    jw_begin_array(&w);
    for (size_t i = 0; i < count; i++)
        write_cell(arena, &w, resource, &columns[i], object, format->now);
    jw_end_array(&w);
    if (format->include != TABLE_INCLUDE_NONE)
        buf_add_cstr(buf, ",\"object\":");
    if (format->include == TABLE_INCLUDE_METADATA)
        partial_write(buf, format->version, object);
    else if (format->include == TABLE_INCLUDE_OBJECT && text.data)
        buf_add_str(buf, text);
    else if (format->include == TABLE_INCLUDE_OBJECT)
        json_write(buf, object);
    buf_add_char(buf, '}');
    return buf_ok(buf) ? 0 : err_set(err, ERR_NO_MEMORY, "table");
}

void table_write_tail(struct buf *buf, struct str list_meta)
{
    buf_add_cstr(buf, "],\"metadata\":");
    buf_add_str(buf, list_meta);
    buf_add_char(buf, '}');
}

int table_write(struct arena *arena, struct buf *buf, const struct resource *resource,
                const struct table_format *format, bool definitions, const struct json *object, struct str text,
                struct err *err)
{
    AUTO_DEINIT(buf, meta) = BUF_INIT;
    int code;

    table_write_head(buf, resource, format, definitions);
    if ((code = table_write_row(arena, buf, resource, format, object, text, err)) < 0)
        return code;
    buf_add_cstr(&meta, "{\"resourceVersion\":");
    json_write_str(&meta, json_str_at(object, "metadata.resourceVersion"));
    buf_add_char(&meta, '}');
    table_write_tail(buf, buf_str(&meta));
    return buf_ok(buf) && buf_ok(&meta) ? 0 : err_set(err, ERR_NO_MEMORY, "table");
}

table_cell_fn *table_cell_find(const struct resource *resource, struct str name)
{
    const struct rules *rules = registry_rules(resource);

    for (size_t i = 0; i < rules->cell_count; i++)
        if (str_eq(rules->cells[i].name, name))
            return rules->cells[i].fn;
    return NULL;
}

void partial_write(struct buf *buf, struct str version, const struct json *object)
{
    const struct json *meta = json_member(object, "metadata");

    buf_printf(buf, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/" STR_FMT "\",\"metadata\":",
               STR_ARG(version_or_v1(version)));
    if (meta)
        json_write(buf, meta);
    else
        buf_add_cstr(buf, "{}");
    buf_add_char(buf, '}');
}
