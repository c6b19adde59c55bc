/* cgroup_usage.c - what a cgroup uses, and what the kernel killed in it.
 *
 * The working set is what Kubernetes looks at: memory in use without the file cache that was not touched lately. */
#include "kubelet/runtime/cgroup_internal.h"

#include <errno.h>

static uint64_t parse_number(const char *text)
{
    uint64_t value = 0;

    return str_to_u64(str_trim(str_from(text)), &value) ? value : 0;
}

static uint64_t read_number(const struct cgroup_tree *tree, const char *controller, const char *path, const char *file)
{
    const char *mount = cgroup_mount(tree, controller);
    char text[64];

    if (!mount || cgroup_read_file(mount, path, file, text, sizeof text) < 0)
        return 0;
    return parse_number(text);
}

/* The value of a "key value" line; 0 when absent. */
static uint64_t field(const char *text, const char *key)
{
    struct str rest = str_from(text), line, name;
    uint64_t value;

    while (str_split(&rest, '\n', &line))
        if (str_split(&line, ' ', &name) && str_is(name, key) && str_to_u64(str_trim(line), &value))
            return value;
    return 0;
}

static void read_memory(const struct cgroup_tree *tree, const char *path, struct cgroup_usage *usage)
{
    bool v2 = tree->mode == CGROUP_V2;
    const char *mount = cgroup_mount(tree, "memory");
    char stat[8192];

    usage->memory = read_number(tree, "memory", path, v2 ? "memory.current" : "memory.usage_in_bytes");
    usage->memory_working_set = usage->memory;
    usage->memory_limit = read_number(tree, "memory", path, v2 ? "memory.max" : "memory.limit_in_bytes");
    if (usage->memory_limit > UINT64_MAX / 4) /* v1 says "none" with the largest number of pages */
        usage->memory_limit = 0;
    if (!mount || cgroup_read_file(mount, path, "memory.stat", stat, sizeof stat) < 0)
        return;
    uint64_t inactive = field(stat, v2 ? "inactive_file" : "total_inactive_file");
    usage->memory_working_set = usage->memory > inactive ? usage->memory - inactive : 0;
    usage->memory_rss = field(stat, v2 ? "anon" : "total_rss");
    usage->page_faults = field(stat, v2 ? "pgfault" : "total_pgfault");
    usage->major_page_faults = field(stat, v2 ? "pgmajfault" : "total_pgmajfault");
}

int cgroup_read_usage(const struct cgroup_tree *tree, const char *path, struct cgroup_usage *ret_usage,
                      struct err *err)
{
    struct cgroup_usage usage = { 0 };

    if (!cgroup_exists(tree, path))
        return err_set(err, ERR_NOT_FOUND, "no cgroup %s", path);
    if (tree->mode == CGROUP_V2) {
        char stat[2048];

        if (cgroup_read_file(tree->unified, path, "cpu.stat", stat, sizeof stat) == 0)
            usage.cpu = (nsec_t)field(stat, "usage_usec") * NSEC_PER_USEC;
    } else {
        usage.cpu = (nsec_t)read_number(tree, "cpuacct", path, "cpuacct.usage");
    }
    read_memory(tree, path, &usage);
    usage.processes = read_number(tree, "pids", path, "pids.current");
    *ret_usage = usage;
    return 0;
}

uint64_t cgroup_oom_kills(const struct cgroup_tree *tree, const char *path)
{
    const char *mount = cgroup_mount(tree, "memory");
    const char *file = tree->mode == CGROUP_V2 ? "memory.events" : "memory.oom_control";
    char text[1024];

    if (!mount || cgroup_read_file(mount, path, file, text, sizeof text) < 0)
        return 0;
    return field(text, "oom_kill");
}
