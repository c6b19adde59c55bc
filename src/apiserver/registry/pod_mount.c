/* pod_mount.c - where volumes appear in a container: as folders, or as raw devices. */
#include "apiserver/registry/pod_check.h"

static bool is_in(const struct json *list, const char *member, struct str text)
{
    for (uint32_t i = 0; i < items_of(list); i++)
        if (str_eq(text_in(&list->items[i], member), text))
            return true;
    return false;
}

static void check_propagation(struct causes *causes, const struct path *at, const struct json *container,
                              const struct json *mount)
{
    static const char *const modes[] = { "Bidirectional", "HostToContainer", "None", NULL };
    const struct json *value = json_member(mount, "mountPropagation");
    struct str mode = json_str(value);

    if (!value)
        return;
    if (!str_is(mode, "None") && !str_is(mode, "HostToContainer") && !str_is(mode, "Bidirectional"))
        cause_not_supported(causes, AT(at, "mountPropagation"), mode, modes);
    if (str_is(mode, "Bidirectional") && !json_bool(json_at(container, "securityContext.privileged"), false))
        cause_forbidden(causes, AT(at, "mountPropagation"),
                        "Bidirectional mount propagation is available only to privileged containers");
}

static void check_recursive(struct causes *causes, const struct path *at, const struct json *mount)
{
    static const char *const modes[] = { "Disabled", "Enabled", "IfPossible", NULL };
    const struct json *value = json_member(mount, "recursiveReadOnly");
    struct str mode = json_str(value), propagation = text_in(mount, "mountPropagation");

    if (!value || str_is(mode, "Disabled"))
        return;
    if (!str_is(mode, "Enabled") && !str_is(mode, "IfPossible")) {
        cause_not_supported(causes, AT(at, "recursiveReadOnly"), mode, modes);
        return;
    }
    if (!json_bool(json_member(mount, "readOnly"), false))
        cause_forbidden(causes, AT(at, "recursiveReadOnly"), "may only be specified when readOnly is true");
    if (propagation.data && !str_is(propagation, "None"))
        cause_forbidden(causes, AT(at, "recursiveReadOnly"),
                        "may only be specified when mountPropagation is None or not specified");
}

static void check_sub_path(struct causes *causes, const struct path *list, const struct path *at,
                           const struct json *mount, const struct json *volume)
{
    struct str sub = text_in(mount, "subPath"), expr = text_in(mount, "subPathExpr");

    if (json_member(volume, "image")) {
        if (!str_empty(sub))
            cause_invalid_str(causes, AT(at, "subPath"), sub, "not allowed in image volume sources");
        if (!str_empty(expr))
            cause_invalid_str(causes, AT(at, "subPathExpr"), expr, "not allowed in image volume sources");
    }
    check_local_path(causes, AT(list, "subPath"), sub);
    if (!str_empty(expr) && !str_empty(sub))
        cause_invalid_str(causes, AT(at, "subPathExpr"), expr, "subPathExpr and subPath are mutually exclusive");
    check_local_path(causes, AT(list, "subPathExpr"), expr);
}

/* Kubernetes names some of these without the index of the mount; so do we. */
void mounts_check(const struct pod_check *check, const struct path *at, const struct json *container)
{
    const struct json *mounts = json_member(container, "volumeMounts");
    const struct json *devices = json_member(container, "volumeDevices");
    struct causes *causes = check->causes;

    for (uint32_t i = 0; i < items_of(mounts); i++) {
        const struct json *mount = &mounts->items[i], *volume;
        struct str name = text_in(mount, "name"), path = text_in(mount, "mountPath");
        struct path here = path_index(at, i);

        volume = pod_volume(check, name);
        if (!volume)
            cause_not_found(causes, AT(&here, "name"), name);
        if (text_seen_before(mounts, i, "mountPath"))
            cause_invalid_str(causes, AT(&here, "mountPath"), path, "must be unique");
        if (is_in(devices, "name", name))
            cause_invalid_str(causes, AT(&here, "name"), name, "must not already exist in volumeDevices");
        if (is_in(devices, "devicePath", path))
            cause_invalid_str(causes, AT(&here, "mountPath"), path, "must not already exist as a path in volumeDevices");
        check_sub_path(causes, at, &here, mount, volume);
        check_propagation(causes, at, container, mount);
        check_recursive(causes, at, mount);
    }
}

void devices_check(const struct pod_check *check, const struct path *at, const struct json *container)
{
    const struct json *devices = json_member(container, "volumeDevices");
    const struct json *mounts = json_member(container, "volumeMounts");
    struct causes *causes = check->causes;

    for (uint32_t i = 0; i < items_of(devices); i++) {
        struct str name = text_in(&devices->items[i], "name"), path = text_in(&devices->items[i], "devicePath");
        const struct json *volume = pod_volume(check, name);
        struct path here = path_index(at, i);
        struct str rest = path, part;

        if (text_seen_before(devices, i, "name"))
            cause_invalid_str(causes, AT(&here, "name"), name, "must be unique");
        if (volume && !json_member(volume, "persistentVolumeClaim") && !json_member(volume, "ephemeral"))
            cause_invalid_str(causes, AT(&here, "name"), name,
                              "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
        if (!volume)
            cause_not_found(causes, AT(&here, "name"), name);
        if (text_seen_before(devices, i, "devicePath"))
            cause_invalid_str(causes, AT(&here, "devicePath"), path, "must be unique");
        while (str_split(&rest, '/', &part))
            if (str_is(part, "..")) {
                cause_invalid_str(causes, AT(&here, "devicePath"), path, "can not contain backsteps ('..')");
                break;
            }
        if (is_in(mounts, "name", name))
            cause_invalid_str(causes, AT(&here, "name"), name, "must not already exist in volumeMounts");
        if (is_in(mounts, "mountPath", path))
            cause_invalid_str(causes, AT(&here, "devicePath"), path, "must not already exist as a path in volumeMounts");
    }
}
