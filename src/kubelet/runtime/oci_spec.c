/* oci_spec.c - config.json of the OCI runtime specification (1.0.2) from a plain struct.
 *
 * The file is written in one pass, section by section, straight into the buffer; nothing is built in between. The
 * defaults are those every Kubernetes runtime has: the usual mounts, devices, masked and read-only paths, the usual
 * capabilities. Check first, then write: once writing has begun only memory can run out. */
#include "kubelet/runtime/oci_spec.h"

#include "codec/json.h"
#include "kubelet/runtime/capability.h"
#include "kubelet/runtime/seccomp.h"

struct default_mount {
    const char *target, *type, *source;
    const char *options[8];
};

static const struct default_mount proc_mount = { "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } };
static const struct default_mount dev_mounts[] = {
    { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
    { "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
    { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
};
static const struct default_mount shm_mount = {
    "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" }
};
static const struct default_mount sys_mounts[] = {
    { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};
static const struct default_mount sys_mounts_privileged[] = {
    { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "rw" } },
    { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "rw" } },
};

static const char *const masked_paths[] = {
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
};
static const char *const read_only_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static const char *const propagation_options[] = {
    [OCI_PROPAGATION_PRIVATE] = "rprivate",
    [OCI_PROPAGATION_SLAVE] = "rslave",
    [OCI_PROPAGATION_SHARED] = "rshared",
};

uint64_t cpu_shares(int64_t milli)
{
    if (milli <= 0)
        return 2;
    if (milli >= 256 * 1000)
        return 262144;
    return MAX((uint64_t)milli * 1024 / 1000, 2);
}

uint64_t cpu_weight(int64_t milli)
{
    return 1 + (cpu_shares(milli) - 2) * 9999 / 262142;
}

int64_t cpu_quota_usec(int64_t milli)
{
    if (milli > INT64_MAX / CPU_PERIOD_USEC)
        return INT64_MAX / 1000;
    return MAX(milli * CPU_PERIOD_USEC / 1000, 1000);
}

static bool is_absolute(struct str path)
{
    return path.len > 0 && path.data[0] == '/' && !memchr(path.data, 0, path.len);
}

static int check_paths(const struct oci_spec *spec, struct err *err)
{
    if (!is_absolute(spec->rootfs))
        return err_set(err, ERR_INVALID, "root file system path is not absolute");
    if (spec->cwd.len && !is_absolute(spec->cwd))
        return err_set(err, ERR_INVALID, "working directory \"" STR_FMT "\" is not absolute", STR_ARG(spec->cwd));
    if (!is_absolute(spec->cgroup_path))
        return err_set(err, ERR_INVALID, "cgroup path is not absolute");
    for (size_t i = 0; i < spec->mount_count; i++)
        if (!is_absolute(spec->mounts[i].source) || !is_absolute(spec->mounts[i].target))
            return err_set(err, ERR_INVALID, "mount of \"" STR_FMT "\" at \"" STR_FMT "\": both paths must be absolute",
                           STR_ARG(spec->mounts[i].source), STR_ARG(spec->mounts[i].target));
    for (size_t i = 0; i < spec->tmpfs_count; i++)
        if (!is_absolute(spec->tmpfs[i].target))
            return err_set(err, ERR_INVALID, "tmpfs at \"" STR_FMT "\": the path must be absolute",
                           STR_ARG(spec->tmpfs[i].target));
    for (size_t i = 0; i < spec->device_count; i++)
        if (!is_absolute(spec->devices[i].path) || !memchr("cbp", spec->devices[i].type, 3))
            return err_set(err, ERR_INVALID, "\"" STR_FMT "\" is no device", STR_ARG(spec->devices[i].path));
    return 0;
}

/* NUL inside a string would silently cut it on its way to the kernel. */
static int check_strings(const struct oci_spec *spec, struct err *err)
{
    if (spec->args.count == 0 || spec->args.items[0].len == 0)
        return err_set(err, ERR_INVALID, "no command specified");
    for (size_t i = 0; i < spec->args.count; i++)
        if (spec->args.items[i].len && memchr(spec->args.items[i].data, 0, spec->args.items[i].len))
            return err_set(err, ERR_INVALID, "argument %zu contains a NUL", i);
    for (size_t i = 0; i < spec->env_count; i++) {
        const struct oci_pair *env = &spec->env[i];

        if (env->name.len == 0 || memchr(env->name.data, '=', env->name.len) ||
            memchr(env->name.data, 0, env->name.len) || (env->value.len && memchr(env->value.data, 0, env->value.len)))
            return err_set(err, ERR_INVALID, "environment variable %zu cannot be set", i);
    }
    return 0;
}

/* The bits to give; asking by name for what the node lacks is an error, asking for all of them is not. */
static int resolve_capabilities(const struct oci_spec *spec, uint64_t *ret_bits, struct err *err)
{
    uint64_t here = spec->capabilities_here ? spec->capabilities_here : CAPABILITIES_ALL;
    uint64_t bits = spec->privileged ? CAPABILITIES_ALL : CAPABILITIES_DEFAULT;

    if (spec->privileged) {
        *ret_bits = bits & here;
        return 0;
    }
    /* Dropping ALL comes before any single addition, adding ALL before any single drop. */
    uint64_t add = 0, drop = 0;
    bool add_all = false, drop_all = false;
    for (size_t i = 0; i < spec->capabilities_add.count; i++) {
        uint64_t one;
        int r = capability_parse(spec->capabilities_add.items[i], &one, err);
        if (r < 0)
            return r;
        if (one == CAPABILITIES_ALL)
            add_all = true;
        else if (!(one & here))
            return err_set(err, ERR_INVALID, "this node cannot give capability \"" STR_FMT "\"",
                           STR_ARG(spec->capabilities_add.items[i]));
        else
            add |= one;
    }
    for (size_t i = 0; i < spec->capabilities_drop.count; i++) {
        uint64_t one;
        int r = capability_parse(spec->capabilities_drop.items[i], &one, err);
        if (r < 0)
            return r;
        if (one == CAPABILITIES_ALL)
            drop_all = true;
        else
            drop |= one;
    }
    if (drop_all)
        bits = 0;
    if (add_all)
        bits = CAPABILITIES_ALL;
    bits = (bits | add) & ~drop;
    *ret_bits = bits & here;
    return 0;
}

static void write_strings(struct json_writer *w, const char *const *strings, size_t count)
{
    jw_begin_array(w);
    for (size_t i = 0; i < count && strings[i]; i++)
        jw_str(w, str_from(strings[i]));
    jw_end_array(w);
}

static void write_pair(struct json_writer *w, struct buf *scratch, struct str name, struct str value)
{
    buf_clear(scratch);
    buf_add_str(scratch, name);
    buf_add_char(scratch, '=');
    buf_add_str(scratch, value);
    if (!buf_ok(scratch))
        w->buf->failed = true;
    jw_str(w, buf_str(scratch));
}

static bool has_env(const struct oci_spec *spec, struct str name)
{
    for (size_t i = 0; i < spec->env_count; i++)
        if (str_eq(spec->env[i].name, name))
            return true;
    return false;
}

static void write_env(struct json_writer *w, const struct oci_spec *spec)
{
    AUTO_DEINIT(buf, scratch) = BUF_INIT;

    jw_key(w, STR("env"));
    jw_begin_array(w);
    if (!has_env(spec, STR("PATH")))
        write_pair(w, &scratch, STR("PATH"), STR("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    if (spec->hostname.len && !has_env(spec, STR("HOSTNAME")))
        write_pair(w, &scratch, STR("HOSTNAME"), spec->hostname);
    if (spec->terminal && !has_env(spec, STR("TERM")))
        write_pair(w, &scratch, STR("TERM"), STR("xterm"));
    for (size_t i = 0; i < spec->env_count; i++)
        write_pair(w, &scratch, spec->env[i].name, spec->env[i].value);
    jw_end_array(w);
}

static void write_user(struct json_writer *w, const struct oci_spec *spec)
{
    jw_key(w, STR("user"));
    jw_begin_object(w);
    jw_field_int(w, "uid", spec->uid);
    jw_field_int(w, "gid", spec->gid);
    if (spec->umask)
        jw_field_int(w, "umask", spec->umask);
    if (spec->additional_gid_count) {
        jw_key(w, STR("additionalGids"));
        jw_begin_array(w);
        for (size_t i = 0; i < spec->additional_gid_count; i++)
            jw_int(w, spec->additional_gids[i]);
        jw_end_array(w);
    }
    jw_end_object(w);
}

static void write_capabilities(struct json_writer *w, uint64_t bits)
{
    static const char *const sets[] = { "bounding", "effective", "permitted" };

    jw_key(w, STR("capabilities"));
    jw_begin_object(w);
    for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
        jw_key(w, str_from(sets[s]));
        jw_begin_array(w);
        for (unsigned i = 0; i < CAPABILITY_COUNT; i++)
            if (bits >> i & 1)
                jw_str(w, str_from(capability_name(i)));
        jw_end_array(w);
    }
    jw_end_object(w);
}

static void write_process(struct json_writer *w, const struct oci_spec *spec, uint64_t capabilities)
{
    jw_key(w, STR("process"));
    jw_begin_object(w);
    jw_field_bool(w, "terminal", spec->terminal);
    write_user(w, spec);
    jw_key(w, STR("args"));
    jw_begin_array(w);
    for (size_t i = 0; i < spec->args.count; i++)
        jw_str(w, spec->args.items[i]);
    jw_end_array(w);
    write_env(w, spec);
    jw_field_str(w, "cwd", spec->cwd.len ? spec->cwd : STR("/"));
    write_capabilities(w, capabilities);
    jw_field_bool(w, "noNewPrivileges", spec->no_new_privs);
    jw_field_int(w, "oomScoreAdj", spec->oom_score_adj);
    if (spec->apparmor_profile.len)
        jw_field_str(w, "apparmorProfile", spec->apparmor_profile);
    if (spec->rlimit_count) {
        jw_key(w, STR("rlimits"));
        jw_begin_array(w);
        for (size_t i = 0; i < spec->rlimit_count; i++) {
            jw_begin_object(w);
            jw_field_str(w, "type", spec->rlimits[i].name);
            jw_field_int(w, "soft", (int64_t)MIN(spec->rlimits[i].soft, (uint64_t)INT64_MAX));
            jw_field_int(w, "hard", (int64_t)MIN(spec->rlimits[i].hard, (uint64_t)INT64_MAX));
            jw_end_object(w);
        }
        jw_end_array(w);
    }
    jw_end_object(w);
}

static void write_default_mount(struct json_writer *w, const struct default_mount *mount)
{
    jw_begin_object(w);
    jw_field_str(w, "destination", str_from(mount->target));
    jw_field_str(w, "type", str_from(mount->type));
    jw_field_str(w, "source", str_from(mount->source));
    jw_key(w, STR("options"));
    write_strings(w, mount->options, ARRAY_LEN(mount->options));
    jw_end_object(w);
}

static void write_bind(struct json_writer *w, const struct oci_mount *mount)
{
    jw_begin_object(w);
    jw_field_str(w, "destination", mount->target);
    jw_field_str(w, "type", STR("bind"));
    jw_field_str(w, "source", mount->source);
    jw_key(w, STR("options"));
    jw_begin_array(w);
    jw_str(w, STR("rbind"));
    jw_str(w, str_from(propagation_options[mount->propagation]));
    jw_str(w, mount->recursive_read_only ? STR("rro") : mount->read_only ? STR("ro") : STR("rw"));
    jw_end_array(w);
    jw_end_object(w);
}

static void write_tmpfs(struct json_writer *w, const struct oci_tmpfs *tmpfs)
{
    char size[40];

    jw_begin_object(w);
    jw_field_str(w, "destination", tmpfs->target);
    jw_field_str(w, "type", STR("tmpfs"));
    jw_field_str(w, "source", STR("tmpfs"));
    jw_key(w, STR("options"));
    jw_begin_array(w);
    jw_str(w, STR("nosuid"));
    jw_str(w, STR("nodev"));
    jw_str(w, STR("mode=1777"));
    if (tmpfs->size) {
        snprintf(size, sizeof size, "size=%llu", (unsigned long long)tmpfs->size);
        jw_str(w, str_from(size));
    }
    jw_end_array(w);
    jw_end_object(w);
}

static bool has_mount(const struct oci_spec *spec, const char *target)
{
    for (size_t i = 0; i < spec->mount_count; i++)
        if (str_is(spec->mounts[i].target, target))
            return true;
    for (size_t i = 0; i < spec->tmpfs_count; i++)
        if (str_is(spec->tmpfs[i].target, target))
            return true;
    return false;
}

/* A default mount steps back for one of the pod at the same place. */
static void write_defaults(struct json_writer *w, const struct oci_spec *spec, const struct default_mount *mounts,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has_mount(spec, mounts[i].target))
            write_default_mount(w, &mounts[i]);
}

static void write_mounts(struct json_writer *w, const struct oci_spec *spec)
{
    jw_key(w, STR("mounts"));
    jw_begin_array(w);
    write_defaults(w, spec, &proc_mount, 1);
    write_defaults(w, spec, dev_mounts, ARRAY_LEN(dev_mounts));
    if (spec->dev_shm.len && !has_mount(spec, "/dev/shm"))
        write_bind(w, &(struct oci_mount){ .source = spec->dev_shm, .target = STR("/dev/shm") });
    else
        write_defaults(w, spec, &shm_mount, 1);
    if (spec->privileged)
        write_defaults(w, spec, sys_mounts_privileged, ARRAY_LEN(sys_mounts_privileged));
    else
        write_defaults(w, spec, sys_mounts, ARRAY_LEN(sys_mounts));
    for (size_t i = 0; i < spec->tmpfs_count; i++)
        write_tmpfs(w, &spec->tmpfs[i]);
    for (size_t i = 0; i < spec->mount_count; i++)
        write_bind(w, &spec->mounts[i]);
    jw_end_array(w);
}

static void write_namespace(struct json_writer *w, struct str type, struct str path, bool host)
{
    if (host)
        return;
    jw_begin_object(w);
    jw_field_str(w, "type", type);
    if (path.len)
        jw_field_str(w, "path", path);
    jw_end_object(w);
}

static void write_namespaces(struct json_writer *w, const struct oci_spec *spec)
{
    const struct oci_namespaces *ns = &spec->namespaces;

    jw_key(w, STR("namespaces"));
    jw_begin_array(w);
    write_namespace(w, STR("pid"), ns->pid, ns->host_pid);
    write_namespace(w, STR("network"), ns->net, ns->host_net);
    write_namespace(w, STR("ipc"), ns->ipc, ns->host_ipc);
    write_namespace(w, STR("uts"), ns->uts, ns->host_uts);
    write_namespace(w, STR("mount"), STR_NULL, false);
    write_namespace(w, STR("cgroup"), STR_NULL, !spec->cgroup_v2 || spec->privileged);
    jw_end_array(w);
}

static void write_device_rules(struct json_writer *w, const struct oci_spec *spec)
{
    jw_key(w, STR("devices"));
    jw_begin_array(w);
    jw_begin_object(w);
    jw_field_bool(w, "allow", spec->privileged);
    jw_field_str(w, "access", STR("rwm"));
    jw_end_object(w);
    for (size_t i = 0; i < spec->device_count && !spec->privileged; i++) {
        const struct oci_device *device = &spec->devices[i];

        jw_begin_object(w);
        jw_field_bool(w, "allow", true);
        jw_field_str(w, "type", str_of(&device->type, 1));
        jw_field_int(w, "major", device->major);
        jw_field_int(w, "minor", device->minor);
        jw_field_str(w, "access", device->access.len ? device->access : STR("rwm"));
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void write_cpu(struct json_writer *w, const struct oci_resources *resources)
{
    jw_key(w, STR("cpu"));
    jw_begin_object(w);
    jw_field_int(w, "shares", (int64_t)cpu_shares(resources->cpu_request_milli));
    if (resources->cpu_limit_milli > 0) {
        jw_field_int(w, "quota", cpu_quota_usec(resources->cpu_limit_milli));
        jw_field_int(w, "period", CPU_PERIOD_USEC);
    }
    if (resources->cpuset_cpus.len)
        jw_field_str(w, "cpus", resources->cpuset_cpus);
    if (resources->cpuset_mems.len)
        jw_field_str(w, "mems", resources->cpuset_mems);
    jw_end_object(w);
}

static void write_resources(struct json_writer *w, const struct oci_spec *spec)
{
    jw_key(w, STR("resources"));
    jw_begin_object(w);
    write_device_rules(w, spec);
    write_cpu(w, &spec->resources);
    if (spec->resources.memory_limit > 0) {
        jw_key(w, STR("memory"));
        jw_begin_object(w);
        jw_field_int(w, "limit", spec->resources.memory_limit);
        jw_end_object(w);
    }
    if (spec->resources.pids_limit > 0) {
        jw_key(w, STR("pids"));
        jw_begin_object(w);
        jw_field_int(w, "limit", spec->resources.pids_limit);
        jw_end_object(w);
    }
    if (spec->cgroup_v2) {
        jw_key(w, STR("unified"));
        jw_begin_object(w);
        jw_field_str(w, "memory.oom.group", STR("1"));
        jw_end_object(w);
    }
    jw_end_object(w);
}

static void write_devices(struct json_writer *w, const struct oci_spec *spec)
{
    if (spec->device_count == 0)
        return;
    jw_key(w, STR("devices"));
    jw_begin_array(w);
    for (size_t i = 0; i < spec->device_count; i++) {
        const struct oci_device *device = &spec->devices[i];

        jw_begin_object(w);
        jw_field_str(w, "path", device->path);
        jw_field_str(w, "type", str_of(&device->type, 1));
        jw_field_int(w, "major", device->major);
        jw_field_int(w, "minor", device->minor);
        jw_field_int(w, "fileMode", device->mode & 07777);
        jw_field_int(w, "uid", device->uid);
        jw_field_int(w, "gid", device->gid);
        jw_end_object(w);
    }
    jw_end_array(w);
}

/* The container's root must receive what its mounts are to receive or pass on. */
static const char *root_propagation(const struct oci_spec *spec)
{
    enum oci_propagation most = OCI_PROPAGATION_PRIVATE;

    for (size_t i = 0; i < spec->mount_count; i++)
        most = MAX(most, spec->mounts[i].propagation);
    return most == OCI_PROPAGATION_PRIVATE ? NULL : propagation_options[most];
}

static void write_pairs(struct json_writer *w, struct str key, const struct oci_pair *pairs, size_t count)
{
    if (count == 0)
        return;
    jw_key(w, key);
    jw_begin_object(w);
    for (size_t i = 0; i < count; i++) {
        jw_key(w, pairs[i].name);
        jw_str(w, pairs[i].value);
    }
    jw_end_object(w);
}

static void write_linux(struct json_writer *w, const struct oci_spec *spec, uint64_t capabilities)
{
    jw_key(w, STR("linux"));
    jw_begin_object(w);
    jw_field_str(w, "cgroupsPath", spec->cgroup_path);
    write_resources(w, spec);
    write_namespaces(w, spec);
    write_devices(w, spec);
    write_pairs(w, STR("sysctl"), spec->sysctls, spec->sysctl_count);
    if (root_propagation(spec))
        jw_field_str(w, "rootfsPropagation", str_from(root_propagation(spec)));
    if (!spec->privileged && !spec->unmasked) {
        jw_key(w, STR("maskedPaths"));
        write_strings(w, masked_paths, ARRAY_LEN(masked_paths));
        jw_key(w, STR("readonlyPaths"));
        write_strings(w, read_only_paths, ARRAY_LEN(read_only_paths));
    }
    if (spec->seccomp != OCI_SECCOMP_UNCONFINED && !spec->privileged) {
        jw_key(w, STR("seccomp"));
        if (spec->seccomp_json.len)
            jw_raw(w, spec->seccomp_json);
        else
            seccomp_write_default(w, capabilities);
    }
    jw_end_object(w);
}

static void write_config(struct json_writer *w, const struct oci_spec *spec, uint64_t capabilities)
{
    jw_begin_object(w);
    jw_field_str(w, "ociVersion", STR("1.0.2"));
    write_process(w, spec, capabilities);
    jw_key(w, STR("root"));
    jw_begin_object(w);
    jw_field_str(w, "path", spec->rootfs);
    jw_field_bool(w, "readonly", spec->read_only_rootfs);
    jw_end_object(w);
    if (spec->hostname.len && !spec->namespaces.host_uts && !spec->namespaces.uts.len)
        jw_field_str(w, "hostname", spec->hostname);
    write_mounts(w, spec);
    write_pairs(w, STR("annotations"), spec->annotations, spec->annotation_count);
    write_linux(w, spec, capabilities);
    jw_end_object(w);
}

int oci_spec_write(const struct oci_spec *spec, struct buf *buf, struct err *err)
{
    uint64_t capabilities = 0;

    int r = check_strings(spec, err);
    if (r == 0)
        r = check_paths(spec, err);
    if (r == 0)
        r = resolve_capabilities(spec, &capabilities, err);
    if (r < 0)
        return r;
    if (spec->seccomp == OCI_SECCOMP_LOCALHOST && !spec->privileged && !spec->seccomp_json.len)
        return err_set(err, ERR_NOT_SUPPORTED, "a seccomp profile of the node is not supported without its text");

    struct json_writer w = json_writer(buf);
    write_config(&w, spec, capabilities);
    if (!buf_ok(buf))
        return err_set(err, ERR_NO_MEMORY, "container configuration");
    return 0;
}
