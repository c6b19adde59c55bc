/* pod_update.c - what may change of a pod once it exists: images, the deadline (down only), tolerations (more only),
 * scheduling gates (fewer only), and, while a gate is left, where it may run (narrower only). */
#include "apiserver/registry/pod_check.h"

#define DELETION_COST "controller.kubernetes.io/pod-deletion-cost"
#define MIRROR "kubernetes.io/config.mirror"
#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"

void pod_annotations_check(struct causes *causes, const struct path *at, const struct json *annotations)
{
    struct str cost = json_str(json_get(annotations, STR(DELETION_COST)));
    int64_t value;

    if (cost.data && (!str_to_i64(cost, &value) || value < INT32_MIN || value > INT32_MAX))
        cause_invalid_str(causes, KEYED(at, STR(DELETION_COST)), cost, "must be a 32bit integer");
}

static void check_mirror(struct causes *causes, const struct json *pod, const struct json *old)
{
    const struct json *now = json_get(json_at(pod, "metadata.annotations"), STR(MIRROR));
    const struct json *before = json_get(json_at(old, "metadata.annotations"), STR(MIRROR));
    struct path *at = KEYED(AT(AT(NULL, "metadata"), "annotations"), STR(MIRROR));

    if (before && !json_same(now, before))
        cause_forbidden(causes, at, "may not remove or update mirror pod annotation");
    else if (now && !before)
        cause_forbidden(causes, at, "may not add mirror pod annotation");
}

static bool check_same_containers(struct causes *causes, const struct path *at, const struct json *now,
                                  const struct json *before)
{
    if (items_of(now) == items_of(before))
        return true;
    cause_forbidden(causes, at, "pod updates may not add or remove containers");
    return false;
}

static bool check_deadline(struct causes *causes, const struct path *at, const struct json *now,
                           const struct json *before)
{
    if (!now && before)
        cause_invalid(causes, at, NULL, "must not update from a positive integer to nil value");
    if (!now || !before || json_int(before, 0) >= json_int(now, 0))
        return true;
    cause_invalid(causes, at, now, "must be less than or equal to previous value");
    return false;
}

/* Equal, the seconds aside. */
static bool same_toleration(const struct json *a, const struct json *b)
{
    static const char *const members[] = { "key", "operator", "value", "effect" };

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (!str_eq(text_in(a, members[i]), text_in(b, members[i])))
            return false;
    return true;
}

static void check_tolerations(struct causes *causes, const struct path *at, const struct json *now,
                              const struct json *before)
{
    for (uint32_t i = 0; i < items_of(before); i++) {
        bool found = false;

        for (uint32_t j = 0; j < items_of(now) && !found; j++)
            found = same_toleration(&now->items[j], &before->items[i]);
        if (!found) {
            cause_forbidden(causes, at, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}

static void check_gates(struct causes *causes, const struct path *at, const struct json *now, const struct json *before)
{
    for (uint32_t i = 0; i < items_of(now); i++) {
        struct str name = text_in(&now->items[i], "name");
        bool found = false;

        for (uint32_t j = 0; j < items_of(before) && !found; j++)
            found = str_eq(text_in(&before->items[j], "name"), name);
        if (!found)
            cause_at(causes, CAUSE_FORBIDDEN, AT(NTH(at, i), "name"),
                     "Forbidden: only deletion is allowed, but found new scheduling gate '" STR_FMT "'", STR_ARG(name));
    }
}

/* -- gated pods -- */

static void check_node_selector(struct causes *causes, const struct path *at, const struct json *now,
                                const struct json *before)
{
    for (uint32_t i = 0; i < members_of(before); i++)
        if (!json_same(json_get(now, before->members[i].key), &before->members[i].value)) {
            cause_invalid(causes, at, now, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
            return;
        }
}

/* Every requirement of before is still in now, in order from the start. */
static bool extends(const struct json *now, const struct json *before)
{
    for (uint32_t i = 0; i < items_of(before); i++)
        if (i >= items_of(now) || !json_equal(&now->items[i], &before->items[i]))
            return false;
    return true;
}

static void check_node_affinity(struct causes *causes, const struct path *at, const struct json *now,
                                const struct json *before)
{
    const struct json *terms = json_member(json_member(now, REQUIRED), "nodeSelectorTerms");
    const struct json *old_terms = json_member(json_member(before, REQUIRED), "nodeSelectorTerms");
    struct path *here = AT(at, REQUIRED);

    if (!items_of(old_terms))
        return;
    if (items_of(terms) != items_of(old_terms)) {
        cause_invalid(causes, AT(here, "nodeSelectorTerms"), terms,
                      "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
        return;
    }
    for (uint32_t i = 0; i < terms->count; i++) {
        const struct json *term = &terms->items[i], *old_term = &old_terms->items[i];

        if (!json_equal(term, old_term) &&
            ((!items_of(json_member(old_term, "matchExpressions")) && !items_of(json_member(old_term, "matchFields"))) ||
             !extends(json_member(term, "matchExpressions"), json_member(old_term, "matchExpressions")) ||
             !extends(json_member(term, "matchFields"), json_member(old_term, "matchFields"))))
            cause_invalid(causes, NTH(AT(here, "nodeSelectorTerms"), i), term,
                          "only additions are allowed (no mutations or deletions)");
    }
}

/* -- all else -- */

static bool put(struct arena *arena, struct json *object, const char *member, const struct json *value)
{
    if (value)
        return json_set(arena, object, str_from(member), value) != NULL;
    json_remove(object, str_from(member));
    return true;
}

static bool put_images(struct arena *arena, struct json *spec, const struct json *from, const char *list)
{
    struct json *to = json_get(spec, str_from(list));
    const struct json *containers = json_get(from, str_from(list));

    for (uint32_t i = 0; i < items_of(to) && i < items_of(containers); i++)
        if (!put(arena, &to->items[i], "image", json_member(&containers->items[i], "image")))
            return false;
    return true;
}

static bool put_node_affinity(struct arena *arena, struct json *spec, const struct json *old)
{
    const struct json *before = json_at(old, "affinity.nodeAffinity");
    struct json *affinity = json_member(spec, "affinity");

    if (json_same(json_member(affinity, "nodeAffinity"), before))
        return true;
    affinity = affinity ? affinity : json_ensure(arena, spec, STR("affinity"), JSON_OBJECT);
    if (!affinity || !put(arena, affinity, "nodeAffinity", before))
        return false;
    if (!affinity->count && !json_member(old, "affinity"))
        json_remove(spec, STR("affinity"));
    return true;
}

/* The new spec with what may change taken from the old one: equal to the old one, or the update is refused. NULL: no
 * memory. */
static struct json *frozen_part(struct arena *arena, const struct json *spec, const struct json *old)
{
    static const char *const free_members[] = { "activeDeadlineSeconds", "tolerations", "schedulingGates" };
    const struct json *grace = json_member(old, "terminationGracePeriodSeconds");
    bool gated = items_of(json_member(old, "schedulingGates")) > 0;
    struct json *copy = json_copy(arena, spec);

    if (!copy || !put_images(arena, copy, old, "containers") || !put_images(arena, copy, old, "initContainers"))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(free_members); i++)
        if (!put(arena, copy, free_members[i], json_get(old, str_from(free_members[i]))))
            return NULL;
    if (json_int(grace, 0) < 0 && json_int(json_member(spec, "terminationGracePeriodSeconds"), 0) == 1 &&
        !put(arena, copy, "terminationGracePeriodSeconds", grace))
        return NULL;
    if (gated && (!put(arena, copy, "nodeSelector", json_member(old, "nodeSelector")) ||
                  !put_node_affinity(arena, copy, old)))
        return NULL;
    return copy;
}

void pod_update_check(struct causes *causes, const struct json *pod, const struct json *old_pod)
{
    const struct json *spec = json_member(pod, "spec"), *old = json_member(old_pod, "spec");
    struct path *at = AT(NULL, "spec");
    const struct json *frozen;

    check_mirror(causes, pod, old_pod);
    if (json_same(spec, old))
        return;
    if (!check_same_containers(causes, AT(at, "containers"), json_member(spec, "containers"),
                               json_member(old, "containers")) ||
        !check_same_containers(causes, AT(at, "initContainers"), json_member(spec, "initContainers"),
                               json_member(old, "initContainers")) ||
        !check_deadline(causes, AT(at, "activeDeadlineSeconds"), json_member(spec, "activeDeadlineSeconds"),
                        json_member(old, "activeDeadlineSeconds")))
        return;
    check_tolerations(causes, AT(at, "tolerations"), json_member(spec, "tolerations"), json_member(old, "tolerations"));
    check_gates(causes, AT(at, "schedulingGates"), json_member(spec, "schedulingGates"),
                json_member(old, "schedulingGates"));
    if (items_of(json_member(old, "schedulingGates"))) {
        check_node_selector(causes, AT(at, "nodeSelector"), json_member(spec, "nodeSelector"),
                            json_member(old, "nodeSelector"));
        check_node_affinity(causes, AT(AT(at, "affinity"), "nodeAffinity"), json_at(spec, "affinity.nodeAffinity"),
                            json_at(old, "affinity.nodeAffinity"));
    }
    frozen = frozen_part(causes->arena, spec, old);
    if (frozen && !json_equal(frozen, old))
        cause_forbidden(causes, at,
                        "pod updates may not change fields other than `spec.containers[*].image`,"
                        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions "
                        "to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
                        "was previously negative)");
}
