/* space.h - room on the disk: a reserve that is there when the disk is full.
 *
 * Used by the store's writer, and while the store is opened. */
#pragma once

#include "base/err.h"

struct space {
    char *folder;
    size_t wanted; /* bytes of the reserve; 0: the file system does not say how large it is, nothing is kept */
    bool held;
};

/* Takes a reserve that is there, or makes one when there is room. */
int space_init(struct space *space, const char *folder, size_t limit, struct err *err);
void space_deinit(struct space *space);

/* Whether what is left is not for puts: the disk is nearly full, or the reserve is given away. */
bool space_is_low(struct space *space);
/* Gives the reserve to whoever needs it: deletions, compaction. False: there was none. */
bool space_release(struct space *space);
/* Makes it again when there is room for it twice. */
void space_restore(struct space *space);
uint64_t space_free(const struct space *space); /* bytes; UINT64_MAX: not known */
