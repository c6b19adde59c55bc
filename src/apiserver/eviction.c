/* eviction.c - pods/eviction: a deletion that asks the pod's PodDisruptionBudget first.
 *
 * The budget's status is a purse that the disruption controller fills and evictions empty: taking one disruption and
 * deleting the pod are one transaction, so a budget is never overdrawn, whatever runs beside it. The pod taken is noted
 * in the status, so that the controller does not count it while its deletion is on its way. */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/server.h"
#include "apiserver/write.h"
#include "schema/object.h"
#include "schema/selector.h"
#include "schema/time.h"

#define EVICTION_TYPE "io.k8s.api.policy.v1.Eviction"
#define DISRUPTED_PODS_MAX 2000
#define PROCESSED_SOON 10 /* seconds */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "eviction");
}

struct budget {
    struct json *object;
    struct str key, name;
    revision_t revision;
};

/* -- which budget -- */

static int selects(struct request *request, const struct json *budget, const struct json *pod, bool *ret, struct err *err)
{
    const struct json *selector = json_at(budget, "spec.selector");
    const struct selector *parsed;

    *ret = false;
    if (!json_is(selector, JSON_OBJECT))
        return 0;
    if (selector_from_json(request->arena, selector, &parsed, err) < 0) {
        err_clear(err); /* one that cannot be read protects nobody */
        return 0;
    }
    *ret = selector_matches_json(parsed, json_at(pod, "metadata.labels"));
    return 0;
}

/* *ret_count: of those that choose the pod; *ret_budget is one of them. */
static int find_budgets(struct write *write, const struct json *pod, struct budget *ret_budget, size_t *ret_count,
                        struct err *err)
{
    struct request *request = write->request;
    AUTO(store_snapshot) snapshot = NULL;
    AUTO(store_cursor) cursor = NULL;
    struct str prefix = arena_printf(request->arena, STR_FMT STR_FMT "/",
                                     STR_ARG(RESOURCE_POLICY_PODDISRUPTIONBUDGETS.store_prefix), STR_ARG(write->ns));
    struct store_item item;
    int code = prefix.data ? store_snapshot_open(request->server->options.store, 0, &snapshot, err) : no_memory(err);

    *ret_count = 0;
    if (code == 0)
        code = store_cursor_open(snapshot, prefix, STR(""), &cursor, err);
    while (code == 0 && (code = store_cursor_next(cursor, &item, err)) == 1) {
        struct json *object;
        bool chosen;

        if ((code = decode_stored(request, item.value, &object, err)) < 0 ||
            (code = selects(request, object, pod, &chosen, err)) < 0)
            return code;
        if (!chosen)
            continue;
        *ret_budget = (struct budget){ object, arena_str(request->arena, item.key),
                                       json_str_at(object, "metadata.name"), item.revision };
        if (!ret_budget->key.data)
            return no_memory(err);
        ++*ret_count;
    }
    return MIN(code, 0);
}

/* -- may it? -- */

static int too_many(struct request *request, struct str why, int retry_after, struct err *err)
{
    struct failure *failure = &request->failure;

    failure->cause_reason = STR("DisruptionBudget");
    failure->cause_message = why;
    failure->cause_field = STR("");
    failure->retry_after = retry_after;
    if (!why.data)
        return no_memory(err);
    return err_set(err, ERR_TOO_MANY_REQUESTS, "Cannot evict pod as it would violate the pod's disruption budget.");
}

static int budget_forbidden(struct request *request, struct str name, const char *why, struct err *err)
{
    request->failure.name = name;
    request->failure.group = STR("policy");
    request->failure.kind = STR("poddisruptionbudget");
    return err_set(err, ERR_FORBIDDEN, "poddisruptionbudget.policy \"" STR_FMT "\" is forbidden: %s", STR_ARG(name), why);
}

static const struct json *condition_of(const struct json *object, const char *type)
{
    const struct json *list = json_at(object, "status.conditions");

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), type))
            return &list->items[i];
    return NULL;
}

static int used_up(struct request *request, const struct budget *budget, struct err *err)
{
    const struct json *condition = condition_of(budget->object, "DisruptionAllowed");
    struct str reason = json_str(json_member(condition, "reason"));

    if (str_is(reason, "SyncFailed"))
        return too_many(request,
                        arena_printf(request->arena, "The disruption budget " STR_FMT " does not allow evicting pods "
                                     "currently because it failed sync: " STR_FMT, STR_ARG(budget->name),
                                     STR_ARG(json_str(json_member(condition, "message")))), 0, err);
    return too_many(request,
                    arena_printf(request->arena, "The disruption budget " STR_FMT " needs %lld healthy pods and has %lld "
                                 "currently", STR_ARG(budget->name),
                                 (long long)json_int(json_at(budget->object, "status.desiredHealthy"), 0),
                                 (long long)json_int(json_at(budget->object, "status.currentHealthy"), 0)), 0, err);
}

static int check_budget(struct request *request, const struct budget *budget, struct err *err)
{
    const struct json *status = json_member(budget->object, "status");
    const struct json *disrupted = json_member(status, "disruptedPods");
    int64_t allowed = json_int(json_member(status, "disruptionsAllowed"), 0);

    if (json_int(json_member(status, "observedGeneration"), 0) <
        json_int(json_at(budget->object, "metadata.generation"), 0))
        return too_many(request,
                        arena_printf(request->arena, "The disruption budget " STR_FMT " is still being processed by the "
                                     "server.", STR_ARG(budget->name)), PROCESSED_SOON, err);
    if (allowed < 0)
        return budget_forbidden(request, budget->name, "pdb disruptions allowed is negative", err);
    if (json_is(disrupted, JSON_OBJECT) && disrupted->count > DISRUPTED_PODS_MAX)
        return budget_forbidden(request, budget->name,
                                "DisruptedPods map too big - too many evictions not confirmed by PDB controller", err);
    return allowed == 0 ? used_up(request, budget, err) : 0;
}

/* Pods that are not ready serve nobody: they may go while the others suffice, or always. */
static bool needs_no_budget(const struct json *pod, const struct json *budget)
{
    int64_t current = json_int(json_at(budget, "status.currentHealthy"), 0);
    int64_t desired = json_int(json_at(budget, "status.desiredHealthy"), 0);

    if (str_is(json_str(json_member(condition_of(pod, "Ready"), "status")), "True"))
        return false;
    return str_is(json_str_at(budget, "spec.unhealthyPodEvictionPolicy"), "AlwaysAllow") ||
           (current >= desired && desired > 0);
}

/* -- taking it -- */

static int set_insufficient(struct request *request, struct json *status, struct str now, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *list = json_ensure(arena, status, STR("conditions"), JSON_ARRAY), *condition = NULL;

    for (uint32_t i = 0; list && i < list->count && !condition; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), "DisruptionAllowed"))
            condition = &list->items[i];
    if (list && !condition)
        condition = json_append(arena, list, &(struct json){ .kind = JSON_OBJECT });
    if (!condition || !json_set_str(arena, condition, STR("type"), STR("DisruptionAllowed")) ||
        !json_set_str(arena, condition, STR("status"), STR("False")) ||
        !json_set_str(arena, condition, STR("reason"), STR("InsufficientPods")) ||
        !json_set_str(arena, condition, STR("message"), STR("")) ||
        !json_set_str(arena, condition, STR("lastTransitionTime"), now) ||
        !json_set_int(arena, condition, STR("observedGeneration"),
                      json_int(json_member(status, "observedGeneration"), 0)))
        return no_memory(err);
    return 0;
}

static int take_one(struct write *write, struct budget *budget, struct err *err)
{
    struct request *request = write->request;
    struct arena *arena = request->arena;
    struct json *status = json_ensure(arena, budget->object, STR("status"), JSON_OBJECT), *disrupted;
    int64_t left = json_int(json_member(status, "disruptionsAllowed"), 0) - 1;
    char text[API_TIME_LEN];
    struct str now = arena_str(arena, api_time_text(clock_wall(request->server->options.clock), text));
    struct spliced spliced;
    int code;

    if (!status || !now.data || !json_set_int(arena, status, STR("disruptionsAllowed"), left))
        return no_memory(err);
    if (left == 0 && (code = set_insufficient(request, status, now, err)) < 0)
        return code;
    disrupted = json_ensure(arena, status, STR("disruptedPods"), JSON_OBJECT);
    if (!disrupted || !json_set_str(arena, disrupted, write->name, now))
        return no_memory(err);
    if ((code = object_normalize(arena, RESOURCE_POLICY_PODDISRUPTIONBUDGETS.type, budget->object, NULL, err)) < 0 ||
        (code = splice_object(arena, budget->object, &spliced, err)) < 0)
        return code;
    return write_op(write, STORE_PUT, budget->key, spliced.text, spliced.at, budget->revision, err);
}

/* -- the pod -- */

/* Says why it goes. */
static int set_target(struct write *write, struct json *pod, struct err *err)
{
    struct arena *arena = write->request->arena;
    struct json *status = json_ensure(arena, pod, STR("status"), JSON_OBJECT);
    struct json *list = status ? json_ensure(arena, status, STR("conditions"), JSON_ARRAY) : NULL, *condition;
    char text[API_TIME_LEN];
    struct str now = arena_str(arena, api_time_text(clock_wall(write->request->server->options.clock), text));

    for (uint32_t i = 0; list && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), "DisruptionTarget"))
            return 0;
    condition = list ? json_append(arena, list, &(struct json){ .kind = JSON_OBJECT }) : NULL;
    if (!condition || !json_set_str(arena, condition, STR("type"), STR("DisruptionTarget")) ||
        !json_set_str(arena, condition, STR("status"), STR("True")) ||
        !json_set_str(arena, condition, STR("reason"), STR("EvictionByEvictionAPI")) ||
        !json_set_str(arena, condition, STR("message"), STR("Eviction API: evicting")) ||
        !json_set_str(arena, condition, STR("lastTransitionTime"), now))
        return no_memory(err);
    return 0;
}

/* One that has not begun, has ended or is going already disturbs nobody. */
static bool concerns_nobody(const struct json *pod)
{
    struct str phase = json_str_at(pod, "status.phase");

    return str_is(phase, "Succeeded") || str_is(phase, "Failed") || str_is(phase, "Pending") ||
           json_at(pod, "metadata.deletionTimestamp");
}

static int several_budgets(struct request *request, struct err *err)
{
    (void)request;
    return err_set(err, ERR_INTERNAL, "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
                                      "not support.");
}

static int eviction_plan(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct budget budget = { 0 };
    struct json *pod = NULL;
    revision_t revision;
    size_t count = 0;
    int code;

    request->failure.cause_reason = STR_NULL;
    request->failure.retry_after = 0;
    if ((code = write_read(write, request_key(request, write->ns, write->name), &pod, NULL, &revision, err)) < 0)
        return code;
    if (pod && !concerns_nobody(pod) && (code = find_budgets(write, pod, &budget, &count, err)) < 0)
        return code;
    if (count > 1)
        return several_budgets(request, err);
    if (count == 1 && !needs_no_budget(pod, budget.object) &&
        ((code = check_budget(request, &budget, err)) < 0 || (code = take_one(write, &budget, err)) < 0))
        return code;
    code = delete_plan(write, err);
    if (code == 0) /* the pod that was judged goes, not what it has become since */
        write->ops[write->main_op].expect = revision;
    return code;
}

static bool is_dry_run(const struct json *options)
{
    const struct json *list = json_member(options, "dryRun");

    return json_is(list, JSON_ARRAY) && list->count > 0;
}

int eviction_new(struct request *request, struct write **ret_write, struct err *err)
{
    struct json *eviction, *options;
    struct str name;
    int code;

    if ((code = decode_dry_run(request, err)) < 0 ||
        (code = decode_body_as(request, type_named(EVICTION_TYPE), &eviction, err)) < 0)
        return code;
    name = json_str_at(eviction, "metadata.name");
    if (!str_empty(name) && !str_eq(name, request->info.name))
        return fail_bad_request(request, err, "name in URL does not match name in Eviction object");
    options = json_ensure(request->arena, eviction, STR("deleteOptions"), JSON_OBJECT);
    if (!options)
        return no_memory(err);
    request->dry_run = request->dry_run || is_dry_run(options);
    if ((code = delete_new(request, request->info.ns, request->info.name, options, ret_write, err)) < 0)
        return code;
    (*ret_write)->plan = eviction_plan;
    (*ret_write)->touch = set_target;
    (*ret_write)->finish = answer_created;
    return 0;
}
