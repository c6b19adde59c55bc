/* cronjob.c - cron jobs: schedule, time zone, and the job that they make again and again. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "base/file.h"

#define NAME_LEN_MAX 52 /* a job's name appends its time */
#define ZONE_LEN_MAX 255

/* -- schedules -- */

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov",
                                      "dec", NULL };
static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

static const struct schedule_field {
    int64_t min, max;
    const char *const *names; /* of min and on */
} schedule_fields[] = { { 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, months }, { 0, 6, days } };

static bool parse_value(const struct schedule_field *field, struct str text, int64_t *ret_value)
{
    for (int i = 0; field->names && field->names[i]; i++)
        if (str_eq_nocase(text, str_from(field->names[i]))) {
            *ret_value = field->min + i;
            return true;
        }
    return str_to_i64(text, ret_value) && *ret_value >= 0 && text.data[0] != '-';
}

/* *, 3, 1-5, each with /step; the problem, or NULL. */
static const char *range_problem(const struct schedule_field *field, struct str range)
{
    ssize_t slash = str_chr(range, '/'), dash;
    struct str base = slash < 0 ? range : str_first(range, (size_t)slash);
    int64_t first = field->min, last = field->max, step = 1;

    if (slash >= 0 && (!str_to_i64(str_skip(range, (size_t)slash + 1), &step) || step < 0))
        return "failed to parse int from schedule";
    if (step == 0)
        return "step of range should be a positive number";
    if (!str_is(base, "*") && !str_is(base, "?")) {
        dash = str_chr(base, '-');
        if (!parse_value(field, dash < 0 ? base : str_first(base, (size_t)dash), &first) ||
            (dash >= 0 && !parse_value(field, str_skip(base, (size_t)dash + 1), &last)))
            return "failed to parse int from schedule";
        if (dash < 0)
            last = slash < 0 ? first : field->max;
    }
    if (first < field->min)
        return "beginning of range below minimum";
    if (last > field->max)
        return "end of range above maximum";
    return first > last ? "beginning of range beyond end of range" : NULL;
}

static const char *field_problem(const struct schedule_field *field, struct str text)
{
    const char *problem = NULL;
    struct str range;

    while (!problem && str_split(&text, ',', &range))
        problem = range_problem(field, range);
    return problem;
}

static const char *macro_problem(struct str schedule)
{
    static const char *const macros[] = { "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight",
                                          "@hourly" };

    for (size_t i = 0; i < ARRAY_LEN(macros); i++)
        if (str_is(schedule, macros[i]))
            return NULL;
    if (str_has_prefix(schedule, STR("@every ")) && schedule.len > 7 && schedule.data[7] >= '0' &&
        schedule.data[7] <= '9')
        return NULL;
    return "unrecognized descriptor";
}

static const char *schedule_problem(struct str schedule)
{
    struct str rest = str_trim(schedule), part;
    const char *problem = NULL;
    size_t count = 0;

    if (str_has_prefix(rest, STR("@")))
        return macro_problem(rest);
    while (str_split(&rest, ' ', &part)) {
        part = str_trim(part);
        if (str_empty(part))
            continue;
        if (count < ARRAY_LEN(schedule_fields) && !problem)
            problem = field_problem(&schedule_fields[count], part);
        count++;
    }
    return count == ARRAY_LEN(schedule_fields) ? problem : "expected exactly 5 fields";
}

/* -- time zones -- */

static bool zone_exists(struct str zone)
{
    char path[ZONE_LEN_MAX + 32];
    struct str rest = zone, part;

    if (zone.len > ZONE_LEN_MAX || zone.data[0] == '/' || zone.data[0] == '\\')
        return false;
    while (str_split(&rest, '/', &part))
        if (str_empty(part) || str_is(part, "..") || str_is(part, "."))
            return false;
    if (str_is(zone, "UTC"))
        return true;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/" STR_FMT, STR_ARG(zone));
    return file_exists(path);
}

static void check_zone(struct causes *causes, const struct path *at, const struct json *zone)
{
    struct str text = json_str(zone);

    if (!zone)
        return;
    if (str_empty(text))
        cause_invalid(causes, at, zone, "timeZone must be nil or non-empty string");
    else if (str_eq_nocase(text, STR("Local")))
        cause_invalid(causes, at, zone,
                      "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    else if (!zone_exists(text))
        cause_at(causes, CAUSE_INVALID, at, "Invalid value: " STR_FMT ": unknown time zone " STR_FMT,
                 STR_ARG(cause_value(causes->arena, zone)), STR_ARG(text));
}

/* -- as a whole -- */

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

static void check_spec(struct causes *causes, const struct json *cron)
{
    const struct json *spec = json_member(cron, "spec"), *job = json_at(spec, "jobTemplate.spec");
    static const char *const manual[] = { "nil", "false", NULL };
    struct str schedule = text_in(spec, "schedule");
    struct path *at = AT(NULL, "spec"), *job_at = AT(AT(at, "jobTemplate"), "spec");
    const char *problem = schedule_problem(schedule);

    if (str_find(schedule, STR("TZ")) >= 0)
        cause_invalid_str(causes, AT(at, "schedule"), schedule,
                          "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    else if (!str_empty(schedule) && problem)
        cause_invalid_str(causes, AT(at, "schedule"), schedule, problem);
    check_zone(causes, AT(at, "timeZone"), json_member(spec, "timeZone"));
    job_spec_check(causes, job_at, job);
    if (json_member(job, "selector"))
        cause_invalid(causes, AT(job_at, "selector"), json_member(job, "selector"), "`selector` will be auto-generated");
    if (json_bool(json_member(job, "manualSelector"), false))
        cause_not_supported(causes, AT(job_at, "manualSelector"), STR("true"), manual);
}

static void validate_create(struct request *request, const struct json *cron, struct causes *causes)
{
    struct str name = json_str_at(cron, "metadata.name");

    (void)request;
    if (name.len > NAME_LEN_MAX)
        cause_invalid_str(causes, AT(AT(NULL, "metadata"), "name"), name, "must be no more than 52 characters");
    check_spec(causes, cron);
}

static void validate_update(struct request *request, const struct json *cron, const struct json *old,
                            struct causes *causes)
{
    (void)request;
    (void)old;
    check_spec(causes, cron);
}

const struct rules cronjob_rules = {
    .resource = &RESOURCE_BATCH_CRONJOBS,
    .default_ = default_cronjob,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
