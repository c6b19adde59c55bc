/* job_check.c - what a job may be, on its own and in a cron job. Ranges are in the table. */
#include "apiserver/registry/rules.h"
#include "schema/selector.h"

#define RULES_MAX 20
#define EXIT_CODES_MAX 255
#define PARALLELISM_MAX 100000
#define NAME_MAX_MANAGED 63

static const struct path *spec_path(void)
{
    static const struct path spec = { NULL, &type_any, STR_INIT("spec"), 0 };

    return &spec;
}

static bool is_indexed(const struct json *spec)
{
    return str_is(text_in(spec, "completionMode"), "Indexed");
}

/* -- indexes -- */

static void check_indexes(struct causes *causes, const struct path *at, const struct json *spec)
{
    const struct json *per_index = json_member(spec, "backoffLimitPerIndex");
    const struct json *most = json_member(spec, "maxFailedIndexes"), *completions = json_member(spec, "completions");
    const struct json *parallelism = json_member(spec, "parallelism");

    if (!is_indexed(spec)) {
        if (per_index)
            cause_invalid(causes, AT(at, "backoffLimitPerIndex"), per_index, "requires indexed completion mode");
        if (most)
            cause_invalid(causes, AT(at, "maxFailedIndexes"), most, "requires indexed completion mode");
        return;
    }
    if (!completions)
        cause_required(causes, AT(at, "completions"), "when completion mode is Indexed");
    if (json_int(parallelism, 0) > PARALLELISM_MAX)
        cause_invalid(causes, AT(at, "parallelism"), parallelism,
                      "must be less than or equal to 100000 when completion mode is Indexed");
    if (most && !per_index)
        cause_required(causes, AT(at, "backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    if (most && completions && json_int(most, 0) > json_int(completions, 0))
        cause_invalid(causes, AT(at, "maxFailedIndexes"), most, "must be less than or equal to completions");
    if (per_index && !most && json_int(completions, 0) > PARALLELISM_MAX)
        cause_required(causes, AT(at, "maxFailedIndexes"), "must be specified when completions is above 100000");
}

/* -- podFailurePolicy -- */

static bool is_container(const struct json *spec, struct str name)
{
    static const char *const lists[] = { "template.spec.containers", "template.spec.initContainers" };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct json *containers = json_at(spec, lists[l]);

        for (uint32_t i = 0; i < items_of(containers); i++)
            if (str_eq(text_in(&containers->items[i], "name"), name))
                return true;
    }
    return false;
}

static void check_exit_codes(struct causes *causes, const struct path *at, const struct json *spec,
                             const struct json *codes)
{
    const struct json *name = json_member(codes, "containerName"), *values = json_member(codes, "values");
    bool in = str_is(text_in(codes, "operator"), "In"), ordered = true;
    struct path *list = AT(at, "values");

    if (name && !is_container(spec, json_str(name)))
        cause_invalid(causes, AT(at, "containerName"), name,
                      "must be one of the container or init container names in the pod template");
    if (!items_of(values))
        cause_invalid(causes, list, values, "at least one value is required");
    else if (items_of(values) > EXIT_CODES_MAX)
        cause_too_many(causes, list, values->count, EXIT_CODES_MAX);
    for (uint32_t i = 0; i < items_of(values); i++) {
        int64_t value = json_int(&values->items[i], 0);
        bool repeated = false;

        if (in && value == 0)
            cause_invalid_int(causes, NTH(list, i), value, "must not be 0 for the In operator");
        for (uint32_t j = 0; j < i; j++)
            repeated = repeated || json_int(&values->items[j], 0) == value;
        if (repeated)
            cause_duplicate(causes, NTH(list, i), &values->items[i]);
        ordered = ordered && (i == 0 || json_int(&values->items[i - 1], 0) <= value);
    }
    if (!ordered)
        cause_invalid(causes, list, values, "must be ordered");
}

static void check_conditions(struct causes *causes, const struct path *at, const struct json *patterns)
{
    if (items_of(patterns) > RULES_MAX)
        cause_too_many(causes, at, patterns->count, RULES_MAX);
    for (uint32_t i = 0; i < items_of(patterns); i++)
        if (!str_empty(text_in(&patterns->items[i], "type")))
            cause_format(causes, AT(NTH(at, i), "type"), FORMAT_KEY, text_in(&patterns->items[i], "type"));
}

static void check_failure_rule(struct causes *causes, const struct path *at, const struct json *spec,
                               const struct json *rule)
{
    const struct json *codes = json_member(rule, "onExitCodes"), *patterns = json_member(rule, "onPodConditions");

    if (str_is(text_in(rule, "action"), "FailIndex") && !json_member(spec, "backoffLimitPerIndex"))
        cause_invalid(causes, AT(at, "action"), json_member(rule, "action"), "requires the backoffLimitPerIndex to be set");
    if (codes)
        check_exit_codes(causes, AT(at, "onExitCodes"), spec, codes);
    check_conditions(causes, AT(at, "onPodConditions"), patterns);
    if (codes && items_of(patterns))
        cause_at(causes, CAUSE_INVALID, at,
                 "Invalid value: specifying both OnExitCodes and OnPodConditions is not supported");
    if (!codes && !items_of(patterns))
        cause_at(causes, CAUSE_INVALID, at,
                 "Invalid value: specifying one of OnExitCodes and OnPodConditions is required");
}

static void check_failure_policy(struct causes *causes, const struct path *at, const struct json *spec)
{
    const struct json *policy = json_member(spec, "podFailurePolicy"), *rules = json_member(policy, "rules");
    static const char *const replacement[] = { "Failed", NULL };
    struct str restart = json_str_at(spec, "template.spec.restartPolicy");
    struct str replace = text_in(spec, "podReplacementPolicy");
    struct path *list = AT(AT(at, "podFailurePolicy"), "rules");

    if (!policy)
        return;
    if (items_of(rules) > RULES_MAX)
        cause_too_many(causes, list, rules->count, RULES_MAX);
    for (uint32_t i = 0; i < items_of(rules); i++)
        check_failure_rule(causes, NTH(list, i), spec, &rules->items[i]);
    if (!str_is(restart, "Never"))
        cause_invalid_str(causes, AT(AT(AT(at, "template"), "spec"), "restartPolicy"), restart,
                          "only \"Never\" is supported when podFailurePolicy is specified");
    if (str_is(replace, "TerminatingOrFailed"))
        cause_not_supported(causes, AT(at, "podReplacementPolicy"), replace, replacement);
}

/* -- successPolicy -- */

/* "0,2-4,7": rising, below count. */
static const char *indexes_problem(struct str text, int64_t count)
{
    struct str rest = text, part;
    int64_t last = -1, first, end;

    while (str_split(&rest, ',', &part)) {
        ssize_t dash = str_chr(part, '-');

        if (!str_to_i64(dash < 0 ? part : str_first(part, (size_t)dash), &first) || first < 0 ||
            (dash >= 0 && !str_to_i64(str_skip(part, (size_t)dash + 1), &end)))
            return "error parsing succeededIndexes: cannot convert string to integer for index";
        if (dash < 0)
            end = first;
        if (first <= last || end < first)
            return "error parsing succeededIndexes: non-increasing order";
        if (end >= count)
            return "error parsing succeededIndexes: too large index for completions";
        last = end;
    }
    return NULL;
}

static void check_success_rule(struct causes *causes, const struct path *at, const struct json *spec,
                               const struct json *rule)
{
    const struct json *indexes = json_member(rule, "succeededIndexes"), *count = json_member(rule, "succeededCount");
    int64_t completions = json_int(json_member(spec, "completions"), 0);
    const char *problem = indexes ? indexes_problem(json_str(indexes), completions) : NULL;

    if (!indexes && !count)
        cause_required(causes, at, "at least one of succeededCount or succeededIndexes must be specified");
    if (problem)
        cause_invalid(causes, AT(at, "succeededIndexes"), indexes, problem);
    if (count && json_int(count, 0) > completions)
        cause_at(causes, CAUSE_INVALID, AT(at, "succeededCount"),
                 "Invalid value: %lld: must be less than or equal to %lld (the number of specified completions)",
                 (long long)json_int(count, 0), (long long)completions);
}

static void check_success_policy(struct causes *causes, const struct path *at, const struct json *spec)
{
    const struct json *policy = json_member(spec, "successPolicy"), *rules = json_member(policy, "rules");
    struct path *here = AT(at, "successPolicy");

    if (!policy)
        return;
    if (!is_indexed(spec)) {
        cause_invalid(causes, here, policy, "requires indexed completion mode");
        return;
    }
    if (!items_of(rules))
        cause_required(causes, AT(here, "rules"), "at least one rules must be specified when the successPolicy is specified");
    if (items_of(rules) > RULES_MAX)
        cause_too_many(causes, AT(here, "rules"), rules->count, RULES_MAX);
    for (uint32_t i = 0; i < items_of(rules); i++)
        check_success_rule(causes, NTH(AT(here, "rules"), i), spec, &rules->items[i]);
}

/* -- as a whole -- */

static void check_managed_by(struct causes *causes, const struct path *at, const struct json *manager)
{
    struct str text = json_str(manager);
    ssize_t slash = str_chr(text, '/');

    if (!manager)
        return;
    if (slash <= 0 || (size_t)slash + 1 == text.len)
        cause_invalid(causes, at, manager, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    else
        cause_format(causes, at, FORMAT_SUBDOMAIN, str_first(text, (size_t)slash));
    if (text.len > NAME_MAX_MANAGED)
        cause_too_long(causes, at, NAME_MAX_MANAGED);
}

void job_spec_check(struct causes *causes, const struct path *at, const struct json *spec)
{
    struct str restart = json_str_at(spec, "template.spec.restartPolicy");

    check_indexes(causes, at, spec);
    check_managed_by(causes, AT(at, "managedBy"), json_member(spec, "managedBy"));
    check_failure_policy(causes, at, spec);
    check_success_policy(causes, at, spec);
    template_check(causes, AT(at, "template"), json_member(spec, "template"));
    if (!str_is(restart, "OnFailure") && !str_is(restart, "Never"))
        cause_required(causes, AT(AT(AT(at, "template"), "spec"), "restartPolicy"),
                       "valid values: \"OnFailure\", \"Never\"");
}

/* The labels that tie pods to their job are what the server makes them. */
static void check_generated(struct causes *causes, const struct json *job, const struct selector *selector)
{
    struct str uid = json_str_at(job, "metadata.uid"), name = json_str_at(job, "metadata.name");
    const struct json *labels = json_at(job, "spec.template.metadata.labels");
    const struct {
        const char *key;
        struct str value;
    } wanted[] = { { "batch.kubernetes.io/controller-uid", uid }, { "batch.kubernetes.io/job-name", name },
                   { "controller-uid", uid }, { "job-name", name } };
    struct json_member members[ARRAY_LEN(wanted)];
    struct json expected = { .kind = JSON_OBJECT, .count = ARRAY_LEN(wanted), .cap = ARRAY_LEN(wanted) };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        struct str key = str_from(wanted[i].key), value = json_str(json_get(labels, key));
        struct path *at = KEYED(AT(AT(AT(spec_path(), "template"), "metadata"), "labels"), key);

        members[i] = (struct json_member){ key, { .kind = JSON_STRING, .string = wanted[i].value } };
        if (!str_eq(value, wanted[i].value))
            cause_at(causes, value.data ? CAUSE_INVALID : CAUSE_REQUIRED, at, "%s: must be '" STR_FMT "'",
                     value.data ? "Invalid value" : "Required value", STR_ARG(wanted[i].value));
    }
    expected.members = members;
    if (selector && !selector_matches_json(selector, &expected))
        cause_invalid(causes, AT(spec_path(), "selector"), json_at(job, "spec.selector"), "`selector` not auto-generated");
}

void job_check(struct causes *causes, const struct json *job)
{
    const struct json *spec = json_member(job, "spec"), *labels = json_at(spec, "template.metadata.labels");
    static const struct json none = { .kind = JSON_OBJECT };
    const struct selector *selector = NULL;
    struct err err = { 0 };

    if (!json_member(spec, "selector"))
        cause_required(causes, AT(spec_path(), "selector"), "");
    else if (selector_from_json(causes->arena, json_member(spec, "selector"), &selector, &err) < 0)
        selector = NULL; /* the table has said why */
    if (!json_bool(json_member(spec, "manualSelector"), false))
        check_generated(causes, job, selector);
    job_spec_check(causes, spec_path(), spec);
    if (selector && !selector_matches_json(selector, labels))
        cause_invalid(causes, AT(AT(AT(spec_path(), "template"), "metadata"), "labels"), labels ? labels : &none,
                      "`selector` does not match template `labels`");
}

/* -- updates -- */

/* Of an indexed job, completions follow parallelism. */
static void check_completions(struct causes *causes, const struct json *spec, const struct json *old)
{
    const struct json *now = json_member(spec, "completions"), *before = json_member(old, "completions");
    struct path *at = AT(spec_path(), "completions");

    if (json_same(now, before))
        return;
    if (!is_indexed(spec) || !now)
        cause_invalid(causes, at, now, "field is immutable");
    else if (json_int(now, 0) != json_int(json_member(spec, "parallelism"), 0))
        cause_invalid(causes, at, now, "can only be modified in tandem with spec.parallelism");
}

/* The template without what may change while the job waits to be started. */
static struct json *fixed_template(struct arena *arena, const struct json *template)
{
    static const char *const free_members[] = { "nodeSelector", "tolerations", "schedulingGates" };
    struct json *copy = json_copy(arena, template), *meta = json_member(copy, "metadata"), *spec, *affinity;

    if (meta) {
        json_remove(meta, STR("labels"));
        json_remove(meta, STR("annotations"));
    }
    spec = json_member(copy, "spec");
    for (size_t i = 0; spec && i < ARRAY_LEN(free_members); i++)
        json_remove(spec, str_from(free_members[i]));
    affinity = json_member(spec, "affinity");
    if (affinity && json_remove(affinity, STR("nodeAffinity")) && !affinity->count)
        json_remove(spec, STR("affinity"));
    return copy;
}

static void check_template(struct causes *causes, const struct json *job, const struct json *old)
{
    const struct json *now = json_at(job, "spec.template"), *before = json_at(old, "spec.template");
    bool waiting = json_bool(json_at(old, "spec.suspend"), false) && !json_at(old, "status.startTime");

    if (json_same(now, before))
        return;
    if (waiting && json_same(fixed_template(causes->arena, now), fixed_template(causes->arena, before)))
        return;
    cause_invalid(causes, AT(spec_path(), "template"), now, "field is immutable");
}

void job_update_check(struct causes *causes, const struct json *job, const struct json *old)
{
    check_completions(causes, json_member(job, "spec"), json_member(old, "spec"));
    check_template(causes, job, old);
}
