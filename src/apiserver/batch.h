/* batch.h - several writes as one: each planned upon what those before it will have done, all committed as one
 * transaction of the store, or none.
 *
 * One thread. Everything that an attempt makes lives in the batch's arena and goes with the next attempt. */
#pragma once

#include "apiserver/overlay.h"
#include "apiserver/write.h"

#define BATCH_NONE SIZE_MAX

struct batch {
    struct request *request; /* that asks for all this; dry_run is its */
    struct arena arena;
    int (*plan)(struct batch *batch, struct err *err); /* makes the writes: batch_request(), batch_add() */
    void *arg;                                         /* plan()'s */
    struct store_cause cause;
    const char *label; /* what failures call the writes: "writes" */

    struct request **requests; /* one each, NULL before it is made */
    struct write **writes;
    size_t count, cap, max;
    struct overlay overlay;
    struct map checks; /* key -> struct store_op, a comparison */
    struct store_op *ops;
    struct batch_origin *origins;
    size_t op_count;
    struct store_result result;
    size_t failed; /* the write that failed, or BATCH_NONE */
    int attempts;
};

/* max: writes. */
void batch_init(struct batch *batch, struct request *request, size_t max, int (*plan)(struct batch *, struct err *),
                void *arg);
void batch_deinit(struct batch *batch);

/* The next write's own request: everything but server, arena and user is unset. Until batch_add() failures are its. */
int batch_request(struct batch *batch, struct request **ret_request, struct err *err);
/* Plans the write, which is that request's. ERR_INVALID: it writes what an earlier one writes. */
int batch_add(struct batch *batch, struct write *write, struct err *err);
/* An operation that belongs to no write's plan, e.g. a comparison; of the last request. */
int batch_op(struct batch *batch, const struct store_op *op, struct err *err);

/* Plans and commits until it is done; then every request has its reply, unfinished. Blocks. On error nothing was
 * written, and batch->failed tells which write it was. */
int batch_run(struct batch *batch, struct err *err);
/* Answers the batch's request with what became of the write that failed, and where it stands. Returns 0. */
int batch_fail(struct batch *batch, struct err *err);
