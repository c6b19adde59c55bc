/* check.h - is a store whole? Reads everything in it once, in one snapshot, and tells what is damaged.
 *
 * Opens the store for reading only, beside a process that may have it open and go on writing; changes nothing. Costs a
 * pass over the log with checksums and one over each index. While it runs, pages that writers free are not used again. */
#pragma once

#include "store/store.h"

#define STORE_CHECK_PROBLEMS_MAX 100 /* told; more are only counted */

struct store_check_report {
    revision_t revision, floor; /* newest; oldest readable, 0: all are */
    uint64_t records, keys, terms, bytes;
    uint64_t problems;
};

struct store_check_events {
    void *ctx;
    void (*problem)(void *ctx, struct str message);
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* records; may be NULL */
};

/* 0 also when there are problems: the report counts them. Negative: it could not be read as a store at all. */
int store_check(const char *path, const struct store_check_events *events, struct store_check_report *ret_report,
                struct err *err);
