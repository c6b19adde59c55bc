/* namespace.c - namespaces: held by spec.finalizers until the namespace controller has emptied them. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static int prepare_create(struct request *request, struct json *ns, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, ns, STR("spec"), JSON_OBJECT), *list, *name;

    list = spec ? json_ensure(arena, spec, STR("finalizers"), JSON_ARRAY) : NULL;
    name = json_new_str(arena, STR("kubernetes"));
    if (!list || !name)
        return out_of_memory(err);
    for (uint32_t i = 0; i < list->count; i++)
        if (str_is(json_str(&list->items[i]), "kubernetes"))
            return 0;
    return json_append(arena, list, name) ? 0 : out_of_memory(err);
}

/* spec.finalizers change through /finalize only. */
static int prepare_update(struct request *request, struct json *ns, const struct json *old, struct err *err)
{
    const struct json *finalizers = json_at(old, "spec.finalizers");
    struct json *spec;

    if (request->subresource && str_is(request->subresource->name, "finalize"))
        return 0;
    spec = json_ensure(request->arena, ns, STR("spec"), JSON_OBJECT);
    if (!spec)
        return out_of_memory(err);
    json_remove(spec, STR("finalizers"));
    if (finalizers && !json_set(request->arena, spec, STR("finalizers"), finalizers))
        return out_of_memory(err);
    return 0;
}

static int default_namespace(struct request *request, struct json *ns, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *meta = json_ensure(arena, ns, STR("metadata"), JSON_OBJECT), *labels, *status;
    struct str name = json_str(json_member(meta, "name"));

    labels = meta ? json_ensure(arena, meta, STR("labels"), JSON_OBJECT) : NULL;
    status = json_ensure(arena, ns, STR("status"), JSON_OBJECT);
    if (!labels || !status || !json_set_str(arena, labels, STR("kubernetes.io/metadata.name"), name) ||
        !default_str(arena, status, "phase", "Active"))
        return out_of_memory(err);
    return 0;
}

static bool held(const struct json *ns)
{
    const struct json *finalizers = json_at(ns, "spec.finalizers");

    return json_is(finalizers, JSON_ARRAY) && finalizers->count > 0;
}

static int deleting(struct request *request, struct json *ns, struct err *err)
{
    static const char *const immortal[] = { "default", "kube-system", "kube-public" };
    struct json *status = json_ensure(request->arena, ns, STR("status"), JSON_OBJECT);
    struct str name = json_str_at(ns, "metadata.name");

    for (size_t i = 0; i < ARRAY_LEN(immortal); i++)
        if (str_is(name, immortal[i]))
            return fail_forbidden(request, name, err, "this namespace may not be deleted");
    return status && json_set_str(request->arena, status, STR("phase"), STR("Terminating")) ? 0 : out_of_memory(err);
}

static void validate_status(struct request *request, const struct json *ns, const struct json *old,
                            struct causes *causes)
{
    bool going = json_at(ns, "metadata.deletionTimestamp") != NULL;
    struct str phase = json_str_at(ns, "status.phase");
    struct path *at = AT(AT(NULL, "status"), "Phase");

    (void)request;
    (void)old;
    if (!going && !str_is(phase, "Active"))
        cause_invalid_str(causes, at, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    if (going && !str_is(phase, "Terminating"))
        cause_invalid_str(causes, at, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

/* Names without a domain are Kubernetes' own. */
static void check_finalizer(struct causes *causes, const struct path *at, struct str name)
{
    cause_format(causes, at, FORMAT_KEY, name);
    if (str_chr(name, '/') < 0 && !str_is(name, "kubernetes") && !str_is(name, "orphan") &&
        !str_is(name, "foregroundDeletion"))
        cause_invalid_str(causes, at, name, "name is neither a standard finalizer name nor is it fully qualified");
}

static void validate_create(struct request *request, const struct json *ns, struct causes *causes)
{
    const struct json *finalizers = json_at(ns, "spec.finalizers");

    (void)request;
    for (uint32_t i = 0; i < items_of(finalizers); i++)
        check_finalizer(causes, AT(AT(NULL, "spec"), "finalizers"), json_str(&finalizers->items[i]));
}

static void validate_update(struct request *request, const struct json *ns, const struct json *old,
                            struct causes *causes)
{
    const struct json *finalizers = json_at(ns, "spec.finalizers");

    (void)old;
    if (request->subresource)
        for (uint32_t i = 0; i < items_of(finalizers); i++)
            check_finalizer(causes, NTH(AT(AT(NULL, "spec"), "finalizers"), i), json_str(&finalizers->items[i]));
}

const struct rules namespace_rules = {
    .resource = &RESOURCE_NAMESPACES,
    .name_form = NAME_LABEL,
    .flags = RULE_NO_GENERATION | RULE_STATUS_LABELS,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .default_ = default_namespace,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .validate_status = validate_status,
    .held = held,
    .deleting = deleting,
};
