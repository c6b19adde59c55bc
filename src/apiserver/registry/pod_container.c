/* pod_container.c - containers of a pod: the main ones, those that run before, and those that are added to look. */
#include "apiserver/registry/pod_check.h"

static void check_ports(struct causes *causes, const struct path *at, const struct json *ports)
{
    for (uint32_t i = 0; i < items_of(ports); i++) {
        const struct json *port = &ports->items[i];
        int64_t number = json_int(json_member(port, "containerPort"), 0);
        struct path here = path_index(at, i);

        if (name_is_port(text_in(port, "name")) && text_seen_before(ports, i, "name"))
            cause_duplicate_str(causes, AT(&here, "name"), text_in(port, "name"));
        if (number == 0)
            cause_required(causes, AT(&here, "containerPort"), "");
        else if (number < 0 || number > 65535)
            cause_invalid_int(causes, AT(&here, "containerPort"), number, "must be between 1 and 65535, inclusive");
    }
}

static bool same_host_port(const struct json *a, const struct json *b)
{
    return json_int(json_member(a, "hostPort"), 0) == json_int(json_member(b, "hostPort"), 0) &&
           str_eq(text_in(a, "protocol"), text_in(b, "protocol")) && str_eq(text_in(a, "hostIP"), text_in(b, "hostIP"));
}

/* A port of the node before containers[c].ports[p] that is the same. */
static bool host_port_taken(const struct json *containers, uint32_t first, uint32_t c, uint32_t p)
{
    const struct json *port = &json_member(&containers->items[c], "ports")->items[p];

    for (uint32_t i = first; i <= c; i++) {
        const struct json *ports = json_member(&containers->items[i], "ports");

        for (uint32_t j = 0; j < (i == c ? p : items_of(ports)); j++)
            if (same_host_port(&ports->items[j], port))
                return true;
    }
    return false;
}

/* Init containers run one by one: only their own ports can clash. */
static void check_host_ports(const struct pod_check *check, const struct path *at, const struct json *containers,
                             bool init)
{
    for (uint32_t c = 0; c < items_of(containers); c++) {
        const struct json *ports = json_member(&containers->items[c], "ports");

        for (uint32_t p = 0; p < items_of(ports); p++) {
            const struct json *port = &ports->items[p];
            int64_t number = json_int(json_member(port, "hostPort"), 0);

            if (number && host_port_taken(containers, init ? c : 0, c, p))
                cause_at(check->causes, CAUSE_DUPLICATE,
                         AT(NTH(AT(NTH(at, init ? 0 : c), "ports"), p), "hostPort"),
                         "Duplicate value: \"" STR_FMT "/" STR_FMT "/%lld\"", STR_ARG(text_in(port, "protocol")),
                         STR_ARG(text_in(port, "hostIP")), (long long)number);
        }
    }
}

static void check_resize_policy(const struct pod_check *check, const struct path *at, const struct json *policies)
{
    static const char *const resources[] = { "cpu", "memory", NULL };
    static const char *const modes[] = { "NotRequired", "RestartContainer", NULL };
    bool never = str_is(text_in(check->spec, "restartPolicy"), "Never");
    struct causes *causes = check->causes;

    for (uint32_t i = 0; i < items_of(policies); i++) {
        struct str resource = text_in(&policies->items[i], "resourceName");
        struct str mode = text_in(&policies->items[i], "restartPolicy");

        if (text_seen_before(policies, i, "resourceName"))
            cause_duplicate_str(causes, NTH(at, i), resource);
        if (str_empty(resource))
            cause_required(causes, at, "");
        else if (!str_is(resource, "cpu") && !str_is(resource, "memory"))
            cause_not_supported(causes, at, resource, resources);
        if (str_empty(mode))
            cause_required(causes, at, "");
        else if (!str_is(mode, "NotRequired") && !str_is(mode, "RestartContainer"))
            cause_not_supported(causes, at, mode, modes);
        if (never && !str_is(mode, "NotRequired"))
            cause_invalid_str(causes, at, mode, "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
}

static void check_container(const struct pod_check *check, const struct path *at, const struct json *container)
{
    struct str image = text_in(container, "image");
    struct causes *causes = check->causes;

    if (str_empty(image))
        cause_required(causes, AT(at, "image"), "");
    else if (check->meta && str_trim(image).len != image.len)
        cause_invalid_str(causes, AT(at, "image"), image, "must not have leading or trailing whitespace");
    check_ports(causes, AT(at, "ports"), json_member(container, "ports"));
    env_check(causes, AT(at, "env"), json_member(container, "env"));
    env_from_check(causes, AT(at, "envFrom"), json_member(container, "envFrom"));
    mounts_check(check, AT(at, "volumeMounts"), container);
    devices_check(check, AT(at, "volumeDevices"), container);
    pod_resources_validate(causes, AT(at, "resources"), json_member(container, "resources"),
                           json_member(check->spec, "resourceClaims"));
    check_resize_policy(check, AT(at, "resizePolicy"), json_member(container, "resizePolicy"));
    container_security_check(check, AT(at, "securityContext"), json_member(container, "securityContext"));
}

static bool has_container(const struct json *containers, struct str name)
{
    for (uint32_t i = 0; i < items_of(containers); i++)
        if (str_eq(text_in(&containers->items[i], "name"), name))
            return true;
    return false;
}

static void check_main(const struct pod_check *check, const struct path *at, const struct json *containers)
{
    for (uint32_t i = 0; i < items_of(containers); i++) {
        const struct json *container = &containers->items[i];
        struct path here = path_index(at, i);

        check_container(check, &here, container);
        if (text_seen_before(containers, i, "name"))
            cause_duplicate_str(check->causes, AT(&here, "name"), text_in(container, "name"));
        probes_check(check, &here, container);
        if (json_member(container, "restartPolicy"))
            cause_forbidden(check->causes, AT(&here, "restartPolicy"), "may not be set for non-init containers");
    }
    check_host_ports(check, at, containers, false);
}

/* What only those have that go on running. */
static void check_brief_init(const struct pod_check *check, const struct path *at, const struct json *container)
{
    static const char *const members[] = { "lifecycle", "livenessProbe", "readinessProbe", "startupProbe" };

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (json_get(container, str_from(members[i])))
            cause_forbidden(check->causes, AT_STR(at, str_from(members[i])),
                            "may not be set for init containers without restartPolicy=Always");
    if (items_of(json_member(container, "resizePolicy")))
        cause_invalid(check->causes, AT(at, "resizePolicy"), json_member(container, "resizePolicy"),
                      "must not be set for init containers");
}

static void check_init(const struct pod_check *check, const struct path *at, const struct json *containers)
{
    static const char *const policies[] = { "Always", NULL };
    const struct json *main_containers = json_member(check->spec, "containers");

    for (uint32_t i = 0; i < items_of(containers); i++) {
        const struct json *container = &containers->items[i], *policy = json_member(container, "restartPolicy");
        struct str name = text_in(container, "name");
        struct path here = path_index(at, i);

        check_container(check, &here, container);
        if (policy && !str_is(json_str(policy), "Always"))
            cause_not_supported(check->causes, AT(&here, "restartPolicy"), json_str(policy), policies);
        if (text_seen_before(containers, i, "name") || (!str_empty(name) && has_container(main_containers, name)))
            cause_duplicate_str(check->causes, AT(&here, "name"), name);
        if (str_is(json_str(policy), "Always"))
            probes_check(check, &here, container);
        else
            check_brief_init(check, &here, container);
    }
    check_host_ports(check, at, containers, true);
}

static void check_debug_mounts(const struct pod_check *check, const struct path *at, const struct json *mounts)
{
    static const char *const members[] = { "subPath", "subPathExpr" };

    for (uint32_t i = 0; i < items_of(mounts); i++)
        for (size_t j = 0; j < ARRAY_LEN(members); j++)
            if (!str_empty(text_in(&mounts->items[i], members[j])))
                cause_forbidden(check->causes, AT_STR(NTH(at, i), str_from(members[j])),
                                "cannot be set for an Ephemeral Container");
}

/* They come and go without the pod's having planned for them. */
static void check_debug(const struct pod_check *check, const struct path *at, const struct json *containers)
{
    static const char *const never[] = { "ports",        "livenessProbe", "readinessProbe", "startupProbe",
                                         "lifecycle",    "resizePolicy",  "restartPolicy" };
    const struct json *main_containers = json_member(check->spec, "containers");
    const struct json *init_containers = json_member(check->spec, "initContainers");

    for (uint32_t i = 0; i < items_of(containers); i++) {
        const struct json *container = &containers->items[i];
        struct str name = text_in(container, "name"), target = text_in(container, "targetContainerName");
        struct path here = path_index(at, i);

        check_container(check, &here, container);
        if (text_seen_before(containers, i, "name") ||
            (!str_empty(name) && (has_container(main_containers, name) || has_container(init_containers, name))))
            cause_duplicate_str(check->causes, AT(&here, "name"), name);
        if (!str_empty(target) && !has_container(main_containers, target) && !has_container(init_containers, target))
            cause_not_found(check->causes, AT(&here, "targetContainerName"), target);
        for (size_t j = 0; j < ARRAY_LEN(never); j++)
            if (json_get(container, str_from(never[j])))
                cause_forbidden(check->causes, AT_STR(&here, str_from(never[j])),
                                "cannot be set for an Ephemeral Container");
        if (members_of(json_member(container, "resources")))
            cause_forbidden(check->causes, AT(&here, "resources"), "cannot be set for an Ephemeral Container");
        check_debug_mounts(check, AT(&here, "volumeMounts"), json_member(container, "volumeMounts"));
    }
}

/* In a pod, ports of the host's network are the host's ports; a template may leave them out. */
static void check_host_network(const struct pod_check *check, const struct path *at, const struct json *containers)
{
    for (uint32_t c = 0; c < items_of(containers); c++) {
        const struct json *ports = json_member(&containers->items[c], "ports");

        for (uint32_t p = 0; p < items_of(ports); p++) {
            int64_t host = json_int(json_member(&ports->items[p], "hostPort"), 0);

            if ((check->meta || host) && host != json_int(json_member(&ports->items[p], "containerPort"), 0))
                cause_invalid_int(check->causes, AT(NTH(AT(NTH(at, c), "ports"), p), "hostPort"), host,
                                  "must match `containerPort` when `hostNetwork` is true");
        }
    }
}

void pod_containers_check(const struct pod_check *check)
{
    check_main(check, AT(check->at, "containers"), json_member(check->spec, "containers"));
    check_init(check, AT(check->at, "initContainers"), json_member(check->spec, "initContainers"));
    check_debug(check, AT(check->at, "ephemeralContainers"), json_member(check->spec, "ephemeralContainers"));
    if (json_bool(json_member(check->spec, "hostNetwork"), false))
        check_host_network(check, AT(check->at, "containers"), json_member(check->spec, "containers"));
}
