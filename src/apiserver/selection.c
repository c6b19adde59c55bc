/* selection.c - matching stored texts against selectors.
 *
 * Most texts that do not match are told by a plain search: a selector that asks for key=value can only match a text in
 * which the string "value" stands, quotes included. One memmem() over a pod costs a hundredth of parsing it, so the
 * list and watch of one node's pods among 150,000 stay cheap without an index. */
#include "apiserver/selection.h"

#include "apiserver/registry.h"

struct key_check {
    struct request *request;
    struct err *err;
    struct selection *selection;
    const struct selector *selector;
};

/* A custom resource's definition says which of its fields may be selected by. */
static bool is_selectable(const struct resource *resource, struct str key)
{
    for (uint8_t i = 0; resource && i < resource->selectable_count; i++)
        if (str_eq(resource->selectable[i], key))
            return true;
    return false;
}

static struct str custom_value(struct arena *arena, const struct json *object, struct str key)
{
    const char *path = arena_cstr(arena, key);
    const struct json *value = path ? json_at(object, path) : NULL;

    if (json_is(value, JSON_STRING))
        return value->string;
    return value && value->kind != JSON_NULL ? json_text(arena, value) : STR("");
}

static struct str field_value(const struct resource *resource, const struct rules *rules, struct arena *arena,
                              const struct json *object, struct str key)
{
    struct str value;

    if (str_is(key, "metadata.name"))
        value = json_str_at(object, "metadata.name");
    else if (str_is(key, "metadata.namespace"))
        value = json_str_at(object, "metadata.namespace");
    else if (is_selectable(resource, key))
        value = custom_value(arena, object, key);
    else
        return rules->field ? rules->field(arena, object, key) : STR_NULL;
    return value.data ? value : STR("");
}

/* A value that JSON writes as it is. */
static bool is_plain(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '/' || c == '<' || c == '>' || c == '&')
            return false;
    }
    return !str_empty(value);
}

static void note_needle(struct key_check *check, struct str key, bool field)
{
    struct str value = selector_required_value(check->selector, key);

    if (!value.data || !is_plain(value) || value.len + 2 <= check->selection->needle.len)
        return;
    /* Booleans and numbers stand in the text without quotes. */
    if (field && !str_is(key, "metadata.name") && !str_is(key, "spec.nodeName") && !str_is(key, "metadata.namespace"))
        return;
    struct str needle = arena_printf(check->request->arena, "\"" STR_FMT "\"", STR_ARG(value));
    if (needle.data)
        check->selection->needle = needle;
}

static int check_field(void *arg, struct str key)
{
    struct key_check *check = arg;
    struct request *request = check->request;

    if (!field_value(check->selection->resource, check->selection->rules, request->arena, NULL, key).data)
        return fail_bad_request(request, check->err, "field label not supported: " STR_FMT, STR_ARG(key));
    note_needle(check, key, true);
    if (str_is(key, "metadata.name"))
        check->selection->name = selector_required_value(check->selector, key);
    return 0;
}

static int check_label(void *arg, struct str key)
{
    note_needle(arg, key, false);
    return 0;
}

int selection_parse(struct request *request, struct str labels, struct str fields, struct selection *ret_selection,
                    struct err *err)
{
    struct selection selection = { .rules = request->rules, .resource = request->resource };
    struct key_check check = { request, err, &selection, NULL };
    int code;

    if (!str_empty(labels) && (code = selector_parse(request->arena, labels, &selection.labels, err)) < 0)
        return code;
    if (!str_empty(fields) && (code = field_selector_parse(request->arena, fields, &selection.fields, err)) < 0)
        return code;
    check.selector = selection.fields;
    if (selection.fields && (code = selector_each_key(selection.fields, check_field, &check)) < 0)
        return code;
    check.selector = selection.labels;
    if (selection.labels && (code = selector_each_key(selection.labels, check_label, &check)) < 0)
        return code;
    *ret_selection = selection;
    return 0;
}

struct field_arg {
    const struct resource *resource;
    const struct rules *rules;
    struct arena *arena;
    const struct json *object;
};

static struct str get_field(const void *arg, struct str key)
{
    const struct field_arg *field = arg;

    return field_value(field->resource, field->rules, field->arena, field->object, key);
}

int selection_matches(const struct selection *selection, struct arena *scratch, struct str text, struct err *err)
{
    struct json *object;
    bool matches;
    int code;

    if (selection_is_all(selection))
        return 1;
    if (selection->needle.data && !memmem(text.data, text.len, selection->needle.data, selection->needle.len))
        return 0;
    arena_reset(scratch);
    if ((code = json_parse(scratch, text, NULL, &object, err)) < 0)
        return err_set(err, ERR_INTERNAL, "a stored object is damaged");
    matches = selector_matches_json(selection->labels, json_at(object, "metadata.labels"));
    if (matches && selection->fields) {
        struct field_arg arg = { selection->resource, selection->rules, scratch, object };

        matches = field_selector_matches(selection->fields, get_field, &arg);
    }
    return matches;
}
