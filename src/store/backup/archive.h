/* archive.h - backups that follow a store as it goes: a full one now and then, and increments since, in a place.
 *
 * How they are called and which belong together heads archive.c. */
#pragma once

#include "store/backup/backup.h"
#include "store/backup/place.h"

struct archive_options {
    struct store *store;
    struct place *place;
    const char *where;  /* the place's name, to recognize it by */
    const char *folder; /* for what is being written, and the note of how far this has come */
    const char *instance;
    struct str passphrase; /* unset: not encrypted */
    struct clock *clock;
    struct rng *rng;
    unsigned increments; /* after so many of them comes a full backup */
    bool fresh; /* begin with a full one whatever the folder's note says: others have written to the place since */
    /* What a full backup has beside the store; called when one is made. *ret_files last until the next call. */
    int (*files)(void *ctx, const struct backup_file **ret_files, size_t *ret_count, struct err *err);
    void *ctx;
};

struct archive;
/* Everything named by options must outlive it. */
int archive_new(const struct archive_options *options, struct archive **ret_archive, struct err *err);
struct archive *archive_free(struct archive *archive);
DEFINE_AUTO(archive, archive_free)

struct archive_step {
    revision_t from, to; /* as of the header; from 0: a full one */
    uint64_t bytes;
};
/* Puts what has changed since the last time into the place. 1: it is there; 0: nothing has changed. After an error the
 * same is tried again the next time. One thread at a time; blocks as the place does, never a writer. */
int archive_step(struct archive *archive, struct archive_step *ret_step, struct err *err);
/* Whether the next step would make a full backup. */
bool archive_wants_full(const struct archive *archive);

/* Leaves of a place's names, which are sorted, those that a restore to a revision or time (0: the newest) needs, in
 * order. ERR_NOT_FOUND: there is no full backup. */
int archive_choose(struct place_names *names, revision_t until_revision, nsec_t until_time, struct err *err);
