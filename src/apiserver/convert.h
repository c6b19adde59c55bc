/* convert.h - the same object in another version of its resource: events and autoscalers have two. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"
#include "schema/type.h"

/* A custom object as it was stored, whatever its definition was then: the stored version of now, pruned and defaulted.
 * Nothing for built-in ones. */
int convert_stored(struct arena *arena, const struct resource *storage, struct json *object, struct err *err);
/* Changes the tree from one version's members to the other's, apiVersion and kind included. Nothing when they are the
 * same. Members are not sorted afterwards (object_normalize() does). */
int convert_object(struct arena *arena, const struct resource *from, const struct resource *to, struct json *object,
                   struct err *err);
