/* pod_spec.c - the pod spec, in pods and in every workload's template: what is filled in and what is refused. */
#include "apiserver/registry/rules.h"

static const char *const container_lists[] = { "initContainers", "containers" };
static const char *const defaulted_lists[] = { "initContainers", "containers", "ephemeralContainers" };

/* -- defaults -- */

/* ":latest" and no tag at all are pulled each time. */
static bool is_moving_tag(struct str image)
{
    ssize_t at = str_rchr(image, '@'), slash = str_rchr(image, '/'), colon;
    struct str name = slash < 0 ? image : str_skip(image, (size_t)slash + 1);

    if (at >= 0)
        return false;
    colon = str_rchr(name, ':');
    return colon < 0 || str_is(str_skip(name, (size_t)colon + 1), "latest");
}

static bool probe_default(struct arena *arena, struct json *container, const char *key)
{
    struct json *probe = json_get(container, str_from(key)), *http;

    if (!json_is(probe, JSON_OBJECT))
        return true;
    if (!default_int(arena, probe, "timeoutSeconds", 1) || !default_int(arena, probe, "periodSeconds", 10) ||
        !default_int(arena, probe, "successThreshold", 1) || !default_int(arena, probe, "failureThreshold", 3))
        return false;
    if ((http = json_member(probe, "httpGet")) &&
        (!default_str(arena, http, "path", "/") ||
         !default_str(arena, json_member(probe, "httpGet"), "scheme", "HTTP")))
        return false;
    return !json_member(probe, "grpc") || default_str(arena, json_member(probe, "grpc"), "service", "");
}

static bool hook_default(struct arena *arena, struct json *container, const char *path)
{
    struct json *http = json_at(container, path);

    return !http || (default_str(arena, http, "path", "/") && default_str(arena, http, "scheme", "HTTP"));
}

static bool ports_default(struct arena *arena, struct json *container, bool host_network)
{
    struct json *ports = json_member(container, "ports");

    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        struct json *port = &ports->items[i];

        if (!default_str(arena, port, "protocol", "TCP"))
            return false;
        if (host_network && !default_int(arena, port, "hostPort", json_int(json_member(port, "containerPort"), 0)))
            return false;
    }
    return true;
}

static bool env_default(struct arena *arena, struct json *container)
{
    struct json *env = json_member(container, "env");

    for (uint32_t i = 0; json_is(env, JSON_ARRAY) && i < env->count; i++) {
        struct json *ref = json_at(&env->items[i], "valueFrom.fieldRef");

        if (ref && !default_str(arena, ref, "apiVersion", "v1"))
            return false;
    }
    return true;
}

static int container_default(struct arena *arena, struct json *container, bool host_network, struct err *err)
{
    struct str image = json_str(json_member(container, "image"));
    bool ok = default_str(arena, container, "imagePullPolicy", is_moving_tag(image) ? "Always" : "IfNotPresent") &&
              default_str(arena, container, "terminationMessagePath", "/dev/termination-log") &&
              default_str(arena, container, "terminationMessagePolicy", "File") &&
              ports_default(arena, container, host_network) && env_default(arena, container) &&
              probe_default(arena, container, "livenessProbe") && probe_default(arena, container, "readinessProbe") &&
              probe_default(arena, container, "startupProbe") &&
              hook_default(arena, container, "lifecycle.postStart.httpGet") &&
              hook_default(arena, container, "lifecycle.preStop.httpGet");

    return ok ? pod_resources_default(arena, container, err) : out_of_memory(err);
}

static bool projected_default(struct arena *arena, struct json *projected)
{
    struct json *sources;

    if (!default_int(arena, projected, "defaultMode", 0644))
        return false;
    sources = json_member(projected, "sources");
    for (uint32_t i = 0; json_is(sources, JSON_ARRAY) && i < sources->count; i++) {
        struct json *token = json_member(&sources->items[i], "serviceAccountToken");
        struct json *items = json_at(&sources->items[i], "downwardAPI.items");

        if (token && !default_int(arena, token, "expirationSeconds", 3600))
            return false;
        for (uint32_t j = 0; json_is(items, JSON_ARRAY) && j < items->count; j++)
            if (!default_str(arena, json_member(&items->items[j], "fieldRef"), "apiVersion", "v1"))
                return false;
    }
    return true;
}

static bool volume_default(struct arena *arena, struct json *volume)
{
    static const char *const with_mode[] = { "secret", "configMap", "downwardAPI" };
    struct json *host_path = json_member(volume, "hostPath"), *projected = json_member(volume, "projected"), *items;

    for (size_t i = 0; i < ARRAY_LEN(with_mode); i++)
        if (!default_int(arena, json_get(volume, str_from(with_mode[i])), "defaultMode", 0644))
            return false;
    items = json_at(volume, "downwardAPI.items");
    for (uint32_t i = 0; json_is(items, JSON_ARRAY) && i < items->count; i++)
        if (!default_str(arena, json_member(&items->items[i], "fieldRef"), "apiVersion", "v1"))
            return false;
    if (host_path && !json_member(host_path, "type") && !json_set_str(arena, host_path, STR("type"), STR("")))
        return false;
    if (projected && !projected_default(arena, projected))
        return false;
    /* A volume without a source is an empty directory. */
    return volume->count > 1 || json_ensure(arena, volume, STR("emptyDir"), JSON_OBJECT);
}

static bool spec_members_default(struct arena *arena, struct json *spec)
{
    struct str account = json_str(json_member(spec, "serviceAccountName"));
    struct str old_account = json_str(json_member(spec, "serviceAccount"));

    if (str_empty(account) && !str_empty(old_account) &&
        !json_set_str(arena, spec, STR("serviceAccountName"), old_account))
        return false;
    account = json_str(json_member(spec, "serviceAccountName"));
    if (!str_empty(account) && !json_set_str(arena, spec, STR("serviceAccount"), account))
        return false;
    return default_str(arena, spec, "restartPolicy", "Always") &&
           default_str(arena, spec, "dnsPolicy", "ClusterFirst") &&
           default_str(arena, spec, "schedulerName", "default-scheduler") &&
           default_int(arena, spec, "terminationGracePeriodSeconds", 30) &&
           default_object_member(arena, spec, "securityContext") != NULL;
}

int pod_spec_default(struct request *request, struct json *spec, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *volumes;
    bool host_network;
    int code;

    if (!json_is(spec, JSON_OBJECT))
        return 0;
    if (!spec_members_default(arena, spec))
        return out_of_memory(err);
    host_network = json_bool(json_member(spec, "hostNetwork"), false);
    for (size_t l = 0; l < ARRAY_LEN(defaulted_lists); l++) {
        struct json *containers = json_get(spec, str_from(defaulted_lists[l]));

        for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++)
            if ((code = container_default(arena, &containers->items[i], host_network, err)) < 0)
                return code;
    }
    volumes = json_member(spec, "volumes");
    for (uint32_t i = 0; json_is(volumes, JSON_ARRAY) && i < volumes->count; i++)
        if (!volume_default(arena, &volumes->items[i]))
            return out_of_memory(err);
    return 0;
}

int template_default(struct request *request, struct json *template, struct err *err)
{
    return pod_spec_default(request, json_member(template, "spec"), err);
}

/* -- checks -- */

static bool seen_before(const struct json *array, uint32_t at, const char *key)
{
    struct str value = json_str(json_get(&array->items[at], str_from(key)));

    for (uint32_t i = 0; i < at && !str_empty(value); i++)
        if (str_eq(json_str(json_get(&array->items[i], str_from(key))), value))
            return true;
    return false;
}

static void check_ports(struct causes *causes, struct str field, const struct json *ports, bool host_network)
{
    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        const struct json *port = &ports->items[i];
        struct str at = field_path(causes, STR_FMT ".ports[%u]", STR_ARG(field), i);
        struct str name = json_str(json_member(port, "name"));
        int64_t number = json_int(json_member(port, "containerPort"), 0);
        int64_t host = json_int(json_member(port, "hostPort"), 0);

        if (!str_empty(name)) {
            check_port_name(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), name);
            if (seen_before(ports, i, "name"))
                add_duplicate_str(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), name);
        }
        if (number == 0)
            add_required(causes, field_path(causes, STR_FMT ".containerPort", STR_ARG(at)), "");
        else
            check_port_number(causes, field_path(causes, STR_FMT ".containerPort", STR_ARG(at)), number);
        if (host)
            check_port_number(causes, field_path(causes, STR_FMT ".hostPort", STR_ARG(at)), host);
        if (host && host_network && host != number)
            add_invalid_int(causes, field_path(causes, STR_FMT ".containerPort", STR_ARG(at)), number,
                            "must match `hostPort` when `hostNetwork` is true");
    }
}

static void check_env(struct causes *causes, struct str field, const struct json *env)
{
    for (uint32_t i = 0; json_is(env, JSON_ARRAY) && i < env->count; i++) {
        struct str name = json_str(json_member(&env->items[i], "name"));
        struct str value = json_str(json_member(&env->items[i], "value"));

        for (size_t j = 0; j < name.len; j++) {
            unsigned char c = (unsigned char)name.data[j];

            if (c >= 0x20 && c < 0x7f && c != '=')
                continue;
            add_invalid_str(causes, field_path(causes, STR_FMT ".env[%u].name", STR_ARG(field), i), name,
                            "a valid environment variable name must consist only of printable ASCII characters other "
                            "than '='");
            break;
        }
        if (!str_empty(value) && json_member(&env->items[i], "valueFrom"))
            add_invalid_str(causes, field_path(causes, STR_FMT ".env[%u].valueFrom", STR_ARG(field), i), STR(""),
                            "may not be specified when `value` is not empty");
    }
}

static bool has_volume(const struct json *volumes, struct str name)
{
    for (uint32_t i = 0; json_is(volumes, JSON_ARRAY) && i < volumes->count; i++)
        if (str_eq(json_str(json_member(&volumes->items[i], "name")), name))
            return true;
    return false;
}

static void check_mounts(struct causes *causes, struct str field, const struct json *mounts, const struct json *volumes)
{
    for (uint32_t i = 0; json_is(mounts, JSON_ARRAY) && i < mounts->count; i++) {
        const struct json *mount = &mounts->items[i];
        struct str at = field_path(causes, STR_FMT ".volumeMounts[%u]", STR_ARG(field), i);
        struct str name = json_str(json_member(mount, "name")), path = json_str(json_member(mount, "mountPath"));
        struct str sub = json_str(json_member(mount, "subPath"));

        if (!str_empty(name) && !has_volume(volumes, name))
            add_not_found(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), name);
        if (seen_before(mounts, i, "mountPath"))
            add_invalid_str(causes, field_path(causes, STR_FMT ".mountPath", STR_ARG(at)), path, "must be unique");
        if (str_has_prefix(sub, STR("/")))
            add_invalid_str(causes, field_path(causes, STR_FMT ".subPath", STR_ARG(at)), sub,
                            "must be a relative path");
        if (str_is(sub, "..") || str_has_prefix(sub, STR("../")) || str_find(sub, STR("/../")) >= 0 ||
            str_has_suffix(sub, STR("/..")))
            add_invalid_str(causes, field_path(causes, STR_FMT ".subPath", STR_ARG(at)), sub, "must not contain '..'");
    }
}

static void check_probe(struct causes *causes, struct str field, const struct json *container, const char *key)
{
    static const char *const handlers[] = { "exec", "httpGet", "tcpSocket", "grpc" };
    static const char *const numbers[] = { "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
                                           "failureThreshold" };
    const struct json *probe = json_get(container, str_from(key));
    struct str at = field_path(causes, STR_FMT ".%s", STR_ARG(field), key);
    unsigned count = 0;

    if (!json_is(probe, JSON_OBJECT))
        return;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (json_get(probe, str_from(handlers[i])) && ++count == 2)
            add_forbidden(causes, field_path(causes, STR_FMT ".%s", STR_ARG(at), handlers[i]),
                          "may not specify more than 1 handler type");
    if (!count)
        add_required(causes, at, "must specify a handler type");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        check_not_negative(causes, field_path(causes, STR_FMT ".%s", STR_ARG(at), numbers[i]),
                           json_get(probe, str_from(numbers[i])));
    if (!str_is(str_from(key), "readinessProbe") && json_int(json_member(probe, "successThreshold"), 1) != 1)
        add_invalid_int(causes, field_path(causes, STR_FMT ".successThreshold", STR_ARG(at)),
                        json_int(json_member(probe, "successThreshold"), 1), "must be 1");
}

static bool name_in(const struct json *containers, struct str name)
{
    for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++)
        if (str_eq(json_str(json_member(&containers->items[i], "name")), name))
            return true;
    return false;
}

void pod_container_validate(struct causes *causes, struct str field, const struct json *container,
                            const struct json *spec)
{
    struct str name = json_str(json_member(container, "name")), image = json_str(json_member(container, "image"));

    if (!str_empty(name))
        check_name(causes, field_path(causes, STR_FMT ".name", STR_ARG(field)), NAME_LABEL, name);
    if (str_empty(image))
        add_required(causes, field_path(causes, STR_FMT ".image", STR_ARG(field)), "");
    else if (str_trim(image).len != image.len)
        add_invalid_str(causes, field_path(causes, STR_FMT ".image", STR_ARG(field)), image,
                        "must not have leading or trailing whitespace");
    check_ports(causes, field, json_member(container, "ports"), json_bool(json_member(spec, "hostNetwork"), false));
    check_env(causes, field, json_member(container, "env"));
    check_mounts(causes, field, json_member(container, "volumeMounts"), json_member(spec, "volumes"));
    check_probe(causes, field, container, "livenessProbe");
    check_probe(causes, field, container, "readinessProbe");
    check_probe(causes, field, container, "startupProbe");
    pod_resources_validate(causes, field_path(causes, STR_FMT ".resources", STR_ARG(field)),
                           json_member(container, "resources"));
}

static void check_containers(struct causes *causes, struct str field, const struct json *spec, const char *list)
{
    const struct json *containers = json_get(spec, str_from(list));
    bool init = str_is(str_from(list), "initContainers");

    for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++) {
        struct str at = field_path(causes, STR_FMT ".%s[%u]", STR_ARG(field), list, i);
        struct str name = json_str(json_member(&containers->items[i], "name"));

        pod_container_validate(causes, at, &containers->items[i], spec);
        if (seen_before(containers, i, "name") || (init && name_in(json_member(spec, "containers"), name)))
            add_duplicate_str(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), name);
    }
}

static void check_volumes(struct causes *causes, struct str field, const struct json *volumes)
{
    for (uint32_t i = 0; json_is(volumes, JSON_ARRAY) && i < volumes->count; i++) {
        const struct json *volume = &volumes->items[i];
        struct str at = field_path(causes, STR_FMT ".volumes[%u]", STR_ARG(field), i);
        struct str name = json_str(json_member(volume, "name"));
        uint32_t sources = 0;

        if (!str_empty(name))
            check_name(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), NAME_LABEL, name);
        if (seen_before(volumes, i, "name"))
            add_duplicate_str(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), name);
        for (uint32_t j = 0; j < volume->count; j++)
            if (!str_is(volume->members[j].key, "name") && ++sources == 2)
                add_forbidden(causes,
                              field_path(causes, STR_FMT "." STR_FMT, STR_ARG(at), STR_ARG(volume->members[j].key)),
                              "may not specify more than 1 volume type");
    }
}

void pod_spec_validate(struct causes *causes, struct str field, const struct json *spec)
{
    const struct json *deadline = json_member(spec, "activeDeadlineSeconds");
    struct str account = json_str(json_member(spec, "serviceAccountName"));
    struct str node = json_str(json_member(spec, "nodeName"));

    check_volumes(causes, field, json_member(spec, "volumes"));
    for (size_t i = 0; i < ARRAY_LEN(container_lists); i++)
        check_containers(causes, field, spec, container_lists[i]);
    check_not_negative(causes, field_path(causes, STR_FMT ".terminationGracePeriodSeconds", STR_ARG(field)),
                       json_member(spec, "terminationGracePeriodSeconds"));
    check_labels(causes, field_path(causes, STR_FMT ".nodeSelector", STR_ARG(field)),
                 json_member(spec, "nodeSelector"));
    if (deadline && (json_int(deadline, 0) < 1 || json_int(deadline, 0) > INT32_MAX))
        add_invalid(causes, field_path(causes, STR_FMT ".activeDeadlineSeconds", STR_ARG(field)), deadline,
                    "must be between 1 and 2147483647, inclusive");
    if (!str_empty(account))
        check_name(causes, field_path(causes, STR_FMT ".serviceAccountName", STR_ARG(field)), NAME_SUBDOMAIN, account);
    if (!str_empty(node))
        check_name(causes, field_path(causes, STR_FMT ".nodeName", STR_ARG(field)), NAME_SUBDOMAIN, node);
}

void template_validate(struct causes *causes, struct str field, const struct json *template,
                       const char *const *policies)
{
    const struct json *spec = json_member(template, "spec");
    struct str policy = json_str(json_member(spec, "restartPolicy"));
    bool allowed = false;

    check_labels(causes, field_path(causes, STR_FMT ".labels", STR_ARG(field)), json_at(template, "metadata.labels"));
    pod_spec_validate(causes, field_path(causes, STR_FMT ".spec", STR_ARG(field)), spec);
    for (size_t i = 0; policies[i]; i++)
        allowed = allowed || str_is(policy, policies[i]);
    if (!allowed && spec)
        add_not_supported(causes, field_path(causes, STR_FMT ".spec.restartPolicy", STR_ARG(field)), policy, policies);
    if (json_member(spec, "activeDeadlineSeconds") && str_is(str_from(policies[0]), "Always"))
        add_forbidden(causes, field_path(causes, STR_FMT ".spec.activeDeadlineSeconds", STR_ARG(field)),
                      "activeDeadlineSeconds in ReplicaSet is not Supported");
}
