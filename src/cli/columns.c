#include "cli/columns.h"

#include "base/err.h"

#define GAP 3
#define WIDTH_MIN 6

void columns_init(struct columns *columns, size_t per_row)
{
    *columns = (struct columns){ .per_row = per_row };
}

void columns_deinit(struct columns *columns)
{
    vec_deinit(&columns->cells);
    vec_deinit(&columns->widths);
}

size_t text_width(struct str text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return width;
}

void text_print(struct str text, FILE *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c == 0x1b)
            fputs("^[", out);
        else
            fputc((c < ' ' && c != '\t' && c != '\n') || c == 0x7f ? '?' : c, out);
    }
}

void columns_add(struct columns *columns, struct str cell)
{
    size_t end = 0;

    while (end < cell.len && cell.data[end] != '\n' && cell.data[end] != '\r' && cell.data[end] != '\f')
        end++;
    if (vec_push(&columns->cells, str_first(cell, end)) < 0)
        columns->failed = true;
}

static void widen(struct columns *columns)
{
    for (size_t i = 0; i < columns->per_row && !columns->failed; i++)
        if (columns->widths.count <= i && vec_push(&columns->widths, WIDTH_MIN) < 0)
            columns->failed = true;
    for (size_t i = 0; i < columns->cells.count && !columns->failed; i++) {
        size_t *width = &columns->widths.items[i % columns->per_row];

        *width = MAX(*width, text_width(columns->cells.items[i]) + GAP);
    }
}

int columns_flush(struct columns *columns, FILE *out)
{
    widen(columns);
    for (size_t i = 0; i < columns->cells.count && !columns->failed; i++) {
        bool last = i % columns->per_row + 1 == columns->per_row;
        struct str cell = columns->cells.items[i];

        text_print(cell, out);
        for (size_t n = text_width(cell); !last && n < columns->widths.items[i % columns->per_row]; n++)
            fputc(' ', out);
        if (last)
            fputc('\n', out);
    }
    vec_clear(&columns->cells);
    return columns->failed ? -ERR_NO_MEMORY : 0;
}
