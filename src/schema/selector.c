/* selector.c - requirements on labels: made, checked, matched, written.
 *
 * A label that is absent satisfies != and notin. Values of > and < are integers; a label that is not one satisfies
 * neither. Requirements are kept sorted by key and values sorted, so the text of a selector is canonical. */
#include "schema/selector_impl.h"

const struct selector selector_nothing = { .nothing = true };

static const struct {
    const char *text, *name; /* name: in a LabelSelector, NULL when it is not possible there */
} ops[] = {
    [REQUIRE_EXISTS] = { "", "Exists" },
    [REQUIRE_NOT_EXISTS] = { "!", "DoesNotExist" },
    [REQUIRE_EQUALS] = { "=" },
    [REQUIRE_DOUBLE_EQUALS] = { "==" },
    [REQUIRE_NOT_EQUALS] = { "!=" },
    [REQUIRE_IN] = { " in ", "In" },
    [REQUIRE_NOT_IN] = { " notin ", "NotIn" },
    [REQUIRE_GREATER] = { ">" },
    [REQUIRE_LESS] = { "<" },
};

bool selector_op_from_name(struct str name, enum requirement_op *ret_op)
{
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (ops[i].name && str_is(name, ops[i].name)) {
            *ret_op = (enum requirement_op)i;
            return true;
        }
    return false;
}

/* Syntax of keys and values. */

#define LABEL_MAX 63
#define PREFIX_MAX 253

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Alphanumeric at both ends, '-', '_' and '.' between. */
static bool is_name(struct str s)
{
    if (s.len == 0 || s.len > LABEL_MAX || !is_alnum(s.data[0]) || !is_alnum(s.data[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_' && s.data[i] != '.')
            return false;
    return true;
}

/* RFC 1123: lower case labels with dots between. */
static bool is_subdomain(struct str s)
{
    char previous = '.';

    if (s.len == 0 || s.len > PREFIX_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool letter = is_alnum(c) && !(c >= 'A' && c <= 'Z');

        if (!letter && (c != '-' || previous == '.') && (c != '.' || previous == '.' || previous == '-'))
            return false;
        previous = c;
    }
    return previous != '.' && previous != '-';
}

static int check_key(struct str key, struct err *err)
{
    ssize_t slash = str_chr(key, '/');
    struct str prefix = slash < 0 ? STR_NULL : str_first(key, (size_t)slash);
    struct str name = slash < 0 ? key : str_skip(key, (size_t)slash + 1);

    if (slash >= 0 && !is_subdomain(prefix))
        return err_set(err, ERR_BAD_REQUEST, "label key \"" STR_FMT "\": the prefix must be a lower case DNS subdomain",
                       STR_ARG(str_first(key, 300)));
    if (!is_name(name))
        return err_set(err, ERR_BAD_REQUEST,
                       "label key \"" STR_FMT "\": the name must be 1 to 63 alphanumeric characters, '-', '_' or '.', "
                       "and begin and end alphanumeric",
                       STR_ARG(str_first(key, 300)));
    return 0;
}

static int check_value(struct str key, struct str value, struct err *err)
{
    if (value.len == 0 || is_name(value))
        return 0;
    return err_set(err, ERR_BAD_REQUEST,
                   "value \"" STR_FMT "\" for label \"" STR_FMT "\": must be empty or at most 63 alphanumeric "
                   "characters, '-', '_' or '.', and begin and end alphanumeric",
                   STR_ARG(str_first(value, 100)), STR_ARG(key));
}

static int check_requirement(struct requirement *r, struct err *err)
{
    bool set = r->op == REQUIRE_IN || r->op == REQUIRE_NOT_IN;
    bool exists = r->op == REQUIRE_EXISTS || r->op == REQUIRE_NOT_EXISTS;
    int rc = check_key(r->key, err);

    if (rc < 0)
        return rc;
    if (set && r->count == 0)
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\": for 'in', 'notin' operators, values set can't be empty",
                       STR_ARG(r->key));
    if (exists && r->count)
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\": values set must be empty for exists and does not exist",
                       STR_ARG(r->key));
    if (!set && !exists && r->count != 1)
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\": exactly one value is required", STR_ARG(r->key));
    if ((r->op == REQUIRE_GREATER || r->op == REQUIRE_LESS) && !str_to_i64(r->values[0], &r->number))
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\": for 'Gt', 'Lt' operators, the value must be an integer",
                       STR_ARG(r->key));
    for (size_t i = 0; i < r->count; i++)
        if ((rc = check_value(r->key, r->values[i], err)) < 0)
            return rc;
    return 0;
}

/* Making. */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "selector");
}

struct selector *selector_new(struct arena *arena)
{
    return arena_new_of(arena, struct selector);
}

static int compare_values(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_values(struct requirement *r)
{
    size_t kept = 0;

    if (r->count > 1)
        qsort(r->values, r->count, sizeof *r->values, compare_values);
    for (size_t i = 0; i < r->count; i++)
        if (kept == 0 || !str_eq(r->values[i], r->values[kept - 1]))
            r->values[kept++] = r->values[i];
    r->count = kept;
}

/* Room for one more; NULL without memory. */
static struct requirement *reserve(struct arena *arena, struct selector *selector)
{
    if (selector->count == selector->cap) {
        size_t cap = selector->cap ? selector->cap * 2 : 4, size = sizeof(struct requirement);
        void *items = arena_grow(arena, selector->items, selector->cap * size, cap * size);

        if (!items)
            return NULL;
        selector->items = items;
        selector->cap = cap;
    }
    return &selector->items[selector->count];
}

int selector_add(struct arena *arena, struct selector *selector, struct str key, enum requirement_op op,
                 struct str_array values, struct err *err)
{
    struct requirement *r = reserve(arena, selector);
    int rc;

    if (!r)
        return no_memory(err);
    *r = (struct requirement){ .op = op, .key = arena_str(arena, key.data ? key : STR("")), .count = values.count };
    r->values = arena_array_of(arena, MAX(values.count, 1), struct str);
    if (!r->key.data || !r->values)
        return no_memory(err);
    for (size_t i = 0; i < values.count; i++) {
        r->values[i] = arena_str(arena, values.items[i].data ? values.items[i] : STR(""));
        if (!r->values[i].data)
            return no_memory(err);
    }
    sort_values(r);
    if (!selector->fields && (rc = check_requirement(r, err)) < 0)
        return rc;
    selector->count++;
    return 0;
}

static int compare_requirements(const void *a, const void *b)
{
    return str_cmp(((const struct requirement *)a)->key, ((const struct requirement *)b)->key);
}

/* Insertion is stable, and selectors are short. In long ones the order within a key is left to qsort: it changes the
 * text only, not what they match. */
#define INSERTION_MAX 64

void selector_sort(struct selector *selector)
{
    if (selector->count > INSERTION_MAX) {
        qsort(selector->items, selector->count, sizeof *selector->items, compare_requirements);
        return;
    }
    for (size_t i = 1; i < selector->count; i++) {
        struct requirement moving = selector->items[i];
        size_t at = i;

        for (; at > 0 && compare_requirements(&selector->items[at - 1], &moving) > 0; at--)
            selector->items[at] = selector->items[at - 1];
        selector->items[at] = moving;
    }
}

int selector_from_map(struct arena *arena, struct str_map map, const struct selector **ret_selector, struct err *err)
{
    struct selector *selector;
    int r;

    if (map.count == 0) {
        *ret_selector = NULL;
        return 0;
    }
    if (!(selector = selector_new(arena)))
        return no_memory(err);
    for (size_t i = 0; i < map.count; i++)
        if ((r = selector_add(arena, selector, map.items[i].key, REQUIRE_EQUALS,
                              (struct str_array){ &map.items[i].value, 1 }, err)) < 0)
            return r;
    selector_sort(selector);
    *ret_selector = selector;
    return 0;
}

/* {key, operator, values} */
static int add_expression(struct arena *arena, struct selector *selector, const struct json *expression,
                          struct err *err)
{
    const struct json *values = json_member(expression, "values");
    struct str name = json_str(json_member(expression, "operator")), *items;
    size_t count = json_is(values, JSON_ARRAY) ? values->count : 0;
    enum requirement_op op;

    if (!selector_op_from_name(name, &op))
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\" is not a valid label selector operator",
                       STR_ARG(str_first(name, 100)));
    if (values && values->kind != JSON_NULL && values->kind != JSON_ARRAY)
        return err_set(err, ERR_BAD_REQUEST, "values of a label selector must be an array");
    if (!(items = arena_array_of(arena, MAX(count, 1), struct str)))
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        items[i] = json_str(&values->items[i]);
        if (!items[i].data)
            return err_set(err, ERR_BAD_REQUEST, "values of a label selector must be strings");
    }
    return selector_add(arena, selector, json_str(json_member(expression, "key")), op,
                        (struct str_array){ items, count }, err);
}

int selector_from_json(struct arena *arena, const struct json *label_selector, const struct selector **ret_selector,
                       struct err *err)
{
    const struct json *labels = json_member(label_selector, "matchLabels");
    const struct json *expressions = json_member(label_selector, "matchExpressions");
    struct selector *selector;
    int r;

    if (!label_selector || label_selector->kind == JSON_NULL) {
        *ret_selector = &selector_nothing;
        return 0;
    }
    if (label_selector->kind != JSON_OBJECT || (labels && labels->kind != JSON_OBJECT && labels->kind != JSON_NULL) ||
        (expressions && expressions->kind != JSON_ARRAY && expressions->kind != JSON_NULL))
        return err_set(err, ERR_BAD_REQUEST, "a label selector must have matchLabels and matchExpressions");
    if (!(selector = selector_new(arena)))
        return no_memory(err);
    for (uint32_t i = 0; json_is(labels, JSON_OBJECT) && i < labels->count; i++) {
        struct str value = json_str(&labels->members[i].value);

        if (!value.data)
            return err_set(err, ERR_BAD_REQUEST, "matchLabels must be strings");
        if ((r = selector_add(arena, selector, labels->members[i].key, REQUIRE_EQUALS, (struct str_array){ &value, 1 },
                              err)) < 0)
            return r;
    }
    for (uint32_t i = 0; json_is(expressions, JSON_ARRAY) && i < expressions->count; i++)
        if ((r = add_expression(arena, selector, &expressions->items[i], err)) < 0)
            return r;
    selector_sort(selector);
    *ret_selector = selector->count ? selector : NULL;
    return 0;
}

/* Matching. */

static bool has_value(const struct requirement *r, struct str value)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(r->values[i], value))
            return true;
    return false;
}

/* value.data == NULL: the label is absent. */
static bool requirement_matches(const struct requirement *r, struct str value)
{
    int64_t number;

    switch (r->op) {
    case REQUIRE_EXISTS: return value.data;
    case REQUIRE_NOT_EXISTS: return !value.data;
    case REQUIRE_EQUALS:
    case REQUIRE_DOUBLE_EQUALS:
    case REQUIRE_IN: return value.data && has_value(r, value);
    case REQUIRE_NOT_EQUALS:
    case REQUIRE_NOT_IN: return !value.data || !has_value(r, value);
    case REQUIRE_GREATER: return value.data && str_to_i64(value, &number) && number > r->number;
    case REQUIRE_LESS: return value.data && str_to_i64(value, &number) && number < r->number;
    }
    return false;
}

static struct str map_value(struct str_map map, struct str key)
{
    for (size_t i = 0; i < map.count; i++)
        if (str_eq(map.items[i].key, key))
            return map.items[i].value.data ? map.items[i].value : STR("");
    return STR_NULL;
}

bool selector_matches(const struct selector *selector, struct str_map labels)
{
    if (!selector)
        return true;
    if (selector->nothing)
        return false;
    for (size_t i = 0; i < selector->count; i++)
        if (!requirement_matches(&selector->items[i], map_value(labels, selector->items[i].key)))
            return false;
    return true;
}

bool selector_matches_json(const struct selector *selector, const struct json *labels)
{
    if (!selector)
        return true;
    if (selector->nothing)
        return false;
    for (size_t i = 0; i < selector->count; i++)
        if (!requirement_matches(&selector->items[i], json_str(json_get(labels, selector->items[i].key))))
            return false;
    return true;
}

bool field_selector_matches(const struct selector *selector, field_value_fn *get, const void *arg)
{
    if (!selector)
        return true;
    if (selector->nothing)
        return false;
    for (size_t i = 0; i < selector->count; i++) {
        struct str value = get(arg, selector->items[i].key);

        if (!requirement_matches(&selector->items[i], value.data ? value : STR("")))
            return false;
    }
    return true;
}

struct str selector_required_value(const struct selector *selector, struct str key)
{
    for (size_t i = 0; selector && i < selector->count; i++) {
        const struct requirement *r = &selector->items[i];
        bool equals =
            r->op == REQUIRE_EQUALS || r->op == REQUIRE_DOUBLE_EQUALS || (r->op == REQUIRE_IN && r->count == 1);

        if (equals && str_eq(r->key, key))
            return r->values[0];
    }
    return STR_NULL;
}

int selector_each_key(const struct selector *selector, int (*fn)(void *arg, struct str key), void *arg)
{
    for (size_t i = 0; selector && i < selector->count; i++) {
        int r = fn(arg, selector->items[i].key);

        if (r < 0)
            return r;
    }
    return 0;
}

/* Text. */

static void write_escaped(struct buf *buf, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '\\' || value.data[i] == ',' || value.data[i] == '=')
            buf_add_char(buf, '\\');
        buf_add_char(buf, value.data[i]);
    }
}

static void write_requirement(struct buf *buf, const struct selector *selector, const struct requirement *r)
{
    bool set = r->op == REQUIRE_IN || r->op == REQUIRE_NOT_IN;

    if (r->op == REQUIRE_NOT_EXISTS)
        buf_add_char(buf, '!');
    buf_add_str(buf, r->key);
    if (r->op == REQUIRE_NOT_EXISTS)
        return;
    buf_add_cstr(buf, ops[r->op].text);
    if (set)
        buf_add_char(buf, '(');
    for (size_t i = 0; i < r->count; i++) {
        if (i)
            buf_add_char(buf, ',');
        if (selector->fields)
            write_escaped(buf, r->values[i]);
        else
            buf_add_str(buf, r->values[i]);
    }
    if (set)
        buf_add_char(buf, ')');
}

struct str selector_text(struct arena *arena, const struct selector *selector)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    for (size_t i = 0; selector && i < selector->count; i++) {
        if (i)
            buf_add_char(&buf, ',');
        write_requirement(&buf, selector, &selector->items[i]);
    }
    return buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;
}
