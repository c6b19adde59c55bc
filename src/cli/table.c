#include "cli/table.h"

#include "schema/jsonpath.h"
#include "schema/quantity.h"

void table_init(struct table *table, const struct table_options *options, struct arena *arena)
{
    *table = (struct table){ .options = *options, .arena = arena };
    columns_init(&table->columns, 0);
}

void table_deinit(struct table *table)
{
    vec_deinit(&table->rows);
    columns_deinit(&table->columns);
}

int table_add(struct table *table, const struct json *json, struct err *err)
{
    const struct json *definitions = json_member(json, "columnDefinitions"), *rows = json_member(json, "rows");

    if (!str_is(json_str_at(json, "kind"), "Table"))
        return err_set(err, ERR_NOT_SUPPORTED, "the server does not show this resource as a table; try -o yaml");
    if (!table->definitions && json_is(definitions, JSON_ARRAY))
        table->definitions = definitions;
    for (uint32_t i = 0; json_is(rows, JSON_ARRAY) && i < rows->count; i++)
        if (vec_push(&table->rows, &rows->items[i]) < 0)
            return err_set(err, ERR_NO_MEMORY, "table");
    return 0;
}

/* -- order -- */

int sort_compare(const struct json *a, const struct json *b)
{
    struct quantity left, right;

    if (!a || !b)
        return (a != NULL) - (b != NULL);
    if (a->kind == JSON_NUMBER && b->kind == JSON_NUMBER)
        return (json_double(a, 0) > json_double(b, 0)) - (json_double(a, 0) < json_double(b, 0));
    if (a->kind == JSON_BOOL && b->kind == JSON_BOOL)
        return (int)a->boolean - (int)b->boolean;
    if (a->kind == JSON_STRING && b->kind == JSON_STRING) {
        if (quantity_parse(a->string, &left) && quantity_parse(b->string, &right))
            return quantity_cmp(left, right);
        return str_cmp(a->string, b->string);
    }
    return (int)a->kind - (int)b->kind;
}

static int compare_rows(const struct json *a, const struct json *b, const struct jsonpath *path)
{
    return sort_compare(jsonpath_first(path, json_member(a, "object")), jsonpath_first(path, json_member(b, "object")));
}

/* A merge sort: equal ones stay in the order of the server. */
static int sort_rows(struct table *table, struct err *err)
{
    const struct json **rows = table->rows.items;
    size_t count = table->rows.count;
    AUTO_FREE const struct json **other = malloc((count + 1) * sizeof *other);

    if (!other)
        return err_set(err, ERR_NO_MEMORY, "table");
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width) {
            size_t a = at, middle = MIN(at + width, count), b = middle, end = MIN(at + 2 * width, count);

            for (size_t n = at; n < end; n++) {
                bool left = a < middle && (b >= end || compare_rows(rows[a], rows[b], table->options.sort_by) <= 0);

                other[n] = left ? rows[a++] : rows[b++];
            }
        }
        memcpy(rows, other, count * sizeof *rows);
    }
    return 0;
}

/* -- cells -- */

static int compare_keys(const void *a, const void *b)
{
    const struct json_member *const *left = a, *const *right = b;

    return str_cmp((*left)->key, (*right)->key);
}

struct str labels_text(struct arena *arena, const struct json *labels)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    if (!json_is(labels, JSON_OBJECT) || !labels->count)
        return STR("<none>");
    AUTO_FREE const struct json_member **order = malloc(labels->count * sizeof *order);

    if (!order)
        return STR_NULL;
    for (uint32_t i = 0; i < labels->count; i++)
        order[i] = &labels->members[i];
    qsort(order, labels->count, sizeof *order, compare_keys);
    for (uint32_t i = 0; i < labels->count; i++) {
        if (i)
            buf_add_char(&text, ',');
        buf_add_str(&text, order[i]->key);
        buf_add_char(&text, '=');
        buf_add_str(&text, json_str(&order[i]->value));
    }
    return buf_ok(&text) ? arena_str(arena, buf_str(&text)) : STR_NULL;
}

static struct str upper(struct arena *arena, struct str text)
{
    char *copy = arena_cstr(arena, text);

    for (char *c = copy; c && *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return str_from(copy);
}

static struct str cell_text(struct arena *arena, const struct json *cell)
{
    if (!cell || cell->kind == JSON_NULL)
        return STR("");
    return cell->kind == JSON_STRING ? cell->string : json_text(arena, cell);
}

static bool is_shown(const struct table *table, uint32_t column)
{
    return table->options.wide || json_int(json_member(&table->definitions->items[column], "priority"), 0) == 0;
}

static size_t count_columns(const struct table *table)
{
    size_t count = table->options.with_namespace + table->options.show_labels + table->options.label_column_count;

    for (uint32_t i = 0; i < table->definitions->count; i++)
        count += is_shown(table, i);
    return count;
}

/* The column of a label is called by what follows its '/'. */
static void add_heading(struct table *table)
{
    const struct table_options *options = &table->options;

    if (options->with_namespace)
        columns_add(&table->columns, STR("NAMESPACE"));
    for (uint32_t i = 0; i < table->definitions->count; i++)
        if (is_shown(table, i))
            columns_add(&table->columns, upper(table->arena, json_str_at(&table->definitions->items[i], "name")));
    for (size_t i = 0; i < options->label_column_count; i++) {
        struct str label = options->label_columns[i];

        columns_add(&table->columns, upper(table->arena, str_skip(label, (size_t)(str_rchr(label, '/') + 1))));
    }
    if (options->show_labels)
        columns_add(&table->columns, STR("LABELS"));
}

static void add_row(struct table *table, const struct json *row)
{
    const struct table_options *options = &table->options;
    const struct json *cells = json_member(row, "cells"), *metadata = json_at(row, "object.metadata");
    const struct json *labels = json_member(metadata, "labels");

    if (options->with_namespace)
        columns_add(&table->columns, json_str_at(metadata, "namespace"));
    for (uint32_t i = 0; i < table->definitions->count; i++) {
        const struct json *cell = json_is(cells, JSON_ARRAY) && i < cells->count ? &cells->items[i] : NULL;
        struct str text = cell_text(table->arena, cell);

        if (options->type_prefix.len && str_is(json_str_at(&table->definitions->items[i], "format"), "name"))
            text = arena_printf(table->arena, STR_FMT "/" STR_FMT, STR_ARG(options->type_prefix), STR_ARG(text));
        if (is_shown(table, i))
            columns_add(&table->columns, text);
    }
    for (size_t i = 0; i < options->label_column_count; i++)
        columns_add(&table->columns, json_str(json_get(labels, options->label_columns[i])));
    if (options->show_labels)
        columns_add(&table->columns, labels_text(table->arena, labels));
}

int table_flush(struct table *table, FILE *out, struct err *err)
{
    int code = 0;

    if (!table->definitions || table->rows.count == 0)
        return 0;
    table->columns.per_row = count_columns(table);
    if (!table->options.no_headers && !table->headed)
        add_heading(table);
    table->headed = true;
    if (table->options.sort_by && (code = sort_rows(table, err)) < 0)
        return code;
    for (size_t i = 0; i < table->rows.count; i++)
        add_row(table, table->rows.items[i]);
    vec_clear(&table->rows);
    if (columns_flush(&table->columns, out) < 0 || arena_failed(table->arena))
        return err_set(err, ERR_NO_MEMORY, "table");
    return 0;
}
