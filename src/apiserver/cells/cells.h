/* cells.h - the named cell functions of columns (api/: "fn=pod.ready"), one file a group of resources.
 *
 * They read trees that were stored, so what they find may be of any kind: each helper takes NULL and wrong kinds. What
 * they print is what kubectl's users know by heart; scripts cut it apart. */
#pragma once

#include "apiserver/table.h"
#include "base/vec.h"

struct cell_table {
    const struct table_cell *cells;
    size_t count;
};
extern const struct cell_table access_cells, admission_cells, batch_cells, common_cells, config_cells, event_cells,
    autoscaler_cells, network_cells, node_cells, pod_cells, service_cells, storage_cells, workload_cells;
#define CELL_TABLE(rows) { (rows), ARRAY_LEN(rows) }

/* The function of that name in any of the tables; NULL: none. */
table_cell_fn *cell_function(struct str name);

/* for each_item(array, item) { ... } ; each_member() walks an object. */
const struct json *cell_items(const struct json *array);
const struct json *cell_items_end(const struct json *array);
const struct json_member *cell_members(const struct json *object);
const struct json_member *cell_members_end(const struct json *object);
#define each_item(array, it)                                                                                           \
    (const struct json *it = cell_items(array), *it##_end = cell_items_end(array); it < it##_end; it++)
#define each_member(object, it)                                                                                        \
    (const struct json_member *it = cell_members(object), *it##_end = cell_members_end(object); it < it##_end; it++)
size_t cell_count(const struct json *container); /* elements of an array, members of an object; else 0 */

void cell_str(struct json *cell, struct str s);
void cell_int(struct arena *arena, struct json *cell, int64_t value);
void cell_printf(struct arena *arena, struct json *cell, const char *fmt, ...) PRINTF(3, 4);
struct str str_or(struct str s, struct str fallback); /* fallback when s is empty */

/* "5m"; "<unknown>" when it is no time. text: RFC 3339. */
struct str cell_since(struct arena *arena, struct str text, nsec_t now);
struct str cell_duration(struct arena *arena, nsec_t duration);
/* json is a string or a number (int-or-string, quantity): its text; unset otherwise. */
struct str cell_scalar(const struct json *json);
/* "True" of .status.conditions[type].status; unset: no such condition. */
const struct json *cell_condition(const struct json *conditions, const char *type);
bool cell_is_true(const struct json *condition);
/* {a: b, c: d} as "a=b,c=d", by key; "<none>" when empty. */
struct str cell_labels(struct arena *arena, const struct json *map);
/* metav1.LabelSelector in the form of the command line; "<none>" when it selects nothing in particular. */
struct str cell_selector(struct arena *arena, const struct json *selector);
/* The values of a member of each container ("name", "image"), commas between. */
struct str cell_containers(struct arena *arena, const struct json *containers, struct str member);

/* "a,b,c + 2 more..." */
struct cell_list {
    struct buf text;
    const char *separator;
    size_t count, max; /* max 0: all are shown */
};
void cell_list_init(struct cell_list *list, const char *separator, size_t max);
void cell_list_deinit(struct cell_list *list);
void cell_list_add(struct cell_list *list, struct str item);
/* none: what stands for an empty list. */
void cell_list_finish(struct arena *arena, struct cell_list *list, struct str none, struct json *cell);
/* All strings of an array, commas between. */
void cell_join(struct arena *arena, const struct json *array, struct str none, struct json *cell);

static inline bool cell_is_deleted(const struct json *object)
{
    return !str_empty(json_str_at(object, "metadata.deletionTimestamp"));
}
