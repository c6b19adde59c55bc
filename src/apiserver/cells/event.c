/* event.c - cells of events, as core/v1 and as events.k8s.io/v1 call their fields: a getter looks under both names. */
#include "apiserver/cells/cells.h"

/* The first of two members that is there and not null. */
static const struct json *either(const struct json *event, struct str one, struct str other)
{
    const struct json *found = json_get(event, one);

    return found && found->kind != JSON_NULL ? found : json_get(event, other);
}

static struct str first_time(const struct json *event)
{
    return str_or(json_str(either(event, STR("firstTimestamp"), STR("deprecatedFirstTimestamp"))),
                  json_str(json_member(event, "eventTime")));
}

static void last_seen(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *series = json_member(object, "series");
    struct str time = json_str(either(object, STR("lastTimestamp"), STR("deprecatedLastTimestamp")));

    if (json_is(series, JSON_OBJECT))
        time = json_str(json_member(series, "lastObservedTime"));
    else
        time = str_or(time, first_time(object));
    cell_str(ret_cell, cell_since(arena, time, now));
}

static void first_seen(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_since(arena, first_time(object), now));
}

static void count(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *series = json_member(object, "series");
    int64_t times = json_int(either(object, STR("count"), STR("deprecatedCount")), 0);

    if (json_is(series, JSON_OBJECT))
        times = json_int(json_member(series, "count"), 0);
    else if (times == 0)
        times = 1;
    cell_int(arena, ret_cell, times);
}

/* pod/name */
static void subject(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *reference = either(object, STR("involvedObject"), STR("regarding"));
    char *kind = arena_cstr(arena, str_or(json_str(json_member(reference, "kind")), STR("")));
    struct str name = json_str(json_member(reference, "name"));

    for (char *c = kind; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
    cell_printf(arena, ret_cell, "%s%s" STR_FMT, kind ? kind : "", str_empty(name) ? "" : "/", STR_ARG(name));
}

static void source(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *source = either(object, STR("source"), STR("deprecatedSource"));
    struct str component = str_or(json_str(json_member(source, "component")),
                                  json_str(either(object, STR("reportingComponent"), STR("reportingController"))));
    struct str instance = str_or(json_str(json_member(source, "host")),
                                 json_str(json_member(object, "reportingInstance")));

    if (str_empty(instance))
        cell_str(ret_cell, component);
    else
        cell_printf(arena, ret_cell, STR_FMT ", " STR_FMT, STR_ARG(component), STR_ARG(instance));
}

static void message(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, str_trim(str_or(json_str(either(object, STR("message"), STR("note"))), STR(""))));
}

static const struct table_cell rows[] = {
    { STR_INIT("event.last-seen"), last_seen }, { STR_INIT("event.first-seen"), first_seen },
    { STR_INIT("event.count"), count },         { STR_INIT("event.object"), subject },
    { STR_INIT("event.source"), source },       { STR_INIT("event.message"), message },
};
const struct cell_table event_cells = CELL_TABLE(rows);
