/* down.c - caravel down: stops what `caravel up` started, and with --purge removes every trace of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/mounts.h"
#include "kubelet/runtime/runtime.h"
#include "network/pod_network.h"

#define STOP_TIMEOUT (60 * NSEC_PER_SEC)

struct arguments {
    struct instance_options common;
    bool purge;
};

/* `up` holds the lock for as long as it runs: when we get it, it has ended. */
static int stop_up(const struct instance *instance, bool *ret_was_up, struct err *err)
{
    char path[INSTANCE_PATH_MAX], text[32] = "";
    AUTO_CLOSE int fd = open(instance_path(instance, "up.lock", path), O_RDWR | O_CLOEXEC);
    nsec_t deadline = clock_now(clock_real()) + STOP_TIMEOUT;
    const struct timespec pause = { .tv_nsec = 20 * NSEC_PER_MSEC };
    int64_t pid;

    *ret_was_up = false;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "opening %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    ssize_t got = pread(fd, text, sizeof text - 1, 0);

    if (got <= 0 || !str_to_i64(str_trim(str_of(text, (size_t)got)), &pid) || pid <= 1)
        return err_set(err, ERR_IO, "%s does not name a process", path);
    if (kill((pid_t)pid, SIGTERM) < 0 && errno != ESRCH)
        return err_errno(err, errno, "stopping process %lld", (long long)pid);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (clock_now(clock_real()) > deadline)
            return err_set(err, ERR_TIMEOUT, "process %lld has not stopped within a minute", (long long)pid);
        nanosleep(&pause, NULL);
    }
    *ret_was_up = true;
    return 0;
}

static int purge(const struct instance *instance, struct err *err)
{
    char network[INSTANCE_PATH_MAX], pods[INSTANCE_PATH_MAX];
    const struct runtime_options runtime_options = { .instance = instance->name, .data_dir = instance->data_dir,
                                                     .run_dir = instance->run_dir };
    const struct pod_network_options network_options = {
        .instance = instance->name, .state_dir = instance_path(instance, "network", network),
        .pod_cidr = "10.42.0.0/24",
    };
    AUTO(runtime) runtime = NULL;
    int code = runtime_new(&runtime_options, &runtime, err);

    if (code == 0)
        code = runtime_purge(runtime, err);
    if (code == 0)
        code = pod_network_purge(&network_options, err);
    if (code == 0)
        code = purge_mounts(instance_path(instance, "pods", pods), err);
    if (code == 0)
        code = file_remove_tree(instance->data_dir, err);
    return code;
}

static int count_running(const struct instance *instance)
{
    const struct runtime_options options = { .instance = instance->name, .data_dir = instance->data_dir,
                                             .run_dir = instance->run_dir };
    AUTO(runtime) runtime = NULL;
    AUTO(arena) arena = arena_new(0);
    struct runtime_container *list;
    size_t count;
    int running = 0;

    if (!arena || runtime_new(&options, &runtime, NULL) < 0 ||
        container_list(runtime, STR_NULL, arena, &list, &count, NULL) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        running += list[i].state == CONTAINER_RUNNING;
    return running;
}

static const struct argp_option options[] = {
    { "purge", 'p', NULL, 0, "also remove pods, images, links and all data", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common; return 0;
    case 'p': arguments->purge = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", value); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp down_argp = {
    options, parse, NULL,
    "Stops the server and the agent that `caravel up` has started.\vWithout --purge, pods keep running and are found "
    "again by the next `caravel up`.", instance_children, NULL, NULL,
};

int down_main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct instance instance;
    struct err err = { 0 };
    bool was_up;

    if (cli_parse(&down_argp, argc, argv, &arguments) != 0)
        return 2;
    int code = instance_resolve(&arguments.common, &instance, &err);

    if (code == 0 && geteuid() != 0)
        code = err_set(&err, ERR_FORBIDDEN, "caravel down needs root");
    if (code == 0 && !file_exists(instance.data_dir)) {
        printf("instance %s: nothing in %s\n", instance.name, instance.data_dir);
        return 0;
    }
    if (code == 0)
        code = instance_claim(&instance, &err);
    if (code == 0)
        code = stop_up(&instance, &was_up, &err);
    if (code < 0)
        return cli_fail(&err);
    printf("instance %s: %s\n", instance.name, was_up ? "server and agent have stopped" : "was not up");
    if (arguments.purge) {
        if ((code = purge(&instance, &err)) < 0)
            return cli_fail(&err);
        printf("instance %s: everything of it is removed\n", instance.name);
        return 0;
    }
    int running = count_running(&instance);

    if (running)
        printf("%d container%s running; `caravel up` finds %s again, `caravel down --purge` removes %s\n", running,
               running == 1 ? " keeps" : "s keep", running == 1 ? "it" : "them", running == 1 ? "it" : "them");
    return 0;
}
