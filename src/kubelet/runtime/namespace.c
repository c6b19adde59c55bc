/* namespace.c - a pod's namespaces without a process that holds them open, and the mount namespace for crun.
 *
 * A child of ours is born into new network, IPC and UTS namespaces (it shares our memory, so this costs no copy), sets
 * them up from within, binds /proc/self/ns/... to files and is gone. The mounts keep the namespaces; unmounting frees
 * them.
 *
 * crun 1.8 refuses to work where cgroup v1 has the controllers but a v2 tree is mounted too. There we run conmon and
 * crun in a mount namespace of their own, in which the v2 tree is unmounted. It is held by a descriptor only (and by
 * the conmons in it), so nothing needs cleaning up. Mounts that the agent makes later must show there, and unmounts
 * too, or a dead pod's network would live as long as its neighbour's conmon: so where the host's mounts are private,
 * the agent's two folders are made shared mounts. That is why root file systems and volumes have to be below
 * data_dir. */
#include "kubelet/runtime/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#define CHILD_STACK_SIZE ((size_t)256 << 10)
#define MOUNTINFO_MAX ((size_t)64 << 20)
#define SYSCTLS_MAX 64

static const struct {
    const char *name;
    int flag;
} kinds[] = { { "net", CLONE_NEWNET }, { "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS } };

/* Not _exit(): sanitizers hook it, and would take this for the end of the process whose memory it shares. */
static int child_exit(void)
{
    return (int)syscall(SYS_exit_group, 0);
}

/* Runs fn as a child in new namespaces that shares our memory: system calls only. Waits for its end. */
static int in_child(int (*fn)(void *arg), void *arg, int flags)
{
    sigset_t all, old;
    int error = 0;

    AUTO_FREE char *stack = malloc(CHILD_STACK_SIZE);
    if (!stack)
        return ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    pid_t pid = clone(fn, stack + CHILD_STACK_SIZE, flags | CLONE_VM | CLONE_VFORK | SIGCHLD, arg);
    if (pid < 0)
        error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pid > 0)
        process_wait(pid);
    return error;
}

/* The mount namespace for crun. */

struct view_child {
    const struct cgroup_tree *tree;
    int fd, error;
};

static int view_child_main(void *arg)
{
    struct view_child *child = arg;

    /* Whatever is done below must not reach the host's mounts. */
    if (mount(NULL, child->tree->root, NULL, MS_REC | MS_SLAVE, NULL) < 0 &&
        mount(NULL, child->tree->unified, NULL, MS_SLAVE, NULL) < 0)
        child->error = errno;
    else if (umount2(child->tree->unified, MNT_DETACH) < 0)
        child->error = errno;
    else if ((child->fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) < 0)
        child->error = errno;
    return child_exit();
}

int namespace_cgroup_view(const struct cgroup_tree *tree, int *ret_fd, struct err *err)
{
    struct view_child child = { .tree = tree, .fd = -1 };

    if (tree->mode != CGROUP_HYBRID) {
        *ret_fd = -1;
        return 0;
    }
    int error = in_child(view_child_main, &child, CLONE_NEWNS | CLONE_FILES);
    if (error == 0)
        error = child.error;
    if (error)
        return err_errno(err, error, "making a mount namespace without the cgroup v2 tree");
    *ret_fd = child.fd;
    return 0;
}

/* mountinfo writes blanks and backslashes as \ooo. Compares such a text with the beginning of path. */
static bool is_below(const char *path, struct str escaped)
{
    size_t at = 0, len = strlen(path);

    for (size_t i = 0; i < escaped.len; i++, at++) {
        char c = escaped.data[i];

        if (c == '\\' && escaped.len - i > 3) {
            c = (char)((escaped.data[i + 1] - '0') * 64 + (escaped.data[i + 2] - '0') * 8 + escaped.data[i + 3] - '0');
            i += 3;
        }
        if (at >= len || path[at] != c)
            return false;
    }
    return at == 1 || path[at] == 0 || path[at] == '/';
}

/* Is path in a shared mount? The mount that counts is the one with the longest matching mount point, the last wins. */
static bool is_shared(struct str mountinfo, const char *path)
{
    struct str line, field, point;
    bool shared = false;
    size_t best = 0;

    while (str_split(&mountinfo, '\n', &line)) {
        bool this_shared = false;
        int number = 0;

        point = STR_NULL;
        while (str_split(&line, ' ', &field) && !str_is(field, "-")) {
            if (++number == 5)
                point = field;
            if (number > 6 && str_has_prefix(field, STR("shared:")))
                this_shared = true;
        }
        if (point.data && point.len >= best && is_below(path, point)) {
            best = point.len;
            shared = this_shared;
        }
    }
    return shared;
}

int namespace_share_dir(const char *path, bool *ret_made, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    int r = file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &text, err);
    if (r < 0)
        return r;
    if (is_shared(buf_str(&text), path)) {
        *ret_made = false;
        return 0;
    }
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_errno(err, errno, "binding %s to itself", path);
    if (mount(NULL, path, NULL, MS_REC | MS_SHARED, NULL) < 0) {
        r = err_errno(err, errno, "sharing the mounts below %s", path);
        umount2(path, MNT_DETACH);
        return r;
    }
    *ret_made = true;
    return 0;
}

/* The pod's namespaces. */

struct pod_setting {
    char path[160];
    struct str value;
};

struct pod_child {
    const struct sandbox_spec *spec;
    int flags;
    const struct pod_setting *settings;
    size_t setting_count;
    char targets[ARRAY_LEN(kinds)][256], sources[ARRAY_LEN(kinds)][32];
    int error;
    const char *step;
};

static int sandbox_flags(const struct sandbox_spec *spec)
{
    return (spec->host_network ? 0 : CLONE_NEWNET | CLONE_NEWUTS) | (spec->host_ipc ? 0 : CLONE_NEWIPC);
}

static bool loopback_up(void)
{
    struct ifreq request = { .ifr_name = "lo" };
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return false;
    request.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static bool write_setting(const struct pod_setting *setting)
{
    AUTO_CLOSE int fd = open(setting->path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, setting->value.data, setting->value.len) >= 0;
}

static const char *pod_child_setup(struct pod_child *child)
{
    const struct sandbox_spec *spec = child->spec;

    if ((child->flags & CLONE_NEWUTS) && spec->hostname.len && sethostname(spec->hostname.data, spec->hostname.len) < 0)
        return "setting the host name";
    if ((child->flags & CLONE_NEWUTS) && spec->domainname.len &&
        setdomainname(spec->domainname.data, spec->domainname.len) < 0)
        return "setting the domain name";
    if ((child->flags & CLONE_NEWNET) && !loopback_up())
        return "bringing the loopback interface up";
    for (size_t i = 0; i < child->setting_count; i++)
        if (!write_setting(&child->settings[i]))
            return child->settings[i].path;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if ((child->flags & kinds[i].flag) && mount(child->sources[i], child->targets[i], NULL, MS_BIND, NULL) < 0)
            return child->targets[i];
    return NULL;
}

static int pod_child_main(void *arg)
{
    struct pod_child *child = arg;

    child->step = pod_child_setup(child);
    if (child->step)
        child->error = errno;
    return child_exit();
}

int sysctl_path(const struct sandbox_spec *spec, struct str name, char *out, size_t size, struct err *err)
{
    static const struct {
        const char *prefix;
        int flag;
    } known[] = {
        { "net/", CLONE_NEWNET },          { "kernel/shm", CLONE_NEWIPC }, { "kernel/msg", CLONE_NEWIPC },
        { "kernel/sem", CLONE_NEWIPC },    { "fs/mqueue/", CLONE_NEWIPC },
    };
    char separator = str_chr(name, '/') >= 0 ? '/' : '.', last = '/';

    if (name.len == 0 || name.len >= size)
        return err_set(err, ERR_INVALID, "sysctl \"" STR_FMT "\"", STR_ARG(str_first(name, 100)));
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i] == separator ? '/' : name.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';

        /* A dot stands inside an interface's name when slashes separate; ".." must not come out of it. */
        if (!word && !(c == '/' && last != '/') && !(c == '.' && last != '/' && last != '.'))
            return err_set(err, ERR_INVALID, "sysctl \"" STR_FMT "\"", STR_ARG(str_first(name, 100)));
        out[i] = last = c;
    }
    out[name.len] = 0;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strncmp(out, known[i].prefix, strlen(known[i].prefix)) == 0 && (sandbox_flags(spec) & known[i].flag))
            return 0;
    return err_set(err, ERR_INVALID, "sysctl \"" STR_FMT "\" does not belong to a namespace of the pod", STR_ARG(name));
}

static int add_setting(const struct sandbox_spec *spec, struct str name, struct str value, struct pod_setting *settings,
                       size_t *count, struct err *err)
{
    char path[140];

    if (*count == SYSCTLS_MAX)
        return err_set(err, ERR_INVALID, "more than %d sysctls", SYSCTLS_MAX);
    int r = sysctl_path(spec, name, path, sizeof path, err);
    if (r < 0)
        return r;
    snprintf(settings[*count].path, sizeof settings[*count].path, "/proc/sys/%s", path);
    settings[*count].value = value;
    ++*count;
    return 0;
}

/* Unprivileged pods may bind low ports and ping, as with other runtimes; the pod's own sysctls come after. */
static int collect_settings(const struct sandbox_spec *spec, struct pod_setting *settings, size_t *count,
                            struct err *err)
{
    int r = 0;

    if (!spec->host_network) {
        r = add_setting(spec, STR("net.ipv4.ip_unprivileged_port_start"), STR("0"), settings, count, err);
        if (r == 0)
            r = add_setting(spec, STR("net.ipv4.ping_group_range"), STR("0 2147483647"), settings, count, err);
    }
    for (size_t i = 0; r == 0 && i < spec->sysctl_count; i++)
        r = add_setting(spec, spec->sysctls[i].name, spec->sysctls[i].value, settings, count, err);
    return r;
}

static int touch(const char *path, struct err *err)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444);

    if (fd < 0)
        return err_errno(err, errno, "creating %s", path);
    close(fd);
    return 0;
}

static int make_namespaces(const char *dir, struct pod_child *child, struct err *err)
{
    if (mkdir(dir, 0711) < 0)
        return err_errno(err, errno, "creating %s", dir);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!(child->flags & kinds[i].flag))
            continue;
        int n = snprintf(child->targets[i], sizeof child->targets[i], "%s/%s", dir, kinds[i].name);
        if (n >= (int)sizeof child->targets[i])
            return err_set(err, ERR_INVALID, "path too long: %s", dir);
        snprintf(child->sources[i], sizeof child->sources[i], "/proc/self/ns/%s", kinds[i].name);
        int r = touch(child->targets[i], err);
        if (r < 0)
            return r;
    }
    if (child->flags == 0)
        return 0;
    int error = in_child(pod_child_main, child, child->flags);
    if (error)
        return err_errno(err, error, "making namespaces");
    if (child->step)
        return err_errno(err, child->error, "setting up namespaces: %s", child->step);
    return 0;
}

int namespaces_create(const char *dir, const struct sandbox_spec *spec, struct err *err)
{
    AUTO_FREE struct pod_setting *settings = calloc(SYSCTLS_MAX, sizeof *settings);
    struct pod_child child = { .spec = spec, .flags = sandbox_flags(spec), .settings = settings };

    if (!settings)
        return err_set(err, ERR_NO_MEMORY, "sysctls");
    if (spec->hostname.len > 64 || spec->domainname.len > 64)
        return err_set(err, ERR_INVALID, "host name longer than 64 characters");
    int r = collect_settings(spec, settings, &child.setting_count, err);
    if (r < 0)
        return r;
    r = namespaces_remove(dir, err); /* what a crash may have left half-made */
    if (r < 0)
        return r;
    r = make_namespaces(dir, &child, err);
    if (r < 0)
        namespaces_remove(dir, NULL);
    return r;
}

bool namespaces_exist(const char *dir, const struct sandbox_spec *spec)
{
    struct stat folder, st;
    char path[256];

    if (stat(dir, &folder) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!(sandbox_flags(spec) & kinds[i].flag))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, kinds[i].name);
        if (stat(path, &st) < 0 || st.st_dev == folder.st_dev) /* the file is there but nothing is mounted on it */
            return false;
    }
    return true;
}

int namespaces_remove(const char *dir, struct err *err)
{
    static const char *const names[] = { "net", "ipc", "uts", "pid" };
    char path[256];

    if (!file_exists(dir))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        while (umount2(path, MNT_DETACH) == 0)
            ;
        if (errno != EINVAL && errno != ENOENT)
            return err_errno(err, errno, "unmounting %s", path);
    }
    return file_remove_tree(dir, err);
}
