/* checker.h - judges a history: could a store, or several on one etcd, that keep their promises (store/store.h) have shown
 * this?
 *
 * Every commit has a revision of its own, and that is the order. So there is nothing to search: the acknowledged
 * transactions are replayed in that order on a plain model, and each row must be what the model says, at a revision
 * that the row's moments allow. */
#pragma once

#include "model.h"

struct verdict {
    bool bad;
    size_t row; /* the accused */
    char what[400];
};

void history_check(const struct history *history, struct verdict *ret_verdict);

/* -- between the parts of the checker -- */

struct mark {
    uint64_t moment;
    revision_t revision;
    int store;
};

struct checker {
    const struct history *history;
    struct model model;
    struct verdict *verdict;
    VEC(struct mark) acknowledged; /* commits, at their completion */
    VEC(struct mark) seen;         /* and all else that showed a revision, at its completion */
    VEC(struct mark) synced;       /* what a store must show from a moment on, because it was asked to catch up */
    VEC(struct mark) invoked;      /* commits, at their invocation */
    VEC(struct mark) compacted;    /* floors that hold for certain from a moment on */
    VEC(struct mark) compacting;   /* floors that are possible from a moment on */
};

/* The first accusation stands. Returns false, so that a check can end in it. */
bool accuse(struct checker *c, const struct row *row, const char *fmt, ...) PRINTF(3, 4);

revision_t oldest_newest(const struct checker *c, const struct row *row); /* what its store shows is no older */
revision_t oldest_anywhere(const struct checker *c, uint64_t invoked);      /* what is written then is newer */
revision_t youngest_newest(const struct checker *c, uint64_t completed);    /* than this nothing is newer */
/* By its store, or before it was asked to catch up. */
revision_t acknowledged_before(const struct checker *c, const struct row *row);
revision_t floor_at_least(const struct checker *c, const struct row *row);
revision_t floor_at_most(const struct checker *c, const struct row *row);

bool check_commit(struct checker *c, const struct row *row);
bool check_read(struct checker *c, const struct row *row);
/* All rows of a watch, or of a list of changes, from its opening on. */
bool check_watch(struct checker *c, const struct row *opened);
