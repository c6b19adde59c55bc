/* jsonpath_template.h - what `-o jsonpath=` takes: text with JSONPath expressions in braces.
 *
 *   {.metadata.name}{"\n"}{range .items[*]}{.metadata.name}{"\t"}{end}
 *
 * A text without any brace is one path. Several results of one expression are printed with blanks between. */
#pragma once

#include "base/buf.h"
#include "codec/json.h"

struct jsonpath_template;

/* ERR_BAD_REQUEST with what is wrong. Lives in the arena. */
int jsonpath_template_parse(struct arena *arena, struct str text, const struct jsonpath_template **ret_template,
                            struct err *err);
int jsonpath_template_write(struct buf *buf, const struct jsonpath_template *template, const struct json *json,
                            struct err *err);
