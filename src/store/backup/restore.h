/* restore.h - a new store made of a full backup and the increments after it.
 *
 * restore_new(), restore_add() for each backup in order, restore_end(). The store is whole, and may be opened, only after
 * that; before, it is not even safe from a power cut. Not thread-safe. */
#pragma once

#include "base/vec.h"
#include "store/backup/backup.h"

struct restore_options {
    const char *path; /* of the new store: a folder that is not there yet */
    struct str passphrase;
    revision_t until_revision; /* changes after it are left out; 0: none are */
    nsec_t until_time;         /* the same by time; 0: none are */
};

struct restore_report {
    revision_t revision, floor;
    nsec_t time; /* of the newest commit; 0: not known */
    uint64_t records, keys;
};

struct restore;
int restore_new(const struct restore_options *options, struct restore **ret_restore, struct err *err);
struct restore *restore_free(struct restore *restore); /* closes the store */
DEFINE_AUTO(restore, restore_free)
/* ERR_INVALID: damaged, or it does not follow the one before. ERR_CONFLICT: another history. */
int restore_add(struct restore *restore, const struct stream_source *source, struct err *err);
/* ERR_EXPIRED: the revision or time wanted is outside of what the backups have. */
int restore_end(struct restore *restore, struct restore_report *ret_report, struct err *err);
/* Those of the newest backup; as long as restore lives. */
const struct backup_file *restore_files(const struct restore *restore, size_t *ret_count);
/* Whether no later backup can change anything. */
bool restore_is_complete(const struct restore *restore);
