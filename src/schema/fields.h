/* fields.h - sets of fields, in the form in which the API shows them (FieldsV1): who manages what.
 *
 * {"f:spec":{"f:replicas":{},"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{}}}}}: an empty object or a "." says
 * that the path itself is in the set, "f:" goes to a field or a key of a map, "k:" to an element of a keyed list, "v:" to
 * an element of a set. A set is a tree of that shape, or NULL when it is empty. Nothing here changes its inputs;
 * results may share nodes with them. NULL also means no memory: look at arena_failed(). */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

/* True when it has that shape: objects all the way down, whatever they are called. Sets that come from clients must be
 * looked at before anything else here gets them. */
bool fields_is_sound(const struct json *fields);

/* Every leaf of the object, containers that are empty, and elements of keyed lists. */
struct json *fields_of(struct arena *arena, const struct type *type, const struct json *object);
/* What is new or other in `new`; what `old` had and `new` has not. */
void fields_compare(struct arena *arena, const struct type *type, const struct json *old, const struct json *new,
                    struct json **ret_changed, struct json **ret_removed);

struct json *fields_union(struct arena *arena, const struct json *a, const struct json *b);
struct json *fields_intersection(struct arena *arena, const struct json *a, const struct json *b);
struct json *fields_difference(struct arena *arena, const struct json *a, const struct json *b);
bool fields_equal(const struct json *a, const struct json *b);

/* Calls fn with each path of the set as messages write it: .spec.containers[name="a"].image */
int fields_each(const struct json *fields, int (*fn)(void *arg, struct str path), void *arg);

/* config laid over live: fields, keys and elements that config has win, all others stay. NULL without memory. */
struct json *fields_merge(struct arena *arena, const struct type *type, const struct json *live,
                          const struct json *config);
/* Takes what is in `remove` out of the object, elements of lists only when nothing beneath them is in `keep`. */
void fields_prune(struct arena *arena, const struct type *type, struct json *object, const struct json *remove,
                  const struct json *keep);
