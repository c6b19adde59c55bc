/* table.h - objects as rows of a meta.k8s.io Table, the form `kubectl get` asks for.
 *
 * Written piece by piece, so that a list of any length streams: head, rows with commas between them, tail. The columns
 * are those of the resource (schema/type.h), or Name and Age when it has none. A cell comes from a JSONPath in the
 * object or from a named function: table_cell_find(). */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "codec/json.h"
#include "schema/type.h"

enum table_include { TABLE_INCLUDE_METADATA, TABLE_INCLUDE_OBJECT, TABLE_INCLUDE_NONE };

struct table_format {
    struct str version;         /* of the Table: "v1" or "v1beta1" */
    enum table_include include; /* ?includeObject= ; the object of a row is PartialObjectMetadata by default */
    nsec_t now;                 /* Unix time, for ages */
    const struct table_cells *cells; /* by table_prepare(), for many rows; NULL: found anew for each row */
};

/* Finds out once where the cells of this resource's rows come from; the result lives in arena. Without memory they are
 * found anew for each row. */
void table_prepare(struct arena *arena, const struct resource *resource, struct table_format *format);

struct request;
/* What this request asks of a Table, at the time of the call. */
struct table_format request_table_format(const struct request *request);

/* {"kind":"Table","apiVersion":"meta.k8s.io/v1","columnDefinitions":[...],"rows":[   (definitions only when wanted: a
 * watch sends them once) */
void table_write_head(struct buf *buf, const struct resource *resource, const struct table_format *format,
                      bool definitions);
/* {"cells":[...],"object":{...}}; object is in the version of resource, text is the same as JSON text (unset: write
 * object). */
int table_write_row(struct arena *arena, struct buf *buf, const struct resource *resource,
                    const struct table_format *format, const struct json *object, struct str text, struct err *err);
/* ],"metadata":<list_meta>}   list_meta is JSON text: {"resourceVersion":"12"} */
void table_write_tail(struct buf *buf, struct str list_meta);
/* A Table with the one row: an answer to get, or the object of a watch event. */
int table_write(struct arena *arena, struct buf *buf, const struct resource *resource,
                const struct table_format *format, bool definitions, const struct json *object, struct str text,
                struct err *err);

/* Fills *ret_cell (JSON null when left alone). Memory from arena. */
typedef void table_cell_fn(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell);
struct table_cell {
    struct str name; /* column.function: "pod.ready" */
    table_cell_fn *fn;
};
/* From the resource's rules (rules.cells) and the tables of cells/; NULL: no such function. */
table_cell_fn *table_cell_find(const struct resource *resource, struct str name);

/* {"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{...}} */
void partial_write(struct buf *buf, struct str version, const struct json *object);
