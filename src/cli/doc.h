/* doc.h - a description in the making: keys and values, indented, the values of siblings in one column.
 *
 *   Name:    web
 *   Labels:  app=web
 *            tier=front
 *   Containers:
 *     web:
 *       Image:  caravel/demo:1 */
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

#define DOC_LEVELS 40

struct doc_line {
    int level;
    size_t group;          /* siblings: their values begin in one column */
    struct str key, value; /* key unset: value alone */
};

struct doc {
    struct arena *arena;
    VEC(struct doc_line) lines;
    VEC(size_t) widths; /* of the longest key, by group */
    size_t group[DOC_LEVELS];
    int deepest;
    bool failed; /* no memory */
};

void doc_init(struct doc *doc, struct arena *arena);
void doc_deinit(struct doc *doc);
/* Text must live until the print. Lines of a value after the first stand under it. An unset value leaves "Key:" alone. */
void doc_add(struct doc *doc, int level, struct str key, struct str value);
void doc_printf(struct doc *doc, int level, const char *key, const char *fmt, ...) PRINTF(4, 5);
void doc_text(struct doc *doc, int level, struct str text); /* lines without keys */
/* Cells row by row, the heading first; count is a multiple of per_row. */
void doc_table(struct doc *doc, int level, size_t per_row, const struct str *cells, size_t count);
int doc_print(const struct doc *doc, FILE *out, struct err *err);
