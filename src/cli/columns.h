/* columns.h - text in aligned columns, as kubectl lays it out: three blanks between, no column narrower than six.
 *
 * Widths are kept from one flush to the next, so that rows which come later (a watch) stay under their heading. */
#pragma once

#include <stdio.h>

#include "base/str.h"
#include "base/vec.h"

struct columns {
    size_t per_row;
    VEC(struct str) cells; /* of rows not yet printed; their text is the caller's until the flush */
    VEC(size_t) widths;
    bool failed; /* no memory */
};

void columns_init(struct columns *columns, size_t per_row);
void columns_deinit(struct columns *columns);
/* The next cell of the row. Only its first line is shown; control characters are made visible. */
void columns_add(struct columns *columns, struct str cell);
/* ERR_NO_MEMORY when any addition had none. */
int columns_flush(struct columns *columns, FILE *out);
/* Code points. */
size_t text_width(struct str text);
/* Without what a terminal would obey: ESC becomes "^[", other control characters but tabs and line ends "?". */
void text_print(struct str text, FILE *out);
