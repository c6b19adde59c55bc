/* selectable.h - the fields that a field selector may name, resource by resource.
 *
 * A row says where in the stored object the value is; the set belongs to the version that is asked for. */
#pragma once

#include "base/arena.h"
#include "codec/json.h"
#include "schema/type.h"

enum selectable_form {
    FORM_TEXT,
    FORM_BOOL,   /* "true", "false" */
    FORM_NUMBER, /* absent is "0" */
    FORM_NONE,   /* accepted, and empty in every object */
};

struct selectable_row {
    struct str name;
    const char *path;
    enum selectable_form form;
    const char *other; /* where to look when nothing is at path; NULL: nowhere */
};

struct selectable_set {
    const struct resource *resource; /* NULL: of all that have no set of their own */
    const struct selectable_row *rows;
    size_t count;
    const char *refusal; /* with one %s: the field's name */
};

/* Never NULL. Fields that a custom resource adds are not in it. */
const struct selectable_set *selectable_of(const struct resource *resource);
const struct selectable_row *selectable_row(const struct selectable_set *set, struct str name);
/* "" when the object has none. */
struct str selectable_value(const struct selectable_row *row, struct arena *arena, const struct json *object);
