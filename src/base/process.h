/* process.h - running other programs without a shell. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

struct process_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* NULL: ours */
    const char *cwd;         /* NULL: ours */
    struct str input;        /* for its stdin; unset: /dev/null */
    nsec_t timeout;          /* then SIGKILL to its process group; 0: none */
    size_t max_output;       /* of each stream that is kept, the rest is read and dropped; 0: 1 MiB */
};

struct process_result {
    int exit_code; /* 128 + signal when killed */
    bool timed_out;
    struct buf out, err; /* stdout and stderr; give back with process_result_deinit() */
};
void process_result_deinit(struct process_result *result);

/* Blocks until it has ended. Not being startable is an error; a non-zero exit is not. Any thread. */
int process_run(const struct process_options *options, struct process_result *ret_result, struct err *err);
