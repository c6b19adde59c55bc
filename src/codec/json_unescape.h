/* json_unescape.h - JSON strings with escapes. Only for codec/json*.c. */
#pragma once

#include "base/str.h"

/* The quote that ends the string, or NULL. at: within the string, not behind a backslash. */
const char *json_find_quote(const char *at, const char *end);

struct json_unescape {
    const char *at; /* the text; after an error, where it is */
    char *out;      /* the decoded bytes, never more than there are of text; moves to their end */
};

/* Decodes up to end, the closing quote. NULL, or what was expected. */
const char *json_unescape(struct json_unescape *u, const char *end);
