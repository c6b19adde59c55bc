/* pod_default.c - the pod spec, in pods and in every workload's template: what is filled in beyond the table. */
#include "apiserver/registry/rules.h"

static const char *const container_lists[] = { "initContainers", "containers", "ephemeralContainers" };

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

static bool ports_default(struct arena *arena, struct json *container)
{
    struct json *ports = json_member(container, "ports");

    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        struct json *port = &ports->items[i];

        if (!default_str(arena, port, "protocol", "TCP"))
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

static int container_default(struct arena *arena, struct json *container, struct err *err)
{
    struct str image = json_str(json_member(container, "image"));
    bool ok = default_str(arena, container, "imagePullPolicy", is_moving_tag(image) ? "Always" : "IfNotPresent") &&
              default_str(arena, container, "terminationMessagePath", "/dev/termination-log") &&
              default_str(arena, container, "terminationMessagePolicy", "File") &&
              ports_default(arena, container) && env_default(arena, container) &&
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
    int code;

    if (!json_is(spec, JSON_OBJECT))
        return 0;
    if (!spec_members_default(arena, spec))
        return out_of_memory(err);
    for (size_t l = 0; l < ARRAY_LEN(container_lists); l++) {
        struct json *containers = json_get(spec, str_from(container_lists[l]));

        for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++)
            if ((code = container_default(arena, &containers->items[i], err)) < 0)
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
