/* container_log.h - container logs in CRI format ("<RFC 3339 nano> stdout F text"), read and rotated.
 *
 * A log is a file and its rotated predecessors beside it: "0.log.20260102-150405" (plain, the newest last by name).
 * Lines come out of all of them in order. Reading blocks; any thread. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

enum container_log_streams { CONTAINER_LOG_STDOUT = 1, CONTAINER_LOG_STDERR = 2 };

struct container_log_options {
    bool follow;             /* stay for new lines until the container has ended */
    bool timestamps;         /* each line begins with its time */
    int64_t tail_lines;      /* the last so many; -1: all */
    nsec_t since;            /* Unix time: only lines from then on; 0: all */
    int64_t limit_bytes;     /* stop after so many bytes were handed out; 0: no limit */
    unsigned streams;        /* enum container_log_streams, 0: both */
};
#define CONTAINER_LOG_ALL ((struct container_log_options){ .tail_lines = -1 })

/* Takes bytes (whole lines except at limit_bytes); false ends the reading, which is then no error. */
typedef bool container_log_sink_fn(void *arg, enum container_log_streams stream, struct str bytes);

struct container_log_source {
    const char *path;
    /* For follow: has the container ended? Asked after new data was read; what is written before it turned true
     * still comes out. NULL: never. */
    bool (*ended)(void *arg);
    void *arg;
    /* For follow: a descriptor that turns, and stays, readable once ended() or cancelled() has become true; -1: looks
     * once a second. */
    int wake_fd;
    bool (*cancelled)(void *arg); /* NULL: never */
};

/* ERR_NOT_FOUND without any file (with follow too: the container must have been created). */
int container_log_read(const struct container_log_source *source, const struct container_log_options *options,
                       container_log_sink_fn *sink, void *arg, struct err *err);

/* One line of a log file, without its newline. False when it is none. */
struct container_log_line {
    nsec_t time;
    struct str time_text;
    enum container_log_streams stream;
    bool partial; /* goes on in the next line of the same stream */
    struct str text;
};
bool container_log_parse(struct str line, struct container_log_line *ret_line);

/* Rotates when the file is larger than max_size: renames it and deletes the oldest so that at most max_files remain
 * (the current one included). The caller then has the writer reopen (container_reopen_log()).
 * *ret_rotated tells. */
#define CONTAINER_LOG_MAX_SIZE ((int64_t)10 << 20)
#define CONTAINER_LOG_MAX_FILES 5
int container_log_rotate(const char *path, int64_t max_size, int max_files, nsec_t now, bool *ret_rotated,
                         struct err *err);
/* The log and all its rotated files. */
int container_log_remove(const char *path, struct err *err);
