/* cgroup.c - making, limiting, killing and removing cgroups, in every hierarchy that this machine has.
 *
 * In v1 a pod's cgroup is made only where we set limits; crun makes the containers' cgroups in all hierarchies, so
 * removal looks everywhere. In v2 the controllers must be passed down at each level before a child can have limits.
 * A cgroup can be removed only when its last process is quite gone, which takes the kernel a moment after SIGKILL. */
#include "kubelet/runtime/cgroup_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/runtime/oci_spec.h"

#define REMOVE_ROUNDS 400
#define REMOVE_WAIT_NSEC (5 * NSEC_PER_MSEC)
#define DEPTH_MAX 32

/* Where we make cgroups: the controllers of limits and usage, and what systemd follows processes with. */
static const char *const used[] = { "cpu", "cpuacct", "memory", "pids", "name=systemd" };

static int join(char out[CGROUP_PATH_MAX], const char *mount, const char *path, const char *file)
{
    int n = snprintf(out, CGROUP_PATH_MAX, "%s%s%s%s", mount, path, *file ? "/" : "", file);

    if (n < 0 || n >= CGROUP_PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int cgroup_read_file(const char *mount, const char *path, const char *file, char *out, size_t size)
{
    char full[CGROUP_PATH_MAX];
    size_t len = 0;

    if (join(full, mount, path, file) < 0)
        return -1;
    AUTO_CLOSE int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (len < size - 1) {
        ssize_t n = read(fd, out + len, size - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len > 0 && out[len - 1] == '\n')
        len--;
    out[len] = 0;
    return 0;
}

int cgroup_write_file(const char *mount, const char *path, const char *file, const char *text)
{
    char full[CGROUP_PATH_MAX];

    if (join(full, mount, path, file) < 0)
        return -1;
    AUTO_CLOSE int fd = open(full, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

/* Passes on to the children of path what path itself was given. */
static void enable_controllers(const char *mount, const char *path)
{
    static const char *const wanted[] = { "cpuset", "cpu", "io", "memory", "pids" };
    char given[256], line[32];

    if (cgroup_read_file(mount, path, "cgroup.controllers", given, sizeof given) < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        struct str rest = str_from(given), one;

        while (str_split(&rest, ' ', &one))
            if (str_is(one, wanted[i])) {
                snprintf(line, sizeof line, "+%s", wanted[i]);
                /* What cannot be passed on shows when limits are set. */
                cgroup_write_file(mount, path, "cgroup.subtree_control", line);
            }
    }
}

static int make_in(const struct cgroup_tree *tree, const char *mount, const char *path, struct err *err)
{
    char part[CGROUP_PATH_MAX], full[CGROUP_PATH_MAX];

    if (path[0] != '/' || strlen(path) >= sizeof part)
        return err_set(err, ERR_INVALID, "cgroup path \"%s\"", path);
    for (const char *p = path;; p++) {
        if ((*p && *p != '/') || p == path)
            continue;
        memcpy(part, path, (size_t)(p - path));
        part[p - path] = 0;
        if (tree->mode == CGROUP_V2) {
            char *slash = strrchr(part, '/');
            *slash = 0;
            enable_controllers(mount, part);
            *slash = '/';
        }
        if (join(full, mount, part, "") < 0 || (mkdir(full, 0755) < 0 && errno != EEXIST))
            return err_errno(err, errno, "making cgroup %s%s", mount, part);
        if (!*p)
            return 0;
    }
}

int cgroup_create(const struct cgroup_tree *tree, const char *path, struct err *err)
{
    if (tree->mode == CGROUP_V2)
        return make_in(tree, tree->unified, path, err);
    for (size_t i = 0; i < ARRAY_LEN(used); i++) {
        const char *mount = cgroup_mount(tree, used[i]);
        int r = mount ? make_in(tree, mount, path, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int cgroup_open_entry(const struct cgroup_tree *tree, const char *path, int *fds, size_t max, size_t *ret_count,
                      struct err *err)
{
    const char *last = NULL;
    char full[CGROUP_PATH_MAX];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(used) && count < max; i++) {
        const char *mount = cgroup_mount(tree, used[i]);

        if (!mount || mount == last)
            continue;
        last = mount;
        /* "tasks" moves the one thread without stopping the world for the others. */
        if (join(full, mount, path, tree->mode == CGROUP_V2 ? "cgroup.procs" : "tasks") < 0 ||
            (fds[count] = open(full, O_WRONLY | O_CLOEXEC)) < 0) {
            int r = err_errno(err, errno, "opening cgroup %s%s", mount, path);
            while (count > 0)
                close(fds[--count]);
            return r;
        }
        count++;
    }
    *ret_count = count;
    return 0;
}

static int set_value(const struct cgroup_tree *tree, const char *controller, const char *path, const char *file,
                     const char *text, struct err *err)
{
    const char *mount = cgroup_mount(tree, controller);

    if (!mount)
        return err_set(err, ERR_NOT_SUPPORTED, "this machine has no %s cgroup controller", controller);
    if (cgroup_write_file(mount, path, file, text) < 0)
        return err_errno(err, errno, "setting %s of cgroup %s to %s", file, path, text);
    return 0;
}

static int set_cpu(const struct cgroup_tree *tree, const char *path, const struct oci_resources *resources,
                   struct err *err)
{
    int64_t quota = resources->cpu_limit_milli > 0 ? cpu_quota_usec(resources->cpu_limit_milli) : -1;
    char text[64];
    int r;

    if (tree->mode == CGROUP_V2) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)cpu_weight(resources->cpu_request_milli));
        r = set_value(tree, "cpu", path, "cpu.weight", text, err);
        if (r < 0)
            return r;
        if (quota < 0)
            snprintf(text, sizeof text, "max %d", CPU_PERIOD_USEC);
        else
            snprintf(text, sizeof text, "%lld %d", (long long)quota, CPU_PERIOD_USEC);
        return set_value(tree, "cpu", path, "cpu.max", text, err);
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)cpu_shares(resources->cpu_request_milli));
    r = set_value(tree, "cpu", path, "cpu.shares", text, err);
    if (r < 0)
        return r;
    snprintf(text, sizeof text, "%lld", (long long)quota); /* the period stays at its default, the same 100 ms */
    return set_value(tree, "cpu", path, "cpu.cfs_quota_us", text, err);
}

static int set_number(const struct cgroup_tree *tree, const char *controller, const char *path, const char *file,
                      int64_t value, const char *none, struct err *err)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)value);
    return set_value(tree, controller, path, file, value > 0 ? text : none, err);
}

int cgroup_set_limits(const struct cgroup_tree *tree, const char *path, const struct oci_resources *resources,
                      struct err *err)
{
    bool v2 = tree->mode == CGROUP_V2;

    int r = set_cpu(tree, path, resources, err);
    if (r == 0)
        r = set_number(tree, "memory", path, v2 ? "memory.max" : "memory.limit_in_bytes", resources->memory_limit,
                       v2 ? "max" : "-1", err);
    if (r == 0)
        r = set_number(tree, "pids", path, "pids.max", resources->pids_limit, "max", err);
    return r;
}

bool cgroup_exists(const struct cgroup_tree *tree, const char *path)
{
    const char *mount = cgroup_mount(tree, "memory");
    char full[CGROUP_PATH_MAX];
    struct stat st;

    return mount && join(full, mount, path, "") == 0 && stat(full, &st) == 0;
}

typedef void cgroup_visit_fn(const char *mount, const char *path);

/* The children first. Symbolic links do not occur in a cgroup tree; depth guards all the same. */
static void walk(const char *mount, const char *path, cgroup_visit_fn *visit, int depth)
{
    char full[CGROUP_PATH_MAX], child[CGROUP_PATH_MAX];
    struct dirent *entry;

    if (depth == 0 || join(full, mount, path, "") < 0)
        return;
    DIR *dir = opendir(full);
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && join(child, path, "", entry->d_name) == 0)
            walk(mount, child, visit, depth - 1);
    closedir(dir);
    visit(mount, path);
}

static void kill_processes(const char *mount, const char *path)
{
    char full[CGROUP_PATH_MAX];
    int pid;

    if (join(full, mount, path, "cgroup.procs") < 0)
        return;
    FILE *file = fopen(full, "re");
    if (!file)
        return;
    while (fscanf(file, "%d", &pid) == 1)
        if (pid > 1) /* 0: in another pid namespace */
            kill(pid, SIGKILL);
    fclose(file);
}

static void remove_one(const char *mount, const char *path)
{
    char full[CGROUP_PATH_MAX];

    if (join(full, mount, path, "") == 0)
        rmdir(full);
}

static void each_hierarchy(const struct cgroup_tree *tree, const char *path, cgroup_visit_fn *visit)
{
    if (tree->mode == CGROUP_V2) {
        walk(tree->unified, path, visit, DEPTH_MAX);
        return;
    }
    for (size_t i = 0; i < tree->hierarchy_count; i++)
        walk(tree->hierarchies[i].mount, path, visit, DEPTH_MAX);
}

static bool exists_anywhere(const struct cgroup_tree *tree, const char *path)
{
    size_t count = tree->mode == CGROUP_V2 ? 1 : tree->hierarchy_count;
    char full[CGROUP_PATH_MAX];

    for (size_t i = 0; i < count; i++)
        if (join(full, tree->mode == CGROUP_V2 ? tree->unified : tree->hierarchies[i].mount, path, "") == 0 &&
            access(full, F_OK) == 0)
            return true;
    return false;
}

int cgroup_kill(const struct cgroup_tree *tree, const char *path, struct err *err)
{
    if (path[0] != '/' || path[1] == 0)
        return err_set(err, ERR_INVALID, "killing cgroup \"%s\"", path);
    if (tree->mode == CGROUP_V2 && cgroup_write_file(tree->unified, path, "cgroup.kill", "1") == 0)
        return 0;
    each_hierarchy(tree, path, kill_processes);
    return 0;
}

int cgroup_remove(const struct cgroup_tree *tree, const char *path, struct err *err)
{
    if (path[0] != '/' || path[1] == 0)
        return err_set(err, ERR_INVALID, "removing cgroup \"%s\"", path);
    for (int round = 0; round < REMOVE_ROUNDS; round++) {
        each_hierarchy(tree, path, remove_one);
        if (!exists_anywhere(tree, path))
            return 0;
        nanosleep(&(struct timespec){ .tv_nsec = REMOVE_WAIT_NSEC }, NULL);
    }
    return err_set(err, ERR_IO, "cgroup %s still has processes", path);
}
