/* monitor.c - hears of the end of containers, without asking.
 *
 * conmon ends after its container: it has then written all that the container said to the log, and the exit code to
 * its exit file. So one descriptor per container is enough, conmon's pidfd in an epoll set; it also tells when conmon
 * itself was killed, in which case nobody is left who knows how the container ends: then what is left of it is killed,
 * and it counts as ended with code 255. */
#include "kubelet/runtime/runtime_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64
#define EXIT_CODE_UNKNOWN 255

struct ending {
    enum runtime_container_state state;
    int exit_code;
    nsec_t finished_at;
    bool oom_killed;
};

static struct ending read_ending(struct runtime *runtime, const struct container_entry *entry)
{
    struct ending ending = { .state = CONTAINER_UNKNOWN, .exit_code = EXIT_CODE_UNKNOWN };
    char path[PATH_MAX], cgroup[256];
    struct stat st;
    int64_t code;

    snprintf(path, sizeof path, "%s/" STR_FMT, runtime->exits_dir, STR_ARG(entry->info.id));
    if (stat(path, &st) == 0 && state_read_number(path, &code)) {
        ending.state = CONTAINER_EXITED;
        ending.exit_code = (int)(code & 255);
        ending.finished_at = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
    } else {
        ending.finished_at = clock_wall(runtime->clock);
    }
    snprintf(cgroup, sizeof cgroup, STR_FMT, STR_ARG(entry->info.cgroup));
    if (ending.state == CONTAINER_UNKNOWN)
        cgroup_kill(&runtime->cgroups, cgroup, NULL);
    ending.oom_killed = ending.exit_code != 0 && cgroup_oom_kills(&runtime->cgroups, cgroup) > 0;
    return ending;
}

void entry_finish(struct runtime *runtime, struct container_entry *entry, bool announce)
{
    struct ending ending = read_ending(runtime, entry);
    container_exit_fn *fn;
    void *arg;

    mutex_lock(&runtime->lock);
    if (entry->finished_seen) {
        mutex_unlock(&runtime->lock);
        return;
    }
    entry->finished_seen = true;
    entry->info.state = ending.state;
    entry->info.exit_code = entry->failed_start ? 128 : ending.exit_code;
    bool by_signal = ending.state == CONTAINER_EXITED && ending.exit_code > 128 && ending.exit_code <= 128 + 64;
    entry->info.signal = by_signal ? ending.exit_code - 128 : 0;
    entry->info.finished_at = MAX(ending.finished_at, entry->info.started_at);
    entry->info.oom_killed = ending.oom_killed;
    entry->info.pid = 0;
    fn = runtime->on_exit;
    arg = runtime->on_exit_arg;
    announce &= fn != NULL;
    runtime->announcing += announce;
    cond_broadcast(&runtime->changed);
    mutex_unlock(&runtime->lock);
    if (!announce)
        return;
    fn(arg, entry->info.pod_uid, entry->info.id);
    LOCKED(&runtime->lock);
    runtime->announcing--;
    cond_broadcast(&runtime->changed);
}

static void handle(struct runtime *runtime, struct container_entry *entry)
{
    epoll_ctl(runtime->epoll, EPOLL_CTL_DEL, entry->conmon_pidfd, NULL);
    entry_finish(runtime, entry, true);
    entry_unref(entry); /* the one that monitor_watch() took */
}

static void monitor_main(void *arg)
{
    struct runtime *runtime = arg;
    struct epoll_event events[EVENTS_PER_ROUND];

    for (;;) {
        int n = epoll_wait(runtime->epoll, events, EVENTS_PER_ROUND, -1);

        INVARIANT(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++) {
            if (!events[i].data.ptr)
                return;
            handle(runtime, events[i].data.ptr);
        }
    }
}

int monitor_watch(struct runtime *runtime, struct container_entry *entry, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = entry_ref(entry) };

    if (epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, entry->conmon_pidfd, &event) < 0) {
        int r = err_errno(err, errno, "watching conmon");
        entry_unref(entry);
        return r;
    }
    return 0;
}

int monitor_start(struct runtime *runtime, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN };

    runtime->epoll = epoll_create1(EPOLL_CLOEXEC);
    runtime->stop = eventfd(0, EFD_CLOEXEC);
    if (runtime->epoll < 0 || runtime->stop < 0 ||
        epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, runtime->stop, &event) < 0)
        return err_errno(err, errno, "watching containers");
    return thread_start(&runtime->monitor, "runtime", monitor_main, runtime, err);
}

/* References of containers that still run are given back here: nobody else knows of them. */
void monitor_stop(struct runtime *runtime)
{
    struct map_entry *slot = NULL;

    if (runtime->stop >= 0)
        eventfd_write(runtime->stop, 1);
    thread_join(&runtime->monitor);
    runtime->monitor = (struct thread){ 0 };
    while ((slot = map_next(&runtime->entries, slot))) {
        struct container_entry *entry = slot->value;

        if (entry->conmon_pidfd >= 0 && epoll_ctl(runtime->epoll, EPOLL_CTL_DEL, entry->conmon_pidfd, NULL) == 0)
            entry_unref(entry);
    }
    auto_close_fd(&runtime->epoll);
    auto_close_fd(&runtime->stop);
}
