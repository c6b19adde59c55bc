/* pod_parts.c - what may change of a running pod, through subresources of its own: pods/ephemeralcontainers adds
 * containers to look into it, pods/resize gives its containers more or less to use. */
#include "apiserver/registry/rules.h"
#include "schema/quantity.h"

/* object becomes old, but for managedFields, which are worked out later. */
static int become_old(struct arena *arena, struct json *object, const struct json *old, struct err *err)
{
    struct json *copy = json_copy(arena, old);

    if (!copy || !json_ensure(arena, copy, STR("metadata"), JSON_OBJECT) ||
        !json_ensure(arena, copy, STR("spec"), JSON_OBJECT))
        return out_of_memory(err);
    json_remove(json_member(copy, "metadata"), STR("managedFields"));
    *object = *copy;
    return 0;
}

/* -- ephemeral containers -- */

static int take_ephemeral(struct request *request, struct json *object, const struct json *old, struct err *err)
{
    const struct json *list = json_at(object, "spec.ephemeralContainers");
    int code = become_old(request->arena, object, old, err);
    struct json *spec = json_member(object, "spec");

    if (code < 0)
        return code;
    if (list)
        return json_set(request->arena, spec, STR("ephemeralContainers"), list) ? 0 : out_of_memory(err);
    json_remove(spec, STR("ephemeralContainers"));
    return 0;
}

static const struct json *named(const struct json *list, struct str name)
{
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_eq(json_str(json_member(&list->items[i], "name")), name))
            return &list->items[i];
    return NULL;
}

static void validate_ephemeral(struct request *request, const struct json *object, const struct json *old,
                               struct causes *causes)
{
    const struct json *list = json_at(object, "spec.ephemeralContainers");
    const struct json *before = json_at(old, "spec.ephemeralContainers");

    (void)request;
    pod_check_all(causes, object);
    for (uint32_t i = 0; json_is(before, JSON_ARRAY) && i < before->count; i++) {
        struct str name = json_str(json_member(&before->items[i], "name"));
        const struct json *now = named(list, name);

        if (now && json_equal(now, &before->items[i]))
            continue;
        causes_add(causes, CAUSE_FORBIDDEN, STR("spec.ephemeralContainers"),
                   "Forbidden: existing ephemeral containers \"" STR_FMT "\" may not be %s\n", STR_ARG(name),
                   now ? "changed" : "removed");
    }
}

/* -- resize -- */

static const char *const container_lists[] = { "containers", "initContainers" };
static const char *const changeable[] = { "resources", "resizePolicy" };
static const char *const amounts_of[] = { "requests", "limits" };

/* Resources and policies of the containers, matched by name. */
static int take_resize(struct request *request, struct json *object, const struct json *old, struct err *err)
{
    struct json wanted = *object;
    int code = become_old(request->arena, object, old, err);

    for (size_t l = 0; code == 0 && l < ARRAY_LEN(container_lists); l++) {
        struct json *list = json_get(json_member(object, "spec"), str_from(container_lists[l]));
        const struct json *from = json_get(json_member(&wanted, "spec"), str_from(container_lists[l]));

        for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++) {
            const struct json *asked = named(from, json_str(json_member(&list->items[i], "name")));

            for (size_t c = 0; asked && c < ARRAY_LEN(changeable); c++) {
                const struct json *value = json_get(asked, str_from(changeable[c]));

                if (!value)
                    json_remove(&list->items[i], str_from(changeable[c]));
                else if (!json_set(request->arena, &list->items[i], str_from(changeable[c]), value))
                    return out_of_memory(err);
            }
        }
    }
    return code;
}

static bool restarts_for_memory(const struct json *container)
{
    const struct json *policies = json_member(container, "resizePolicy");

    for (uint32_t i = 0; json_is(policies, JSON_ARRAY) && i < policies->count; i++)
        if (str_is(json_str(json_member(&policies->items[i], "resourceName")), "memory"))
            return str_is(json_str(json_member(&policies->items[i], "restartPolicy")), "RestartContainer");
    return false;
}

static bool amount_at(const struct json *container, const char *which, const char *name, struct quantity *ret_amount)
{
    const struct json *amounts = json_get(json_member(container, "resources"), str_from(which));

    return quantity_parse(json_str(json_get(amounts, str_from(name))), ret_amount);
}

static void check_resized(struct causes *causes, struct str at, const struct json *now, const struct json *before)
{
    static const char *const names[] = { "cpu", "memory" };
    struct quantity a, b;

    for (size_t w = 0; w < ARRAY_LEN(amounts_of); w++) {
        bool removed = false;

        for (size_t n = 0; n < ARRAY_LEN(names); n++)
            removed = removed || (amount_at(before, amounts_of[w], names[n], &b) &&
                                  !amount_at(now, amounts_of[w], names[n], &a));
        if (removed)
            add_forbidden(causes, field_path(causes, STR_FMT ".resources.%s", STR_ARG(at), amounts_of[w]),
                          w == 0 ? "resource requests cannot be removed" : "resource limits cannot be removed");
    }
    if (amount_at(now, "limits", "memory", &a) && amount_at(before, "limits", "memory", &b) &&
        quantity_cmp(a, b) < 0 && !restarts_for_memory(now))
        add_forbidden(causes, field_path(causes, STR_FMT ".resources.limits[memory]", STR_ARG(at)),
                      "memory limits cannot be decreased unless resizePolicy is RestartContainer");
}

/* The containers with cpu, memory and policies as they were: equal to before, or something else was changed. */
static struct json *without_resize(struct arena *arena, const struct json *now, const struct json *before)
{
    static const char *const names[] = { "cpu", "memory" };
    struct json *copy = json_copy(arena, now), *resources, *amounts;
    const struct json *policy = json_member(before, "resizePolicy");

    if (!copy)
        return NULL;
    json_remove(copy, STR("resizePolicy"));
    if (policy && !json_set(arena, copy, STR("resizePolicy"), policy))
        return NULL;
    resources = json_ensure(arena, copy, STR("resources"), JSON_OBJECT);
    for (size_t w = 0; resources && w < ARRAY_LEN(amounts_of); w++) {
        const struct json *old = json_get(json_member(before, "resources"), str_from(amounts_of[w]));

        amounts = json_ensure(arena, resources, str_from(amounts_of[w]), JSON_OBJECT);
        for (size_t n = 0; amounts && n < ARRAY_LEN(names); n++) {
            const struct json *value = json_get(old, str_from(names[n]));

            json_remove(amounts, str_from(names[n]));
            if (value && !json_set(arena, amounts, str_from(names[n]), value))
                return NULL;
        }
        if (!amounts)
            return NULL;
        if (!amounts->count && !old)
            json_remove(resources, str_from(amounts_of[w]));
    }
    return copy;
}

static void check_container_resize(struct causes *causes, const char *list, uint32_t i, const struct json *now,
                                   const struct json *before, bool *other)
{
    bool restartable = str_is(str_from(list), "containers") ||
                       str_is(json_str(json_member(now, "restartPolicy")), "Always");
    struct json *same;

    if (json_equal(now, before))
        return;
    same = restartable ? without_resize(causes->arena, now, before) : NULL;
    *other = *other || !same || !json_equal(same, before);
    check_resized(causes, field_path(causes, "spec.%s[%u]", list, i), now, before);
}

/* A container that runs without saying what it may use is on a node that cannot change it. */
static bool node_resizes(const struct json *pod)
{
    const struct json *statuses = json_at(pod, "status.containerStatuses");

    for (uint32_t i = 0; json_is(statuses, JSON_ARRAY) && i < statuses->count; i++)
        if (json_at(&statuses->items[i], "state.running") && !json_member(&statuses->items[i], "resources"))
            return false;
    return true;
}

static void validate_resize(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    const struct json *spec = json_member(object, "spec"), *old_spec = json_member(old, "spec");
    struct str class = pod_qos_class(spec);
    bool other = false;

    (void)request;
    pod_check_all(causes, object);
    if (json_get(json_at(old, "metadata.annotations"), STR("kubernetes.io/config.mirror")))
        add_forbidden(causes, STR("spec"), "static pods cannot be resized");
    if (str_is(json_str_at(old, "spec.os.name"), "windows"))
        add_forbidden(causes, STR("spec"), "windows pods cannot be resized");
    if (json_is(json_member(spec, "resources"), JSON_OBJECT) && json_member(spec, "resources")->count)
        add_forbidden(causes, STR("spec"), "pods with pod-level resources cannot be resized");
    if (!str_eq(class, pod_qos_class(old_spec)))
        add_invalid_str(causes, STR("spec"), class, "Pod QOS Class may not change as a result of resizing");
    if (!node_resizes(old))
        add_forbidden(causes, STR("spec"), "Pod running on node without support for resize");
    for (size_t l = 0; l < ARRAY_LEN(container_lists); l++) {
        const struct json *list = json_get(spec, str_from(container_lists[l]));
        const struct json *before = json_get(old_spec, str_from(container_lists[l]));

        for (uint32_t i = 0; json_is(list, JSON_ARRAY) && json_is(before, JSON_ARRAY) && i < list->count &&
                             i < before->count;
             i++)
            check_container_resize(causes, container_lists[l], i, &list->items[i], &before->items[i], &other);
    }
    if (other)
        add_forbidden(causes, STR("spec"), "only cpu and memory resources are mutable");
}

/* Every amount that may be changed has a policy. */
int pod_resize_policy_default(struct arena *arena, struct json *container, struct err *err)
{
    static const char *const names[] = { "cpu", "memory" };
    struct quantity amount;

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        struct json *policies, *policy;
        bool found = false;

        if (!amount_at(container, "requests", names[n], &amount) && !amount_at(container, "limits", names[n], &amount))
            continue;
        policies = json_ensure(arena, container, STR("resizePolicy"), JSON_ARRAY);
        for (uint32_t i = 0; policies && i < policies->count; i++)
            found = found || str_is(json_str(json_member(&policies->items[i], "resourceName")), names[n]);
        if (found)
            continue;
        policy = policies ? json_append(arena, policies, &(struct json){ .kind = JSON_OBJECT }) : NULL;
        if (!policy || !json_set_str(arena, policy, STR("resourceName"), str_from(names[n])) ||
            !json_set_str(arena, policy, STR("restartPolicy"), STR("NotRequired")))
            return out_of_memory(err);
    }
    return 0;
}

const struct rule_part pod_parts[POD_PARTS] = {
    { "ephemeralcontainers", take_ephemeral, validate_ephemeral },
    { "resize", take_resize, validate_resize },
};
