/* check_text.c - findings about the value at a path. */
#include "schema/check_text.h"

static void add(struct causes *causes, enum cause_type type, const struct path *path, struct str message)
{
    char text[PATH_TEXT_MAX];

    causes_add(causes, type, path_text(path, PATH_VALIDATION, text), STR_FMT, STR_ARG(message));
}

void cause_at(struct causes *causes, enum cause_type type, const struct path *path, const char *fmt, ...)
{
    struct str message;
    va_list args;

    va_start(args, fmt);
    message = arena_vprintf(causes->arena, fmt, args);
    va_end(args);
    if (message.data)
        add(causes, type, path, message);
}

void cause_required(struct causes *causes, const struct path *path, const char *why)
{
    cause_at(causes, CAUSE_REQUIRED, path, "Required value%s%s", *why ? ": " : "", why);
}

void cause_invalid(struct causes *causes, const struct path *path, const struct json *value, const char *why)
{
    cause_at(causes, CAUSE_INVALID, path, "Invalid value: " STR_FMT ": %s",
             STR_ARG(cause_value(causes->arena, value)), why);
}

void cause_invalid_str(struct causes *causes, const struct path *path, struct str value, const char *why)
{
    const struct json json = { .kind = JSON_STRING, .string = value.data ? value : STR("") };

    cause_invalid(causes, path, &json, why);
}

void cause_invalid_int(struct causes *causes, const struct path *path, int64_t value, const char *why)
{
    cause_at(causes, CAUSE_INVALID, path, "Invalid value: %lld: %s", (long long)value, why);
}

void cause_forbidden(struct causes *causes, const struct path *path, const char *why)
{
    cause_at(causes, CAUSE_FORBIDDEN, path, "Forbidden: %s", why);
}

void cause_duplicate(struct causes *causes, const struct path *path, const struct json *value)
{
    cause_at(causes, CAUSE_DUPLICATE, path, "Duplicate value: " STR_FMT, STR_ARG(cause_value(causes->arena, value)));
}

void cause_duplicate_str(struct causes *causes, const struct path *path, struct str value)
{
    cause_at(causes, CAUSE_DUPLICATE, path, "Duplicate value: \"" STR_FMT "\"", STR_ARG(value));
}

void cause_not_found(struct causes *causes, const struct path *path, struct str value)
{
    cause_at(causes, CAUSE_NOT_FOUND, path, "Not found: \"" STR_FMT "\"", STR_ARG(value));
}

void cause_not_supported(struct causes *causes, const struct path *path, struct str value, const char *const *supported)
{
    AUTO_DEINIT(buf, list) = BUF_INIT;

    for (size_t i = 0; supported[i]; i++)
        buf_printf(&list, "%s\"%s\"", i ? ", " : "", supported[i]);
    cause_at(causes, CAUSE_NOT_SUPPORTED, path, "Unsupported value: \"" STR_FMT "\": supported values: " STR_FMT,
             STR_ARG(value), STR_ARG(buf_str(&list)));
}

void cause_too_many(struct causes *causes, const struct path *path, size_t count, size_t max)
{
    cause_at(causes, CAUSE_TOO_MANY, path, "Too many: %zu: must have at most %zu item%s", count, max,
             max == 1 ? "" : "s");
}

void cause_too_long(struct causes *causes, const struct path *path, size_t max)
{
    cause_at(causes, CAUSE_TOO_LONG, path, "Too long: may not be more than %zu bytes", max);
}

bool cause_format(struct causes *causes, const struct path *path, enum value_format format, struct str value)
{
    const char *problems[FORMAT_PROBLEMS_MAX];
    size_t count = format_problems(format, value, problems);

    for (size_t i = 0; i < count; i++)
        cause_invalid_str(causes, path, value, problems[i]);
    return count == 0;
}

void cause_labels(struct causes *causes, const struct path *path, const struct json *labels)
{
    for (uint32_t i = 0; json_is(labels, JSON_OBJECT) && i < labels->count; i++) {
        cause_format(causes, path, FORMAT_KEY, labels->members[i].key);
        cause_format(causes, path, FORMAT_LABEL_VALUE, json_str(&labels->members[i].value));
    }
}
