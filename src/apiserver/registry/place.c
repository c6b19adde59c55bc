/* place.c - places and what is found wrong at them. */
#include "apiserver/registry/place.h"

#include <stdarg.h>

#include "schema/quantity.h"

struct place place_object(struct causes *causes, const struct json *object)
{
    return (struct place){ .causes = causes, .json = object };
}

struct place place_named(struct causes *causes, const char *field, const struct json *json)
{
    return (struct place){ .causes = causes, .json = json, .name = field };
}

struct place place_member(const struct place *at, const char *name)
{
    return (struct place){ at, at->causes, json_get(at->json, str_from(name)), name, STR_NULL, 0 };
}

struct place place_item(const struct place *at, uint32_t index)
{
    const struct json *item = json_is(at->json, JSON_ARRAY) && index < at->json->count ? &at->json->items[index] : NULL;

    return (struct place){ at, at->causes, item, NULL, STR_NULL, index };
}

struct place place_entry(const struct place *at, uint32_t index)
{
    const struct json_member *member =
        json_is(at->json, JSON_OBJECT) && index < at->json->count ? &at->json->members[index] : NULL;

    return (
        struct place){ at, at->causes, member ? &member->value : NULL, NULL, member ? member->key : STR(""), index };
}

uint32_t place_count(const struct place *at)
{
    return at->json && at->json->kind >= JSON_ARRAY ? at->json->count : 0;
}

static void write_path(struct buf *buf, const struct place *at)
{
    if (at->up)
        write_path(buf, at->up);
    if (at->name)
        buf_printf(buf, "%s%s", buf->len ? "." : "", at->name);
    else if (at->key.data)
        buf_printf(buf, "[" STR_FMT "]", STR_ARG(at->key));
    else if (at->up)
        buf_printf(buf, "[%u]", at->index);
}

struct str place_path(const struct place *at)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct str path;

    write_path(&buf, at);
    path = buf_ok(&buf) ? arena_str(at->causes->arena, buf_str(&buf)) : STR_NULL;
    return path.data ? path : STR("");
}

bool place_has(const struct place *list, const char *text)
{
    place_each (item, list)
        if (place_is(&item, text))
            return true;
    return false;
}

void say_required(const struct place *at, const char *why)
{
    add_required(at->causes, place_path(at), why);
}

static struct str explain(const struct place *at, const char *fmt, va_list args)
{
    struct str why = arena_vprintf(at->causes->arena, fmt, args);

    return why.data ? why : STR("");
}

void say_invalid(const struct place *at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    struct str why = explain(at, fmt, args);
    va_end(args);
    causes_add(at->causes, CAUSE_INVALID, place_path(at), "Invalid value: " STR_FMT ": " STR_FMT,
               STR_ARG(cause_value(at->causes->arena, at->json)), STR_ARG(why));
}

void say_invalid_as(const struct place *at, struct str value, const char *fmt, ...)
{
    struct json json = { .kind = JSON_STRING, .string = value.data ? value : STR("") };
    va_list args;

    va_start(args, fmt);
    struct str why = explain(at, fmt, args);
    va_end(args);
    causes_add(at->causes, CAUSE_INVALID, place_path(at), "Invalid value: " STR_FMT ": " STR_FMT,
               STR_ARG(cause_value(at->causes->arena, &json)), STR_ARG(why));
}

void say_forbidden(const struct place *at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    struct str why = explain(at, fmt, args);
    va_end(args);
    causes_add(at->causes, CAUSE_FORBIDDEN, place_path(at), "Forbidden: " STR_FMT, STR_ARG(why));
}

void say_duplicate(const struct place *at)
{
    causes_add(at->causes, CAUSE_DUPLICATE, place_path(at), "Duplicate value: " STR_FMT,
               STR_ARG(cause_value(at->causes->arena, at->json)));
}

void say_not_supported(const struct place *at, const char *const *supported)
{
    add_not_supported(at->causes, place_path(at), place_str(at), supported);
}

void say_too_long(const struct place *at, unsigned max)
{
    causes_add(at->causes, CAUSE_TOO_LONG, place_path(at), "Too long: may not be more than %u bytes", max);
}

void say_too_many(const struct place *at, unsigned max)
{
    causes_add(at->causes, CAUSE_TOO_MANY, place_path(at), "Too many: %u: must have at most %u items", place_count(at),
               max);
}

bool check_one_of(const struct place *at, const char *const *supported)
{
    for (size_t i = 0; supported[i]; i++)
        if (place_is(at, supported[i]))
            return true;
    say_not_supported(at, supported);
    return false;
}

void check_required(const struct place *at, const char *why)
{
    if (place_empty(at))
        say_required(at, why);
}

void check_form(const struct place *at, enum name_form form)
{
    check_name(at->causes, place_path(at), form, place_str(at));
}

void check_segment(const struct place *at)
{
    if (!place_empty(at))
        check_form(at, NAME_PATH_SEGMENT);
}

void check_kind(const struct place *at)
{
    char *lower = arena_cstr(at->causes->arena, place_str(at));
    const char *problem;

    for (char *p = lower; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    problem = lower && *lower ? form_problem(NAME_DNS1035, str_from(lower)) : NULL;
    if (problem)
        say_invalid(at, "may have mixed case, but should otherwise match: %s", problem);
}

void check_qualified(const struct place *at)
{
    const char *problems[FORMAT_PROBLEMS_MAX];
    size_t count = format_problems(FORMAT_KEY, place_str(at), problems);

    for (size_t i = 0; i < count; i++)
        say_invalid_as(at, place_str(at), "%s", problems[i]);
}

void check_range(const struct place *at, int64_t min, int64_t max, const char *why)
{
    if (at->json && (place_int(at) < min || place_int(at) > max))
        say_invalid(at, "%s", why);
}

void check_same(const struct place *at, const struct json *old)
{
    check_immutable(at->causes, place_path(at), at->json, old);
}

void check_quantity_not_negative(const struct place *at)
{
    struct quantity quantity;

    if (quantity_parse(place_str(at), &quantity) && quantity.nano < 0)
        say_invalid(at, "must be greater than or equal to 0");
}

void check_int_or_percent(const struct place *at)
{
    struct str digits = place_str(at);
    uint64_t value;

    if (!json_is(at->json, JSON_STRING)) {
        check_range(at, 0, INT64_MAX, "must be greater than or equal to 0");
        return;
    }
    if (digits.len < 2 || !str_has_suffix(digits, STR("%")) || !str_to_u64(str_chop(digits, 1), &value))
        say_invalid(at, "a valid percent string must be a numeric string followed by an ending '%%' (e.g. '1%%',  or "
                        "'93%%', regex used for validation is '[0-9]+%%')");
    else if (value > 100)
        say_invalid(at, "must not be greater than 100%%");
}

void check_unique(const struct place *list)
{
    place_each (item, list)
        for (uint32_t i = place_lookback(&item); i < item.index; i++)
            if (json_equal(item.json, &list->json->items[i])) {
                say_duplicate(&item);
                break;
            }
}

const char *form_problem(enum name_form form, struct str name)
{
    const char *problems[NAME_PROBLEMS_MAX];

    return name_problems(form, name, false, problems) ? problems[0] : NULL;
}
