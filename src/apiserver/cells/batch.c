/* batch.c - cells of jobs and cron jobs. */
#include "apiserver/cells/cells.h"

#include "schema/time.h"

static void completions(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *wanted = json_at(object, "spec.completions");
    long long succeeded = json_int(json_at(object, "status.succeeded"), 0);
    long long parallelism = json_int(json_at(object, "spec.parallelism"), 0);

    if (json_is(wanted, JSON_NUMBER))
        cell_printf(arena, ret_cell, "%lld/%lld", succeeded, (long long)json_int(wanted, 0));
    else if (parallelism > 1)
        cell_printf(arena, ret_cell, "%lld/1 of %lld", succeeded, parallelism);
    else
        cell_printf(arena, ret_cell, "%lld/1", succeeded);
}

static void duration(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    nsec_t start, end;

    cell_str(ret_cell, STR(""));
    if (!api_time_parse(json_str_at(object, "status.startTime"), &start))
        return;
    if (!api_time_parse(json_str_at(object, "status.completionTime"), &end))
        end = now;
    cell_str(ret_cell, cell_duration(arena, end - start));
}

/* The first of these that is true; deletion comes between what has ended and what goes on. */
static void status(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    static const struct {
        const char *condition, *text;
    } states[] = {
        { "Complete", "Complete" },          { "Failed", "Failed" },
        { NULL, "Terminating" },             { "Suspended", "Suspended" },
        { "FailureTarget", "FailureTarget" }, { "SuccessCriteriaMet", "SuccessCriteriaMet" },
    };
    const struct json *conditions = json_at(object, "status.conditions");

    cell_str(ret_cell, STR("Running"));
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        const char *condition = states[i].condition;

        if (condition ? !cell_is_true(cell_condition(conditions, condition)) : !cell_is_deleted(object))
            continue;
        cell_str(ret_cell, str_from(states[i].text));
        return;
    }
}

static void suspend(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *value = json_at(object, "spec.suspend");

    cell_str(ret_cell, !json_is(value, JSON_BOOL) ? STR("<unset>") : value->boolean ? STR("True") : STR("False"));
}

static void active(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_at(object, "status.active")));
}

static void last_schedule(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct str time = json_str_at(object, "status.lastScheduleTime");

    cell_str(ret_cell, str_empty(time) ? STR("<none>") : cell_since(arena, time, now));
}

static void containers(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell,
             cell_containers(arena, json_at(object, "spec.jobTemplate.spec.template.spec.containers"), STR("name")));
}

static void images(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell,
             cell_containers(arena, json_at(object, "spec.jobTemplate.spec.template.spec.containers"), STR("image")));
}

static void selector(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_selector(arena, json_at(object, "spec.jobTemplate.spec.selector")));
}

static const struct table_cell rows[] = {
    { STR_INIT("job.completions"), completions },
    { STR_INIT("job.duration"), duration },
    { STR_INIT("job.status"), status },
    { STR_INIT("cronjob.suspend"), suspend },
    { STR_INIT("cronjob.active"), active },
    { STR_INIT("cronjob.last-schedule"), last_schedule },
    { STR_INIT("cronjob.containers"), containers },
    { STR_INIT("cronjob.images"), images },
    { STR_INIT("cronjob.selector"), selector },
};
const struct cell_table batch_cells = CELL_TABLE(rows);
