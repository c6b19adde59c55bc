/* backup.h - what is in a store, written to a stream, and a store made of such streams.
 *
 * A full backup holds all that its store has retained at one revision: the newest states and the history, so that reads
 * at older revisions work after a restore as they did before. An increment holds the changes after a revision. */
#pragma once

#include "store/backup/stream.h"
#include "store/record.h"

#define BACKUP_FILES_MAX 64
#define BACKUP_FILE_MAX (1u << 20)
#define BACKUP_NAME_MAX 128
#define BACKUP_HOLD_MAX (3600 * NSEC_PER_SEC) /* how long a backup may keep the store from reusing its pages */

/* A record, so that it is recognized: histories that parted have others at the same place. position 0: none. */
struct backup_mark {
    position_t position;
    uint32_t sum; /* of what the record says; index terms are not part of it */
};

struct backup_header {
    char instance[41];
    nsec_t time;         /* Unix time at which it was made: all until then is in it */
    revision_t from, to; /* changes after `from` (0: everything) up to `to` */
    revision_t floor;    /* the oldest readable; 0: all are */
    position_t trimmed;
    nsec_t written; /* time of the newest commit */
    struct backup_mark before, last; /* the newest records up to `from` and `to` */
    uint32_t terms;                  /* of which version the index terms are; 0: not known */
};

/* A file that a cluster needs beside its store. */
struct backup_file {
    struct str name, data;
};

struct backup_options {
    const char *instance;
    struct str passphrase; /* unset: not encrypted */
    revision_t since;      /* 0: a full backup */
    struct backup_mark mark; /* the newest record up to `since`, if known */
    const struct backup_file *files;
    size_t file_count;
    struct clock *clock;
    struct rng *rng;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* records of the log; may be NULL */
    void *ctx;
};

struct backup_summary {
    struct backup_header header;
    uint64_t records, bytes; /* bytes: written */
    nsec_t held;             /* how long the store's pages were kept from being used again */
};

/* Of a store that another process may have open and write to meanwhile; of one that this process has open. All is read
 * in one snapshot. ERR_EXPIRED: changes after `since` are no longer retained. ERR_CONFLICT: `since` is of another history.
 * ERR_TIMEOUT: it took longer than BACKUP_HOLD_MAX. */
int backup_write(const char *path, const struct backup_options *options, const struct stream_sink *sink,
                 struct backup_summary *ret_summary, struct err *err);
int backup_write_open(struct store *store, const struct backup_options *options, const struct stream_sink *sink,
                      struct backup_summary *ret_summary, struct err *err);

/* Reads the header, which is the first entry. */
int backup_header_read(struct stream_reader *reader, struct backup_header *ret_header, struct err *err);
int backup_header_write(struct stream_writer *writer, const struct backup_header *header, struct err *err);
/* What stands for a record in a mark. */
uint32_t backup_sum(const struct record *record);
