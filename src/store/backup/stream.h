/* stream.h - the file format of backups: entries in a stream that shows every damage.
 *
 * A writer puts entries and ends; a reader gets them back in order, and learns at the end whether all of it was whole.
 * What a reader hands out before its end has passed checksums, but only the end says that nothing is missing. Not
 * thread-safe. The format heads stream_write.c. */
#pragma once

#include "base/err.h"
#include "base/rng.h"

#define STREAM_ENTRY_MAX (8u << 20)

enum stream_entry_kind { STREAM_HEADER = 'H', STREAM_FILE = 'F', STREAM_RECORD = 'R', STREAM_END = 'E' };

struct stream_entry {
    enum stream_entry_kind kind;
    uint64_t number; /* of a record: its position */
    struct str data; /* until the next call */
};

/* Where the bytes go. */
struct stream_sink {
    int (*write)(void *ctx, const void *data, size_t len, struct err *err);
    void *ctx;
};

/* Where they come from: bytes, 0 at the end, or a negative err code. */
struct stream_source {
    ssize_t (*read)(void *ctx, void *out, size_t len, struct err *err);
    void *ctx;
};

struct stream_writer;
/* passphrase: unset: not encrypted. */
int stream_writer_new(const struct stream_sink *sink, struct str passphrase, struct rng *rng,
                      struct stream_writer **ret_writer, struct err *err);
struct stream_writer *stream_writer_free(struct stream_writer *writer);
DEFINE_AUTO(stream_writer, stream_writer_free)
int stream_put(struct stream_writer *writer, const struct stream_entry *entry, struct err *err);
/* Nothing may be put after it. */
int stream_end(struct stream_writer *writer, struct err *err);

/* Whether a passphrase will be needed, by the first STREAM_BEGINNING bytes. */
#define STREAM_BEGINNING 64
bool stream_is_encrypted(struct str beginning);

struct stream_reader;
/* ERR_INVALID: not a backup, or a damaged one. ERR_UNAUTHORIZED: it is encrypted, and not with this passphrase. */
int stream_reader_new(const struct stream_source *source, struct str passphrase, struct stream_reader **ret_reader,
                      struct err *err);
struct stream_reader *stream_reader_free(struct stream_reader *reader);
DEFINE_AUTO(stream_reader, stream_reader_free)
/* 1: an entry; 0: the end, and all was whole; negative as above. */
int stream_next(struct stream_reader *reader, struct stream_entry *ret_entry, struct err *err);
