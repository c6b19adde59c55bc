/* up.c - caravel up: one server and one agent on this machine, watched over.
 *
 * The two are children of this process, started from the same binary; each tells over a pipe when it serves. One that dies is
 * started again after a pause. <data_dir>/up.lock is held (flock) while we run and names our pid, for `caravel down`. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <ifaddrs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/pki.h"
#include "cli/store_options.h"
#include "cli/up_check.h"
#include "cli/upkeep.h"
#include "client/kubeconfig.h"

#define READY_TIMEOUT (60 * 1000)
#define RESTART_PAUSE_MAX 30
#define ARGS_MAX 64

struct arguments {
    struct instance_options common;
    struct store_flags store;
    const char *listen, *kubeconfig, *pod_cidr, *service_cidr, *node_name, *node_ip, *history, *history_size, *backup_to;
    const char *fronts[PKI_FRONTS_MAX];
    size_t fronts_count;
    bool detach;
};

struct child {
    const char *name;
    const char *args[ARGS_MAX];
    pid_t pid;
    int ready;          /* read end of its pipe; -1: told already */
    char said[512];     /* there, behind "ready " */
    int pause;          /* seconds before the next start */
    nsec_t started, restart_at;
};

struct up {
    struct arguments arguments;
    struct instance instance;
    struct listen_address listen;
    struct arena arena; /* of place */
    struct store_place place;
    char node_name[65], node_ip[64], url[128], pod_cidr[32];
    FILE *out;          /* where the stages are told */
    nsec_t begun;
    struct child children[2];
};
enum { CHILD_SERVER, CHILD_AGENT, CHILDREN };

static void tell(struct up *up, const char *fmt, ...) PRINTF(2, 3);
static void tell(struct up *up, const char *fmt, ...)
{
    va_list args;

    fprintf(up->out, "[%6.3f s] ", (double)(clock_now(clock_real()) - up->begun) / NSEC_PER_SEC);
    va_start(args, fmt);
    vfprintf(up->out, fmt, args);
    va_end(args);
    fputc('\n', up->out);
    fflush(up->out);
}

/* Held by its descriptor until this process ends. */
static int take_lock(struct up *up, int *ret_fd, struct err *err)
{
    char path[INSTANCE_PATH_MAX], pid[32] = "?";
    int fd = open(instance_path(&up->instance, "up.lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        ssize_t got = read(fd, pid, sizeof pid - 1);

        close(fd);
        if (got > 0)
            pid[got] = 0;
        return err_set(err, ERR_CONFLICT, "instance %s is up already (process " STR_FMT "); see caravel down",
                       up->instance.name, STR_ARG(str_trim(str_from(pid))));
    }
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());

    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
        return err_errno(err, errno, "writing %s", path);
    *ret_fd = fd;
    return 0;
}

/* The address by which others reach this machine: that of the interface which a packet to the outside would take, else the
 * first that is up. */
static void find_node_ip(char out[64])
{
    struct sockaddr_in far = { .sin_family = AF_INET, .sin_port = htons(9) }, near;
    socklen_t size = sizeof near;
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifaddrs *list = NULL;

    snprintf(out, 64, "127.0.0.1");
    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr); /* nothing is sent by connecting a datagram socket */
    if (fd >= 0 && connect(fd, (struct sockaddr *)&far, sizeof far) == 0 &&
        getsockname(fd, (struct sockaddr *)&near, &size) == 0 && near.sin_addr.s_addr) {
        inet_ntop(AF_INET, &near.sin_addr, out, 64);
        return;
    }
    if (getifaddrs(&list) < 0)
        return;
    for (struct ifaddrs *it = list; it; it = it->ifa_next)
        if (it->ifa_addr && it->ifa_addr->sa_family == AF_INET && (it->ifa_flags & IFF_UP) &&
            !(it->ifa_flags & IFF_LOOPBACK)) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)it->ifa_addr)->sin_addr, out, 64);
            break;
        }
    freeifaddrs(list);
}

static void choose_node(struct up *up)
{
    gethostname(up->node_name, sizeof up->node_name - 1);
    if (up->arguments.node_name)
        snprintf(up->node_name, sizeof up->node_name, "%s", up->arguments.node_name);
    for (char *p = up->node_name; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    if (up->arguments.node_ip)
        snprintf(up->node_ip, sizeof up->node_ip, "%s", up->arguments.node_ip);
    else
        find_node_ip(up->node_ip);
}

/* Instances beside the first one get a range of their own, by their name. */
static void choose_pod_cidr(struct up *up)
{
    if (up->arguments.pod_cidr)
        snprintf(up->pod_cidr, sizeof up->pod_cidr, "%s", up->arguments.pod_cidr);
    else if (strcmp(up->instance.name, "caravel") == 0)
        snprintf(up->pod_cidr, sizeof up->pod_cidr, "10.42.0.0/16");
    else
        snprintf(up->pod_cidr, sizeof up->pod_cidr, "10.%u.0.0/16",
                 (unsigned)(128 + str_hash(str_from(up->instance.name)) % 120));
}

static int prepare(struct up *up, int *ret_lock, struct err *err)
{
    char folder[INSTANCE_PATH_MAX];
    int code = instance_resolve(&up->arguments.common, &up->instance, err);

    arena_init(&up->arena, 0);
    choose_node(up);
    choose_pod_cidr(up);
    if (code == 0)
        code = store_place_parse(&up->arena, &up->arguments.store, &up->place, err);
    if (code == 0)
        code = listen_parse(up->arguments.listen, &up->listen, err);
    if (code == 0)
        code = check_listen_host(&up->listen, err);
    if (code == 0)
        code = check_node(up->arguments.node_name ? up->arguments.node_name : up->node_name, up->node_ip, err);
    if (code == 0)
        code = check_ranges(up->arguments.pod_cidr ? up->arguments.pod_cidr : up->pod_cidr,
                            up->arguments.service_cidr, err);
    if (code == 0)
        code = check_machine(err);
    if (code == 0)
        code = instance_claim(&up->instance, err);
    if (code == 0)
        code = store_place_folder(&up->place, &up->instance, folder, err);
    if (code == 0)
        code = take_lock(up, ret_lock, err);
    if (code == 0)
        code = check_port(&up->listen, err);
    if (code < 0)
        return code;
    bool any = strcmp(up->listen.host, "0.0.0.0") == 0;

    snprintf(up->url, sizeof up->url, "https://%s:%d", any ? "127.0.0.1" : up->listen.host, up->listen.port);
    return 0;
}

static int write_kubeconfig(struct up *up, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct client_config config = { .server = str_from(up->url) };
    struct tls_pair admin;
    char path[INSTANCE_PATH_MAX];
    int code = arena ? pki_load_ca(arena, &up->instance, &config.ca_pem, err) : err_set(err, ERR_NO_MEMORY, "up");

    if (code == 0)
        code = pki_load(arena, &up->instance, PKI_ADMIN, &admin, err);
    if (code < 0)
        return code;
    config.cert_pem = admin.cert_pem;
    config.key_pem = admin.key_pem;
    code = kubeconfig_write(instance_path(&up->instance, "admin.kubeconfig", path), str_from(up->instance.name), &config,
                            err);
    if (code == 0 && up->arguments.kubeconfig)
        code = kubeconfig_write(up->arguments.kubeconfig, str_from(up->instance.name), &config, err);
    return code;
}

/* -- children -- */

static int child_start(struct child *child, struct err *err)
{
    int ready[2];
    char fd_text[16];

    if (pipe2(ready, O_CLOEXEC) < 0)
        return err_errno(err, errno, "starting the %s", child->name);
    pid_t parent = getpid(), pid = fork();

    if (pid < 0) {
        close(ready[0]);
        close(ready[1]);
        return err_errno(err, errno, "starting the %s", child->name);
    }
    if (pid == 0) {
        size_t count = 0;

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        setpgid(0, 0); /* the terminal's Ctrl-C is ours to hand on */
        fcntl(ready[1], F_SETFD, 0);
        snprintf(fd_text, sizeof fd_text, "%d", ready[1]);
        while (child->args[count])
            count++;
        child->args[count++] = "--ready-fd";
        child->args[count++] = fd_text;
        execv("/proc/self/exe", (char *const *)child->args);
        _exit(127);
    }
    close(ready[1]);
    child->pid = pid;
    child->ready = ready[0];
    child->started = clock_now(clock_real());
    return 0;
}

static int wait_ready(struct child *child, struct err *err)
{
    struct pollfd wait = { child->ready, POLLIN, 0 };
    char line[sizeof child->said];
    int got = poll(&wait, 1, READY_TIMEOUT);
    ssize_t len = got > 0 ? read(child->ready, line, sizeof line) : -1;
    struct str said = str_trim(str_of(line, len > 0 ? (size_t)len : 0));

    close(child->ready);
    child->ready = -1;
    if (got == 0)
        return err_set(err, ERR_TIMEOUT, "the %s is not ready after %d s", child->name, READY_TIMEOUT / 1000);
    if (str_has_prefix(said, STR("ready ")))
        snprintf(child->said, sizeof child->said, STR_FMT, STR_ARG(str_skip(said, 6)));
    return len > 0 ? 0 : err_set(err, ERR_UNAVAILABLE, "the %s has ended; its message stands above", child->name);
}

static void add_arg(struct child *child, const char *name, const char *value)
{
    size_t count = 0;

    while (child->args[count])
        count++;
    INVARIANT(count + 4 < ARGS_MAX);
    child->args[count++] = name;
    if (value)
        child->args[count] = value;
}

static void add_store_flag(void *arg, const char *name, const char *value)
{
    add_arg(arg, name, value);
}

static void describe_children(struct up *up)
{
    struct child *server = &up->children[CHILD_SERVER], *agent = &up->children[CHILD_AGENT];

    *server = (struct child){ .name = "server", .args = { "caravel", "server" }, .ready = -1 };
    *agent = (struct child){ .name = "agent", .args = { "caravel", "agent" }, .ready = -1 };
    for (int i = 0; i < CHILDREN; i++) {
        add_arg(&up->children[i], "--instance", up->instance.name);
        add_arg(&up->children[i], "--data-dir", up->instance.data_dir);
        if (up->arguments.common.verbose)
            add_arg(&up->children[i], "--verbose", NULL);
    }
    add_arg(server, "--listen", up->arguments.listen);
    add_arg(server, "--advertise", up->node_ip);
    add_arg(server, "--pod-cidr", up->pod_cidr);
    if (up->arguments.service_cidr)
        add_arg(server, "--service-cidr", up->arguments.service_cidr);
    if (up->arguments.history)
        add_arg(server, "--history", up->arguments.history);
    if (up->arguments.history_size)
        add_arg(server, "--history-size", up->arguments.history_size);
    if (up->arguments.backup_to)
        add_arg(server, "--backup-to", up->arguments.backup_to);
    store_flags_each(&up->arguments.store, add_store_flag, server);
    add_arg(agent, "--server", up->url);
    add_arg(agent, "--node-name", up->node_name);
    add_arg(agent, "--node-ip", up->node_ip);
}

static void stop_children(struct up *up)
{
    for (int i = CHILDREN - 1; i >= 0; i--) {
        if (up->children[i].pid <= 0)
            continue;
        kill(up->children[i].pid, SIGTERM);
        waitpid(up->children[i].pid, NULL, 0);
        up->children[i].pid = 0;
    }
}

static void child_died(struct up *up, struct child *child, int status)
{
    nsec_t now = clock_now(clock_real());

    if (now - child->started > 60 * NSEC_PER_SEC)
        child->pause = 0;
    child->pid = 0;
    child->restart_at = now + child->pause * NSEC_PER_SEC;
    if (WIFSIGNALED(status))
        log_warn("up", "the %s was killed by signal %d; starting it again in %d s", child->name, WTERMSIG(status),
                 child->pause);
    else
        log_warn("up", "the %s has ended with status %d; starting it again in %d s", child->name, WEXITSTATUS(status),
                 child->pause);
    child->pause = MIN(child->pause ? child->pause * 2 : 1, RESTART_PAUSE_MAX);
}

static void restart_due(struct up *up)
{
    nsec_t now = clock_now(clock_real());
    struct err err;

    for (int i = 0; i < CHILDREN; i++) {
        struct child *child = &up->children[i];

        if (child->pid > 0 || child->restart_at > now)
            continue;
        if (child_start(child, &err) < 0) {
            log_error("up", "%s", err.message);
            child->restart_at = now + NSEC_PER_SEC;
        } else {
            close(child->ready); /* supervised ones need not tell */
            child->ready = -1;
        }
    }
}

static int poll_timeout(const struct up *up)
{
    nsec_t now = clock_now(clock_real()), next = INT64_MAX;

    for (int i = 0; i < CHILDREN; i++)
        if (up->children[i].pid <= 0)
            next = MIN(next, up->children[i].restart_at);
    return next == INT64_MAX ? -1 : (int)(MAX(next - now, 0) / NSEC_PER_MSEC) + 1;
}

static void supervise(struct up *up, int signals)
{
    for (;;) {
        struct pollfd wait = { signals, POLLIN, 0 };
        struct signalfd_siginfo info;
        int status;

        restart_due(up);
        if (poll(&wait, 1, poll_timeout(up)) <= 0)
            continue;
        if (read(signals, &info, sizeof info) != sizeof info)
            continue;
        if (info.ssi_signo != SIGCHLD) {
            log_info("up", "stopping: signal %u; pods keep running", info.ssi_signo);
            return;
        }
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            for (int i = 0; i < CHILDREN; i++)
                if (up->children[i].pid == pid)
                    child_died(up, &up->children[i], status);
    }
}

static int open_signals(struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);

    return fd < 0 ? err_errno(err, errno, "signals") : fd;
}

static int bring_up(struct up *up, struct err *err)
{
    char path[INSTANCE_PATH_MAX], service_ip[INET_ADDRSTRLEN];
    const struct pki_hosts hosts = { .node_name = up->node_name, .node_ip = up->node_ip,
                                     .listen_host = up->listen.host,
                                     .service_ip = api_service_ip(up->arguments.service_cidr, service_ip),
                                     .fronts = up->arguments.fronts, .fronts_count = up->arguments.fronts_count };
    int code = pki_prepare(&up->instance, &hosts, err);

    if (code == 0)
        code = write_kubeconfig(up, err);
    if (code < 0)
        return code;
    tell(up, "certificates   %s", instance_path(&up->instance, "pki", path));
    if (up->place.exposed)
        tell(up, "warning        etcd is reached by plain TCP: who sees it can read and change all; see --etcd-cafile");
    describe_children(up);
    for (int i = 0; i < CHILDREN; i++) {
        code = child_start(&up->children[i], err);
        if (code == 0)
            code = wait_ready(&up->children[i], err);
        if (code < 0)
            return code;
        tell(up, i == CHILD_SERVER ? "server         %s" : "node           %s is Ready",
             i == CHILD_SERVER ? up->url : up->node_name);
        if (up->children[i].said[0])
            tell(up, "store          %s", up->children[i].said);
    }
    tell(up, "kubeconfig     %s",
         up->arguments.kubeconfig ? up->arguments.kubeconfig : instance_path(&up->instance, "admin.kubeconfig", path));
    return 0;
}

/* The parent shows what the child in the background tells, until that is done. */
static int detach_parent(int progress, pid_t child)
{
    char bytes[512];
    ssize_t got;
    int status;

    while ((got = read(progress, bytes, sizeof bytes)) > 0)
        fwrite(bytes, 1, (size_t)got, stdout);
    fflush(stdout);
    /* The pipe closes when it is up, or when it has died. */
    if (waitpid(child, &status, WNOHANG) == 0)
        return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int go_to_background(struct up *up, int *ret_parent_status)
{
    int progress[2];
    char path[INSTANCE_PATH_MAX];

    if (pipe2(progress, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();

    if (pid < 0)
        return -1;
    if (pid > 0) {
        close(progress[1]);
        *ret_parent_status = detach_parent(progress[0], pid);
        return 1;
    }
    close(progress[0]);
    setsid();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = open(instance_path(&up->instance, "caravel.log", path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    up->out = fdopen(progress[1], "w");
    if (null < 0 || log < 0 || !up->out)
        _exit(1);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    close(null);
    close(log);
    return 0;
}

enum { OPT_KUBECONFIG = 256, OPT_POD_CIDR, OPT_SERVICE_CIDR, OPT_NODE_NAME, OPT_NODE_IP, OPT_HISTORY, OPT_HISTORY_SIZE,
       OPT_BACKUP_TO, OPT_FRONT };

static const struct argp_option options[] = {
    { "listen", 'l', "ADDR:PORT", 0, "where the API is served (0.0.0.0:6443)", 0 },
    { "kubeconfig", OPT_KUBECONFIG, "FILE", 0, "write the administrator's kubeconfig there too", 0 },
    { "detach", 'D', NULL, 0, "go to the background once everything runs; log to DIR/caravel.log", 0 },
    { "front", OPT_FRONT, "NAME", 0, "a name or address of what stands before several servers: put into this one's "
                                     "certificate (may be repeated)", 0 },
    { "node-name", OPT_NODE_NAME, "NAME", 0, "name of this node (the host name)", 0 },
    { "node-ip", OPT_NODE_IP, "ADDR", 0, "address of this node (found by its default route)", 0 },
    { "pod-cidr", OPT_POD_CIDR, "CIDR", 0, "range of pod addresses (10.42.0.0/16)", 0 },
    { "service-cidr", OPT_SERVICE_CIDR, "CIDR", 0, "range of service addresses (10.96.0.0/12)", 0 },
    { "history", OPT_HISTORY, "TIME", 0, "how long old states are kept (24h); 0: without limit", 0 },
    { "history-size", OPT_HISTORY_SIZE, "BYTES", 0, "what old states may take (2GiB); 0: without limit", 0 },
    { "backup-to", OPT_BACKUP_TO, "DIR", 0,
      "keep a backup there that is a few seconds old: a folder, or s3://BUCKET/PREFIX (see caravel restore)", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct store_retention retention; /* parsed by the server; here a bad one is told early */

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        state->child_inputs[1] = &arguments->store;
        return 0;
    case 'l': arguments->listen = value; return 0;
    case 'D': arguments->detach = true; return 0;
    case OPT_KUBECONFIG: arguments->kubeconfig = value; return 0;
    case OPT_POD_CIDR: arguments->pod_cidr = value; return 0;
    case OPT_SERVICE_CIDR: arguments->service_cidr = value; return 0;
    case OPT_NODE_NAME: arguments->node_name = value; return 0;
    case OPT_NODE_IP: arguments->node_ip = value; return 0;
    case OPT_FRONT:
        if (arguments->fronts_count == PKI_FRONTS_MAX)
            argp_error(state, "--front: at most %d of them", PKI_FRONTS_MAX);
        else
            arguments->fronts[arguments->fronts_count++] = value;
        return 0;
    case OPT_BACKUP_TO: arguments->backup_to = value; return 0;
    case OPT_HISTORY: retention_parse_age(state, arguments->history = value, &retention); return 0;
    case OPT_HISTORY_SIZE: retention_parse_bytes(state, arguments->history_size = value, &retention); return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", value); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp up_argp = {
    options, parse, NULL,
    "Turns this machine into a Kubernetes cluster: one server and one node.\v"
    "Stays in the foreground until Ctrl-C, or with --detach until `caravel down`. Pods outlive it; "
    "`caravel down --purge` removes them.", server_children, NULL, NULL,
};

int up_main(int argc, char **argv)
{
    struct up up = { .arguments = { .listen = "0.0.0.0:6443" }, .out = stdout, .begun = clock_now(clock_real()) };
    struct err err = { 0 };
    int lock = -1, status = 0;

    if (cli_parse(&up_argp, argc, argv, &up.arguments) != 0)
        return 2;
    int code = prepare(&up, &lock, &err);

    if (code < 0)
        return cli_fail(&err);
    if (up.arguments.detach) {
        int where = go_to_background(&up, &status);

        if (where != 0)
            return where > 0 ? status : 1;
        dprintf(lock, "%s", ""); /* the lock came along with the descriptor */
        char pid[32];
        int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());

        if (ftruncate(lock, 0) < 0 || pwrite(lock, pid, (size_t)len, 0) != len)
            return 1;
    }
    int signals = open_signals(&err);

    code = signals < 0 ? signals : bring_up(&up, &err);
    if (code < 0) {
        fprintf(up.out, "caravel: %s\n", err.message);
        fflush(up.out);
        stop_children(&up);
        return 1;
    }
    if (up.arguments.detach)
        fclose(up.out);
    supervise(&up, signals);
    stop_children(&up);
    return 0;
}
