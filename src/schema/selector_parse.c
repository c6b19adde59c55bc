/* selector_parse.c - the text of label and field selectors.
 *
 * Label selectors: tokens are the special symbols, the longest first, and whatever stands between them and blanks. "in"
 * and "notin" are operators only where an operator may stand. What is accepted, and the words of the errors, are those
 * of Kubernetes, as clients show them to people. Field selectors are simpler: terms between commas, the first = == or
 * != in a term divides it, and a backslash takes \ , = literally in a value. */
#include "schema/selector_impl.h"

#define TERMS_MAX 10000
#define TEXT_MAX (1u << 20)

enum token {
    TOKEN_END,
    TOKEN_IDENTIFIER,
    TOKEN_NOT,
    TOKEN_EQUALS,
    TOKEN_DOUBLE_EQUALS,
    TOKEN_NOT_EQUALS,
    TOKEN_GREATER,
    TOKEN_LESS,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
};

static const struct {
    struct str text;
    enum token token;
} symbols[] = {
    { STR_INIT("=="), TOKEN_DOUBLE_EQUALS }, { STR_INIT("!="), TOKEN_NOT_EQUALS }, { STR_INIT("!"), TOKEN_NOT },
    { STR_INIT("="), TOKEN_EQUALS },         { STR_INIT(">"), TOKEN_GREATER },     { STR_INIT("<"), TOKEN_LESS },
    { STR_INIT("("), TOKEN_OPEN },           { STR_INIT(")"), TOKEN_CLOSE },       { STR_INIT(","), TOKEN_COMMA },
};

struct lexer {
    struct str rest;
    enum token token; /* the next one, not yet taken */
    struct str text;
};

struct values {
    struct str *items;
    size_t count, cap;
};

static int too_large(struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "the selector is too long");
}

static bool is_special(char c)
{
    return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void lex_next(struct lexer *l)
{
    size_t n = 0;

    l->rest = str_trim(l->rest);
    l->token = TOKEN_END;
    for (size_t i = 0; i < ARRAY_LEN(symbols) && l->token == TOKEN_END; i++)
        if (str_has_prefix(l->rest, symbols[i].text)) {
            l->token = symbols[i].token;
            n = symbols[i].text.len;
        }
    if (l->token == TOKEN_END && l->rest.len) {
        l->token = TOKEN_IDENTIFIER;
        while (n < l->rest.len && !is_special(l->rest.data[n]) && !is_blank(l->rest.data[n]))
            n++;
    }
    l->text = str_first(l->rest, n);
    l->rest = str_skip(l->rest, n);
}

static int unexpected(const struct lexer *l, const char *expected, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "found '" STR_FMT "', expected: %s", STR_ARG(str_first(l->text, 100)),
                   expected);
}

static int push_value(struct arena *arena, struct values *values, struct str value, struct err *err)
{
    if (values->count == values->cap) {
        size_t cap = values->cap ? values->cap * 2 : 4, size = sizeof(struct str);
        void *items = arena_grow(arena, values->items, values->cap * size, cap * size);

        if (!items)
            return err_set(err, ERR_NO_MEMORY, "selector");
        values->items = items;
        values->cap = cap;
    }
    values->items[values->count++] = value;
    return 0;
}

/* "(a,b)"; a value may be empty: "(a,)" has two. The empty "()" is left to the check of the requirement. */
static int parse_set(struct arena *arena, struct lexer *l, struct values *values, struct err *err)
{
    int r;

    if (l->token != TOKEN_OPEN)
        return unexpected(l, "'('", err);
    lex_next(l);
    if (l->token == TOKEN_CLOSE) {
        lex_next(l);
        return 0;
    }
    for (;;) {
        struct str value = STR("");

        if (l->token == TOKEN_IDENTIFIER) {
            value = l->text;
            lex_next(l);
        }
        if (l->token != TOKEN_COMMA && l->token != TOKEN_CLOSE)
            return unexpected(l, "',', ')' or identifier", err);
        if ((r = push_value(arena, values, value, err)) < 0)
            return r;
        bool end = l->token == TOKEN_CLOSE;

        lex_next(l);
        if (end)
            return 0;
    }
}

/* One value, which may be empty at the end of the requirement. */
static int parse_exact(struct arena *arena, struct lexer *l, struct values *values, struct err *err)
{
    struct str value = STR("");

    if (l->token == TOKEN_IDENTIFIER) {
        value = l->text;
        lex_next(l);
    } else if (l->token != TOKEN_END && l->token != TOKEN_COMMA) {
        return unexpected(l, "identifier", err);
    }
    return push_value(arena, values, value, err);
}

static int parse_operator(struct lexer *l, enum requirement_op *ret_op, struct err *err)
{
    static const struct {
        enum token token;
        const char *word;
        enum requirement_op op;
    } operators[] = {
        { TOKEN_EQUALS, NULL, REQUIRE_EQUALS },
        { TOKEN_DOUBLE_EQUALS, NULL, REQUIRE_DOUBLE_EQUALS },
        { TOKEN_NOT_EQUALS, NULL, REQUIRE_NOT_EQUALS },
        { TOKEN_GREATER, NULL, REQUIRE_GREATER },
        { TOKEN_LESS, NULL, REQUIRE_LESS },
        { TOKEN_IDENTIFIER, "in", REQUIRE_IN },
        { TOKEN_IDENTIFIER, "notin", REQUIRE_NOT_IN },
    };

    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (l->token == operators[i].token && (!operators[i].word || str_is(l->text, operators[i].word))) {
            lex_next(l);
            *ret_op = operators[i].op;
            return 0;
        }
    return unexpected(l, "in, notin, =, ==, !=, gt, lt", err);
}

static int parse_requirement(struct arena *arena, struct lexer *l, struct selector *selector, struct err *err)
{
    enum requirement_op op = REQUIRE_EXISTS;
    struct values values = { 0 };
    int r = 0;

    if (l->token == TOKEN_NOT) {
        op = REQUIRE_NOT_EXISTS;
        lex_next(l);
    }
    if (l->token != TOKEN_IDENTIFIER)
        return unexpected(l, "identifier", err);
    struct str key = l->text;

    lex_next(l);
    if (op == REQUIRE_EXISTS && l->token != TOKEN_END && l->token != TOKEN_COMMA) {
        if ((r = parse_operator(l, &op, err)) < 0)
            return r;
        r = op == REQUIRE_IN || op == REQUIRE_NOT_IN ? parse_set(arena, l, &values, err)
                                                     : parse_exact(arena, l, &values, err);
    }
    if (r < 0)
        return r;
    return selector_add(arena, selector, key, op, (struct str_array){ values.items, values.count }, err);
}

static int parse_requirements(struct arena *arena, struct lexer *l, struct selector *selector, struct err *err)
{
    while (l->token != TOKEN_END) {
        int r;

        if (l->token != TOKEN_IDENTIFIER && l->token != TOKEN_NOT)
            return unexpected(l, selector->count ? "identifier after ','" : "!, identifier, or 'end of string'", err);
        if (selector->count == TERMS_MAX)
            return too_large(err);
        if ((r = parse_requirement(arena, l, selector, err)) < 0)
            return err_wrap(err, r, "unable to parse requirement");
        if (l->token == TOKEN_END)
            break;
        if (l->token != TOKEN_COMMA)
            return unexpected(l, "',' or 'end of string'", err);
        lex_next(l);
        if (l->token == TOKEN_END)
            return unexpected(l, "identifier after ','", err);
    }
    return 0;
}

int selector_parse(struct arena *arena, struct str text, const struct selector **ret_selector, struct err *err)
{
    struct lexer lexer = { .rest = text };
    struct selector *selector;
    int r;

    if (text.len > TEXT_MAX)
        return too_large(err);
    if (!(selector = selector_new(arena)))
        return err_set(err, ERR_NO_MEMORY, "selector");
    lex_next(&lexer);
    if ((r = parse_requirements(arena, &lexer, selector, err)) < 0)
        return r;
    selector_sort(selector);
    *ret_selector = selector->count ? selector : NULL;
    return 0;
}

/* Field selectors. */

/* Cuts the next term off, up to a comma that no backslash precedes. */
static struct str cut_term(struct str *rest)
{
    size_t n = 0;

    while (n < rest->len && rest->data[n] != ',')
        n += rest->data[n] == '\\' && n + 1 < rest->len ? 2 : 1;
    struct str term = str_first(*rest, n);

    *rest = n < rest->len ? str_skip(*rest, n + 1) : STR_NULL;
    return term;
}

static bool unescape(struct arena *arena, struct str value, struct str *ret_value, struct err *err)
{
    char *out = arena_alloc(arena, value.len + 1);
    size_t len = 0;

    if (!out)
        return err_set(err, ERR_NO_MEMORY, "selector"), false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        bool escaped = c == '\\';

        if (escaped)
            c = ++i < value.len ? value.data[i] : 0;
        if ((c == ',' || c == '=' || c == '\\') != escaped) {
            err_set(err, ERR_BAD_REQUEST, "invalid field selector: %s in value \"" STR_FMT "\"",
                    escaped ? "invalid escape sequence" : "unescaped character", STR_ARG(str_first(value, 200)));
            return false;
        }
        out[len++] = c;
    }
    *ret_value = str_of(out, len);
    return true;
}

static int add_term(struct arena *arena, struct selector *selector, struct str term, struct err *err)
{
    enum requirement_op op = REQUIRE_EQUALS;
    struct str value;
    size_t at = 0;

    while (at < term.len && term.data[at] != '=' && !str_has_prefix(str_skip(term, at), STR("!=")))
        at++;
    if (at == term.len)
        return err_set(err, ERR_BAD_REQUEST, "invalid field selector: '" STR_FMT "': can't understand it",
                       STR_ARG(str_first(term, 200)));
    struct str key = str_first(term, at), rest = str_skip(term, at);

    if (rest.data[0] == '!')
        op = REQUIRE_NOT_EQUALS;
    rest = str_skip(rest, op == REQUIRE_NOT_EQUALS || str_has_prefix(rest, STR("==")) ? 2 : 1);
    if (!unescape(arena, rest, &value, err))
        return arena_failed(arena) ? -ERR_NO_MEMORY : -ERR_BAD_REQUEST;
    return selector_add(arena, selector, key, op, (struct str_array){ &value, 1 }, err);
}

int field_selector_parse(struct arena *arena, struct str text, const struct selector **ret_selector, struct err *err)
{
    struct selector *selector = selector_new(arena);
    struct str rest = text;
    int r;

    if (text.len > TEXT_MAX)
        return too_large(err);
    if (!selector)
        return err_set(err, ERR_NO_MEMORY, "selector");
    selector->fields = true;
    while (rest.data) {
        struct str term = cut_term(&rest);

        if (term.len == 0)
            continue;
        if (selector->count == TERMS_MAX)
            return too_large(err);
        if ((r = add_term(arena, selector, term, err)) < 0)
            return r;
    }
    selector_sort(selector);
    *ret_selector = selector->count ? selector : NULL;
    return 0;
}
