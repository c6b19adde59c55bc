/* type.c - the scalar types and the two look-ups that every table needs. */
#include "schema/type.h"

#include "schema/walk.h"

const struct type type_string = { .kind = TYPE_STRING, .size = sizeof(struct str) };
const struct type type_bytes = { .kind = TYPE_BYTES, .size = sizeof(struct str) };
const struct type type_bool = { .kind = TYPE_BOOL, .size = sizeof(bool) };
const struct type type_int32 = { .kind = TYPE_INT32, .size = sizeof(int32_t) };
const struct type type_int64 = { .kind = TYPE_INT64, .size = sizeof(int64_t) };
const struct type type_double = { .kind = TYPE_DOUBLE, .size = sizeof(double) };
const struct type type_time = { .kind = TYPE_TIME, .size = sizeof(struct api_time) };
const struct type type_micro_time = { .kind = TYPE_MICRO_TIME, .size = sizeof(struct api_time) };
const struct type type_quantity = { .kind = TYPE_QUANTITY, .size = sizeof(struct str) };
const struct type type_int_or_string = { .kind = TYPE_INT_OR_STRING, .size = sizeof(struct int_or_string) };
const struct type type_any = { .kind = TYPE_ANY, .size = sizeof(const struct json *) };
const struct type type_schema_or_list = { .kind = TYPE_ANY,
                                          .any_form = ANY_SCHEMA_OR_LIST,
                                          .size = sizeof(const struct json *) };
const struct type type_schema_or_bool = { .kind = TYPE_ANY,
                                          .any_form = ANY_SCHEMA_OR_BOOL,
                                          .size = sizeof(const struct json *) };
const struct type type_schema_or_strings = { .kind = TYPE_ANY,
                                             .any_form = ANY_SCHEMA_OR_STRINGS,
                                             .size = sizeof(const struct json *) };
const struct type type_string_list = { .kind = TYPE_LIST, .size = sizeof(struct str_array), .elem = &type_string };
const struct type type_string_map = { .kind = TYPE_MAP, .size = sizeof(struct str_map), .elem = &type_string };

const struct field *type_field(const struct type *type, struct str name)
{
    uint32_t low = 0, high = type->field_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = name_cmp(name, type->fields[middle].name);

        if (order == 0)
            return &type->fields[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct subresource *resource_subresource(const struct resource *resource, struct str name)
{
    for (size_t i = 0; i < resource->subresource_count; i++)
        if (str_eq(resource->subresources[i].name, name))
            return &resource->subresources[i];
    return NULL;
}
