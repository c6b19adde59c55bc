/* diff_fields.h - which fields of two states of an object differ. */
#pragma once

#include "base/vec.h"
#include "codec/json.h"

/* A value unset: the field was not there. */
struct field_change {
    struct str path; /* spec.template.spec.containers[name=web].image */
    const struct json *old, *new;
};
struct field_changes {
    struct arena *arena; /* paths live there; values in their trees */
    bool all;            /* also status, and what the server notes in metadata with each change */
    VEC(struct field_change) items;
    bool failed; /* no memory */
};

void field_changes_init(struct field_changes *changes, struct arena *arena, bool all);
void field_changes_deinit(struct field_changes *changes);
/* In the order of the old state, what is new behind it. Elements of lists are the same when they have the same name,
 * type, key, uid, or, in lists of values, the same place. */
void field_changes_find(struct field_changes *changes, const struct json *old, const struct json *new);
/* A value in one line, cut when it is long; "(none)" for NULL. In arena. */
struct str field_value_text(struct arena *arena, const struct json *value);
