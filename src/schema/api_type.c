/* api_type.c - built-in types by name. Apart from type.c, as it needs the generated tables when linking. */
#include "schema/type.h"

#include "schema/walk.h"

const struct type *api_type(struct str name)
{
    size_t low = 0, high = api_type_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = name_cmp(name, api_types[middle]->name);

        if (order == 0)
            return api_types[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
