/* check_text.h - findings about the value at a path. Text is made only when there is something to say. */
#pragma once

#include <stdarg.h>

#include "schema/format.h"
#include "schema/object.h"
#include "schema/walk.h"

void cause_at(struct causes *causes, enum cause_type type, const struct path *path, const char *fmt, ...)
    PRINTF(4, 5);
/* Required value: why; why may be "". */
void cause_required(struct causes *causes, const struct path *path, const char *why);
/* Invalid value: VALUE: why. value NULL: null. */
void cause_invalid(struct causes *causes, const struct path *path, const struct json *value, const char *why);
void cause_invalid_str(struct causes *causes, const struct path *path, struct str value, const char *why);
void cause_invalid_int(struct causes *causes, const struct path *path, int64_t value, const char *why);
void cause_forbidden(struct causes *causes, const struct path *path, const char *why);
void cause_duplicate(struct causes *causes, const struct path *path, const struct json *value);
void cause_duplicate_str(struct causes *causes, const struct path *path, struct str value);
void cause_not_found(struct causes *causes, const struct path *path, struct str value);
/* supported: sorted, NULL-terminated. */
void cause_not_supported(struct causes *causes, const struct path *path, struct str value, const char *const *supported);
void cause_too_many(struct causes *causes, const struct path *path, size_t count, size_t max);
void cause_too_long(struct causes *causes, const struct path *path, size_t max);
/* All that is wrong with the form of value; "" is not exempt. True: nothing. */
bool cause_format(struct causes *causes, const struct path *path, enum value_format format, struct str value);
/* Keys and values of labels. */
void cause_labels(struct causes *causes, const struct path *path, const struct json *labels);
