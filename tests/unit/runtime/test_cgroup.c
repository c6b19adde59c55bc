/* Which hierarchies there are is read from texts; the rest runs on what this machine has, and needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "kubelet/runtime/cgroup_internal.h"
#include "kubelet/runtime/oci_spec.h"

#define V1 "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n" \
           "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" \
           "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,release_agent=/x,name=systemd\n"
#define UNIFIED "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

static void test_parse(void **state)
{
    static const struct {
        const char *name, *text;
        int result;
        enum cgroup_mode mode;
        size_t hierarchies;
        const char *cpu, *memory, *pids;
    } cases[] = {
        { "v1", "27 1 254:0 / / rw - ext4 /dev/vda rw\n" V1, 0, CGROUP_V1, 3, "/sys/fs/cgroup/cpu,cpuacct",
          "/sys/fs/cgroup/memory", NULL },
        { "hybrid", V1 UNIFIED, 0, CGROUP_HYBRID, 3, "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", NULL },
        { "v2", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", 0, CGROUP_V2, 0,
          "/sys/fs/cgroup", "/sys/fs/cgroup", "/sys/fs/cgroup" },
        { "v2 and a named tree",
          "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 23 0:27 / /cg rw - cgroup x rw,name=elogind\n", 0,
          CGROUP_V2, 1, "/sys/fs/cgroup", "/sys/fs/cgroup", "/sys/fs/cgroup" },
        { "mounted twice", V1 V1, 0, CGROUP_V1, 3, "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", NULL },
        { "a part of a tree", "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
          -ERR_NOT_SUPPORTED },
        { "none", "27 1 254:0 / / rw - ext4 /dev/vda rw\n", -ERR_NOT_SUPPORTED },
        { "empty", "", -ERR_NOT_SUPPORTED },
        { "torn", "35 31 0:32 / /sys", -ERR_NOT_SUPPORTED },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cgroup_tree tree;

        if (cgroup_tree_parse(str_from(cases[i].text), &tree, NULL) != cases[i].result)
            fail_msg("%s", cases[i].name);
        if (cases[i].result < 0)
            continue;
        if (tree.mode != cases[i].mode || tree.hierarchy_count != cases[i].hierarchies ||
            !str_eq(str_from(cgroup_mount(&tree, "cpu")), str_from(cases[i].cpu)) ||
            !str_eq(str_from(cgroup_mount(&tree, "memory")), str_from(cases[i].memory)) ||
            !str_eq(str_from(cgroup_mount(&tree, "pids")), str_from(cases[i].pids)))
            fail_msg("%s: mode %d, %zu hierarchies", cases[i].name, tree.mode, tree.hierarchy_count);
    }
}

/* Usage and kills from files as the kernel writes them. */
static char root[64];

static void put(const char *dir, const char *file, const char *text)
{
    char path[160];

    snprintf(path, sizeof path, "%s/%s", root, dir);
    assert_int_equal(file_make_dirs(path, 0700, NULL), 0);
    snprintf(path, sizeof path, "%s/%s/%s", root, dir, file);
    assert_int_equal(file_write_atomic(path, str_from(text), 0600, NULL), 0);
}

static int setup_files(void **state)
{
    snprintf(root, sizeof root, "/tmp/cgroup-test-%d", (int)getpid());
    return mkdir(root, 0700);
}

static int teardown_files(void **state)
{
    return file_remove_tree(root, NULL);
}

static void test_usage_v2(void **state)
{
    struct cgroup_tree tree = { .mode = CGROUP_V2 };
    struct cgroup_usage usage;

    snprintf(tree.unified, sizeof tree.unified, "%s", root);
    put("a", "cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n");
    put("a", "memory.current", "10000\n");
    put("a", "memory.max", "max\n");
    put("a", "memory.stat", "anon 4000\nfile 6000\ninactive_file 2500\npgfault 7\npgmajfault 1\n");
    put("a", "memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n");
    put("a", "pids.current", "5\n");
    assert_int_equal(cgroup_read_usage(&tree, "/a", &usage, NULL), 0);
    assert_int_equal(usage.cpu, 1500000);
    assert_int_equal(usage.memory, 10000);
    assert_int_equal(usage.memory_working_set, 7500);
    assert_int_equal(usage.memory_rss, 4000);
    assert_int_equal(usage.memory_limit, 0);
    assert_int_equal(usage.processes, 5);
    assert_int_equal(usage.page_faults, 7);
    assert_int_equal(cgroup_oom_kills(&tree, "/a"), 2);
    assert_int_equal(cgroup_oom_kills(&tree, "/b"), 0);
    assert_int_equal(cgroup_read_usage(&tree, "/b", &usage, NULL), -ERR_NOT_FOUND);
}

static void test_usage_v1(void **state)
{
    static const char *const controllers[] = { "cpu", "cpuacct", "memory", "pids" };
    struct cgroup_tree tree = { .mode = CGROUP_V1, .hierarchy_count = 4 };
    struct cgroup_usage usage;

    for (size_t i = 0; i < 4; i++) {
        snprintf(tree.hierarchies[i].mount, sizeof tree.hierarchies[i].mount, "%s/%s", root, controllers[i]);
        snprintf(tree.hierarchies[i].controllers, sizeof tree.hierarchies[i].controllers, "%s", controllers[i]);
    }
    put("cpuacct/a", "cpuacct.usage", "123456789\n");
    put("memory/a", "memory.usage_in_bytes", "5000\n");
    put("memory/a", "memory.limit_in_bytes", "9223372036854771712\n");
    put("memory/a", "memory.stat", "rss 1\ntotal_rss 3000\ntotal_inactive_file 9000\n");
    put("memory/a", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    assert_int_equal(cgroup_read_usage(&tree, "/a", &usage, NULL), 0);
    assert_int_equal(usage.cpu, 123456789);
    assert_int_equal(usage.memory_working_set, 0); /* never below nothing */
    assert_int_equal(usage.memory_rss, 3000);
    assert_int_equal(usage.memory_limit, 0);
    assert_int_equal(cgroup_oom_kills(&tree, "/a"), 1);
}

/* On this machine. */
static struct cgroup_tree here;
static char parent[64];

static int setup_real(void **state)
{
    snprintf(parent, sizeof parent, "/cgroup-test-%d", (int)getpid());
    return cgroup_tree_detect(&here, NULL);
}

static int teardown_real(void **state)
{
    cgroup_kill(&here, parent, NULL);
    return cgroup_remove(&here, parent, NULL);
}

static void test_life(void **state)
{
    const struct oci_resources limits = { .cpu_request_milli = 100, .cpu_limit_milli = 200, .memory_limit = 64 << 20,
                                          .pids_limit = 20 };
    struct cgroup_usage usage;
    int fds[CGROUP_HIERARCHIES_MAX] = { 0 };
    char path[128], value[64];
    struct err err = { 0 };
    size_t count = 0;
    pid_t pid;

    snprintf(path, sizeof path, "%s/pod/inner", parent);
    if (cgroup_create(&here, path, &err) < 0 || cgroup_create(&here, path, &err) < 0 ||
        cgroup_set_limits(&here, path, &limits, &err) < 0 ||
        cgroup_open_entry(&here, path, fds, ARRAY_LEN(fds), &count, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(cgroup_exists(&here, path));
    const struct process_start start = { .argv = (const char *const[]){ "sleep", "1000", NULL }, .in = -1, .out = -1,
                                         .err = -1, .pass = -1, .cgroups = fds, .cgroup_count = count };
    int r = process_start(&start, &pid, &err);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (r < 0)
        fail_msg("%s", err.message);
    assert_int_equal(cgroup_read_usage(&here, path, &usage, NULL), 0);
    assert_int_equal(usage.processes, 1);
    assert_int_equal(usage.memory_limit, 64 << 20);
    assert_int_equal(cgroup_read_file(cgroup_mount(&here, "pids"), path, "pids.max", value, sizeof value), 0);
    assert_string_equal(value, "20");

    assert_int_equal(cgroup_kill(&here, parent, NULL), 0); /* all below too */
    assert_int_equal(process_wait(pid), 128 + SIGKILL);
    assert_int_equal(cgroup_remove(&here, parent, NULL), 0);
    assert_false(cgroup_exists(&here, path));
    assert_int_equal(cgroup_remove(&here, parent, NULL), 0);
}

static void test_root_is_never_touched(void **state)
{
    assert_int_equal(cgroup_kill(&here, "/", NULL), -ERR_INVALID);
    assert_int_equal(cgroup_kill(&here, "", NULL), -ERR_INVALID);
    assert_int_equal(cgroup_remove(&here, "/", NULL), -ERR_INVALID);
    assert_int_equal(cgroup_create(&here, "relative", NULL), -ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test_setup_teardown(test_usage_v2, setup_files, teardown_files),
        cmocka_unit_test_setup_teardown(test_usage_v1, setup_files, teardown_files),
        cmocka_unit_test_setup_teardown(test_life, setup_real, teardown_real),
        cmocka_unit_test_setup_teardown(test_root_is_never_touched, setup_real, teardown_real),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
