/* table.h - printing the Tables (meta.k8s.io/v1) that the server makes of objects. */
#pragma once

#include <stdio.h>

#include "cli/columns.h"
#include "codec/json.h"

struct jsonpath;

struct table_options {
    bool wide, no_headers, show_labels, with_namespace;
    const struct str *label_columns; /* -L */
    size_t label_column_count;
    struct str type_prefix;         /* "pod": names are shown as pod/web; unset: bare */
    const struct jsonpath *sort_by; /* in the rows' objects; NULL: as they come */
};

struct table {
    struct table_options options;
    struct arena *arena;
    const struct json *definitions; /* of the columns: the first Table's */
    VEC(const struct json *) rows;
    struct columns columns;
    bool headed; /* the heading is printed */
};

void table_init(struct table *table, const struct table_options *options, struct arena *arena);
void table_deinit(struct table *table);
/* Takes the rows of a Table; the tree lives until the flush, its column definitions as long as the table. ERR_NOT_SUPPORTED
 * when it is no Table. */
int table_add(struct table *table, const struct json *json, struct err *err);
/* Prints what was added since the last time. */
int table_flush(struct table *table, FILE *out, struct err *err);

/* The objects of the rows, ordered by what sort_by finds: numbers and quantities by value, text by its bytes. */
int sort_compare(const struct json *a, const struct json *b);
/* "a=1,b=2" in order, or "<none>". */
struct str labels_text(struct arena *arena, const struct json *labels);
