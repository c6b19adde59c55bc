/* cells.c - the tables of cell functions put together, and what their files share. */
#include "apiserver/cells/cells.h"

#include "schema/selector.h"
#include "schema/time.h"

static const struct cell_table *const tables[] = {
    &common_cells, &pod_cells,     &node_cells,    &workload_cells, &batch_cells,     &service_cells, &network_cells,
    &event_cells,  &storage_cells, &config_cells,  &access_cells,   &admission_cells, &autoscaler_cells,
};

table_cell_fn *cell_function(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            if (str_eq(tables[i]->cells[j].name, name))
                return tables[i]->cells[j].fn;
    return NULL;
}

const struct json *cell_items(const struct json *array)
{
    return json_is(array, JSON_ARRAY) ? array->items : NULL;
}

const struct json *cell_items_end(const struct json *array)
{
    return json_is(array, JSON_ARRAY) && array->count ? array->items + array->count : cell_items(array);
}

const struct json_member *cell_members(const struct json *object)
{
    return json_is(object, JSON_OBJECT) ? object->members : NULL;
}

const struct json_member *cell_members_end(const struct json *object)
{
    return json_is(object, JSON_OBJECT) && object->count ? object->members + object->count : cell_members(object);
}

size_t cell_count(const struct json *container)
{
    return json_is(container, JSON_ARRAY) || json_is(container, JSON_OBJECT) ? container->count : 0;
}

void cell_str(struct json *cell, struct str s)
{
    *cell = (struct json){ .kind = JSON_STRING, .string = s.data ? s : STR("") };
}

void cell_int(struct arena *arena, struct json *cell, int64_t value)
{
    const struct json *number = json_new_int(arena, value);

    if (number)
        *cell = *number;
}

void cell_printf(struct arena *arena, struct json *cell, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    cell_str(cell, arena_vprintf(arena, fmt, args));
    va_end(args);
}

struct str str_or(struct str s, struct str fallback)
{
    return str_empty(s) ? fallback : s;
}

struct str cell_duration(struct arena *arena, nsec_t duration)
{
    char text[API_TIME_LEN];

    return arena_str(arena, duration_text(duration, text));
}

struct str cell_since(struct arena *arena, struct str text, nsec_t now)
{
    nsec_t at;

    return api_time_parse(text, &at) ? cell_duration(arena, now - at) : STR("<unknown>");
}

struct str cell_scalar(const struct json *json)
{
    return json_is(json, JSON_NUMBER) ? json->number.text : json_str(json);
}

const struct json *cell_condition(const struct json *conditions, const char *type)
{
    for each_item(conditions, condition)
        if (str_is(json_str(json_member(condition, "type")), type))
            return condition;
    return NULL;
}

bool cell_is_true(const struct json *condition)
{
    return str_is(json_str(json_member(condition, "status")), "True");
}

static int compare_members(const void *a, const void *b)
{
    return str_cmp((*(const struct json_member *const *)a)->key, (*(const struct json_member *const *)b)->key);
}

struct str cell_labels(struct arena *arena, const struct json *map)
{
    size_t count = cell_count(map), n = 0;
    const struct json_member **sorted = arena_array_of(arena, count + 1, const struct json_member *);
    AUTO_DEINIT(buf, text) = BUF_INIT;

    if (!count || !sorted)
        return STR("<none>");
    for each_member(map, member)
        sorted[n++] = member;
    qsort(sorted, n, sizeof(struct json_member *), compare_members);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(&text, ',');
        buf_add_str(&text, sorted[i]->key);
        buf_add_char(&text, '=');
        buf_add_str(&text, json_str(&sorted[i]->value));
    }
    return arena_str(arena, buf_str(&text));
}

struct str cell_selector(struct arena *arena, const struct json *selector)
{
    const struct selector *parsed = NULL;

    if (!json_is(selector, JSON_OBJECT))
        return STR("<none>");
    if (selector_from_json(arena, selector, &parsed, NULL) < 0)
        return STR("<error>");
    return parsed ? str_or(selector_text(arena, parsed), STR("<none>")) : STR("<none>");
}

void cell_list_init(struct cell_list *list, const char *separator, size_t max)
{
    *list = (struct cell_list){ .separator = separator, .max = max };
}

void cell_list_deinit(struct cell_list *list)
{
    buf_deinit(&list->text);
}

void cell_list_add(struct cell_list *list, struct str item)
{
    list->count++;
    if (list->max && list->count > list->max)
        return;
    if (list->count > 1)
        buf_add_cstr(&list->text, list->separator);
    buf_add_str(&list->text, item);
}

void cell_list_finish(struct arena *arena, struct cell_list *list, struct str none, struct json *cell)
{
    if (list->max && list->count > list->max)
        buf_printf(&list->text, " + %zu more...", list->count - list->max);
    cell_str(cell, list->text.len ? arena_str(arena, buf_str(&list->text)) : none);
    cell_list_deinit(list);
}

void cell_join(struct arena *arena, const struct json *array, struct str none, struct json *cell)
{
    struct cell_list list;

    cell_list_init(&list, ",", 0);
    for each_item(array, item)
        cell_list_add(&list, json_str(item));
    cell_list_finish(arena, &list, none, cell);
}

struct str cell_containers(struct arena *arena, const struct json *containers, struct str member)
{
    struct cell_list list;
    struct json cell;

    cell_list_init(&list, ",", 0);
    for each_item(containers, container)
        cell_list_add(&list, json_str(json_get(container, member)));
    cell_list_finish(arena, &list, STR(""), &cell);
    return cell.string;
}
