/* checks.c - rules in code that types of api/ name with check=. */
#include "schema/checks.h"

#include "schema/check_text.h"
#include "schema/format.h"
#include "schema/walk.h"

void check_label_requirement(const struct json *requirement, const struct path *path, struct causes *causes)
{
    struct path op_path = path_member(path, STR("operator")), key_path = path_member(path, STR("key"));
    struct path values_path = path_member(path, STR("values"));
    struct str op = json_str(json_member(requirement, "operator")), key = json_str(json_member(requirement, "key"));
    const struct json *values = json_member(requirement, "values");
    uint32_t count = json_is(values, JSON_ARRAY) ? values->count : 0;

    if (str_is(op, "In") || str_is(op, "NotIn")) {
        if (!count)
            cause_at(causes, CAUSE_REQUIRED, &values_path,
                     "Required value: must be specified when `operator` is 'In' or 'NotIn'");
    } else if (str_is(op, "Exists") || str_is(op, "DoesNotExist")) {
        if (count)
            cause_at(causes, CAUSE_FORBIDDEN, &values_path,
                     "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        cause_invalid_str(causes, &op_path, op, "not a valid selector operator");
    }
    cause_format(causes, &key_path, FORMAT_KEY, key);
    for (uint32_t i = 0; i < count; i++) {
        struct path at = path_index(&values_path, i);

        cause_format(causes, &at, FORMAT_LABEL_VALUE, json_str(&values->items[i]));
    }
}
