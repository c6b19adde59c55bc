/* yaml.h - YAML 1.1 as Kubernetes uses it (libyaml), to and from the JSON tree.
 *
 * Scalars resolve as sigs.k8s.io/yaml (Kubernetes) resolves them: y/n/yes/no/on/off are booleans, as in YAML 1.1;
 * quoted ones are strings. Anchors and aliases are expanded under a cap on nodes and bytes (alias bombs give
 * ERR_TOO_LARGE); merge keys (<<) are supported; duplicate keys are reported like json_parse() does; depth is capped.
 * Everything is copied into the arena. */
#pragma once

#include "codec/json.h"

/* One document, beside which only empty ones may stand; ERR_BAD_REQUEST with line and column. An empty text gives
 * JSON_NULL. */
int yaml_parse(struct arena *arena, struct str text, const struct json_options *options, struct json **ret_json,
               struct err *err);
/* Several documents divided by "---"; empty ones are left out. *ret_array is a JSON array. */
int yaml_parse_all(struct arena *arena, struct str text, struct json **ret_array, struct err *err);
int yaml_write(struct buf *buf, const struct json *json, struct err *err); /* block style, keys in the tree's order */
