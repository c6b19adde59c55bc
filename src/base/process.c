/* process.c - one child, three descriptors, one poll.
 *
 * Starting is clone(CLONE_VM | CLONE_VFORK), as posix_spawn does it: no page tables are copied, so that the cost does
 * not grow with our memory, and the child tells through shared memory what failed. Unlike posix_spawn it can enter
 * namespaces and cgroups on the way. The child may only make system calls; all signals are blocked around it, since a
 * handler of ours must not run in it, and it sets every handler back to the default before it unblocks them.
 *
 * Running to the end: the child's input is a memory file rather than a pipe: nothing to feed, no SIGPIPE when it does
 * not read. Both output pipes and a pidfd are polled. When the child has ended, what the pipes hold is taken and we
 * return, even if a grandchild still keeps them open: a daemon that was started this way must not hold its starter
 * up. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OUTPUT_DEFAULT ((size_t)1 << 20)
#define CHILD_STACK_SIZE ((size_t)256 << 10)

/* What parent and child share. */
struct child {
    const struct process_start *start;
    char *const *env;
    int null;
    int error; /* errno of the step that failed */
    const char *step;
};

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

/* Not _exit(): sanitizers hook it, and would take this for the end of the process whose memory it shares. */
static int child_failed(struct child *child, const char *step)
{
    child->error = errno;
    child->step = step;
    return (int)syscall(SYS_exit_group, 127);
}

static void child_reset_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL);
}

/* All go to high numbers first, so that none is overwritten before it was copied. */
static int child_set_files(struct child *child)
{
    const struct process_start *start = child->start;
    int fds[] = { start->in < 0 ? child->null : start->in, start->out < 0 ? child->null : start->out,
                  start->err < 0 ? child->null : start->err, start->pass };
    int count = start->pass < 0 ? 3 : 4;

    for (int i = 0; i < count; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD, 10);
        if (fds[i] < 0)
            return -1;
    }
    for (int i = 0; i < count; i++)
        if (dup2(fds[i], i) < 0)
            return -1;
    return (int)syscall(SYS_close_range, count, ~0U, 0);
}

static int child_main(void *arg)
{
    struct child *child = arg;
    const struct process_start *start = child->start;
    sigset_t none;

    child_reset_signals();
    if ((start->new_session ? setsid() : setpgid(0, 0)) < 0)
        return child_failed(child, "leaving our process group");
    for (size_t i = 0; i < start->cgroup_count; i++)
        if (write(start->cgroups[i], "0", 1) < 0)
            return child_failed(child, "entering its cgroup");
    if (start->mount_ns && setns(*start->mount_ns, CLONE_NEWNS) < 0)
        return child_failed(child, "entering its mount namespace");
    if (child_set_files(child) < 0)
        return child_failed(child, "setting up its descriptors");
    if (start->cwd && chdir(start->cwd) < 0)
        return child_failed(child, start->cwd);
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    execvpe(start->argv[0], (char *const *)start->argv, child->env);
    return child_failed(child, "executing it");
}

static pid_t clone_child(struct child *child)
{
    sigset_t all, old;
    int cancel;

    AUTO_FREE char *stack = malloc(CHILD_STACK_SIZE);
    if (!stack)
        return -1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    pid_t pid = clone(child_main, stack + CHILD_STACK_SIZE,
                      CLONE_VM | CLONE_VFORK | SIGCHLD | child->start->new_namespaces, child);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_setcancelstate(cancel, NULL);
    errno = error;
    return pid;
}

int process_start(const struct process_start *start, pid_t *ret_pid, struct err *err)
{
    struct child child = { .start = start, .env = start->env ? (char *const *)start->env : environ };
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return err_errno(err, errno, "opening /dev/null");
    child.null = null;
    pid_t pid = clone_child(&child);
    if (pid < 0)
        return err_errno(err, errno, "starting %s", start->argv[0]);
    if (child.error) {
        process_wait(pid);
        return err_errno(err, child.error, "starting %s: %s", start->argv[0], child.step);
    }
    *ret_pid = pid;
    return 0;
}

int process_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 255;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int open_input(struct str input, int *ret_fd, struct err *err)
{
    int fd = memfd_create("stdin", MFD_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "making a memory file for standard input");
    for (size_t done = 0; done < input.len;) {
        ssize_t n = write(fd, input.data + done, input.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(err, errno, "writing standard input");
            close(fd);
            return -ERR_IO;
        }
        done += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    *ret_fd = fd;
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
            break; /* process_wait() still waits for the end */
        if (n < 0)
            continue;
        stream_read(&streams[0]);
        stream_read(&streams[1]);
        if (polls[0].revents)
            break;
    }
    return killed;
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
    const struct process_start start = { .argv = options->argv, .env = options->env, .cwd = options->cwd, .in = in,
                                         .out = out[1], .err = errs[1], .pass = -1, .mount_ns = options->mount_ns };
    size_t max = options->max_output ? options->max_output : MAX_OUTPUT_DEFAULT;
    nsec_t deadline = options->timeout > 0 ? clock_now(clock_real()) + options->timeout : 0;
    pid_t pid;

    int r = process_start(&start, &pid, err);
    if (r < 0)
        return r;
    close_once(&out[1]);
    close_once(&errs[1]);

    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        r = err_errno(err, errno, "watching %s", options->argv[0]);
        kill(-pid, SIGKILL);
        process_wait(pid);
        return r;
    }
    struct stream streams[2] = { { out[0], &result->out, max }, { errs[0], &result->err, max } };
    result->timed_out = pump(pid, pidfd, streams, deadline);
    result->exit_code = process_wait(pid);
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
    int r = 0;

    if (options->input.data)
        r = open_input(options->input, &in, err);
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

void process_raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* else it stays as it is */
}

void process_tune_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_ARENA_MAX, 4);
}

int process_fd_limit(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : (int)MIN(limit.rlim_cur, (rlim_t)INT32_MAX);
}
