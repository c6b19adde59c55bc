/* conmon.c - one conmon per container: it starts crun, keeps the container's streams, writes the log in CRI format and
 * the exit code into a file.
 *
 * conmon is put into a session and a cgroup of its own (<parent>/conmon), so that nothing that is done to the agent,
 * to its process group or to its service reaches it. It forks into the background at once; a pipe
 * (_OCI_SYNCPIPE) then brings one JSON line: {"data": n} ("pid" in old versions) with the pid, or a negative number and
 * crun's "message". */
#include "kubelet/runtime/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/json.h"

#define CREATE_TIMEOUT_MS 120000
#define MESSAGE_MAX ((size_t)64 << 10)

/* What goes on conmon's command line. */
struct conmon_paths {
    char bundle[PATH_MAX], pid_file[PATH_MAX], conmon_pid_file[PATH_MAX], log[PATH_MAX + 16];
    char id[CONTAINER_ID_LEN + 1];
    char root_arg[RUN_DIR_MAX + 32];
};

static int make_paths(struct runtime *runtime, struct container_entry *entry, struct conmon_paths *paths,
                      struct err *err)
{
    struct str id = entry->info.id;

    int r = entry_path(runtime, id, "", paths->bundle, err);
    if (r == 0)
        r = entry_path(runtime, id, "pid", paths->pid_file, err);
    if (r == 0)
        r = entry_path(runtime, id, "conmon.pid", paths->conmon_pid_file, err);
    if (r < 0)
        return r;
    snprintf(paths->log, sizeof paths->log, "k8s-file:" STR_FMT, STR_ARG(entry->info.log_path));
    snprintf(paths->id, sizeof paths->id, STR_FMT, STR_ARG(id));
    snprintf(paths->root_arg, sizeof paths->root_arg, "--root=%s", runtime->crun_root);
    return 0;
}

static int spawn(struct runtime *runtime, struct container_entry *entry, const struct conmon_paths *paths, int sync,
                 int errors, struct err *err)
{
    const char *argv[40] = {
        runtime->conmon, "--api-version", "1", "--cid", paths->id, "--cuuid", paths->id, "--name", paths->id,
        "--runtime", runtime->crun, "--runtime-arg", paths->root_arg, "--bundle", paths->bundle,
        "--container-pidfile", paths->pid_file, "--conmon-pidfile", paths->conmon_pid_file,
        "--log-path", paths->log, "--exit-dir", runtime->exits_dir, "--persist-dir", paths->bundle,
        "--full-attach", "--no-sync-log", "--log-level", "error",
    };
    static const char *const env[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "_OCI_SYNCPIPE=3", NULL
    };
    size_t count = 29;
    pid_t pid;

    INVARIANT(argv[count - 1] && !argv[count]);
    if (entry->terminal)
        argv[count++] = "--terminal";
    if (entry->keep_stdin)
        argv[count++] = "--stdin";
    if (entry->keep_stdin && !entry->stdin_once)
        argv[count++] = "--leave-stdin-open";
    int r = process_start(&(struct process_start){ .argv = argv,
                                                   .env = env,
                                                   .cwd = "/",
                                                   .in = -1,
                                                   .out = -1,
                                                   .err = errors,
                                                   .pass = sync,
                                                   .mount_ns = runtime->mount_ns < 0 ? NULL : &runtime->mount_ns,
                                                   .cgroups = runtime->conmon_cgroups,
                                                   .cgroup_count = runtime->conmon_cgroup_count,
                                                   .new_session = true },
                          &pid, err);
    if (r < 0)
        return r;
    return process_wait(pid) == 0 ? 0 : err_set(err, ERR_INTERNAL, "conmon failed");
}

/* One line, or what there was at the end of it. */
static int read_answer(int fd, struct buf *buf, struct err *err)
{
    while (str_chr(buf_str(buf), '\n') < 0) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int n = poll(&poll_fd, 1, CREATE_TIMEOUT_MS);

        if (n == 0)
            return err_set(err, ERR_TIMEOUT, "crun did not create the container in time");
        if (n < 0 && errno == EINTR)
            continue;
        char *to = buf_reserve(buf, 4096);
        if (!to)
            return err_set(err, ERR_NO_MEMORY, "answer of conmon");
        ssize_t got = read(fd, to, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "reading from conmon");
        if (got == 0)
            return 0;
        buf->len += (size_t)got;
    }
    return 0;
}

/* What a process that got the memory file as its standard error has said. */
static struct str read_memory_file(int fd, struct buf *buf)
{
    char *to = buf_reserve(buf, 8192);
    ssize_t n = to ? pread(fd, to, 8192, 0) : -1;

    if (n > 0)
        buf->len += (size_t)n;
    return crun_message(buf_str(buf));
}

static int parse_answer(struct str text, int errors, pid_t *ret_pid, struct err *err)
{
    AUTO_DEINIT(buf, said) = BUF_INIT;
    AUTO(arena) arena = arena_new(0);
    struct json *json = NULL;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "answer of conmon");
    text = str_trim(text);
    if (text.len == 0)
        return err_set(err, ERR_INTERNAL, "conmon ended without an answer: " STR_FMT,
                       STR_ARG(read_memory_file(errors, &said)));
    int r = json_parse(arena, text, NULL, &json, err);
    if (r < 0)
        return err_wrap(err, r, "answer of conmon");
    int64_t pid = json_int(json_member(json, "data"), json_int(json_member(json, "pid"), -1));
    if (pid <= 0) {
        struct str message = crun_message(json_str(json_member(json, "message")));
        if (message.len == 0)
            message = read_memory_file(errors, &said);
        return err_set(err, ERR_INVALID, STR_FMT, STR_ARG(str_first(message, 900)));
    }
    *ret_pid = (pid_t)pid;
    return 0;
}

static pid_t parent_of(pid_t pid)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[64];
    int64_t parent;
    struct str field;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (file_read(path, 4096, &text, NULL) < 0)
        return -1;
    /* The name in parentheses may contain anything, so the fields are counted from its end. */
    struct str rest = str_skip(buf_str(&text), (size_t)(str_rchr(buf_str(&text), ')') + 2));
    if (!str_split(&rest, ' ', &field) || !str_split(&rest, ' ', &field) || !str_to_i64(field, &parent))
        return -1;
    return (pid_t)parent;
}

/* pid numbers are used again: is it the conmon of this container? */
static bool is_conmon_of(pid_t pid, struct str id)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    return file_read(path, RECORD_MAX, &text, NULL) == 0 && str_find(buf_str(&text), STR("conmon")) >= 0 &&
           str_find(buf_str(&text), id) >= 0;
}

/* First the descriptor, then the question: the answer is about the process that the descriptor holds. */
static bool open_pidfds(struct runtime *runtime, struct container_entry *entry, const char *conmon_pid_file, pid_t pid)
{
    int64_t number;

    if (!state_read_number(conmon_pid_file, &number) || number <= 0)
        return false;
    int conmon = (int)syscall(SYS_pidfd_open, (pid_t)number, 0);
    if (conmon < 0 || !is_conmon_of((pid_t)number, entry->info.id)) {
        auto_close_fd(&conmon);
        return false;
    }
    int first = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (first >= 0 && parent_of(pid) != (pid_t)number) {
        close(first);
        first = -1;
    }
    LOCKED(&runtime->lock);
    entry->conmon_pid = (pid_t)number;
    entry->conmon_pidfd = conmon;
    entry->pidfd = first;
    entry->info.pid = first >= 0 ? pid : 0;
    return true;
}

static int start(struct runtime *runtime, struct container_entry *entry, const struct conmon_paths *paths,
                 int sync[2], int errors, struct err *err)
{
    AUTO_DEINIT(buf, answer) = BUF_INIT;
    pid_t pid = 0;

    answer.limit = MESSAGE_MAX;
    int r = spawn(runtime, entry, paths, sync[1], errors, err);
    close(sync[1]);
    sync[1] = -1;
    if (r < 0) {
        AUTO_DEINIT(buf, said) = BUF_INIT;
        struct str message = read_memory_file(errors, &said);
        return message.len ? err_set(err, ERR_INTERNAL, "conmon: " STR_FMT, STR_ARG(str_first(message, 700))) : r;
    }
    r = read_answer(sync[0], &answer, err);
    if (r == 0)
        r = parse_answer(buf_str(&answer), errors, &pid, err);
    if (r < 0)
        return r;
    if (!open_pidfds(runtime, entry, paths->conmon_pid_file, pid))
        return err_set(err, ERR_INTERNAL, "conmon has gone");
    return 0;
}

int conmon_start(struct runtime *runtime, struct container_entry *entry, struct err *err)
{
    AUTO_FREE struct conmon_paths *paths = calloc(1, sizeof *paths);
    AUTO_CLOSE int errors = memfd_create("conmon", MFD_CLOEXEC);
    int sync[2];

    if (!paths)
        return err_set(err, ERR_NO_MEMORY, "conmon's arguments");
    if (errors < 0)
        return err_errno(err, errno, "making a memory file");
    int r = make_paths(runtime, entry, paths, err);
    if (r < 0)
        return r;
    if (pipe2(sync, O_CLOEXEC) < 0)
        return err_errno(err, errno, "making a pipe");
    r = start(runtime, entry, paths, sync, errors, err);
    auto_close_fd(&sync[0]);
    auto_close_fd(&sync[1]);
    return r;
}

bool conmon_adopt(struct runtime *runtime, struct container_entry *entry)
{
    char conmon_pid_file[PATH_MAX], pid_file[PATH_MAX];
    int64_t pid = 0;

    if (entry_path(runtime, entry->info.id, "conmon.pid", conmon_pid_file, NULL) < 0 ||
        entry_path(runtime, entry->info.id, "pid", pid_file, NULL) < 0)
        return false;
    state_read_number(pid_file, &pid);
    return open_pidfds(runtime, entry, conmon_pid_file, (pid_t)pid);
}

int conmon_control(struct runtime *runtime, struct str id, const char *line, struct err *err)
{
    char path[PATH_MAX];

    int r = entry_path(runtime, id, "ctl", path, err);
    if (r < 0)
        return r;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC); /* ENXIO: conmon does not read any more */
    if (fd < 0)
        return errno == ENXIO ? err_set(err, ERR_NOT_FOUND, "the container has ended")
                              : err_errno(err, errno, "opening %s", path);
    if (write(fd, line, strlen(line)) < 0)
        return err_errno(err, errno, "writing to conmon");
    return 0;
}
