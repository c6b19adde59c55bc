/* capability.c - the names, in the order of their numbers (linux/capability.h). */
#include "kubelet/runtime/capability.h"

static const char *const names[CAPABILITY_COUNT] = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
    "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
    "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
    "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

const char *capability_name(unsigned number)
{
    return number < CAPABILITY_COUNT ? names[number] : NULL;
}

int capability_parse(struct str name, uint64_t *ret_bits, struct err *err)
{
    if (str_eq_nocase(name, STR("ALL"))) {
        *ret_bits = CAPABILITIES_ALL;
        return 0;
    }
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        struct str full = str_from(names[i]);

        if (str_eq_nocase(name, full) || str_eq_nocase(name, str_skip(full, 4))) {
            *ret_bits = 1ULL << i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "unknown capability \"" STR_FMT "\"", STR_ARG(str_first(name, 64)));
}
