/* common.c - cells that several resources have. */
#include "apiserver/cells/cells.h"

static void age(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_since(arena, json_str_at(object, "metadata.creationTimestamp"), now));
}

static void created_at(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, json_str_at(object, "metadata.creationTimestamp"));
}

static void selector(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_selector(arena, json_at(object, "spec.selector")));
}

static void template_containers(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_containers(arena, json_at(object, "spec.template.spec.containers"), STR("name")));
}

static void template_images(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_containers(arena, json_at(object, "spec.template.spec.containers"), STR("image")));
}

static const struct table_cell rows[] = {
    { STR_INIT("age"), age },
    { STR_INIT("created-at"), created_at },
    { STR_INIT("selector"), selector },
    { STR_INIT("template.containers"), template_containers },
    { STR_INIT("template.images"), template_images },
};
const struct cell_table common_cells = CELL_TABLE(rows);
