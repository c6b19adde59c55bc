/* discovery_write.h - the documents of discovery as texts. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "schema/type.h"

/* add() gets each document once: its path ("/apis/apps"), or path and version of the aggregated form ("/apis v2"). A
 * negative return ends the writing. */
struct discovery_writer {
    void *ctx;
    int (*add)(void *ctx, struct str path, const struct buf *text, struct err *err);
};
/* In the order given: of a group's versions, the first is the preferred one. */
int discovery_write(const struct discovery_writer *writer, const struct resource *const *resources, size_t count,
                    struct err *err);
