/* Real containers: crun and conmon, a root file system with nothing but busybox, and root. All that is made on the host
 * carries this process's number; the teardown purges it, also after a failure, and checks that nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sync.h"
#include "kubelet/runtime/cgroup_internal.h"
#include "kubelet/runtime/container_log.h"
#include "kubelet/runtime/runtime.h"

#define LONG (60 * NSEC_PER_SEC)
#define POD STR("0f0e0d0c-0000-4000-8000-000000000001")
#define OTHER_POD STR("0f0e0d0c-0000-4000-8000-000000000002")

static struct fixture {
    char base[64], data[80], run[80], rootfs[80], instance[32];
    struct runtime_options options;
    struct runtime *runtime;
    struct arena *arena;
    unsigned attempts;
} fx;

/* The exits that were told, for tests that wait for them. */
static struct exits {
    struct mutex lock;
    struct cond changed;
    int count;
    char last[CONTAINER_ID_LEN + 1];
} exits;

static void on_exit_told(void *arg, struct str pod_uid, struct str id)
{
    LOCKED(&exits.lock);
    exits.count++;
    snprintf(exits.last, sizeof exits.last, STR_FMT, STR_ARG(id));
    cond_broadcast(&exits.changed);
}

static void wait_exits(int count)
{
    LOCKED(&exits.lock);
    while (exits.count < count)
        cond_wait(&exits.changed, &exits.lock);
}

static bool make_rootfs(void)
{
    static const char *const dirs[] = { "bin", "etc", "proc", "sys", "dev", "tmp", "mnt" };
    AUTO_DEINIT(buf, busybox) = BUF_INIT;
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        snprintf(path, sizeof path, "%s/%s", fx.rootfs, dirs[i]);
        if (file_make_dirs(path, 0755, NULL) < 0)
            return false;
    }
    snprintf(path, sizeof path, "%s/bin/busybox", fx.rootfs);
    if (file_read("/bin/busybox", (size_t)16 << 20, &busybox, NULL) < 0 ||
        file_write_atomic(path, buf_str(&busybox), 0755, NULL) < 0)
        return false;
    static const char *const links[] = { "sh", "cat", "sleep", "id", "hostname", "dd", "readlink", "ls", "stty", "grep",
                                         "unshare", "ip", "touch", "test" };
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        snprintf(path, sizeof path, "%s/bin/%s", fx.rootfs, links[i]);
        if (symlink("busybox", path) < 0)
            return false;
    }
    return true;
}

static void open_runtime(void)
{
    struct err err = { 0 };

    if (runtime_new(&fx.options, &fx.runtime, &err) < 0)
        fail_msg("%s", err.message);
    runtime_on_exit(fx.runtime, on_exit_told, NULL);
}

static struct sandbox make_sandbox(const struct sandbox_spec *spec)
{
    struct sandbox sandbox = { 0 };
    struct err err = { 0 };

    if (sandbox_create(fx.runtime, spec, fx.arena, &sandbox, &err) < 0)
        fail_msg("%s", err.message);
    return sandbox;
}

/* Processes whose command line names the test's folder. */
static int count_processes(void)
{
    DIR *proc = opendir("/proc");
    int count = 0;

    for (struct dirent *item; proc && (item = readdir(proc));) {
        AUTO_DEINIT(buf, line) = BUF_INIT;
        char path[300];

        snprintf(path, sizeof path, "/proc/%s/cmdline", item->d_name);
        if (item->d_name[0] < '1' || item->d_name[0] > '9' || file_read(path, 65536, &line, NULL) < 0)
            continue;
        count += str_find(buf_str(&line), str_from(fx.base)) >= 0;
    }
    closedir(proc);
    return count;
}

static bool file_mentions(const char *path, const char *text)
{
    AUTO_DEINIT(buf, content) = BUF_INIT;

    return file_read(path, (size_t)64 << 20, &content, NULL) == 0 &&
           str_find(buf_str(&content), str_from(text)) >= 0;
}

static int teardown(void **state)
{
    struct cgroup_tree tree;
    struct err err = { 0 };
    char parent[40];

    if (!fx.runtime && runtime_new(&fx.options, &fx.runtime, &err) < 0)
        return -1;
    int r = runtime_purge(fx.runtime, &err);
    tree = *runtime_cgroups(fx.runtime);
    fx.runtime = runtime_free(fx.runtime);
    fx.arena = arena_free(fx.arena);
    if (r == 0)
        r = file_remove_tree(fx.base, &err);
    snprintf(parent, sizeof parent, "/%s", fx.instance);
    if (r < 0)
        print_error("%s\n", err.message);
    if (r < 0 || count_processes() > 0 || file_mentions("/proc/self/mountinfo", fx.base) ||
        cgroup_exists(&tree, parent) || file_exists(fx.base))
        return -1;
    return 0;
}

static int prepare(void)
{
    const struct sandbox_spec spec = { .pod_uid = POD, .pod_name = STR("pod"), .pod_namespace = STR("default"),
                                       .hostname = STR("pod-host") };
    int pid = (int)getpid();
    struct sandbox sandbox;
    struct err err = { 0 };

    fx = (struct fixture){ 0 };
    snprintf(fx.base, sizeof fx.base, "/tmp/runtime-test-%d", pid);
    snprintf(fx.data, sizeof fx.data, "/tmp/runtime-test-%d/data", pid);
    snprintf(fx.run, sizeof fx.run, "/tmp/runtime-test-%d/run", pid);
    snprintf(fx.rootfs, sizeof fx.rootfs, "/tmp/runtime-test-%d/rootfs", pid);
    snprintf(fx.instance, sizeof fx.instance, "rt%d", pid);
    fx.options = (struct runtime_options){ .instance = fx.instance, .data_dir = fx.data, .run_dir = fx.run };
    fx.arena = arena_new(0);
    exits.count = 0;
    if (!make_rootfs() || runtime_new(&fx.options, &fx.runtime, &err) < 0 ||
        sandbox_create(fx.runtime, &spec, fx.arena, &sandbox, &err) < 0) {
        print_error("%s\n", err.message);
        return -1;
    }
    runtime_on_exit(fx.runtime, on_exit_told, NULL);
    return 0;
}

/* Nobody tears down what a failed setup left. */
static int setup(void **state)
{
    int r = prepare();

    if (r < 0)
        teardown(state);
    return r;
}

/* What a test wants of a container. */
struct want {
    const char *script;
    struct str pod_uid;
    struct oci_spec oci; /* what differs from the default */
    bool keep_stdin;
};

static int try_create(const struct want *want, char id[CONTAINER_ID_LEN + 1], struct err *err)
{
    struct str args[] = { STR("/bin/sh"), STR("-c"), str_from(want->script) };
    char log[128];

    fx.attempts++;
    snprintf(log, sizeof log, "%s/logs/%u.log", fx.base, fx.attempts);
    struct container_spec spec = { .pod_uid = want->pod_uid.data ? want->pod_uid : POD,
                                   .name = STR("main"),
                                   .attempt = fx.attempts,
                                   .log_path = arena_str(fx.arena, str_from(log)),
                                   .keep_stdin = want->keep_stdin,
                                   .labels = (struct oci_pair[]){ { STR("a"), STR("b \"c\"") } },
                                   .label_count = 1,
                                   .oci = want->oci };
    spec.oci.rootfs = str_from(fx.rootfs);
    spec.oci.hostname = STR("pod-host");
    if (!spec.oci.args.count)
        spec.oci.args = (struct str_list){ args, 3 };
    return container_create(fx.runtime, &spec, id, err);
}

static struct str start(const struct want *want)
{
    char id[CONTAINER_ID_LEN + 1];
    struct err err = { 0 };

    if (try_create(want, id, &err) < 0 || container_start(fx.runtime, str_from(id), &err) < 0)
        fail_msg("%s: %s", want->script, err.message);
    return arena_str(fx.arena, str_from(id));
}

static struct runtime_container get(struct str id)
{
    struct runtime_container container;

    assert_int_equal(container_get(fx.runtime, id, fx.arena, &container, NULL), 0);
    return container;
}

static bool add_output(void *arg, enum container_log_streams stream, struct str bytes)
{
    buf_add_str(arg, bytes);
    return true;
}

static struct str log_of(struct str id)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct runtime_container container = get(id);
    struct container_log_source source = { .path = container.log_path.data, .wake_fd = -1 };

    assert_int_equal(container_log_read(&source, &CONTAINER_LOG_ALL, add_output, &text, NULL), 0);
    return arena_str(fx.arena, buf_str(&text));
}

/* Runs it to its end; its output. */
static struct str run(const struct want *want, struct runtime_container *ret_container)
{
    struct str id = start(want);

    assert_true(container_wait(fx.runtime, id, LONG));
    *ret_container = get(id);
    struct str text = log_of(id);
    assert_int_equal(container_delete(fx.runtime, id, NULL), 0);
    return text;
}

/* Waits until the container has said that. */
static void wait_output(struct str id, const char *text)
{
    while (str_find(log_of(id), str_from(text)) < 0) {
        assert_int_not_equal(get(id).state, CONTAINER_EXITED);
        sched_yield();
    }
}

static void test_endings(void **state)
{
    static const struct {
        const char *script;
        int code, signal;
        const char *output;
    } cases[] = {
        { "echo out; echo err >&2", 0, 0, NULL },
        { "exit 3", 3, 0, "" },
        { "exit 255", 255, 0, "" },
        { "echo -n no newline", 0, 0, "no newline" },
        { "(kill -SEGV $$) & exec sleep 0", 0, 0, "" },
        { "sh -c 'kill -TERM $$'; exit $?", 143, 15, "Terminated\n" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct runtime_container container;
        struct str output = run(&(struct want){ .script = cases[i].script }, &container);

        if (container.state != CONTAINER_EXITED || container.exit_code != cases[i].code ||
            container.signal != cases[i].signal || container.oom_killed || container.pid ||
            (cases[i].output && !str_is(output, cases[i].output)))
            fail_msg("%s: state %d code %d: " STR_FMT, cases[i].script, container.state, container.exit_code,
                     STR_ARG(output));
        assert_true(container.created_at > 0 && container.started_at >= container.created_at &&
                    container.finished_at >= container.started_at);
    }
    wait_exits(ARRAY_LEN(cases));
}

/* One script per property; its output tells. */
static void test_settings(void **state)
{
    const uint32_t gids[] = { 50, 60 };
    const struct str drop_all[] = { STR("ALL") }, net_admin[] = { STR("NET_ADMIN") };
    const struct oci_pair env[] = { { STR("GREETING"), STR("hello world") } };
    char shared[128], device_check[] = "test -b /dev/vda -o -b /dev/sda -o -b /dev/loop0 -o -c /dev/kmsg && echo yes";

    snprintf(shared, sizeof shared, "%s/shared", fx.base);
    assert_int_equal(mkdir(shared, 0755), 0);
    const struct oci_mount ro = { .source = str_from(shared), .target = STR("/mnt/a"), .read_only = true },
                           rw = { .source = str_from(shared), .target = STR("/mnt/made/here") };
    const struct oci_tmpfs tmpfs = { STR("/mnt/tmp"), 1 << 20 };
    const struct {
        const char *name;
        struct want want;
        const char *output;
    } cases[] = {
        { "host name", { .script = "hostname; echo $HOSTNAME" }, "pod-host\npod-host\n" },
        { "own processes", { .script = "echo $$" }, "1\n" },
        { "user", { .script = "id -u; id -g; id -G", .oci = { .uid = 1000, .gid = 2000, .additional_gids = gids,
                                                              .additional_gid_count = 2 } },
          "1000\n2000\n2000 50 60\n" },
        { "environment", { .script = "echo $GREETING", .oci = { .env = env, .env_count = 1 } }, "hello world\n" },
        { "folder", { .script = "pwd", .oci = { .cwd = STR("/tmp") } }, "/tmp\n" },
        { "read-only root", { .script = "touch /tmp/x 2>/dev/null || echo no", .oci = { .read_only_rootfs = true } },
          "no\n" },
        { "read-only mount", { .script = "touch /mnt/a/x 2>/dev/null || echo no",
                               .oci = { .mounts = &ro, .mount_count = 1 } }, "no\n" },
        { "mount in a new folder", { .script = "echo 1 > /mnt/made/here/x && cat /mnt/made/here/x",
                                     .oci = { .mounts = &rw, .mount_count = 1 } }, "1\n" },
        { "tmpfs", { .script = "dd if=/dev/zero of=/mnt/tmp/x bs=1024 count=2000 2>/dev/null || echo full",
                     .oci = { .tmpfs = &tmpfs, .tmpfs_count = 1 } }, "full\n" },
        { "masked", { .script = "cat /proc/kcore | dd bs=1 count=1 2>/dev/null; echo 1 > /proc/sys/vm/swappiness" },
          NULL },
        { "default capabilities", { .script = "grep CapEff /proc/self/status" }, "CapEff:\t00000000a80425fb\n" },
        { "no capabilities", { .script = "grep CapEff /proc/self/status",
                               .oci = { .capabilities_drop = { drop_all, 1 } } }, "CapEff:\t0000000000000000\n" },
        { "one capability", { .script = "grep CapEff /proc/self/status",
                              .oci = { .capabilities_drop = { drop_all, 1 }, .capabilities_add = { net_admin, 1 } } },
          "CapEff:\t0000000000001000\n" },
        { "no new privileges", { .script = "grep NoNewPrivs /proc/self/status", .oci = { .no_new_privs = true } },
          "NoNewPrivs:\t1\n" },
        { "oom_score_adj", { .script = "cat /proc/self/oom_score_adj", .oci = { .oom_score_adj = 900 } }, "900\n" },
        { "oom_score_adj below what we may set", { .script = "echo ok", .oci = { .oom_score_adj = -997 } }, "ok\n" },
        { "privileged", { .script = device_check, .oci = { .privileged = true } }, "yes\n" },
        { "default seccomp", { .script = "grep '^Seccomp:' /proc/self/status; unshare -m true 2>/dev/null || echo no",
                               .oci = { .seccomp = OCI_SECCOMP_RUNTIME_DEFAULT } }, "Seccomp:\t2\nno\n" },
        { "loopback", { .script = "ip addr show lo | grep -c 127.0.0.1" }, "1\n" },
        { "low ports for everybody", { .script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start" }, "0\n" },
        { "shared memory", { .script = "echo x > /dev/shm/f && cat /dev/shm/f" }, "x\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct runtime_container container;
        struct str output = run(&cases[i].want, &container);

        if (cases[i].output ? !str_is(output, cases[i].output) : str_find(output, STR("nonexistent")) >= 0)
            fail_msg("%s: code %d: " STR_FMT, cases[i].name, container.exit_code, STR_ARG(output));
    }
}

static void test_pods_share_and_separate(void **state)
{
    static const char script[] = "for i in net ipc uts; do readlink /proc/self/ns/$i; done; cat /dev/shm/f; "
                                 "echo x > /dev/shm/f";
    struct runtime_container container;

    make_sandbox(&(struct sandbox_spec){ .pod_uid = OTHER_POD, .host_network = true });
    struct str first = run(&(struct want){ .script = script }, &container);
    struct str second = run(&(struct want){ .script = script }, &container);
    struct str other = run(&(struct want){ .script = script, .pod_uid = OTHER_POD }, &container);
    char host[64] = { 0 };

    assert_true(readlink("/proc/self/ns/net", host, sizeof host - 1) > 0);
    assert_true(str_eq(str_first(first, 40), str_first(second, 40)));
    assert_true(str_has_suffix(second, STR("\nx\n")));
    if (!str_has_prefix(other, str_from(host)))
        fail_msg("not %s: " STR_FMT, host, STR_ARG(other));
    assert_int_equal(str_find(other, STR("\nx\n")), -1);
    assert_int_equal(str_find(first, str_from(host)), -1);
}

static void test_shared_processes(void **state)
{
    struct runtime_container container;
    struct sandbox sandbox = make_sandbox(&(struct sandbox_spec){ .pod_uid = OTHER_POD, .share_pid = true });

    assert_true(sandbox.ready);
    struct str id = start(&(struct want){ .script = "sleep 1000", .pod_uid = OTHER_POD });
    struct str output = run(&(struct want){ .script = "test $$ != 1 && cat /proc/1/cmdline; cat /proc/*/cmdline",
                                            .pod_uid = OTHER_POD },
                            &container);
    assert_true(str_find(output, STR("infinity")) >= 0);
    assert_true(str_find(output, STR("1000")) >= 0);
    assert_int_equal(container_delete(fx.runtime, id, NULL), 0);
    assert_int_equal(sandbox_remove(fx.runtime, OTHER_POD, NULL), 0);
}

static void test_stop(void **state)
{
    static const struct {
        const char *script;
        int signal;
        nsec_t grace;
        int code;
    } cases[] = {
        { "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", SIGTERM, LONG, 7 },
        { "trap 'exit 8' INT; echo ready; while :; do sleep 0.01; done", SIGINT, LONG, 8 },
        { "trap '' TERM; echo ready; while :; do sleep 1; done", SIGTERM, 50 * NSEC_PER_MSEC, 137 },
        { "echo ready; sleep 1000", SIGTERM, 0, 137 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str id = start(&(struct want){ .script = cases[i].script });

        wait_output(id, "ready");
        assert_int_equal(get(id).state, CONTAINER_RUNNING);
        assert_int_equal(container_stop(fx.runtime, id, cases[i].signal, cases[i].grace, NULL), 0);
        assert_int_equal(get(id).state, CONTAINER_EXITED);
        assert_int_equal(get(id).exit_code, cases[i].code);
        assert_int_equal(container_stop(fx.runtime, id, SIGTERM, LONG, NULL), 0);
        assert_int_equal(container_signal(fx.runtime, id, SIGTERM, NULL), -ERR_NOT_FOUND);
    }
    assert_int_equal(container_stop(fx.runtime, STR("nobody"), SIGTERM, LONG, NULL), 0);
}

static void test_out_of_memory(void **state)
{
    const struct str args[] = { STR("/bin/dd"), STR("if=/dev/zero"), STR("of=/dev/null"), STR("bs=200M"),
                                STR("count=1") };
    struct runtime_container container;

    run(&(struct want){ .script = "dd", .oci = { .args = { args, 5 }, .resources = { .memory_limit = 32 << 20 } } },
        &container);
    assert_int_equal(container.exit_code, 137);
    assert_int_equal(container.signal, 9);
    assert_true(container.oom_killed);
}

static void test_limits_and_usage(void **state)
{
    const struct oci_resources limits = { .cpu_request_milli = 250, .cpu_limit_milli = 500, .memory_limit = 64 << 20,
                                          .pids_limit = 30 };
    const struct cgroup_tree *tree = runtime_cgroups(fx.runtime);
    struct cgroup_usage usage;
    char path[256], value[64];

    struct str id = start(&(struct want){ .script = "echo ready; sleep 1000", .oci = { .resources = limits } });
    wait_output(id, "ready");
    snprintf(path, sizeof path, STR_FMT, STR_ARG(get(id).cgroup));
    assert_int_equal(container_usage(fx.runtime, id, &usage, NULL), 0);
    assert_int_equal(usage.memory_limit, 64 << 20);
    assert_true(usage.cpu > 0 && usage.memory > 0 && usage.processes >= 1);
    assert_int_equal(cgroup_read_file(cgroup_mount(tree, "pids"), path, "pids.max", value, sizeof value), 0);
    assert_string_equal(value, "30");
    assert_int_equal(container_update(fx.runtime, id, &(struct oci_resources){ .memory_limit = 128 << 20 }, NULL), 0);
    assert_int_equal(container_usage(fx.runtime, id, &usage, NULL), 0);
    assert_int_equal(usage.memory_limit, 128 << 20);
    assert_int_equal(sandbox_update(fx.runtime, POD, &limits, NULL), 0);
}

static void test_exec(void **state)
{
    static const struct {
        const char *name, *script;
        struct str input;
        const char *out, *errors;
        int code;
    } cases[] = {
        { "output and code", "echo out; echo err >&2; exit 4", STR_NULL, "out\n", "err\n", 4 },
        { "in the container", "hostname; pwd; echo $GREETING", STR_NULL, "pod-host\n/tmp\nhello\n", "", 0 },
        { "as its user", "id -u; id -G", STR_NULL, "1000\n0 50\n", "", 0 },
        { "with its rights", "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status", STR_NULL,
          "CapBnd:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2\n", "", 0 },
        { "input", "cat", STR_INIT("some input"), "some input", "", 0 },
    };
    const struct oci_pair env[] = { { STR("GREETING"), STR("hello") } };
    const struct str all[] = { STR("ALL") }, bind_low[] = { STR("NET_BIND_SERVICE") };
    const uint32_t gids[] = { 50 };
    struct str id = start(&(struct want){ .script = "sleep 1000",
                                          .oci = { .uid = 1000, .cwd = STR("/tmp"), .env = env, .env_count = 1,
                                                   .additional_gids = gids, .additional_gid_count = 1,
                                                   .capabilities_drop = { all, 1 },
                                                   .capabilities_add = { bind_low, 1 }, .no_new_privs = true,
                                                   .seccomp = OCI_SECCOMP_RUNTIME_DEFAULT } });

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str args[] = { STR("/bin/sh"), STR("-c"), str_from(cases[i].script) };
        AUTO_DEINIT(process_result, result) = { 0 };
        struct err err = { 0 };

        if (container_exec(fx.runtime, id, &(struct container_exec){ .args = { args, 3 }, .input = cases[i].input },
                           &result, &err) < 0)
            fail_msg("%s: %s", cases[i].name, err.message);
        if (result.exit_code != cases[i].code || !str_is(buf_str(&result.out), cases[i].out) ||
            !str_is(buf_str(&result.err), cases[i].errors))
            fail_msg("%s: code %d: " STR_FMT " " STR_FMT, cases[i].name, result.exit_code,
                     STR_ARG(buf_str(&result.out)), STR_ARG(buf_str(&result.err)));
    }
}

static void test_exec_refused(void **state)
{
    const struct str missing[] = { STR("/no/such/program") }, good[] = { STR("/bin/id") };
    struct process_result result;
    struct err err = { 0 };
    struct str id = start(&(struct want){ .script = "sleep 1000" });

    assert_int_equal(container_exec(fx.runtime, id, &(struct container_exec){ .args = { missing, 1 } }, &result, &err),
                     -ERR_INVALID);
    assert_non_null(strstr(err.message, "/no/such/program"));
    assert_int_equal(container_exec(fx.runtime, id, &(struct container_exec){ .args = { good, 0 } }, &result, &err),
                     -ERR_BAD_REQUEST);
    assert_int_equal(container_stop(fx.runtime, id, SIGKILL, 0, NULL), 0);
    assert_int_equal(container_exec(fx.runtime, id, &(struct container_exec){ .args = { good, 1 } }, &result, &err),
                     -ERR_CONFLICT);
    assert_int_equal(container_exec(fx.runtime, STR("nobody"), &(struct container_exec){ .args = { good, 1 } },
                                    &result, &err), -ERR_NOT_FOUND);
}

/* The command dies too, not just the crun that started it. */
static void test_exec_timeout(void **state)
{
    const struct str args[] = { STR("/bin/sh"), STR("-c"), STR("echo begun; sleep 4321") };
    AUTO_DEINIT(process_result, result) = { 0 };
    struct cgroup_usage usage;
    struct str id = start(&(struct want){ .script = "echo ready; exec sleep 1000" });

    wait_output(id, "ready");
    assert_int_equal(container_exec(fx.runtime, id, &(struct container_exec){ .args = { args, 3 },
                                                                             .timeout = 300 * NSEC_PER_MSEC },
                                    &result, NULL), 0);
    assert_true(result.timed_out);
    do
        assert_int_equal(container_usage(fx.runtime, id, &usage, NULL), 0);
    while (usage.processes > 1); /* ends only when the command has */
}

static struct str read_until(int fd, struct buf *buf, const char *text)
{
    while (str_find(buf_str(buf), str_from(text)) < 0) {
        char *to = buf_reserve(buf, 4096);
        ssize_t n = read(fd, to, 4096);
        if (n <= 0)
            break;
        buf->len += (size_t)n;
    }
    return buf_str(buf);
}

static void test_exec_streams(void **state)
{
    const struct str args[] = { STR("/bin/sh"), STR("-c"), STR("cat; echo done >&2; exit 5") };
    AUTO_DEINIT(buf, out) = BUF_INIT;
    AUTO_DEINIT(buf, errors) = BUF_INIT;
    struct container_stream stream;
    struct err err = { 0 };
    int code = -1;
    struct str id = start(&(struct want){ .script = "sleep 1000" });

    struct container_stream_options options = { .args = { args, 3 }, .input = true, .output = true, .errors = true };
    if (container_exec_start(fx.runtime, id, &options, &stream, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(write(stream.in, "ping\n", 5), 5);
    read_until(stream.out, &out, "ping\n");
    close(stream.in);
    stream.in = -1;
    read_until(stream.err, &errors, "done\n");
    assert_int_equal(container_exec_wait(fx.runtime, &stream, &code, NULL), 0);
    assert_int_equal(code, 5);
    assert_true(str_is(buf_str(&out), "ping\n") && str_is(buf_str(&errors), "done\n"));
    assert_int_equal(container_exec_wait(fx.runtime, &stream, &code, NULL), -ERR_BAD_REQUEST);
}

static void test_exec_terminal(void **state)
{
    const struct str args[] = { STR("/bin/sh"), STR("-c"), STR("test -t 0 && read x; stty size; exit 6") };
    AUTO_DEINIT(buf, out) = BUF_INIT;
    struct container_stream stream;
    struct err err = { 0 };
    int code = -1;
    struct str id = start(&(struct want){ .script = "sleep 1000" });

    struct container_stream_options options = { .args = { args, 3 }, .terminal = true };
    if (container_exec_start(fx.runtime, id, &options, &stream, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(container_stream_resize(&stream, 77, 33, NULL), 0);
    assert_int_equal(write(stream.in, "go\n", 3), 3);
    assert_true(str_find(read_until(stream.out, &out, "33 77"), STR("33 77")) >= 0);
    assert_int_equal(container_exec_wait(fx.runtime, &stream, &code, NULL), 0);
    assert_int_equal(code, 6);
    struct str missing[] = { STR("/no/such") };
    options.args = (struct str_list){ missing, 1 };
    assert_true(container_exec_start(fx.runtime, id, &options, &stream, &err) < 0 ||
                container_exec_wait(fx.runtime, &stream, &code, &err) < 0);
}

static void test_attach(void **state)
{
    char packet[9000];
    int fd;
    struct str id = start(&(struct want){ .script = "echo ready; read x; echo got $x; echo oh >&2; sleep 1000",
                                          .keep_stdin = true });

    wait_output(id, "ready");
    assert_int_equal(container_attach(fx.runtime, id, &fd, NULL), 0);
    assert_int_equal(write(fd, "line\n", 5), 5);
    ssize_t n = read(fd, packet, sizeof packet);
    assert_int_equal(packet[0], CONTAINER_ATTACH_STDOUT);
    assert_true(str_is(str_of(packet + 1, (size_t)n - 1), "got line\n"));
    n = read(fd, packet, sizeof packet);
    assert_int_equal(packet[0], CONTAINER_ATTACH_STDERR);
    assert_true(str_is(str_of(packet + 1, (size_t)n - 1), "oh\n"));
    close(fd);
}

static void test_terminal(void **state)
{
    struct runtime_container container;
    struct str output = run(&(struct want){ .script = "test -t 1 && echo terminal", .oci = { .terminal = true } },
                            &container);

    assert_true(str_find(output, STR("terminal")) >= 0);
}

static void test_cannot_start(void **state)
{
    const struct str args[] = { STR("/no/such/program") };
    char id[CONTAINER_ID_LEN + 1];
    struct err err = { 0 };
    size_t count;
    struct runtime_container *list;

    int r = try_create(&(struct want){ .script = "", .oci = { .args = { args, 1 } } }, id, &err);
    if (r == 0)
        r = container_start(fx.runtime, str_from(id), &err);
    assert_int_equal(r, -ERR_INVALID);
    assert_non_null(strstr(err.message, "/no/such/program"));
    if (container_list(fx.runtime, POD, fx.arena, &list, &count, NULL) == 0 && count == 1)
        assert_int_equal(list[0].exit_code, 128);

    assert_int_equal(try_create(&(struct want){ .script = "true", .pod_uid = STR("no-such-pod") }, id, &err),
                     -ERR_NOT_FOUND);
    assert_int_equal(try_create(&(struct want){ .script = "true", .pod_uid = STR("../../etc") }, id, &err),
                     -ERR_INVALID);
}

static void test_agent_restart(void **state)
{
    struct runtime_container *list;
    struct sandbox *sandboxes;
    size_t count;
    struct str running = start(&(struct want){ .script = "echo ready; read x; exit 9", .keep_stdin = true });
    struct str ended = start(&(struct want){ .script = "exit 5" });
    struct str ends_between = start(&(struct want){ .script = "echo ready; read x; exit 6", .keep_stdin = true });
    int fd;

    wait_output(running, "ready");
    wait_output(ends_between, "ready");
    assert_true(container_wait(fx.runtime, ended, LONG));
    struct runtime_container before = get(running);
    assert_int_equal(container_attach(fx.runtime, ends_between, &fd, NULL), 0);
    fx.runtime = runtime_free(fx.runtime);

    assert_int_equal(kill(before.pid, 0), 0);
    assert_int_equal(write(fd, "\n", 1), 1);
    char byte;
    while (read(fd, &byte, 1) > 0) /* until conmon has gone */
        ;
    close(fd);
    open_runtime();
    struct runtime_container after = get(running);
    assert_int_equal(after.state, CONTAINER_RUNNING);
    assert_int_equal(after.pid, before.pid);
    assert_int_equal(after.started_at, before.started_at);
    assert_int_equal(after.created_at, before.created_at);
    assert_int_equal(after.label_count, 1);
    assert_true(str_is(after.labels[0].value, "b \"c\""));
    assert_true(container_wait(fx.runtime, ends_between, LONG));
    assert_int_equal(get(ends_between).exit_code, 6);
    assert_int_equal(get(ended).exit_code, 5);
    assert_int_equal(container_list(fx.runtime, STR_NULL, fx.arena, &list, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_true(str_eq(list[0].id, running)); /* the oldest first */
    assert_int_equal(sandbox_list(fx.runtime, fx.arena, &sandboxes, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(sandboxes[0].ready && str_is(sandboxes[0].pod_name, "pod"));

    int told = exits.count;
    assert_int_equal(container_attach(fx.runtime, running, &fd, NULL), 0);
    assert_int_equal(write(fd, "\n", 1), 1);
    wait_exits(told + 1);
    close(fd);
    assert_int_equal(get(running).exit_code, 9);
}

/* An agent that is killed together with its process group. */
static void test_agent_killed(void **state)
{
    int pipe_fds[2];
    char id[CONTAINER_ID_LEN + 1] = { 0 };

    assert_int_equal(pipe(pipe_fds), 0);
    fx.runtime = runtime_free(fx.runtime);
    pid_t agent = fork();
    assert_true(agent >= 0);
    if (agent == 0) {
        setpgid(0, 0);
        if (runtime_new(&fx.options, &fx.runtime, NULL) < 0 ||
            try_create(&(struct want){ .script = "sleep 1000" }, id, NULL) < 0 ||
            container_start(fx.runtime, str_from(id), NULL) < 0)
            _exit(1);
        if (write(pipe_fds[1], id, CONTAINER_ID_LEN) != CONTAINER_ID_LEN)
            _exit(1);
        pause();
        _exit(0);
    }
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], id, CONTAINER_ID_LEN), CONTAINER_ID_LEN);
    close(pipe_fds[0]);
    kill(-agent, SIGKILL);
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    open_runtime();
    assert_int_equal(get(str_from(id)).state, CONTAINER_RUNNING);
    assert_int_equal(kill(get(str_from(id)).pid, 0), 0);
}

static void test_conmon_killed(void **state)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct str id = start(&(struct want){ .script = "echo ready; sleep 1000" });
    char path[256];
    int64_t pid;

    wait_output(id, "ready");
    snprintf(path, sizeof path, "%s/containers/" STR_FMT "/conmon.pid", fx.data, STR_ARG(id));
    assert_int_equal(file_read(path, 64, &text, NULL), 0);
    assert_true(str_to_i64(str_trim(buf_str(&text)), &pid));
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    wait_exits(1);
    assert_int_equal(get(id).state, CONTAINER_UNKNOWN);
    assert_int_equal(get(id).exit_code, 255);
    assert_int_equal(container_delete(fx.runtime, id, NULL), 0);
}

/* What a crash may leave in the folders does not keep the runtime from starting. */
static void test_torn_state(void **state)
{
    char path[256], name[CONTAINER_ID_LEN + 1];

    fx.runtime = runtime_free(fx.runtime);
    memset(name, 'a', CONTAINER_ID_LEN);
    name[CONTAINER_ID_LEN] = 0;
    snprintf(path, sizeof path, "%s/containers/%s", fx.data, name);
    assert_int_equal(mkdir(path, 0700), 0); /* nothing in it */
    snprintf(path, sizeof path, "%s/containers/b%s", fx.data, name + 1);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/containers/b%s/container.json", fx.data, name + 1);
    assert_int_equal(file_write_atomic(path, STR("{\"id\": \"tor"), 0600, NULL), 0);
    snprintf(path, sizeof path, "%s/sandboxes/torn", fx.data);
    assert_int_equal(mkdir(path, 0700), 0);
    open_runtime();
    struct runtime_container *list;
    struct sandbox *sandboxes;
    size_t count;
    assert_int_equal(container_list(fx.runtime, STR_NULL, fx.arena, &list, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(sandbox_list(fx.runtime, fx.arena, &sandboxes, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(sandbox_remove(fx.runtime, STR("torn"), NULL), 0);
}

/* As after a reboot: the records are there, the namespaces are not. */
static void test_sandbox_is_made_again(void **state)
{
    struct sandbox sandbox;
    char path[256];

    snprintf(path, sizeof path, "%s/ns/" STR_FMT, fx.run, STR_ARG(POD));
    assert_int_equal(sandbox_get(fx.runtime, POD, fx.arena, &sandbox, NULL), 0);
    assert_true(sandbox.ready);
    AUTO_DEINIT(process_result, result) = { 0 };
    assert_int_equal(process_run(&(struct process_options){ .argv = (const char *const[]){ "umount",
                                                                                           sandbox.netns.data, NULL } },
                                 &result, NULL), 0);
    assert_int_equal(sandbox_get(fx.runtime, POD, fx.arena, &sandbox, NULL), 0);
    assert_false(sandbox.ready);
    assert_int_equal(try_create(&(struct want){ .script = "true" }, path, NULL), -ERR_CONFLICT);
    sandbox = make_sandbox(&(struct sandbox_spec){ .pod_uid = POD, .hostname = STR("again") });
    assert_true(sandbox.ready);
    struct runtime_container container;
    assert_true(str_is(run(&(struct want){ .script = "hostname" }, &container), "again\n"));
}

static void test_sandbox_refusals(void **state)
{
    const struct oci_pair host_sysctl = { STR("kernel.panic"), STR("1") }, bad = { STR("net..x"), STR("1") },
                          upward = { STR("net/../kernel/panic"), STR("1") }, good = { STR("net.ipv4.tcp_syncookies"),
                                                                                       STR("0") };
    struct sandbox sandbox;
    struct runtime_container container;
    const struct sandbox_spec cases[] = {
        { .pod_uid = STR("a/b") },
        { .pod_uid = STR("") },
        { .pod_uid = STR("..") },
        { .pod_uid = OTHER_POD, .sysctls = &host_sysctl, .sysctl_count = 1 },
        { .pod_uid = OTHER_POD, .sysctls = &bad, .sysctl_count = 1 },
        { .pod_uid = OTHER_POD, .sysctls = &upward, .sysctl_count = 1 },
        { .pod_uid = OTHER_POD, .sysctls = &good, .sysctl_count = 1, .host_network = true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (sandbox_create(fx.runtime, &cases[i], fx.arena, &sandbox, NULL) != -ERR_INVALID)
            fail_msg("case %zu", i);
    assert_int_equal(sandbox_get(fx.runtime, OTHER_POD, fx.arena, &sandbox, NULL), -ERR_NOT_FOUND);
    make_sandbox(&(struct sandbox_spec){ .pod_uid = OTHER_POD, .sysctls = &good, .sysctl_count = 1 });
    assert_true(str_is(run(&(struct want){ .script = "cat /proc/sys/net/ipv4/tcp_syncookies", .pod_uid = OTHER_POD },
                           &container), "0\n"));
}

static void test_log_rotation(void **state)
{
    struct str id = start(&(struct want){ .script = "while read x; do echo $x; done", .keep_stdin = true });
    bool rotated;
    int fd;

    assert_int_equal(container_attach(fx.runtime, id, &fd, NULL), 0);
    assert_int_equal(write(fd, "one\n", 4), 4);
    wait_output(id, "one\n");
    assert_int_equal(container_log_rotate(get(id).log_path.data, 0, 5, NSEC_PER_SEC, &rotated, NULL), 0);
    assert_true(rotated);
    assert_int_equal(container_reopen_log(fx.runtime, id, NULL), 0);
    while (!file_exists(get(id).log_path.data)) /* ends when conmon has reopened it */
        sched_yield();
    assert_int_equal(write(fd, "two\n", 4), 4);
    wait_output(id, "one\ntwo\n");
    close(fd);
    assert_false(file_mentions(get(id).log_path.data, "one"));
    assert_true(file_mentions(get(id).log_path.data, "two"));
}

static void test_sandbox_remove_takes_all(void **state)
{
    const struct cgroup_tree *tree = runtime_cgroups(fx.runtime);
    struct sandbox sandbox;
    size_t count;
    struct runtime_container *list;

    assert_int_equal(sandbox_get(fx.runtime, POD, fx.arena, &sandbox, NULL), 0);
    for (int i = 0; i < 3; i++)
        start(&(struct want){ .script = "trap '' TERM; sleep 1000" });
    assert_int_equal(sandbox_remove(fx.runtime, POD, NULL), 0);
    assert_int_equal(container_list(fx.runtime, STR_NULL, fx.arena, &list, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_false(file_exists(sandbox.netns.data));
    assert_false(file_exists(sandbox.shm_dir.data));
    assert_false(cgroup_exists(tree, sandbox.cgroup.data));
    assert_int_equal(sandbox_remove(fx.runtime, POD, NULL), 0);
}

static void test_options(void **state)
{
    static const struct {
        const char *instance, *data_dir, *crun;
        int result;
    } cases[] = {
        { "x", "/tmp", "/no/such/crun", -ERR_NOT_FOUND },
        { "a/b", "/tmp", NULL, -ERR_INVALID },
        { "", "/tmp", NULL, -ERR_INVALID },
        { "x", "relative", NULL, -ERR_INVALID },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct runtime_options options = { .instance = cases[i].instance, .data_dir = cases[i].data_dir,
                                           .run_dir = fx.run, .crun = cases[i].crun };
        struct runtime *runtime;
        struct err err = { 0 };

        if (runtime_new(&options, &runtime, &err) != cases[i].result)
            fail_msg("case %zu: %s", i, err.message);
    }
    assert_true(str_has_prefix(str_from(runtime_version(fx.runtime)), STR("crun 1.")));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_endings),        TEST(test_settings),       TEST(test_pods_share_and_separate),
        TEST(test_shared_processes), TEST(test_stop),         TEST(test_out_of_memory),
        TEST(test_limits_and_usage), TEST(test_exec),         TEST(test_exec_refused),
        TEST(test_exec_timeout),   TEST(test_exec_streams),   TEST(test_exec_terminal),
        TEST(test_attach),         TEST(test_terminal),       TEST(test_cannot_start),
        TEST(test_agent_restart),  TEST(test_agent_killed),   TEST(test_conmon_killed),
        TEST(test_torn_state),     TEST(test_sandbox_is_made_again), TEST(test_sandbox_refusals),
        TEST(test_log_rotation),   TEST(test_sandbox_remove_takes_all), TEST(test_options),
    };

    mutex_init(&exits.lock);
    cond_init(&exits.changed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
