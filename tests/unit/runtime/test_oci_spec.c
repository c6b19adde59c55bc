#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/json.h"
#include "kubelet/runtime/capability.h"
#include "kubelet/runtime/oci_spec.h"

static const struct str shell[] = { STR_INIT("/bin/sh"), STR_INIT("-c"), STR_INIT("true") };

static struct oci_spec base_spec(void)
{
    return (struct oci_spec){ .rootfs = STR("/rootfs"), .args = { shell, 3 }, .cgroup_path = STR("/c/pod1/a") };
}

/* The configuration as a tree in the arena. */
static const struct json *write_spec(struct arena *arena, const struct oci_spec *spec)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct err err = { 0 };
    struct json *json;

    if (oci_spec_write(spec, &buf, &err) < 0)
        fail_msg("%s", err.message);
    if (json_parse(arena, arena_str(arena, buf_str(&buf)), NULL, &json, &err) < 0)
        fail_msg("%s", err.message);
    return json;
}

static bool has_str(const struct json *array, const char *s)
{
    for (uint32_t i = 0; json_is(array, JSON_ARRAY) && i < array->count; i++)
        if (str_is(json_str(&array->items[i]), s))
            return true;
    return false;
}

static const struct json *find(const struct json *array, const char *key, const char *value)
{
    for (uint32_t i = 0; json_is(array, JSON_ARRAY) && i < array->count; i++)
        if (str_is(json_str(json_get(&array->items[i], str_from(key))), value))
            return &array->items[i];
    return NULL;
}

static void test_defaults(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct oci_spec spec = base_spec();
    const struct json *json = write_spec(arena, &spec), *mounts = json_at(json, "mounts");

    assert_true(str_is(json_str_at(json, "root.path"), "/rootfs"));
    assert_false(json_bool(json_at(json, "root.readonly"), true));
    assert_true(str_is(json_str_at(json, "process.cwd"), "/"));
    assert_int_equal(json_at(json, "process.args")->count, 3);
    assert_true(has_str(json_at(json, "process.env"),
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    assert_true(has_str(json_at(json, "process.capabilities.bounding"), "CAP_CHOWN"));
    assert_false(has_str(json_at(json, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
    assert_int_equal(json_at(json, "process.capabilities.effective")->count, 14);
    assert_null(json_at(json, "process.capabilities.ambient"));
    for (size_t i = 0; i < 7; i++)
        assert_non_null(find(mounts, "destination",
                             (const char *const[]){ "/proc", "/dev", "/dev/pts", "/dev/mqueue", "/dev/shm", "/sys",
                                                    "/sys/fs/cgroup" }[i]));
    assert_true(has_str(json_get(find(mounts, "destination", "/sys"), STR("options")), "ro"));
    assert_true(has_str(json_at(json, "linux.maskedPaths"), "/proc/kcore"));
    assert_true(has_str(json_at(json, "linux.readonlyPaths"), "/proc/sys"));
    assert_int_equal(json_at(json, "linux.namespaces")->count, 5);
    assert_null(json_at(json, "linux.rootfsPropagation"));
    assert_null(json_at(json, "linux.resources.memory"));
    assert_null(json_at(json, "hostname"));
    assert_int_equal(json_int(json_at(json, "linux.resources.cpu.shares"), 0), 2);
    assert_false(json_bool(json_get(&json_at(json, "linux.resources.devices")->items[0], STR("allow")), true));
}

static void test_everything_set(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct oci_pair env[] = { { STR("PATH"), STR("/opt") }, { STR("QUOTE"), STR("a\"b\\c\nd") } };
    const struct oci_mount mounts[] = {
        { .source = STR("/host/a"), .target = STR("/a"), .read_only = true, .propagation = OCI_PROPAGATION_SLAVE },
        { .source = STR("/host/b"), .target = STR("/b"), .propagation = OCI_PROPAGATION_SHARED },
        { .source = STR("/host/shm"), .target = STR("/dev/shm") },
    };
    const struct oci_tmpfs tmpfs[] = { { STR("/scratch"), 4096 } };
    const struct oci_device devices[] = { { .path = STR("/dev/fuse"), .type = 'c', .major = 10, .minor = 229 } };
    const struct oci_rlimit rlimits[] = { { STR("RLIMIT_NOFILE"), 1024, UINT64_MAX } };
    const uint32_t gids[] = { 5, 6 };
    struct oci_spec spec = base_spec();

    spec.read_only_rootfs = spec.terminal = spec.no_new_privs = spec.cgroup_v2 = true;
    spec.env = env;
    spec.env_count = 2;
    spec.cwd = STR("/work");
    spec.hostname = STR("here");
    spec.uid = 1000;
    spec.gid = 2000;
    spec.additional_gids = gids;
    spec.additional_gid_count = 2;
    spec.oom_score_adj = -997;
    spec.mounts = mounts;
    spec.mount_count = 3;
    spec.tmpfs = tmpfs;
    spec.tmpfs_count = 1;
    spec.devices = devices;
    spec.device_count = 1;
    spec.rlimits = rlimits;
    spec.rlimit_count = 1;
    spec.resources = (struct oci_resources){ .cpu_request_milli = 500, .cpu_limit_milli = 250,
                                             .memory_limit = 64 << 20, .pids_limit = 100 };
    spec.namespaces.net = STR("/run/ns/net");
    spec.namespaces.host_ipc = true;
    const struct json *json = write_spec(arena, &spec), *ns = json_at(json, "linux.namespaces");

    assert_true(json_bool(json_at(json, "root.readonly"), false));
    assert_true(has_str(json_at(json, "process.env"), "PATH=/opt"));
    assert_true(has_str(json_at(json, "process.env"), "QUOTE=a\"b\\c\nd"));
    assert_true(has_str(json_at(json, "process.env"), "HOSTNAME=here"));
    assert_true(has_str(json_at(json, "process.env"), "TERM=xterm"));
    assert_true(str_is(json_str_at(json, "hostname"), "here"));
    assert_int_equal(json_int(json_at(json, "process.user.uid"), 0), 1000);
    assert_int_equal(json_int(json_at(json, "process.user.gid"), 0), 2000);
    assert_int_equal(json_at(json, "process.user.additionalGids")->count, 2);
    assert_int_equal(json_int(json_at(json, "process.oomScoreAdj"), 0), -997);
    assert_true(json_bool(json_at(json, "process.noNewPrivileges"), false));
    assert_int_equal(json_int(json_at(json, "linux.resources.cpu.shares"), 0), 512);
    assert_int_equal(json_int(json_at(json, "linux.resources.cpu.quota"), 0), 25000);
    assert_int_equal(json_int(json_at(json, "linux.resources.memory.limit"), 0), 64 << 20);
    assert_int_equal(json_int(json_at(json, "linux.resources.pids.limit"), 0), 100);
    assert_true(str_is(json_str(json_get(json_at(json, "linux.resources.unified"), STR("memory.oom.group"))), "1"));
    assert_true(str_is(json_str_at(json, "linux.rootfsPropagation"), "rshared"));
    assert_true(str_is(json_str(json_get(find(ns, "type", "network"), STR("path"))), "/run/ns/net"));
    assert_null(find(ns, "type", "ipc"));
    assert_non_null(find(ns, "type", "cgroup"));
    const struct json *a = find(json_at(json, "mounts"), "destination", "/a");
    assert_true(has_str(json_get(a, STR("options")), "ro") && has_str(json_get(a, STR("options")), "rslave"));
    assert_true(str_is(json_str(json_get(find(json_at(json, "mounts"), "destination", "/dev/shm"), STR("source"))),
                       "/host/shm"));
    assert_true(has_str(json_get(find(json_at(json, "mounts"), "destination", "/scratch"), STR("options")),
                        "size=4096"));
    assert_non_null(find(json_at(json, "linux.devices"), "path", "/dev/fuse"));
}

static void test_privileged(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct oci_spec spec = base_spec();

    spec.privileged = true;
    spec.capabilities_here = CAPABILITIES_ALL & ~(1ULL << 24);
    const struct json *json = write_spec(arena, &spec);
    assert_int_equal(json_at(json, "process.capabilities.bounding")->count, CAPABILITY_COUNT - 1);
    assert_null(json_at(json, "linux.maskedPaths"));
    assert_true(json_bool(json_get(&json_at(json, "linux.resources.devices")->items[0], STR("allow")), false));
    assert_true(has_str(json_get(find(json_at(json, "mounts"), "destination", "/sys"), STR("options")), "rw"));
}

static void test_capabilities(void **state)
{
    static const struct {
        const char *add[3], *drop[3];
        int count; /* -1: refused */
        const char *has, *lacks;
    } cases[] = {
        { { NULL }, { NULL }, 14, "CAP_KILL", "CAP_NET_ADMIN" },
        { { "NET_ADMIN" }, { NULL }, 15, "CAP_NET_ADMIN", NULL },
        { { "CAP_NET_ADMIN", "net_admin" }, { "KILL" }, 14, "CAP_NET_ADMIN", "CAP_KILL" },
        { { "NET_BIND_SERVICE" }, { "ALL" }, 1, "CAP_NET_BIND_SERVICE", "CAP_KILL" },
        { { NULL }, { "all" }, 0, NULL, "CAP_KILL" },
        { { "ALL" }, { "SYS_ADMIN" }, 39, "CAP_NET_ADMIN", "CAP_SYS_ADMIN" }, /* the node lacks one more */
        { { "SYS_RESOURCE" }, { NULL }, -1 },
        { { "NO_SUCH" }, { NULL }, -1 },
        { { NULL }, { "" }, -1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct str add[3], drop[3];
        struct oci_spec spec = base_spec();

        spec.capabilities_here = CAPABILITIES_ALL & ~(1ULL << 24); /* without SYS_RESOURCE */
        spec.capabilities_add = (struct str_list){ add, 0 };
        spec.capabilities_drop = (struct str_list){ drop, 0 };
        for (; spec.capabilities_add.count < 3 && cases[i].add[spec.capabilities_add.count];
             spec.capabilities_add.count++)
            add[spec.capabilities_add.count] = str_from(cases[i].add[spec.capabilities_add.count]);
        for (; spec.capabilities_drop.count < 3 && cases[i].drop[spec.capabilities_drop.count];
             spec.capabilities_drop.count++)
            drop[spec.capabilities_drop.count] = str_from(cases[i].drop[spec.capabilities_drop.count]);
        if (cases[i].count < 0) {
            assert_int_equal(oci_spec_write(&spec, &buf, NULL), -ERR_INVALID);
            continue;
        }
        const struct json *set = json_at(write_spec(arena, &spec), "process.capabilities.permitted");
        if ((int)set->count != cases[i].count || (cases[i].has && !has_str(set, cases[i].has)) ||
            (cases[i].lacks && has_str(set, cases[i].lacks)))
            fail_msg("case %zu: %u capabilities", i, set->count);
    }
}

static void test_refusals(void **state)
{
    const struct oci_mount relative = { .source = STR("host"), .target = STR("/a") };
    const struct oci_pair no_name = { STR(""), STR("x") }, equals = { STR("A=B"), STR("x") };
    const struct str empty = STR_INIT(""), nul = { "a\0b", 3 };
    const struct {
        const char *name;
        struct oci_spec spec;
        int result;
    } cases[] = {
        { "no command", { .args = { NULL, 0 } }, -ERR_INVALID },
        { "empty command", { .args = { &empty, 1 } }, -ERR_INVALID },
        { "NUL in an argument", { .args = { &nul, 1 } }, -ERR_INVALID },
        { "relative cwd", { .cwd = STR("work") }, -ERR_INVALID },
        { "relative mount", { .mounts = &relative, .mount_count = 1 }, -ERR_INVALID },
        { "nameless variable", { .env = &no_name, .env_count = 1 }, -ERR_INVALID },
        { "variable with =", { .env = &equals, .env_count = 1 }, -ERR_INVALID },
        { "seccomp without text", { .seccomp = OCI_SECCOMP_LOCALHOST }, -ERR_NOT_SUPPORTED },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct oci_spec spec = cases[i].spec;

        spec.rootfs = STR("/rootfs");
        spec.cgroup_path = STR("/c");
        if (!spec.args.items && i > 0)
            spec.args = (struct str_list){ shell, 3 };
        if (oci_spec_write(&spec, &buf, NULL) != cases[i].result)
            fail_msg("%s", cases[i].name);
        assert_int_equal(buf.len, 0);
    }
}

static void test_cpu(void **state)
{
    static const struct {
        int64_t milli;
        uint64_t shares, weight;
        int64_t quota;
    } cases[] = {
        { 0, 2, 1, 1000 },         { 1, 2, 1, 1000 },          { 100, 102, 4, 10000 },
        { 1000, 1024, 39, 100000 }, { 256000, 262144, 10000, 25600000 }, { 1000000, 262144, 10000, 100000000 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (cpu_shares(cases[i].milli) != cases[i].shares || cpu_weight(cases[i].milli) != cases[i].weight ||
            cpu_quota_usec(cases[i].milli) != cases[i].quota)
            fail_msg("%lld: %llu %llu %lld", (long long)cases[i].milli,
                     (unsigned long long)cpu_shares(cases[i].milli), (unsigned long long)cpu_weight(cases[i].milli),
                     (long long)cpu_quota_usec(cases[i].milli));
    assert_true(cpu_quota_usec(INT64_MAX) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_everything_set), cmocka_unit_test(test_privileged),
        cmocka_unit_test(test_capabilities), cmocka_unit_test(test_refusals),     cmocka_unit_test(test_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
