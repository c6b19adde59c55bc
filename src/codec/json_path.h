/* json_path.h - where a parser is in its document, to name the place of a duplicate key. Only for codec/. */
#pragma once

#include "codec/json.h"

/* One per container that is open, on the C stack of the parser. */
struct json_frame {
    const struct json_frame *up;
    struct str key; /* data == NULL in an array */
    uint32_t index;
};

/* Notes the path of the member that frame is at; beyond the limit, or with duplicates NULL, nothing. False without
 * memory. */
bool json_duplicates_add(struct arena *arena, struct json_duplicates *duplicates, const struct json_frame *frame);
