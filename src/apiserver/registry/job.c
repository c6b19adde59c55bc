/* job.c - jobs and cron jobs. A job's selector is made from its uid, so that two jobs never share pods. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static const char *const job_policies[] = { "OnFailure", "Never", NULL };

static bool set_labels(struct arena *arena, struct json *parent, struct str uid, struct str name)
{
    struct json *meta = json_ensure(arena, parent, STR("metadata"), JSON_OBJECT);
    struct json *labels = meta ? json_ensure(arena, meta, STR("labels"), JSON_OBJECT) : NULL;

    return labels && json_set_str(arena, labels, STR("batch.kubernetes.io/controller-uid"), uid) &&
           json_set_str(arena, labels, STR("batch.kubernetes.io/job-name"), name) &&
           json_set_str(arena, labels, STR("controller-uid"), uid) &&
           json_set_str(arena, labels, STR("job-name"), name);
}

static int prepare_create(struct request *request, struct json *job, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, job, STR("spec"), JSON_OBJECT), *template, *selector, *labels;
    struct str uid = json_str_at(job, "metadata.uid"), name = json_str_at(job, "metadata.name");

    if (!spec)
        return out_of_memory(err);
    if (json_bool(json_member(spec, "manualSelector"), false))
        return 0;
    template = json_ensure(arena, spec, STR("template"), JSON_OBJECT);
    if (!template || !set_labels(arena, template, uid, name))
        return out_of_memory(err);
    selector = json_ensure(arena, spec, STR("selector"), JSON_OBJECT);
    labels = selector ? json_ensure(arena, selector, STR("matchLabels"), JSON_OBJECT) : NULL;
    if (!labels || !json_set_str(arena, labels, STR("batch.kubernetes.io/controller-uid"), uid))
        return out_of_memory(err);
    return 0;
}

/* Selector and generated labels of a manifest that does not know them. */
static int prepare_update(struct request *request, struct json *job, const struct json *old, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_member(job, "spec"), *template;
    const struct json *selector = json_at(old, "spec.selector");

    if (!spec || json_bool(json_member(spec, "manualSelector"), false))
        return 0;
    if (selector && !json_member(spec, "selector") &&
        !json_set(arena, spec, STR("selector"), json_copy(arena, selector)))
        return out_of_memory(err);
    template = json_member(spec, "template");
    if (template && !set_labels(arena, template, json_str_at(old, "metadata.uid"), json_str_at(old, "metadata.name")))
        return out_of_memory(err);
    return 0;
}

static int default_job_spec(struct request *request, struct json *spec, struct err *err)
{
    struct arena *arena = request->arena;
    bool ok = true;

    if (!json_member(spec, "completions") && !json_member(spec, "parallelism"))
        ok = default_int(arena, spec, "completions", 1);
    ok = ok && default_int(arena, spec, "parallelism", 1) && default_int(arena, spec, "backoffLimit", 6) &&
         default_str(arena, spec, "completionMode", "NonIndexed") && default_bool(arena, spec, "suspend", false) &&
         default_str(arena, spec, "podReplacementPolicy",
                     json_member(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed") &&
         default_bool(arena, spec, "manualSelector", false);
    return ok ? template_default(request, json_member(spec, "template"), err) : out_of_memory(err);
}

static int default_job(struct request *request, struct json *job, struct err *err)
{
    struct json *spec = json_ensure(request->arena, job, STR("spec"), JSON_OBJECT);

    return spec ? default_job_spec(request, spec, err) : out_of_memory(err);
}

static void check_job_spec(struct causes *causes, struct str field, const struct json *spec)
{
    static const char *const numbers[] = { "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
                                           "ttlSecondsAfterFinished" };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        check_not_negative(causes, field_path(causes, STR_FMT ".%s", STR_ARG(field), numbers[i]),
                           json_get(spec, str_from(numbers[i])));
    if (str_is(json_str(json_member(spec, "completionMode")), "Indexed") && !json_member(spec, "completions"))
        add_required(causes, field_path(causes, STR_FMT ".completions", STR_ARG(field)),
                     "when completion mode is Indexed");
    template_validate(causes, field_path(causes, STR_FMT ".template", STR_ARG(field)), json_member(spec, "template"),
                      job_policies);
}

static void validate_create(struct request *request, const struct json *job, struct causes *causes)
{
    (void)request;
    check_job_spec(causes, STR("spec"), json_member(job, "spec"));
}

static void validate_update(struct request *request, const struct json *job, const struct json *old,
                            struct causes *causes)
{
    static const char *const frozen[] = { "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex" };

    validate_create(request, job, causes);
    for (size_t i = 0; i < ARRAY_LEN(frozen); i++)
        check_immutable(causes, field_path(causes, "spec.%s", frozen[i]),
                        json_get(json_member(job, "spec"), str_from(frozen[i])),
                        json_get(json_member(old, "spec"), str_from(frozen[i])));
    if (!json_bool(json_at(old, "spec.suspend"), false))
        check_immutable(causes, STR("spec.template"), json_at(job, "spec.template"), json_at(old, "spec.template"));
    if (!str_is(json_str_at(job, "spec.completionMode"), "Indexed"))
        check_immutable(causes, STR("spec.completions"), json_at(job, "spec.completions"),
                        json_at(old, "spec.completions"));
}

static int default_cronjob(struct request *request, struct json *cron, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, cron, STR("spec"), JSON_OBJECT), *job;

    if (!spec || !default_str(arena, spec, "concurrencyPolicy", "Allow") ||
        !default_bool(arena, spec, "suspend", false) || !default_int(arena, spec, "successfulJobsHistoryLimit", 3) ||
        !default_int(arena, spec, "failedJobsHistoryLimit", 1))
        return out_of_memory(err);
    job = json_at(spec, "jobTemplate.spec");
    return job ? template_default(request, json_member(job, "template"), err) : 0;
}

static void validate_cronjob(struct request *request, const struct json *cron, struct causes *causes)
{
    struct str schedule = str_trim(json_str_at(cron, "spec.schedule")), name = json_str_at(cron, "metadata.name");
    struct str rest = schedule, part;
    unsigned fields = 0;

    (void)request;
    while (str_split(&rest, ' ', &part))
        fields += !str_empty(part);
    if (!str_empty(schedule) && fields != 5 && schedule.data[0] != '@')
        add_invalid_str(causes, STR("spec.schedule"), schedule, "expected exactly 5 fields");
    if (name.len > 52)
        add_invalid_str(causes, STR("metadata.name"), name, "must be no more than 52 characters");
    check_not_negative(causes, STR("spec.startingDeadlineSeconds"), json_at(cron, "spec.startingDeadlineSeconds"));
    check_not_negative(causes, STR("spec.successfulJobsHistoryLimit"),
                       json_at(cron, "spec.successfulJobsHistoryLimit"));
    check_not_negative(causes, STR("spec.failedJobsHistoryLimit"), json_at(cron, "spec.failedJobsHistoryLimit"));
    template_validate(causes, STR("spec.jobTemplate.spec.template"), json_at(cron, "spec.jobTemplate.spec.template"),
                      job_policies);
}

static void validate_cronjob_update(struct request *request, const struct json *cron, const struct json *old,
                                    struct causes *causes)
{
    (void)old;
    validate_cronjob(request, cron, causes);
}

const struct rules job_rules = {
    .resource = &RESOURCE_BATCH_JOBS,
    .flags = RULE_ORPHAN,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .default_ = default_job,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
const struct rules cronjob_rules = {
    .resource = &RESOURCE_BATCH_CRONJOBS,
    .default_ = default_cronjob,
    .validate_create = validate_cronjob,
    .validate_update = validate_cronjob_update,
};
