/* pod.c - pods: the class they run in, what may change once they exist, and how they end. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

#define TOLERATION_SECONDS 300

static bool tolerates(const struct json *tolerations, const char *key)
{
    for (uint32_t i = 0; json_is(tolerations, JSON_ARRAY) && i < tolerations->count; i++) {
        const struct json *toleration = &tolerations->items[i];
        struct str effect = json_str(json_member(toleration, "effect"));
        struct str own = json_str(json_member(toleration, "key"));

        if ((str_empty(own) || str_is(own, key)) && (str_empty(effect) || str_is(effect, "NoExecute")))
            return true;
    }
    return false;
}

/* Pods stay five minutes on a node that is not ready, unless they say otherwise. */
static bool add_tolerations(struct arena *arena, struct json *spec)
{
    static const char *const keys[] = { "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable" };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct json *list = json_ensure(arena, spec, STR("tolerations"), JSON_ARRAY), *toleration;

        if (!list)
            return false;
        if (tolerates(list, keys[i]))
            continue;
        toleration = json_append(arena, list, &(struct json){ .kind = JSON_OBJECT });
        if (!toleration || !json_set_str(arena, toleration, STR("effect"), STR("NoExecute")) ||
            !json_set_str(arena, toleration, STR("key"), str_from(keys[i])) ||
            !json_set_str(arena, toleration, STR("operator"), STR("Exists")) ||
            !json_set_int(arena, toleration, STR("tolerationSeconds"), TOLERATION_SECONDS))
            return false;
    }
    return true;
}

static int set_priority(struct request *request, struct json *spec, int64_t value, struct str policy, struct err *err)
{
    if (!json_set_int(request->arena, spec, STR("priority"), value) ||
        (!json_member(spec, "preemptionPolicy") &&
         !json_set_str(request->arena, spec, STR("preemptionPolicy"),
                       str_empty(policy) ? STR("PreemptLowerPriority") : policy)))
        return out_of_memory(err);
    return 0;
}

static int resolve_priority(struct request *request, struct json *spec, struct err *err)
{
    struct write reader = { .request = request };
    struct str name = json_str(json_member(spec, "priorityClassName")), key;
    struct json *class = NULL;
    revision_t revision;
    int code;

    if (str_empty(name))
        return set_priority(request, spec, 0, STR(""), err);
    key = arena_printf(request->arena, STR_FMT STR_FMT,
                       STR_ARG(RESOURCE_SCHEDULING_K8S_IO_PRIORITYCLASSES.store_prefix), STR_ARG(name));
    if ((code = write_read(&reader, key, &class, NULL, &revision, err)) < 0)
        return code;
    if (class)
        return set_priority(request, spec, json_int(json_member(class, "value"), 0),
                            json_str(json_member(class, "preemptionPolicy")), err);
    if (str_is(name, "system-node-critical"))
        return set_priority(request, spec, 2000001000, STR(""), err);
    if (str_is(name, "system-cluster-critical"))
        return set_priority(request, spec, 2000000000, STR(""), err);
    return fail_forbidden(request, request->info.name, err, "no PriorityClass with name " STR_FMT " was found",
                          STR_ARG(name));
}

static int prepare_create(struct request *request, struct json *pod, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, pod, STR("spec"), JSON_OBJECT);

    if (!spec || !default_str(arena, spec, "serviceAccountName",
                              json_str(json_member(spec, "serviceAccount")).len ? "" : "default"))
        return out_of_memory(err);
    if (str_empty(json_str(json_member(spec, "serviceAccountName"))) &&
        !json_set_str(arena, spec, STR("serviceAccountName"), json_str(json_member(spec, "serviceAccount"))))
        return out_of_memory(err);
    if (!add_tolerations(arena, spec) || !default_bool(arena, spec, "enableServiceLinks", true))
        return out_of_memory(err);
    return resolve_priority(request, spec, err);
}

static int prepare_update(struct request *request, struct json *pod, const struct json *old, struct err *err)
{
    struct json *spec = json_member(pod, "spec");
    const struct json *old_spec = json_member(old, "spec");
    static const char *const kept[] = { "priority",           "preemptionPolicy", "enableServiceLinks",
                                        "serviceAccountName", "serviceAccount",   "nodeName" };

    /* A manifest written before the defaults were there does not take them away. */
    for (size_t i = 0; spec && i < ARRAY_LEN(kept); i++) {
        const struct json *value = json_get(old_spec, str_from(kept[i]));

        if (value && !json_get(spec, str_from(kept[i])) && !json_set(request->arena, spec, str_from(kept[i]), value))
            return out_of_memory(err);
    }
    return !spec || add_tolerations(request->arena, spec) ? 0 : out_of_memory(err);
}

/* On the host's network a port is the host's; templates are left as they are. */
static bool host_ports_default(struct arena *arena, struct json *spec)
{
    struct json *containers = json_member(spec, "containers");

    for (uint32_t i = 0; json_bool(json_member(spec, "hostNetwork"), false) && i < items_of(containers); i++) {
        struct json *ports = json_member(&containers->items[i], "ports");

        for (uint32_t j = 0; j < items_of(ports); j++)
            if (!default_int(arena, &ports->items[j], "hostPort",
                             json_int(json_member(&ports->items[j], "containerPort"), 0)))
                return false;
    }
    return true;
}

static int default_resize_policies(struct request *request, struct json *spec, struct err *err)
{
    static const char *const lists[] = { "containers", "initContainers" };
    int code = 0;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        struct json *containers = json_get(spec, str_from(lists[l]));

        for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count && code == 0; i++)
            if (l == 0 || str_is(json_str(json_member(&containers->items[i], "restartPolicy")), "Always"))
                code = pod_resize_policy_default(request->arena, &containers->items[i], err);
    }
    return code;
}

static int default_pod(struct request *request, struct json *pod, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, pod, STR("spec"), JSON_OBJECT), *status;
    int code;

    if (!spec)
        return out_of_memory(err);
    if ((code = pod_spec_default(request, spec, err)) < 0 || (code = default_resize_policies(request, spec, err)) < 0)
        return code;
    if (!host_ports_default(arena, json_member(pod, "spec")))
        return out_of_memory(err);
    status = json_ensure(arena, pod, STR("status"), JSON_OBJECT);
    if (!status || !default_str(arena, status, "phase", "Pending"))
        return out_of_memory(err);
    if (!json_member(status, "qosClass") &&
        !json_set_str(arena, status, STR("qosClass"), pod_qos_class(json_member(pod, "spec"))))
        return out_of_memory(err);
    return 0;
}

void pod_check_all(struct causes *causes, const struct json *pod)
{
    const struct json *spec = json_member(pod, "spec"), *volumes = json_member(spec, "volumes");
    const struct json *annotations = json_at(pod, "metadata.annotations");

    pod_annotations_check(causes, AT(AT(NULL, "metadata"), "annotations"), annotations);
    pod_spec_validate(causes, AT(NULL, "spec"), spec, json_member(pod, "metadata"));
    for (uint32_t i = 0; str_empty(text_in(spec, "serviceAccountName")) && i < items_of(volumes); i++) {
        const struct json *sources = json_at(&volumes->items[i], "projected.sources");
        struct path *at = AT(AT(NTH(AT(AT(NULL, "spec"), "volumes"), i), "projected"), "sources");

        for (uint32_t j = 0; j < items_of(sources); j++)
            if (json_member(&sources->items[j], "serviceAccountToken"))
                cause_forbidden(causes, AT(NTH(at, j), "serviceAccountToken"),
                                "must not be specified when serviceAccountName is not set");
    }
}

static void validate_create(struct request *request, const struct json *pod, struct causes *causes)
{
    const struct json *spec = json_member(pod, "spec");

    (void)request;
    pod_check_all(causes, pod);
    if (items_of(json_member(spec, "ephemeralContainers")))
        cause_forbidden(causes, AT(AT(NULL, "spec"), "ephemeralContainers"), "cannot be set on create");
    if (!str_empty(text_in(spec, "nodeName")) && items_of(json_member(spec, "schedulingGates")))
        cause_forbidden(causes, AT(AT(NULL, "spec"), "nodeName"),
                        "cannot be set until all schedulingGates have been cleared");
}

static void validate_update(struct request *request, const struct json *pod, const struct json *old,
                            struct causes *causes)
{
    (void)request;
    pod_check_all(causes, pod);
    pod_update_check(causes, pod, old);
}

/* A pod that no node runs goes at once. */
static int64_t grace(const struct json *pod, int64_t wanted)
{
    struct str phase = json_str_at(pod, "status.phase");

    if (wanted < 0)
        wanted = json_int(json_at(pod, "spec.terminationGracePeriodSeconds"), 30);
    if (wanted < 0)
        wanted = 1; /* what a negative one stands for */
    if (str_empty(json_str_at(pod, "spec.nodeName")) || str_is(phase, "Succeeded") || str_is(phase, "Failed"))
        return 0;
    return MAX(wanted, 0);
}

const struct rules pod_rules = {
    .resource = &RESOURCE_PODS,
    .flags = RULE_STATUS_LABELS,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .default_ = default_pod,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .grace = grace,
    .parts = pod_parts,
    .part_count = POD_PARTS,
};
