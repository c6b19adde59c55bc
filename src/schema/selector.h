/* selector.h - label and field selectors: parsed once, matched often. Immutable after parsing; lives in its arena. */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

struct selector; /* NULL matches everything */

/* "a=b,c!=d,e in (f,g),h notin (i),j,!k". ERR_BAD_REQUEST with what is wrong. An empty text gives NULL. */
int selector_parse(struct arena *arena, struct str text, const struct selector **ret_selector, struct err *err);
/* metav1.LabelSelector as JSON ({matchLabels, matchExpressions}); an empty one gives NULL (everything), an absent
 * (NULL) one matches nothing. */
int selector_from_json(struct arena *arena, const struct json *label_selector, const struct selector **ret_selector,
                       struct err *err);
/* The same from a generated struct label_selector view. */
struct label_selector;
int selector_from_view(struct arena *arena, const struct label_selector *view, const struct selector **ret_selector,
                       struct err *err);
/* {k: v} and nothing else: equality with each. */
int selector_from_map(struct arena *arena, struct str_map map, const struct selector **ret_selector, struct err *err);
bool selector_matches(const struct selector *selector, struct str_map labels);
bool selector_matches_json(const struct selector *selector, const struct json *labels);
struct str selector_text(struct arena *arena, const struct selector *selector); /* canonical, as kubectl prints it */
/* The value when the selector asks for key=value, else STR_NULL: lets the caller use an index. */
struct str selector_required_value(const struct selector *selector, struct str key);
/* Field selectors: terms with = == != between commas; '\' takes '\', ',' and '=' literally in a value. get(arg, key)
 * returns the value of the field, unset for an empty one. */
int field_selector_parse(struct arena *arena, struct str text, const struct selector **ret_selector, struct err *err);
typedef struct str field_value_fn(const void *arg, struct str key);
bool field_selector_matches(const struct selector *selector, field_value_fn *get, const void *arg);
/* Calls fn for each key, e.g. to refuse unsupported ones; stops and returns fn's first negative value. */
int selector_each_key(const struct selector *selector, int (*fn)(void *arg, struct str key), void *arg);
