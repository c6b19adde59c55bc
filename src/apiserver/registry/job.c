/* job.c - jobs. A job's selector is made from its uid, so that two jobs never share pods. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

/* What is there stays, for the check to refuse. */
static bool label_default(struct arena *arena, struct json *labels, struct str key, struct str value)
{
    return json_get(labels, key) || json_set_str(arena, labels, key, value);
}

static bool set_labels(struct arena *arena, struct json *parent, struct str uid, struct str name)
{
    struct json *meta = json_ensure(arena, parent, STR("metadata"), JSON_OBJECT);
    struct json *labels = meta ? json_ensure(arena, meta, STR("labels"), JSON_OBJECT) : NULL;

    return labels && label_default(arena, labels, STR("batch.kubernetes.io/controller-uid"), uid) &&
           label_default(arena, labels, STR("batch.kubernetes.io/job-name"), name) &&
           label_default(arena, labels, STR("controller-uid"), uid) &&
           label_default(arena, labels, STR("job-name"), name);
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
    if (!labels || !label_default(arena, labels, STR("batch.kubernetes.io/controller-uid"), uid))
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

static void validate_create(struct request *request, const struct json *job, struct causes *causes)
{
    (void)request;
    job_check(causes, job);
}

static void validate_update(struct request *request, const struct json *job, const struct json *old,
                            struct causes *causes)
{
    validate_create(request, job, causes);
    job_update_check(causes, job, old);
}

static void validate_status(struct request *request, const struct json *job, const struct json *old,
                            struct causes *causes)
{
    static const char *const counts[] = { "active", "succeeded", "failed", "ready", "terminating" };

    (void)request;
    (void)old;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        const struct json *value = json_get(json_member(job, "status"), str_from(counts[i]));

        if (json_int(value, 0) < 0)
            cause_invalid(causes, AT_STR(AT(NULL, "status"), str_from(counts[i])), value,
                          "must be greater than or equal to 0");
    }
}

const struct rules job_rules = {
    .resource = &RESOURCE_BATCH_JOBS,
    .flags = RULE_ORPHAN,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .default_ = default_job,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .validate_status = validate_status,
};
