/* lmdb_file.h - LMDB's two files looked at without LMDB: before they are mapped, and after a write that failed. */
#pragma once

#include "base/err.h"

/* Is there anything that LMDB could map and follow? A file that is cut short would kill the process (SIGBUS) at the
 * first page that is not there. 0: yes, or there is no file yet. ERR_INVALID: not a store, or damaged. */
int lmdb_file_check(const char *folder, struct err *err);

/* The lock file with all its blocks, as it is written through a map, too: a disk that is full must not be noticed
 * there. A fresh one replaces the old for those who open it from now on. */
int lmdb_lock_prepare(const char *folder, size_t readers, bool fresh, struct err *err);

/* After the commit of a transaction of LMDB has failed: makes sure, on the disk, that its root is not there, and that
 * the one before it is the newest. Proves by the way that the disk takes writes again. */
int lmdb_root_settle(const char *folder, uint64_t failed, struct err *err);
