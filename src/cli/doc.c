#include "cli/doc.h"

#include "cli/columns.h"

#define INDENT 2
#define GAP 2

void doc_init(struct doc *doc, struct arena *arena)
{
    *doc = (struct doc){ .arena = arena, .deepest = -1 };
}

void doc_deinit(struct doc *doc)
{
    vec_deinit(&doc->lines);
    vec_deinit(&doc->widths);
}

/* A line ends the groups of all deeper levels. */
static size_t group_of(struct doc *doc, int level)
{
    if (level > doc->deepest || doc->widths.count == 0) {
        for (int i = MAX(doc->deepest + 1, 0); i <= level; i++) {
            doc->group[i] = doc->widths.count;
            if (vec_push(&doc->widths, 0) < 0)
                doc->failed = true;
        }
    }
    doc->deepest = level;
    return doc->group[level];
}

void doc_add(struct doc *doc, int level, struct str key, struct str value)
{
    struct doc_line line = { .level = MIN(level, DOC_LEVELS - 1), .key = key, .value = value };

    line.group = group_of(doc, line.level);
    if (doc->failed)
        return;
    if (key.data && value.data)
        doc->widths.items[line.group] = MAX(doc->widths.items[line.group], text_width(key) + 1 + GAP);
    if (vec_push(&doc->lines, line) < 0)
        doc->failed = true;
}

void doc_printf(struct doc *doc, int level, const char *key, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    struct str value = arena_vprintf(doc->arena, fmt, args);

    va_end(args);
    doc->failed = doc->failed || !value.data;
    doc_add(doc, level, str_from(key), value);
}

void doc_text(struct doc *doc, int level, struct str text)
{
    struct str line;

    while (str_split(&text, '\n', &line))
        if (line.len || text.data)
            doc_add(doc, level, STR_NULL, line);
}

void doc_table(struct doc *doc, int level, size_t per_row, const struct str *cells, size_t count)
{
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct columns columns;

    if (!out) {
        doc->failed = true;
        return;
    }
    columns_init(&columns, per_row);
    for (size_t i = 0; i < count; i++)
        columns_add(&columns, cells[i]);
    doc->failed = columns_flush(&columns, out) < 0 || doc->failed;
    columns_deinit(&columns);
    doc->failed = fclose(out) != 0 || doc->failed;
    if (!doc->failed)
        doc_text(doc, level, arena_str(doc->arena, str_of(text, len)));
}

static void print_line(const struct doc *doc, const struct doc_line *line, FILE *out)
{
    int at = line->level * INDENT;
    struct str rest = line->value, part;
    size_t column = 0;

    fprintf(out, "%*s", at, "");
    if (line->key.data) {
        column = doc->widths.items[line->group];
        text_print(line->key, out);
        fputc(':', out);
        if (line->value.len)
            fprintf(out, "%*s", (int)(column - MIN(column, text_width(line->key) + 1)), "");
    }
    for (bool first = true; rest.data && str_split(&rest, '\n', &part); first = false) {
        if (!first)
            fprintf(out, "\n%*s", at + (int)column, "");
        text_print(part, out);
    }
    fputc('\n', out);
}

int doc_print(const struct doc *doc, FILE *out, struct err *err)
{
    if (doc->failed || arena_failed(doc->arena))
        return err_set(err, ERR_NO_MEMORY, "description");
    for (size_t i = 0; i < doc->lines.count; i++)
        print_line(doc, &doc->lines.items[i], out);
    return 0;
}
