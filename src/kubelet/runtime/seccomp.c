/* seccomp.c - what programs in containers have no business calling.
 *
 * The filter lets everything pass but a list: calls that change the machine rather than the container (modules, clocks,
 * kexec, swap), that reach for the kernel's insides or for other processes' memory, keep state outside namespaces
 * (keyrings), or make new namespaces, the usual first step out. A capability that is meant for such a call lifts its
 * ban. Listing what is forbidden keeps programs working that use calls newer than this list. */
#include "kubelet/runtime/seccomp.h"

#include "kubelet/runtime/capability.h"

/* The numbers of the capabilities that lift bans. */
enum {
    LIFTED_BY_NONE = -1,
    CAP_DAC_READ_SEARCH_NUMBER = 2,
    CAP_SYS_MODULE_NUMBER = 16,
    CAP_SYS_RAWIO_NUMBER = 17,
    CAP_SYS_PTRACE_NUMBER = 19,
    CAP_SYS_PACCT_NUMBER = 20,
    CAP_SYS_ADMIN_NUMBER = 21,
    CAP_SYS_BOOT_NUMBER = 22,
    CAP_SYS_NICE_NUMBER = 23,
    CAP_SYS_TIME_NUMBER = 25,
    CAP_SYSLOG_NUMBER = 34,
    CAP_PERFMON_NUMBER = 38,
    CAP_BPF_NUMBER = 39,
};

struct ban {
    int lifted_by, or_by;
    const char *calls[24];
};

static const struct ban bans[] = {
    { LIFTED_BY_NONE, LIFTED_BY_NONE,
      { "add_key", "keyctl", "request_key", "create_module", "get_kernel_syms", "query_module", "nfsservctl", "_sysctl",
        "sysfs", "uselib", "ustat", "userfaultfd", "vm86", "vm86old", "io_uring_setup", "io_uring_enter",
        "io_uring_register" } },
    { CAP_SYS_ADMIN_NUMBER, LIFTED_BY_NONE,
      { "mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsconfig", "fsmount", "fsopen",
        "fspick", "pivot_root", "setns", "unshare", "swapon", "swapoff", "quotactl", "quotactl_fd", "lookup_dcookie",
        "fanotify_init" } },
    { CAP_SYS_ADMIN_NUMBER, CAP_BPF_NUMBER, { "bpf" } },
    { CAP_SYS_ADMIN_NUMBER, CAP_PERFMON_NUMBER, { "perf_event_open" } },
    { CAP_SYS_ADMIN_NUMBER, CAP_SYSLOG_NUMBER, { "syslog" } },
    { CAP_SYS_BOOT_NUMBER, LIFTED_BY_NONE, { "reboot", "kexec_load", "kexec_file_load" } },
    { CAP_SYS_MODULE_NUMBER, LIFTED_BY_NONE, { "init_module", "finit_module", "delete_module" } },
    { CAP_SYS_PACCT_NUMBER, LIFTED_BY_NONE, { "acct" } },
    { CAP_SYS_PTRACE_NUMBER, LIFTED_BY_NONE, { "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv",
                                               "process_vm_writev" } },
    { CAP_SYS_RAWIO_NUMBER, LIFTED_BY_NONE, { "iopl", "ioperm" } },
    { CAP_SYS_TIME_NUMBER, LIFTED_BY_NONE, { "settimeofday", "stime", "clock_settime", "clock_settime64",
                                             "clock_adjtime", "clock_adjtime64" } },
    { CAP_SYS_NICE_NUMBER, LIFTED_BY_NONE, { "mbind", "migrate_pages", "move_pages", "set_mempolicy",
                                             "set_mempolicy_home_node" } },
    { CAP_DAC_READ_SEARCH_NUMBER, LIFTED_BY_NONE, { "open_by_handle_at" } },
};

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
static const int64_t namespace_flags[] = { 0x00020000, 0x02000000, 0x04000000, 0x08000000,
                                           0x10000000, 0x20000000, 0x40000000 };

#define ERRNO_PERM 1
#define ERRNO_NOSYS 38

static bool has(uint64_t capabilities, int number)
{
    return number >= 0 && (capabilities >> number & 1);
}

static void begin_rule(struct json_writer *w, int64_t errno_value)
{
    jw_begin_object(w);
    jw_field_str(w, "action", STR("SCMP_ACT_ERRNO"));
    jw_field_int(w, "errnoRet", errno_value);
    jw_key(w, STR("names"));
    jw_begin_array(w);
}

static void write_bans(struct json_writer *w, uint64_t capabilities)
{
    begin_rule(w, ERRNO_PERM);
    for (size_t i = 0; i < ARRAY_LEN(bans); i++) {
        if (has(capabilities, bans[i].lifted_by) || has(capabilities, bans[i].or_by))
            continue;
        for (size_t c = 0; c < ARRAY_LEN(bans[i].calls) && bans[i].calls[c]; c++)
            jw_str(w, str_from(bans[i].calls[c]));
    }
    jw_end_array(w);
    jw_end_object(w);
}

/* clone with a flag that makes a namespace; clone3 has its flags in memory, where no filter sees them: without it
 * programs fall back to clone. */
static void write_clone(struct json_writer *w)
{
    for (size_t i = 0; i < ARRAY_LEN(namespace_flags); i++) {
        begin_rule(w, ERRNO_PERM);
        jw_str(w, STR("clone"));
        jw_end_array(w);
        jw_key(w, STR("args"));
        jw_begin_array(w);
        jw_begin_object(w);
        jw_field_int(w, "index", 0);
        jw_field_int(w, "value", namespace_flags[i]);
        jw_field_int(w, "valueTwo", namespace_flags[i]);
        jw_field_str(w, "op", STR("SCMP_CMP_MASKED_EQ"));
        jw_end_object(w);
        jw_end_array(w);
        jw_end_object(w);
    }
    begin_rule(w, ERRNO_NOSYS);
    jw_str(w, STR("clone3"));
    jw_end_array(w);
    jw_end_object(w);
}

void seccomp_write_default(struct json_writer *w, uint64_t capabilities)
{
    static const char *const architectures[] = {
#if defined(__x86_64__)
        "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32",
#elif defined(__aarch64__)
        "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",
#endif
        NULL
    };

    jw_begin_object(w);
    jw_field_str(w, "defaultAction", STR("SCMP_ACT_ALLOW"));
    if (architectures[0]) {
        jw_key(w, STR("architectures"));
        jw_begin_array(w);
        for (size_t i = 0; architectures[i]; i++)
            jw_str(w, str_from(architectures[i]));
        jw_end_array(w);
    }
    jw_key(w, STR("syscalls"));
    jw_begin_array(w);
    write_bans(w, capabilities);
    if (!has(capabilities, CAP_SYS_ADMIN_NUMBER))
        write_clone(w);
    jw_end_array(w);
    jw_end_object(w);
}
