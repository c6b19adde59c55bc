/* jsonpath_template.c - parsed into a row of parts; a range knows where its end is, and is walked again for each result. */
#include "cli/jsonpath_template.h"

#include "base/vec.h"
#include "schema/jsonpath.h"

#define PARTS_MAX 1000
#define DEPTH_MAX 16
#define RESULTS_FIRST 64

enum part_kind { PART_TEXT, PART_PATH, PART_RANGE, PART_END };

struct part {
    enum part_kind kind;
    struct str text;
    const struct jsonpath *path;
    bool from_root; /* "$": not from the element of the range */
    size_t end;     /* PART_RANGE: index of its PART_END */
};

struct jsonpath_template {
    struct part *parts;
    size_t count;
};

struct parser {
    struct arena *arena;
    struct str text;
    struct part *parts;
    size_t count, cap, open[DEPTH_MAX], depth;
    struct err *err;
};

static int add(struct parser *parser, struct part part)
{
    if (part.kind == PART_TEXT && part.text.len == 0)
        return 0;
    if (parser->count == PARTS_MAX)
        return err_set(parser->err, ERR_BAD_REQUEST, "jsonpath: more than %d parts", PARTS_MAX);
    if (parser->count == parser->cap) {
        parser->parts = arena_grow(parser->arena, parser->parts, parser->cap * sizeof part,
                                   (parser->cap + 16) * sizeof part);
        parser->cap += 16;
    }
    if (!parser->parts)
        return err_set(parser->err, ERR_NO_MEMORY, "jsonpath");
    parser->parts[parser->count++] = part;
    return 0;
}

/* The place of the brace that closes the expression at the beginning; quotes hide braces. */
static ssize_t closing_brace(struct str text)
{
    char quote = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (quote && c == '\\')
            i++;
        else if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '}')
            return (ssize_t)i;
    }
    return -1;
}

/* "a\tb": \n, \t, \r, \\, \" and \'. */
static int add_quoted(struct parser *parser, struct str quoted)
{
    static const char from[] = "ntr", to[] = "\n\t\r";
    struct str inner = str_chop(str_skip(quoted, 1), 1);
    char *text = arena_alloc(parser->arena, inner.len + 1);
    size_t len = 0;

    if (!text)
        return err_set(parser->err, ERR_NO_MEMORY, "jsonpath");
    for (size_t i = 0; i < inner.len; i++) {
        char c = inner.data[i];

        if (c == '\\' && i + 1 < inner.len) {
            c = inner.data[++i];
            const char *escape = strchr(from, c);

            c = escape && c ? to[escape - from] : c;
        }
        text[len++] = c;
    }
    return add(parser, (struct part){ .kind = PART_TEXT, .text = str_of(text, len) });
}

static int add_path(struct parser *parser, enum part_kind kind, struct str text)
{
    struct part part = { .kind = kind, .from_root = str_has_prefix(text, STR("$")) };

    if (str_has_prefix(text, STR("@")))
        text = text.len == 1 ? STR(".") : str_skip(text, 1);
    if (!text.len)
        return err_set(parser->err, ERR_BAD_REQUEST, "jsonpath: an expression is empty");
    int code = jsonpath_compile(parser->arena, text, &part.path, parser->err);

    return code == 0 ? add(parser, part) : code;
}

static int add_expression(struct parser *parser, struct str text)
{
    text = str_trim(text);
    if (text.len >= 2 && (text.data[0] == '"' || text.data[0] == '\'') && text.data[text.len - 1] == text.data[0])
        return add_quoted(parser, text);
    if (str_is(text, "end")) {
        if (parser->depth == 0)
            return err_set(parser->err, ERR_BAD_REQUEST, "jsonpath: {end} without {range}");
        parser->parts[parser->open[--parser->depth]].end = parser->count;
        return add(parser, (struct part){ .kind = PART_END });
    }
    if (!str_has_prefix(text, STR("range ")))
        return add_path(parser, PART_PATH, text);
    if (parser->depth == DEPTH_MAX)
        return err_set(parser->err, ERR_BAD_REQUEST, "jsonpath: more than %d ranges in one another", DEPTH_MAX);
    parser->open[parser->depth++] = parser->count;
    return add_path(parser, PART_RANGE, str_trim(str_skip(text, 6)));
}

static int parse(struct parser *parser)
{
    struct str rest = parser->text;

    if (str_chr(rest, '{') < 0)
        return add_path(parser, PART_PATH, str_trim(rest));
    while (rest.len) {
        ssize_t open = str_chr(rest, '{');
        size_t before = open < 0 ? rest.len : (size_t)open;
        int code = add(parser, (struct part){ .kind = PART_TEXT, .text = str_first(rest, before) });

        rest = str_skip(rest, before + 1);
        if (code < 0 || open < 0)
            return code;
        ssize_t close = closing_brace(rest);

        if (close < 0)
            return err_set(parser->err, ERR_BAD_REQUEST, "jsonpath: a '{' is not closed");
        if ((code = add_expression(parser, str_first(rest, (size_t)close))) < 0)
            return code;
        rest = str_skip(rest, (size_t)close + 1);
    }
    return 0;
}

int jsonpath_template_parse(struct arena *arena, struct str text, const struct jsonpath_template **ret_template,
                            struct err *err)
{
    struct jsonpath_template *template = arena_new_of(arena, struct jsonpath_template);
    struct parser parser = { .arena = arena, .text = text, .err = err };

    if (!template)
        return err_set(err, ERR_NO_MEMORY, "jsonpath");
    int code = parse(&parser);

    if (code == 0 && parser.depth)
        code = err_set(err, ERR_BAD_REQUEST, "jsonpath: {range} without {end}");
    if (code < 0)
        return code;
    *template = (struct jsonpath_template){ parser.parts, parser.count };
    *ret_template = template;
    return 0;
}

/* -- writing -- */

struct writer {
    struct buf *buf;
    const struct json *root;
    struct err *err;
};

/* All results, in memory that the caller frees. */
static int find_all(const struct writer *writer, const struct part *part, const struct json *at,
                    const struct json ***ret_results, size_t *ret_count)
{
    const struct json **results = NULL;
    size_t max = RESULTS_FIRST / 2, count;

    do {
        max *= 2;
        const struct json **more = realloc(results, max * sizeof *results);

        if (!more) {
            free(results);
            return err_set(writer->err, ERR_NO_MEMORY, "jsonpath");
        }
        results = more;
        count = jsonpath_find(part->path, part->from_root ? writer->root : at, results, max);
    } while (count == max);
    *ret_results = results;
    *ret_count = count;
    return 0;
}

static void write_value(struct buf *buf, const struct json *json)
{
    if (json->kind == JSON_STRING)
        buf_add_str(buf, json->string);
    else
        json_write(buf, json);
}

static int write_parts(const struct writer *writer, const struct part *parts, size_t from, size_t to,
                       const struct json *at)
{
    for (size_t i = from; i < to; i++) {
        AUTO_FREE const struct json **results = NULL;
        size_t count = 0;
        int code = 0;

        if (parts[i].kind == PART_TEXT)
            buf_add_str(writer->buf, parts[i].text);
        if (parts[i].path && (code = find_all(writer, &parts[i], at, &results, &count)) < 0)
            return code;
        for (size_t n = 0; n < count; n++) {
            if (parts[i].kind == PART_RANGE) {
                if ((code = write_parts(writer, parts, i + 1, parts[i].end, results[n])) < 0)
                    return code;
                continue;
            }
            if (n)
                buf_add_char(writer->buf, ' ');
            write_value(writer->buf, results[n]);
        }
        if (parts[i].kind == PART_RANGE)
            i = parts[i].end;
    }
    return 0;
}

int jsonpath_template_write(struct buf *buf, const struct jsonpath_template *template, const struct json *json,
                            struct err *err)
{
    const struct writer writer = { buf, json, err };
    int code = write_parts(&writer, template->parts, 0, template->count, json);

    return code == 0 && !buf_ok(buf) ? err_set(err, ERR_NO_MEMORY, "jsonpath") : code;
}
