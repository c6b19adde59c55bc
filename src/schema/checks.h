/* checks.h - rules in code that types of api/ name with check=. Each looks at one value of its struct. */
#pragma once

#include "schema/object.h"

struct path;

/* metav1.LabelSelectorRequirement */
void check_label_requirement(const struct json *requirement, const struct path *path, struct causes *causes);
