/* splice.h - an object as the store keeps it: canonical JSON text with an empty metadata.resourceVersion, and the place
 * where the store writes the revision of the commit. */
#pragma once

#include "base/buf.h"
#include "codec/json.h"

struct spliced {
    struct str text;
    uint32_t at; /* offset of the resourceVersion's digits */
};

/* Sets metadata.resourceVersion of the object to "" and writes it. Text in the arena. ERR_TOO_LARGE beyond what the
 * store takes. */
int splice_object(struct arena *arena, struct json *object, struct spliced *ret_spliced, struct err *err);
/* Is stored the same text but for the digits? */
bool splice_equal(const struct spliced *spliced, struct str stored);
/* The text with a revision filled in, as a dry run shows it. data == NULL without memory. */
struct str splice_fill(struct arena *arena, const struct spliced *spliced, struct str revision);
