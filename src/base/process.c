/* process.c - one child, three descriptors, one poll.
 *
 * The child is started with posix_spawn (vfork underneath: the cost does not grow with our memory), in a process group of
 * its own, with default signal handling, an empty signal mask and no descriptor of ours but its three. Its input is a
 * memory file rather than a pipe: nothing to feed, no SIGPIPE when it does not read. We then poll both output pipes
 * and a pidfd. When the child has ended, what the pipes hold is taken and we return, even if a grandchild still
 * keeps them open: a daemon that was started this way must not hold its starter up. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OUTPUT_DEFAULT ((size_t)1 << 20)

/* One output stream while the child runs. */
struct stream {
    int fd;
    struct buf *buf;
    size_t max;
};

void process_result_deinit(struct process_result *result)
{
    buf_deinit(&result->out);
    buf_deinit(&result->err);
}

static int open_input(struct str input, int *ret_fd, struct err *err)
{
    AUTO_CLOSE int fd = -1;

    if (!input.data) {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return err_errno(err, errno, "opening /dev/null");
        *ret_fd = fd;
        fd = -1;
        return 0;
    }
    fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "making a memory file for standard input");
    for (size_t done = 0; done < input.len;) {
        ssize_t n = write(fd, input.data + done, input.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "writing standard input");
        done += (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, errno, "rewinding standard input");
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int prepare_files(posix_spawn_file_actions_t *files, const char *cwd, int in, int out, int errfd)
{
    int r = posix_spawn_file_actions_adddup2(files, in, 0);

    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, out, 1);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, errfd, 2);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(files, 3);
    if (r == 0 && cwd)
        r = posix_spawn_file_actions_addchdir_np(files, cwd);
    return r;
}

static int prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    int r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    return r;
}

static int spawn(const struct process_options *options, int in, int out, int errfd, pid_t *ret_pid, struct err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char *const *env = options->env ? (char *const *)options->env : environ;
    pid_t pid = -1;

    int r = posix_spawn_file_actions_init(&files);
    if (r != 0)
        return err_errno(err, r, "starting %s", options->argv[0]);
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = prepare_files(&files, options->cwd, in, out, errfd);
        if (r == 0)
            r = prepare_attributes(&attributes);
        if (r == 0)
            r = posix_spawnp(&pid, options->argv[0], &files, &attributes, (char *const *)options->argv, env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    if (r != 0)
        return err_errno(err, r, "starting %s", options->argv[0]);
    *ret_pid = pid;
    return 0;
}

/* Takes what is there now. What does not fit is read and dropped, so that the child never blocks on a full pipe. */
static void stream_read(struct stream *stream)
{
    char chunk[16384];

    while (stream->fd >= 0) {
        ssize_t n = read(stream->fd, chunk, sizeof chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(stream->fd);
            stream->fd = -1;
            return;
        }
        buf_add(stream->buf, chunk, MIN((size_t)n, stream->max - stream->buf->len));
    }
}

static int remaining_ms(nsec_t deadline)
{
    if (deadline == 0)
        return -1;
    nsec_t left = deadline - clock_now(clock_real());
    if (left <= 0)
        return 0;
    return (int)MIN((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, INT32_MAX);
}

/* Moves output until the child has ended; kills its group at the deadline. True when that was needed. */
static bool pump(pid_t pid, int pidfd, struct stream streams[2], nsec_t deadline)
{
    bool killed = false;

    for (;;) {
        struct pollfd polls[] = { { .fd = pidfd, .events = POLLIN },
                                  { .fd = streams[0].fd, .events = POLLIN },
                                  { .fd = streams[1].fd, .events = POLLIN } };
        int n = poll(polls, ARRAY_LEN(polls), remaining_ms(deadline));

        if (n == 0) {
            kill(-pid, SIGKILL);
            killed = true;
            deadline = 0;
            continue;
        }
        if (n < 0 && errno != EINTR)
            break; /* waitpid() below still waits for the end */
        if (n < 0)
            continue;
        stream_read(&streams[0]);
        stream_read(&streams[1]);
        if (polls[0].revents)
            break;
    }
    return killed;
}

static int reap(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 255; /* somebody else took the status: all that is known is that it ended */
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int open_pipe(int fds[2], struct err *err)
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "making a pipe");
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        return err_errno(err, errno, "making a pipe non-blocking");
    return 0;
}

static void close_once(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int run(const struct process_options *options, int in, int out[2], int errs[2], struct process_result *result,
               struct err *err)
{
    size_t max = options->max_output ? options->max_output : MAX_OUTPUT_DEFAULT;
    nsec_t deadline = options->timeout > 0 ? clock_now(clock_real()) + options->timeout : 0;
    pid_t pid;

    int r = spawn(options, in, out[1], errs[1], &pid, err);
    if (r < 0)
        return r;
    close_once(&out[1]);
    close_once(&errs[1]);

    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        r = err_errno(err, errno, "watching %s", options->argv[0]);
        kill(-pid, SIGKILL);
        reap(pid);
        return r;
    }
    struct stream streams[2] = { { out[0], &result->out, max }, { errs[0], &result->err, max } };
    result->timed_out = pump(pid, pidfd, streams, deadline);
    result->exit_code = reap(pid);
    stream_read(&streams[0]);
    stream_read(&streams[1]);
    out[0] = streams[0].fd;
    errs[0] = streams[1].fd;
    if (!buf_ok(&result->out) || !buf_ok(&result->err))
        return err_set(err, ERR_NO_MEMORY, "output of %s", options->argv[0]);
    return 0;
}

int process_run(const struct process_options *options, struct process_result *ret_result, struct err *err)
{
    AUTO_DEINIT(process_result, result) = { .out = BUF_INIT, .err = BUF_INIT };
    AUTO_CLOSE int in = -1;
    int out[2] = { -1, -1 }, errs[2] = { -1, -1 };

    int r = open_input(options->input, &in, err);
    if (r == 0)
        r = open_pipe(out, err);
    if (r == 0)
        r = open_pipe(errs, err);
    if (r == 0)
        r = run(options, in, out, errs, &result, err);
    close_once(&out[0]);
    close_once(&out[1]);
    close_once(&errs[0]);
    close_once(&errs[1]);
    if (r < 0)
        return r;
    *ret_result = result;
    result = (struct process_result){ .out = BUF_INIT, .err = BUF_INIT };
    return 0;
}
