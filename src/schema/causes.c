/* causes.c - findings of validation and how they read. */
#include <stdarg.h>

#include "schema/object.h"

const char *cause_reason(enum cause_type type)
{
    static const char *const reasons[] = {
        [CAUSE_REQUIRED] = "FieldValueRequired",          [CAUSE_INVALID] = "FieldValueInvalid",
        [CAUSE_NOT_SUPPORTED] = "FieldValueNotSupported", [CAUSE_DUPLICATE] = "FieldValueDuplicate",
        [CAUSE_FORBIDDEN] = "FieldValueForbidden",        [CAUSE_NOT_FOUND] = "FieldValueNotFound",
        [CAUSE_TOO_LONG] = "FieldValueTooLong",           [CAUSE_TOO_MANY] = "FieldValueTooMany",
        [CAUSE_TYPE_INVALID] = "FieldValueTypeInvalid",
        [CAUSE_FIELD_MANAGER_CONFLICT] = "FieldManagerConflict",
    };

    return reasons[type];
}

void causes_init(struct causes *causes, struct arena *arena)
{
    *causes = (struct causes){ .arena = arena };
}

static bool causes_room(struct causes *causes)
{
    size_t cap = MIN(MAX(causes->cap * 2, (size_t)8), (size_t)CAUSES_MAX);
    struct cause *items;

    if (causes->count < causes->cap)
        return true;
    if (causes->count >= CAUSES_MAX)
        return false;
    items = arena_grow(causes->arena, causes->items, causes->cap * sizeof *items, cap * sizeof *items);
    if (!items)
        return false;
    causes->items = items;
    causes->cap = cap;
    return true;
}

void causes_add(struct causes *causes, enum cause_type type, struct str field, const char *fmt, ...)
{
    struct cause cause = { .type = type };
    va_list args;

    if (!causes_room(causes))
        return;
    va_start(args, fmt);
    cause.message = arena_vprintf(causes->arena, fmt, args);
    va_end(args);
    cause.field = arena_str(causes->arena, field);
    if (cause.message.data)
        causes->items[causes->count++] = cause;
}

/* Aggregates say the same thing once. */
static bool said_before(const struct causes *causes, size_t at)
{
    const struct cause *cause = &causes->items[at];

    for (size_t i = 0; i < at; i++)
        if (str_eq(causes->items[i].field, cause->field) && str_eq(causes->items[i].message, cause->message))
            return true;
    return false;
}

struct str causes_text(const struct causes *causes)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    size_t said = 0;
    struct str result;

    for (size_t i = 0; i < causes->count; i++) {
        if (said_before(causes, i))
            continue;
        if (said++ > 0)
            buf_add_str(&text, STR(", "));
        buf_add_str(&text, causes->items[i].field);
        buf_add_str(&text, STR(": "));
        buf_add_str(&text, causes->items[i].message);
    }
    if (!buf_ok(&text))
        return STR_NULL;
    result = buf_str(&text);
    return said > 1 ? arena_printf(causes->arena, "[" STR_FMT "]", STR_ARG(result)) : arena_str(causes->arena, result);
}

struct str cause_value(struct arena *arena, const struct json *json)
{
    return json ? json_text(arena, json) : STR("null");
}
