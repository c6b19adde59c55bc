/* pod_security.c - identity and rights of a pod and its containers, and what an operating system has no use for. Ranges
 * of user and group IDs are in the table. */
#include "apiserver/registry/pod_check.h"

#define PROFILE_PATH_MAX 4095
#define GMSA_SPEC_MAX (64 << 10)

static void check_seccomp(struct causes *causes, const struct path *at, const struct json *profile)
{
    const struct json *local = json_member(profile, "localhostProfile");
    bool localhost = str_is(text_in(profile, "type"), "Localhost");

    if (!profile)
        return;
    if (localhost && !local)
        cause_required(causes, AT(at, "localhostProfile"), "must be set when seccomp type is Localhost");
    else if (localhost)
        check_local_path(causes, AT(at, "localhostProfile"), json_str(local));
    else if (local)
        cause_invalid(causes, AT(at, "localhostProfile"), profile, "can only be set when seccomp type is Localhost");
}

static void check_apparmor(struct causes *causes, const struct path *at, const struct json *profile)
{
    const struct json *local = json_member(profile, "localhostProfile");
    struct path here = path_member(at, STR("localhostProfile"));
    struct str type = text_in(profile, "type"), text = json_str(local);

    if (!profile)
        return;
    if (!str_is(type, "Localhost")) {
        if (local && (str_is(type, "RuntimeDefault") || str_is(type, "Unconfined")))
            cause_invalid(causes, &here, local, "can only be set when AppArmor type is Localhost");
        return;
    }
    if (!local || str_empty(text))
        cause_required(causes, &here, "must be set when AppArmor type is Localhost");
    else if (str_trim(text).len != text.len)
        cause_invalid(causes, &here, local, "must not be padded with whitespace");
    if (text.len > PROFILE_PATH_MAX)
        cause_too_long(causes, &here, PROFILE_PATH_MAX);
}

static void check_windows_options(struct causes *causes, const struct path *at, const struct json *options)
{
    const struct json *name = json_member(options, "gmsaCredentialSpecName");
    const struct json *spec = json_member(options, "gmsaCredentialSpec"), *user = json_member(options, "runAsUserName");

    if (name)
        cause_format(causes, AT(at, "gmsaCredentialSpecName"), FORMAT_SUBDOMAIN, json_str(name));
    if (spec && str_empty(json_str(spec)))
        cause_invalid(causes, AT(at, "gmsaCredentialSpec"), spec, "gmsaCredentialSpec cannot be an empty string");
    else if (json_str(spec).len > GMSA_SPEC_MAX)
        cause_invalid(causes, AT(at, "gmsaCredentialSpec"), spec, "gmsaCredentialSpec size must be under 64 KiB");
    if (user && str_empty(json_str(user)))
        cause_invalid(causes, AT(at, "runAsUserName"), user, "runAsUserName cannot be an empty string");
    else if (str_chr(json_str(user), '\n') >= 0 || str_chr(json_str(user), '\t') >= 0)
        cause_invalid(causes, AT(at, "runAsUserName"), user, "runAsUserName cannot contain control characters");
}

/* No more rights than its parent, and yet every right there is. */
static void check_escalation(struct causes *causes, const struct path *at, const struct json *context)
{
    if (json_bool(json_member(context, "allowPrivilegeEscalation"), true))
        return;
    if (json_bool(json_member(context, "privileged"), false))
        cause_invalid(causes, at, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    if (strings_have(json_at(context, "capabilities.add"), STR("CAP_SYS_ADMIN")))
        cause_invalid(causes, at, context,
                      "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

void container_security_check(const struct pod_check *check, const struct path *at, const struct json *context)
{
    struct causes *causes = check->causes;

    if (!context)
        return;
    if (str_is(text_in(context, "procMount"), "Unmasked") && json_bool(json_member(check->spec, "hostUsers"), true))
        cause_invalid(causes, AT(at, "procMount"), json_member(context, "procMount"),
                      "`hostUsers` must be false to use `Unmasked`");
    check_seccomp(causes, AT(at, "seccompProfile"), json_member(context, "seccompProfile"));
    check_apparmor(causes, AT(at, "appArmorProfile"), json_member(context, "appArmorProfile"));
    check_escalation(causes, at, context);
    check_windows_options(causes, AT(at, "windowsOptions"), json_member(context, "windowsOptions"));
}

/* [a-z0-9]([-_a-z0-9]*[a-z0-9])? parts, '.' or '/' between. */
static bool is_sysctl(struct str name)
{
    bool edge = true; /* the next one begins or ends a part */

    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (c == '.' || c == '/') {
            if (edge || name.data[i - 1] == '-' || name.data[i - 1] == '_')
                return false;
            edge = true;
        } else if (alnum || (!edge && (c == '-' || c == '_'))) {
            edge = false;
        } else {
            return false;
        }
    }
    return !edge && name.len <= 253 && name.data[name.len - 1] != '-' && name.data[name.len - 1] != '_';
}

/* The namespace that a sysctl belongs to is shared with the node. */
static const char *shared_namespace(const struct json *spec, struct str name)
{
    static const char *const ipc[] = { "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "kernel/shm",
                                       "kernel/msg", "kernel/sem", "fs/mqueue/" };

    if (json_bool(json_member(spec, "hostNetwork"), false) &&
        (str_has_prefix(name, STR("net.")) || str_has_prefix(name, STR("net/"))))
        return "may not be specified when 'hostNetwork' is true";
    for (size_t i = 0; json_bool(json_member(spec, "hostIPC"), false) && i < ARRAY_LEN(ipc); i++)
        if (str_has_prefix(name, str_from(ipc[i])))
            return "may not be specified when 'hostIPC' is true";
    return NULL;
}

static void check_sysctls(const struct pod_check *check, const struct path *at, const struct json *sysctls)
{
    for (uint32_t i = 0; i < items_of(sysctls); i++) {
        struct str name = text_in(&sysctls->items[i], "name");
        const char *shared = shared_namespace(check->spec, name);
        struct path *here = AT(NTH(at, i), "name");

        if (!str_empty(name) && !is_sysctl(name))
            cause_invalid_str(check->causes, here, name,
                              "must have at most 253 characters and match regex "
                              "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
        else if (text_seen_before(sysctls, i, "name"))
            cause_duplicate_str(check->causes, here, name);
        if (shared)
            cause_invalid_str(check->causes, here, name, shared);
    }
}

static void check_host_users(const struct pod_check *check)
{
    static const struct {
        const char *member, *shown;
    } shared[] = { { "hostNetwork", "hostNetwork" }, { "hostPID", "HostPID" }, { "hostIPC", "HostIPC" } };

    if (json_bool(json_member(check->spec, "hostUsers"), true))
        return;
    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (json_bool(json_get(check->spec, str_from(shared[i].member)), false))
            cause_forbidden(check->causes, AT_STR(check->at, str_from(shared[i].shown)),
                            "when `pod.Spec.HostUsers` is false");
}

void pod_security_check(const struct pod_check *check)
{
    const struct json *context = json_member(check->spec, "securityContext");
    struct path *at = AT(check->at, "securityContext");
    struct causes *causes = check->causes;

    check_host_users(check);
    if (json_bool(json_member(check->spec, "shareProcessNamespace"), false) &&
        json_bool(json_member(check->spec, "hostPID"), false))
        cause_invalid(causes, AT(at, "shareProcessNamespace"), json_member(check->spec, "shareProcessNamespace"),
                      "ShareProcessNamespace and HostPID cannot both be enabled");
    if (!context)
        return;
    check_sysctls(check, AT(at, "sysctls"), json_member(context, "sysctls"));
    check_seccomp(causes, AT(at, "seccompProfile"), json_member(context, "seccompProfile"));
    check_apparmor(causes, AT(at, "appArmorProfile"), json_member(context, "appArmorProfile"));
    check_windows_options(causes, AT(at, "windowsOptions"), json_member(context, "windowsOptions"));
}

/* -- operating systems -- */

static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

static void forbid(struct causes *causes, const struct path *at, const struct json *object, const char *const *members,
                   size_t count, const char *why)
{
    for (size_t i = 0; i < count; i++)
        if (json_get(object, str_from(members[i])))
            cause_forbidden(causes, AT_STR(at, str_from(members[i])), why);
}

static void forbid_in_contexts(const struct pod_check *check, const char *const *pod, size_t pod_count,
                               const char *const *container, size_t container_count, const char *why)
{
    forbid(check->causes, AT(check->at, "securityContext"), json_member(check->spec, "securityContext"), pod, pod_count,
           why);
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct json *containers = json_get(check->spec, str_from(lists[l]));

        for (uint32_t i = 0; i < items_of(containers); i++)
            forbid(check->causes, AT(NTH(AT_STR(check->at, str_from(lists[l])), i), "securityContext"),
                   json_member(&containers->items[i], "securityContext"), container, container_count, why);
    }
}

void pod_os_check(const struct pod_check *check)
{
    static const char *const linux_none[] = { "windowsOptions" };
    static const char *const pod_none[] = { "appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup",
                                            "fsGroupChangePolicy", "sysctls", "runAsUser", "runAsGroup",
                                            "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy" };
    static const char *const spec_none[] = { "hostUsers", "hostPID", "hostIPC", "shareProcessNamespace" };
    static const char *const container_none[] = { "appArmorProfile", "seLinuxOptions", "seccompProfile",
                                                  "capabilities", "readOnlyRootFilesystem", "privileged",
                                                  "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup" };
    struct str os = json_str_at(check->spec, "os.name");

    if (str_is(os, "linux"))
        forbid_in_contexts(check, linux_none, ARRAY_LEN(linux_none), linux_none, ARRAY_LEN(linux_none),
                           "windows options cannot be set for a linux pod");
    if (!str_is(os, "windows"))
        return;
    forbid(check->causes, check->at, check->spec, spec_none, ARRAY_LEN(spec_none), "cannot be set for a windows pod");
    forbid_in_contexts(check, pod_none, ARRAY_LEN(pod_none), container_none, ARRAY_LEN(container_none),
                       "cannot be set for a windows pod");
}
