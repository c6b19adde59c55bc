/* table.c - rows and metadata-only objects. */
#include "apiserver/table.h"

#include "apiserver/cells/cells.h"
#include "apiserver/registry.h"
#include "schema/jsonpath.h"

static const struct column default_columns[] = {
    { .name = STR_INIT("Name"),
      .type = STR_INIT("string"),
      .format = STR_INIT("name"),
      .doc = STR_INIT("Name must be unique within a namespace."),
      .path = STR_INIT(".metadata.name") },
    { .name = STR_INIT("Age"),
      .type = STR_INIT("date"),
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

/* Where a cell comes from: a function, or a path. Most paths are mere members; they need no JSONPath. */
struct cell_source {
    table_cell_fn *fn;
    const char *members;
    const struct jsonpath *path;
};

struct table_cells {
    size_t count;
    struct cell_source sources[];
};

static bool is_members(struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-'))
            return false;
    }
    return path.len > 1 && path.data[0] == '.';
}

static const struct table_cells *find_cells(struct arena *arena, const struct resource *resource)
{
    const struct column *columns;
    struct table_cells *cells;
    size_t count;

    columns = columns_of(resource, &count);
    cells = arena_alloc(arena, sizeof *cells + count * sizeof *cells->sources);
    if (!cells)
        return NULL;
    cells->count = count;
    for (size_t i = 0; i < count; i++) {
        struct cell_source *source = &cells->sources[i];

        if (!str_empty(columns[i].function))
            source->fn = table_cell_find(resource, columns[i].function);
        else if (is_members(columns[i].path))
            source->members = arena_cstr(arena, str_skip(columns[i].path, 1));
        else if (!str_empty(columns[i].path))
            jsonpath_compile(arena, columns[i].path, &source->path, NULL);
    }
    return cells;
}

void table_prepare(struct arena *arena, const struct resource *resource, struct table_format *format)
{
    format->cells = find_cells(arena, resource);
}

static void write_absent(struct json_writer *w, const struct resource *resource, const struct column *column)
{
    if (column->absent_json.data)
        jw_raw(w, column->absent_json);
    else if (resource->type && resource->type->size == 0 && resource->column_count)
        jw_null(w); /* a custom resource */
    else
        jw_str(w, STR(""));
}

static void write_cell(struct arena *arena, struct json_writer *w, const struct resource *resource,
                       const struct column *column, const struct cell_source *source, const struct json *object,
                       nsec_t now)
{
    struct json cell = { .kind = JSON_NULL };
    const struct json *value = NULL;

    if (source->fn) {
        source->fn(arena, object, now, &cell);
        jw_json(w, &cell);
        return;
    }
    if (source->members)
        value = json_at(object, source->members);
    else if (source->path)
        value = jsonpath_first(source->path, object);
    if (!value || value->kind == JSON_NULL || (json_is(value, JSON_STRING) && str_empty(value->string)))
        write_absent(w, resource, column);
    else if (str_is(column->type, "date") && json_is(value, JSON_STRING))
        jw_str(w, cell_since(arena, value->string, now));
    else if (value->kind == JSON_ARRAY || value->kind == JSON_OBJECT)
        jw_str(w, json_text(arena, value));
    else
        jw_json(w, value);
}

int table_write_row(struct arena *arena, struct buf *buf, const struct resource *resource,
                    const struct table_format *format, const struct json *object, struct str text, struct err *err)
{
    const struct table_cells *cells = format->cells ? format->cells : find_cells(arena, resource);
    struct json_writer w = json_writer(buf);
    const struct column *columns;
    size_t count;

    if (!cells)
        return err_set(err, ERR_NO_MEMORY, "table");
    columns = columns_of(resource, &count);
    INVARIANT(count == cells->count);
    buf_add_cstr(buf, "{\"cells\":");
    jw_begin_array(&w);
    for (size_t i = 0; i < count; i++)
        write_cell(arena, &w, resource, &columns[i], &cells->sources[i], object, format->now);
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
    return cell_function(name);
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
