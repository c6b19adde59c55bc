/* crun.c - calling crun, and what it says when it fails. */
#include "kubelet/runtime/runtime_internal.h"

/* "2026-01-02T15:04:05.123456Z: message" or "crun: message", of several lines the last: the cause comes last. */
struct str crun_message(struct str text)
{
    struct str rest = str_trim(text), line, last = STR_NULL;

    while (str_split(&rest, '\n', &line))
        if (str_trim(line).len)
            last = str_trim(line);
    if (str_has_prefix(last, STR("crun: ")))
        last = str_skip(last, 6);
    if (last.len > 20 && last.data[4] == '-' && last.data[10] == 'T') {
        ssize_t at = str_find(last, STR(": "));
        if (at > 0)
            last = str_skip(last, (size_t)at + 2);
    }
    return last;
}

int crun_run(struct runtime *runtime, const char *const *args, struct err *err)
{
    const char *argv[CRUN_ARGS_MAX + 4] = { runtime->crun, "--root", runtime->crun_root };
    AUTO_DEINIT(process_result, result) = { 0 };
    size_t count = 3;

    for (size_t i = 0; args[i] && count < ARRAY_LEN(argv) - 1; i++)
        argv[count++] = args[i];
    int r = process_run(&(struct process_options){ .argv = argv,
                                                   .timeout = 60 * NSEC_PER_SEC,
                                                   .max_output = 65536,
                                                   .mount_ns = runtime->mount_ns < 0 ? NULL : &runtime->mount_ns },
                        &result, err);
    if (r < 0)
        return r;
    if (result.timed_out)
        return err_set(err, ERR_TIMEOUT, "crun %s did not end", args[0]);
    if (result.exit_code != 0) {
        struct str message = crun_message(buf_str(&result.err));
        return err_set(err, ERR_INTERNAL, "crun %s: " STR_FMT, args[0], STR_ARG(str_first(message, 700)));
    }
    return 0;
}
