/* yaml_scalar.h - what a plain YAML scalar means. Only for codec/yaml*.c. */
#pragma once

#include "codec/json.h"

enum yaml_type { YAML_STR, YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_TIMESTAMP };

/* The type that a plain scalar without a tag has. */
enum yaml_type yaml_resolve(struct str text);
/* The same as a JSON value; strings are slices of text. ERR_BAD_REQUEST for infinity and not-a-number, which JSON
 * cannot express. */
int yaml_scalar(struct arena *arena, struct str text, enum yaml_type *ret_type, struct json *ret_json, struct err *err);
/* "1:20" is a number in YAML 1.1, though not to us; others who read what we write may think so. */
bool yaml_looks_base60(struct str text);
