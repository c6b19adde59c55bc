/* exec.c - commands in running containers, and the containers' own streams.
 *
 * A command is run by crun exec as the container's own process is: its description is that of config.json with
 * another command line, written to a file (given only arguments, crun would drop user, groups and folder). Killing
 * that crun would leave the command behind in the container, so crun writes the command's pid to a file, and at a
 * timeout the command and its process group are killed too. crun's own complaints go to a file of their own: what is
 * on the streams is the command's.
 *
 * With a terminal, crun sends the pty's master end over a socket that we listen on for a moment. */
#include "kubelet/runtime/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/json.h"

#define CONSOLE_TIMEOUT_MS 30000

/* The files of one execution, all in the run folder. */
struct exec_files {
    char process[CONTAINER_EXEC_PATH_MAX], pid[CONTAINER_EXEC_PATH_MAX], log[CONTAINER_EXEC_PATH_MAX];
    char console[CONTAINER_EXEC_PATH_MAX];
};

static int check_args(struct str_list args, struct err *err)
{
    if (args.count == 0 || args.items[0].len == 0)
        return err_set(err, ERR_BAD_REQUEST, "no command given");
    for (size_t i = 0; i < args.count; i++)
        if (args.items[i].len && memchr(args.items[i].data, 0, args.items[i].len))
            return err_set(err, ERR_BAD_REQUEST, "argument %zu contains a NUL", i);
    return 0;
}

/* The container's own process with another command: so it has the same user, groups, capabilities and so on. */
static int write_process(struct runtime *runtime, struct str id, struct str_list args, bool terminal,
                         const char *path, struct arena *arena, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO_DEINIT(buf, out) = BUF_INIT;
    char config_path[PATH_MAX];
    struct json *config;

    int r = entry_path(runtime, id, "config.json", config_path, err);
    if (r == 0)
        r = state_read(config_path, &text, err);
    if (r == 0)
        r = json_parse(arena, buf_str(&text), NULL, &config, err);
    if (r < 0)
        return r;
    struct json *process = json_member(config, "process"), *list = json_new(arena, JSON_ARRAY);
    bool ok = process && list;
    for (size_t i = 0; ok && i < args.count; i++) {
        const struct json *arg = json_new_str(arena, args.items[i].data ? args.items[i] : STR(""));
        ok = arg && json_append(arena, list, arg);
    }
    if (!ok || !json_set(arena, process, STR("args"), list) ||
        !json_set_bool(arena, process, STR("terminal"), terminal))
        return err_set(err, ERR_NO_MEMORY, "command");
    json_write(&out, process);
    return buf_ok(&out) ? state_write(path, buf_str(&out), err) : err_set(err, ERR_NO_MEMORY, "command");
}

/* Writes the process and makes the command line, in an arena. */
static int make_argv(struct runtime *runtime, struct str id, struct str_list args, const struct exec_files *files,
                     bool terminal, struct arena *arena, const char ***ret_argv, struct err *err)
{
    const char **argv = arena_array_of(arena, 16, const char *), *name = arena_cstr(arena, id);
    size_t n = 0;

    if (!argv || !name)
        return err_set(err, ERR_NO_MEMORY, "command line");
    int r = check_args(args, err);
    if (r == 0)
        r = write_process(runtime, id, args, terminal, files->process, arena, err);
    if (r < 0)
        return r;
    argv[n++] = runtime->crun;
    argv[n++] = "--root";
    argv[n++] = runtime->crun_root;
    argv[n++] = "--log";
    argv[n++] = files->log;
    argv[n++] = "exec";
    argv[n++] = "--process";
    argv[n++] = files->process;
    argv[n++] = "--pid-file";
    argv[n++] = files->pid;
    if (terminal) {
        argv[n++] = "--console-socket";
        argv[n++] = files->console;
    }
    argv[n++] = name;
    *ret_argv = argv;
    return 0;
}

static void make_files(struct runtime *runtime, struct exec_files *files)
{
    unsigned long long number = rng_u64(runtime->rng);

    snprintf(files->process, sizeof files->process, "%s/exec-%016llx.json", runtime->run_dir, number);
    snprintf(files->pid, sizeof files->pid, "%s/exec-%016llx.pid", runtime->run_dir, number);
    snprintf(files->log, sizeof files->log, "%s/exec-%016llx.log", runtime->run_dir, number);
    snprintf(files->console, sizeof files->console, "%s/exec-%016llx.tty", runtime->run_dir, number);
}

static void remove_files(const struct exec_files *files)
{
    unlink(files->process);
    unlink(files->pid);
    unlink(files->log);
    unlink(files->console);
}

static int check_running(struct runtime *runtime, struct str id, struct err *err)
{
    AUTO(container_entry) entry = NULL;

    int r = entry_find(runtime, id, &entry, err);
    if (r < 0)
        return r;
    LOCKED(&runtime->lock);
    if (entry->info.state != CONTAINER_RUNNING)
        return err_set(err, ERR_CONFLICT, "container \"" STR_FMT "\" is not running", STR_ARG(entry->info.name));
    return 0;
}

static void kill_command(const char *pid_file)
{
    int64_t pid;

    if (!state_read_number(pid_file, &pid) || pid <= 1)
        return;
    kill((pid_t)-pid, SIGKILL); /* crun gives a command a session of its own */
    kill((pid_t)pid, SIGKILL);
}

/* ERR_INVALID with crun's words when it could not run the command. */
static int check_log(const struct exec_files *files, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    if (file_read(files->log, 65536, &text, NULL) < 0 || text.len == 0)
        return 0;
    struct str message = crun_message(buf_str(&text));
    return err_set(err, ERR_INVALID, STR_FMT, STR_ARG(str_first(message, 900)));
}

int container_exec(struct runtime *runtime, struct str id, const struct container_exec *exec,
                   struct process_result *ret_result, struct err *err)
{
    AUTO_DEINIT(process_result, result) = { 0 };
    AUTO(arena) arena = arena_new(0);
    struct exec_files files;
    const char **argv;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "command");
    int r = check_running(runtime, id, err);
    if (r < 0)
        return r;
    make_files(runtime, &files);
    r = make_argv(runtime, id, exec->args, &files, false, arena, &argv, err);
    if (r < 0)
        return r;
    r = process_run(&(struct process_options){ .argv = argv,
                                               .input = exec->input,
                                               .timeout = exec->timeout,
                                               .max_output = exec->max_output,
                                               .mount_ns = runtime->mount_ns < 0 ? NULL : &runtime->mount_ns },
                    &result, err);
    if (r == 0 && result.timed_out)
        kill_command(files.pid);
    else if (r == 0 && result.exit_code != 0)
        r = check_log(&files, err);
    remove_files(&files);
    if (r < 0)
        return r;
    *ret_result = result;
    result = (struct process_result){ 0 };
    return 0;
}

/* Streams. */

static int listen_console(const char *path, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, errno, "making a socket");
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path) {
        close(fd);
        return err_set(err, ERR_INVALID, "path too long for a socket: %s", path);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
        int r = err_errno(err, errno, "listening on %s", path);
        close(fd);
        return r;
    }
    return fd;
}

static int receive_fd(int socket_fd)
{
    char byte[256];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec io = { byte, sizeof byte };
    struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    int fd = -1;

    if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) < 0)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

/* Waits for crun to connect; crun ending first means that it failed. */
static int accept_console(int listener, pid_t pid, struct err *err)
{
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd polls[] = { { .fd = listener, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
    int n;

    while ((n = poll(polls, 2, CONSOLE_TIMEOUT_MS)) < 0 && errno == EINTR)
        ;
    if (n <= 0 || !(polls[0].revents & POLLIN))
        return err_set(err, n == 0 ? ERR_TIMEOUT : ERR_INVALID, "crun could not run the command");
    AUTO_CLOSE int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int fd = connection < 0 ? -1 : receive_fd(connection);
    return fd < 0 ? err_set(err, ERR_IO, "no terminal came from crun") : fd;
}

static int spawn_exec(struct runtime *runtime, const char *const *argv, int in, int out, int errors, pid_t *ret_pid,
                      struct err *err)
{
    return process_start(&(struct process_start){ .argv = argv,
                                                  .in = in,
                                                  .out = out,
                                                  .err = errors,
                                                  .pass = -1,
                                                  .mount_ns = runtime->mount_ns < 0 ? NULL : &runtime->mount_ns },
                         ret_pid, err);
}

static int start_with_terminal(struct runtime *runtime, struct str id, const struct container_stream_options *options,
                               const struct exec_files *files, struct arena *arena, struct container_stream *stream,
                               struct err *err)
{
    const char **argv;

    AUTO_CLOSE int listener = listen_console(files->console, err);
    if (listener < 0)
        return listener;
    int r = make_argv(runtime, id, options->args, files, true, arena, &argv, err);
    if (r == 0)
        r = spawn_exec(runtime, argv, -1, -1, -1, &stream->pid, err);
    if (r == 0) {
        int fd = accept_console(listener, stream->pid, err);
        if (fd >= 0) {
            stream->in = fd;
            stream->out = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        } else {
            kill(-stream->pid, SIGKILL);
            process_wait(stream->pid);
            r = fd;
        }
    }
    unlink(files->console);
    return r;
}

static int start_with_pipes(struct runtime *runtime, struct str id, const struct container_stream_options *options,
                            const struct exec_files *files, struct arena *arena, struct container_stream *stream,
                            struct err *err)
{
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, errors[2] = { -1, -1 };
    const char **argv;

    int r = make_argv(runtime, id, options->args, files, false, arena, &argv, err);
    if (r == 0 && ((options->input && pipe2(in, O_CLOEXEC) < 0) || (options->output && pipe2(out, O_CLOEXEC) < 0) ||
                   (options->errors && pipe2(errors, O_CLOEXEC) < 0)))
        r = err_errno(err, errno, "making a pipe");
    if (r == 0)
        r = spawn_exec(runtime, argv, in[0], out[1], errors[1], &stream->pid, err);
    auto_close_fd(&in[0]);
    auto_close_fd(&out[1]);
    auto_close_fd(&errors[1]);
    if (r < 0) {
        auto_close_fd(&in[1]);
        auto_close_fd(&out[0]);
        auto_close_fd(&errors[0]);
        return r;
    }
    stream->in = in[1];
    stream->out = out[0];
    stream->err = errors[0];
    return 0;
}

int container_exec_start(struct runtime *runtime, struct str id, const struct container_stream_options *options,
                         struct container_stream *ret_stream, struct err *err)
{
    struct container_stream stream = { .in = -1, .out = -1, .err = -1, .terminal = options->terminal };
    AUTO(arena) arena = arena_new(0);
    struct exec_files files;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "command");
    int r = check_running(runtime, id, err);
    if (r < 0)
        return r;
    make_files(runtime, &files);
    snprintf(stream.pid_file, sizeof stream.pid_file, "%s", files.pid);
    snprintf(stream.log_file, sizeof stream.log_file, "%s", files.log);
    snprintf(stream.process_file, sizeof stream.process_file, "%s", files.process);
    if (options->terminal)
        r = start_with_terminal(runtime, id, options, &files, arena, &stream, err);
    else
        r = start_with_pipes(runtime, id, options, &files, arena, &stream, err);
    if (r < 0) {
        if (check_log(&files, NULL) < 0)
            r = check_log(&files, err);
        remove_files(&files);
        return r;
    }
    *ret_stream = stream;
    return 0;
}

int container_exec_wait(struct runtime *runtime, struct container_stream *stream, int *ret_exit_code, struct err *err)
{
    struct exec_files files = { 0 };

    if (stream->pid <= 0)
        return err_set(err, ERR_BAD_REQUEST, "the command has been waited for");
    int code = process_wait(stream->pid);
    stream->pid = 0;
    auto_close_fd(&stream->in);
    auto_close_fd(&stream->out);
    auto_close_fd(&stream->err);
    snprintf(files.log, sizeof files.log, "%s", stream->log_file);
    snprintf(files.pid, sizeof files.pid, "%s", stream->pid_file);
    snprintf(files.process, sizeof files.process, "%s", stream->process_file);
    int r = code != 0 ? check_log(&files, err) : 0;
    remove_files(&files);
    if (r == 0)
        *ret_exit_code = code;
    return r;
}

void container_exec_kill(struct container_stream *stream)
{
    kill_command(stream->pid_file);
}

int container_stream_resize(struct container_stream *stream, unsigned columns, unsigned rows, struct err *err)
{
    struct winsize size = { .ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows };

    if (!stream->terminal || stream->out < 0)
        return err_set(err, ERR_BAD_REQUEST, "the command has no terminal");
    if (ioctl(stream->out, TIOCSWINSZ, &size) < 0)
        return err_errno(err, errno, "resizing the terminal");
    return 0;
}

/* A socket's path may be 107 bytes long; by way of a descriptor of its folder it always fits. */
int container_attach(struct runtime *runtime, struct str id, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char path[PATH_MAX];

    int r = check_running(runtime, id, err);
    if (r == 0)
        r = entry_path(runtime, id, "", path, err);
    if (r < 0)
        return r;
    AUTO_CLOSE int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_errno(err, errno, "opening %s", path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/attach", dir);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(err, errno, "attaching to the container");
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int container_resize(struct runtime *runtime, struct str id, unsigned columns, unsigned rows, struct err *err)
{
    char line[64];

    int r = check_running(runtime, id, err);
    if (r < 0)
        return r;
    snprintf(line, sizeof line, "1 %u %u\n", MIN(rows, 1000u), MIN(columns, 1000u));
    return conmon_control(runtime, id, line, err);
}
