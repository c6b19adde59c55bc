/* disk.h - a disk that fails, and one whose power is cut, for programs that write a store.
 *
 * Stands between LMDB (and the store) and the kernel: open, pwrite, write, writev, fdatasync and fsync are defined in the
 * program itself, and the dynamic linker prefers those. Only the file data.mdb of one folder is touched. Any thread may
 * write; the functions here are for one. */
#pragma once

#include "base/rng.h"
#include "base/str.h"

enum disk_call {
    DISK_WRITE, /* into the page cache */
    DISK_SYNC,
    DISK_ROOT, /* LMDB's root, through a descriptor with O_DSYNC */
    DISK_CALLS
};

struct disk_fault {
    enum disk_call call;
    int after; /* so many of these calls go well first */
    int times; /* then so many fail; 0: all */
    int error; /* 0: a write that is cut short */
};

/* From now on calls on FOLDER/data.mdb go through here; NULL: no longer. Faults are gone. */
void disk_use(const char *folder);
void disk_fail(const struct disk_fault *fault); /* another kind of call beside those that fail already */
void disk_heal(void);
uint64_t disk_failed(void); /* calls that were made to fail */

/* -- power -- */

/* Notes what is on the disk and what is only in the cache. At the nth call from now cut() is called, in the thread that
 * writes, with an image that a power cut at that moment may leave: each page of 4 KiB that was not synced is there, or
 * not, or some of its sectors of 512 bytes are. A sync that fails forgets what it had not written, as Linux does; a root
 * whose write fails is on the disk or not. Syncs cost nothing meanwhile. */
void disk_power(uint64_t seed, uint64_t calls, void (*cut)(void *arg, struct str image), void *arg);
void disk_power_end(void);
