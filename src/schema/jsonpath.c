/* jsonpath.c - compiling and evaluating JSONPath.
 *
 * A path is a row of steps; evaluation walks the tree depth first, one level of recursion per step, and stops at the
 * wanted number of results. A filter holds a path of its own, evaluated at each element. */
#include "schema/jsonpath.h"

#include "schema/walk.h"

#define STEPS_MAX 64
#define FILTER_DEPTH_MAX 4

enum step_kind { STEP_MEMBER, STEP_RANGE, STEP_ALL, STEP_FILTER };
enum operator{ OP_EXISTS, OP_EQUAL, OP_NOT_EQUAL, OP_LESS, OP_LESS_EQUAL, OP_GREATER, OP_GREATER_EQUAL };

struct filter {
    const struct jsonpath *left, *right; /* right: NULL when it is a literal */
    enum operator op;
    struct json literal;
};

struct step {
    enum step_kind kind;
    struct str name;
    int64_t from, to; /* negative: from the end; to == INT64_MAX: to the end */
    struct filter *filter;
};

struct jsonpath {
    struct step *steps;
    size_t count;
};

/* --- compiling --- */

struct compiler {
    struct arena *arena;
    struct err *err;
    struct str text;
    size_t at;
    int depth;
};

static int bad(struct compiler *c, const char *what)
{
    return err_set(c->err, ERR_BAD_REQUEST, "JSONPath " STR_FMT ": %s at character %zu",
                   STR_ARG(str_first(c->text, 256)), what, c->at + 1);
}

static int no_memory(struct compiler *c)
{
    return err_set(c->err, ERR_NO_MEMORY, "JSONPath");
}

static char peek(const struct compiler *c)
{
    return c->at < c->text.len ? c->text.data[c->at] : '\0';
}

static bool take(struct compiler *c, char wanted)
{
    if (c->at >= c->text.len || c->text.data[c->at] != wanted)
        return false;
    c->at++;
    return true;
}

static void skip_blanks(struct compiler *c)
{
    while (take(c, ' '))
        ;
}

/* A name up to one of stops; a backslash takes the next character as it is. */
static int read_name(struct compiler *c, const char *stops, struct str *ret_name)
{
    char *name = arena_alloc(c->arena, c->text.len - c->at + 1);
    size_t len = 0;

    if (!name)
        return no_memory(c);
    while (c->at < c->text.len && !strchr(stops, c->text.data[c->at])) {
        if (c->text.data[c->at] == '\\' && c->at + 1 < c->text.len)
            c->at++;
        name[len++] = c->text.data[c->at++];
    }
    *ret_name = str_of(name, len);
    return 0;
}

static int read_quoted(struct compiler *c, struct str *ret_text)
{
    char stops[2] = { c->text.data[c->at++], '\0' };
    int r = read_name(c, stops, ret_text);

    return r == 0 && !take(c, stops[0]) ? bad(c, "missing quote") : r;
}

static int read_number(struct compiler *c, int64_t *ret_number)
{
    size_t start = c->at;

    take(c, '-');
    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    if (!str_to_i64(str_of(c->text.data + start, c->at - start), ret_number))
        return bad(c, "number expected");
    return 0;
}

/* "0", "-1", "1:3", ":2", "1:" */
static int read_range(struct compiler *c, struct step *step)
{
    bool has_from = peek(c) != ':';
    int r;

    step->kind = STEP_RANGE;
    if (has_from && (r = read_number(c, &step->from)) < 0)
        return r;
    if (!take(c, ':')) {
        step->to = step->from == -1 ? INT64_MAX : step->from + 1;
        return peek(c) == ',' ? err_set(c->err, ERR_NOT_SUPPORTED, "JSONPath: unions are not supported") : 0;
    }
    step->to = INT64_MAX;
    return peek(c) == ']' ? 0 : read_number(c, &step->to);
}

static int compile_steps(struct compiler *c, const char *stops, const struct jsonpath **ret_path);

static enum operator read_operator(struct compiler *c)
{
    static const struct {
        struct str text;
        enum operator op;
    } operators[] = {
        { STR_INIT("=="), OP_EQUAL },         { STR_INIT("!="), OP_NOT_EQUAL }, { STR_INIT("<="), OP_LESS_EQUAL },
        { STR_INIT(">="), OP_GREATER_EQUAL }, { STR_INIT("<"), OP_LESS },       { STR_INIT(">"), OP_GREATER },
    };

    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (!str_has_prefix(str_skip(c->text, c->at), operators[i].text))
            continue;
        c->at += operators[i].text.len;
        return operators[i].op;
    }
    return OP_EXISTS;
}

static int read_operand(struct compiler *c, struct filter *filter)
{
    struct str text;
    struct json *literal;
    int r;

    if (take(c, '@'))
        return compile_steps(c, " )", &filter->right);
    filter->literal = (struct json){ .kind = JSON_STRING };
    if (peek(c) == '"' || peek(c) == '\'')
        return read_quoted(c, &filter->literal.string);
    r = read_name(c, " )", &text);
    if (r < 0)
        return r;
    r = json_parse(c->arena, text, NULL, &literal, NULL);
    if (r == -ERR_NO_MEMORY || r == -ERR_TOO_LARGE)
        return no_memory(c);
    if (r < 0 || literal->kind == JSON_ARRAY || literal->kind == JSON_OBJECT)
        return bad(c, "string, number or boolean expected");
    filter->literal = *literal;
    return 0;
}

/* After "?": (@.path op operand) */
static int read_filter(struct compiler *c, struct step *step)
{
    struct filter *filter = arena_new_of(c->arena, struct filter);
    int r;

    if (!filter)
        return no_memory(c);
    if (++c->depth > FILTER_DEPTH_MAX)
        return bad(c, "filters nested too deeply");
    if (!take(c, '('))
        return bad(c, "'(' expected");
    skip_blanks(c);
    if (!take(c, '@'))
        return bad(c, "'@' expected");
    r = compile_steps(c, " )=!<>", &filter->left);
    if (r < 0)
        return r;
    skip_blanks(c);
    filter->op = read_operator(c);
    skip_blanks(c);
    if (filter->op != OP_EXISTS && (r = read_operand(c, filter)) < 0)
        return r;
    skip_blanks(c);
    if (!take(c, ')'))
        return bad(c, "')' expected");
    c->depth--;
    step->kind = STEP_FILTER;
    step->filter = filter;
    return 0;
}

static int read_bracket(struct compiler *c, struct step *step)
{
    int r = 0;

    if (peek(c) == '\'' || peek(c) == '"')
        r = read_quoted(c, &step->name);
    else if (take(c, '*'))
        step->kind = STEP_ALL;
    else if (take(c, '?'))
        r = read_filter(c, step);
    else
        r = read_range(c, step);
    if (r < 0)
        return r;
    return take(c, ']') ? 0 : bad(c, "']' expected");
}

static int read_step(struct compiler *c, const char *stops, struct step *step)
{
    char name_stops[16];
    int r;

    if (take(c, '['))
        return read_bracket(c, step);
    if (!take(c, '.'))
        return bad(c, "'.' or '[' expected");
    if (peek(c) == '.')
        return err_set(c->err, ERR_NOT_SUPPORTED, "JSONPath: recursive descent is not supported");
    if (peek(c) == '[') /* ".[0]" */
        return c->at++, read_bracket(c, step);
    if (take(c, '*'))
        return step->kind = STEP_ALL, 0;
    snprintf(name_stops, sizeof name_stops, ".[%s", stops);
    r = read_name(c, name_stops, &step->name);
    return r == 0 && step->name.len == 0 ? bad(c, "name expected") : r;
}

/* Steps up to one of stops or the end of the text. */
static int compile_steps(struct compiler *c, const char *stops, const struct jsonpath **ret_path)
{
    struct jsonpath *path = arena_new_of(c->arena, struct jsonpath);
    struct step *steps = NULL;
    size_t cap = 0;
    int r;

    if (!path)
        return no_memory(c);
    while (c->at < c->text.len && !strchr(stops, peek(c))) {
        if (c->at + 1 == c->text.len && path->count == 0 && take(c, '.'))
            break; /* "." is the whole */
        if (path->count >= STEPS_MAX)
            return bad(c, "too many steps");
        if (path->count == cap) {
            steps = arena_grow(c->arena, steps, cap * sizeof *steps, (cap + 8) * sizeof *steps);
            cap += 8;
        }
        if (!steps)
            return no_memory(c);
        r = read_step(c, stops, &steps[path->count]);
        if (r < 0)
            return r;
        path->count++;
    }
    path->steps = steps;
    *ret_path = path;
    return 0;
}

int jsonpath_compile(struct arena *arena, struct str text, const struct jsonpath **ret_path, struct err *err)
{
    struct compiler c = { .arena = arena, .err = err, .text = str_trim(text) };

    if (c.text.len > JSONPATH_MAX_LEN)
        return err_set(err, ERR_BAD_REQUEST, "JSONPath of %zu bytes is too long", c.text.len);
    if (memchr(c.text.data ? c.text.data : "", '\0', c.text.len))
        return err_set(err, ERR_BAD_REQUEST, "JSONPath contains a zero byte");
    if (str_has_prefix(c.text, STR("{")) && str_has_suffix(c.text, STR("}")))
        c.text = str_trim(str_chop(str_skip(c.text, 1), 1));
    take(&c, '$');
    if (c.at < c.text.len && peek(&c) != '.' && peek(&c) != '[') {
        struct str dotted = arena_printf(arena, "." STR_FMT, STR_ARG(str_skip(c.text, c.at)));

        if (!dotted.data)
            return no_memory(&c);
        c.text = dotted;
        c.at = 0;
    }
    return compile_steps(&c, "", ret_path);
}

/* --- evaluating --- */

struct results {
    const struct json **items;
    size_t count, max;
};

static void find(const struct step *steps, size_t count, const struct json *json, struct results *results);

static bool holds(enum operator op, int order)
{
    switch (op) {
    case OP_EXISTS: return true;
    case OP_EQUAL: return order == 0;
    case OP_NOT_EQUAL: return order != 0;
    case OP_LESS: return order < 0;
    case OP_LESS_EQUAL: return order <= 0;
    case OP_GREATER: return order > 0;
    case OP_GREATER_EQUAL: return order >= 0;
    }
    return false;
}

static bool compare(enum operator op, const struct json *left, const struct json *right)
{
    double a, b;

    if (!left || !right || left->kind != right->kind)
        return op == OP_NOT_EQUAL && left && right;
    if (left->kind == JSON_STRING)
        return holds(op, name_cmp(left->string, right->string));
    if (left->kind == JSON_NUMBER) {
        a = json_double(left, 0);
        b = json_double(right, 0);
        return holds(op, (a > b) - (a < b));
    }
    return (op == OP_EQUAL && json_equal(left, right)) || (op == OP_NOT_EQUAL && !json_equal(left, right));
}

static bool matches(const struct filter *filter, const struct json *element)
{
    const struct json *left = jsonpath_first(filter->left, element);

    if (filter->op == OP_EXISTS)
        return left;
    return compare(filter->op, left, filter->right ? jsonpath_first(filter->right, element) : &filter->literal);
}

static uint32_t child_count(const struct json *json)
{
    return json->kind == JSON_ARRAY || json->kind == JSON_OBJECT ? json->count : 0;
}

static const struct json *child(const struct json *json, uint32_t at)
{
    return json->kind == JSON_ARRAY ? &json->items[at] : &json->members[at].value;
}

static uint32_t clamp_index(int64_t index, uint32_t count)
{
    if (index < 0)
        index = index < -(int64_t)count ? 0 : index + count;
    return (uint32_t)MIN(index, (int64_t)count);
}

static void find(const struct step *steps, size_t count, const struct json *json, struct results *results)
{
    const struct json *member;
    uint32_t from = 0, to;

    if (!json || results->count >= results->max)
        return;
    if (count == 0) {
        results->items[results->count++] = json;
        return;
    }
    to = child_count(json);
    if (steps->kind == STEP_MEMBER) {
        member = json_get(json, steps->name);
        find(steps + 1, count - 1, member, results);
        return;
    }
    if (steps->kind == STEP_RANGE) {
        if (json->kind != JSON_ARRAY)
            return;
        if (steps->from < 0 && steps->to == steps->from + 1 && -steps->from > to)
            return; /* [-5] of three */
        from = clamp_index(steps->from, to);
        to = clamp_index(steps->to, to);
    }
    for (uint32_t i = from; i < to && results->count < results->max; i++)
        if (steps->kind != STEP_FILTER || matches(steps->filter, child(json, i)))
            find(steps + 1, count - 1, child(json, i), results);
}

size_t jsonpath_find(const struct jsonpath *path, const struct json *root, const struct json **results, size_t max)
{
    struct results found = { results, 0, max };

    find(path->steps, path->count, root, &found);
    return found.count;
}

const struct json *jsonpath_first(const struct jsonpath *path, const struct json *root)
{
    const struct json *first = NULL;

    jsonpath_find(path, root, &first, 1);
    return first;
}
