/* event.c - events, under the names of two groups: what came as core/v1 is held to little, what comes as
 * events.k8s.io/v1 to all of it. Fields in messages have the names of core/v1 in both. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

#define WORD_MAX 128
#define MESSAGE_MAX 1024

static bool is_strict(const struct request *request)
{
    return request->resource == &RESOURCE_EVENTS_K8S_IO_EVENTS;
}

/* -- what holds for every event -- */

static void check_word(const struct place *at)
{
    check_required(at, "");
    if (place_str(at).len > WORD_MAX)
        say_invalid_as(at, STR(""), "can have at most %d characters", WORD_MAX);
}

/* One that says when: it has to say who and what as well. */
static void check_dated(const struct place *event, bool strict)
{
    struct place controller = place_member(event, "reportingComponent"), message = place_member(event, "message");
    struct place instance = place_member(event, "reportingInstance"), action = place_member(event, "action");
    struct place reason = place_member(event, "reason");

    if (strict)
        controller.name = "reportingController";
    check_required(&controller, "");
    check_qualified(&controller);
    check_word(&instance);
    check_word(&action);
    check_word(&reason);
    if (place_str(&message).len > MESSAGE_MAX)
        say_invalid_as(&message, STR(""), "can have at most %d characters", MESSAGE_MAX);
}

static void check_event(const struct json *object, bool strict, struct causes *causes)
{
    struct place event = place_object(causes, object), time = place_member(&event, "eventTime");
    struct place about = place_member(&event, "involvedObject"), ns = place_member(&about, "namespace");
    struct str own = json_str_at(object, "metadata.namespace");
    bool dated = json_is(time.json, JSON_STRING);
    bool common = str_is(own, "default") || (dated && str_is(own, "kube-system"));

    if (place_empty(&ns) ? !common : !dated && !str_eq(place_str(&ns), own))
        say_invalid_as(&ns, place_str(&ns), "does not match event.namespace");
    if (dated)
        check_dated(&event, strict);
}

/* -- what holds for new ones in addition -- */

static void check_series(const struct place *event)
{
    struct place series = place_member(event, "series"), count = place_member(&series, "count");
    struct place last = place_member(&series, "lastObservedTime");

    if (!place_there(&series))
        return;
    if (place_int(&count) < 2)
        say_invalid_as(&count, STR(""), "should be at least 2");
    if (!json_is(last.json, JSON_STRING))
        say_required(&last, "");
}

/* Set by those who speak core/v1 only. */
static void check_unset(const struct place *at, bool set)
{
    if (set)
        say_invalid_as(at, STR(""), "needs to be unset");
}

static void check_strictly(const struct json *object, struct causes *causes)
{
    struct place event = place_object(causes, object), meta = place_member(&event, "metadata");
    struct place name = place_member(&meta, "name"), time = place_member(&event, "eventTime");
    struct place type = place_member(&event, "type"), first = place_member(&event, "firstTimestamp");
    struct place last = place_member(&event, "lastTimestamp"), count = place_member(&event, "count");
    struct place source = place_member(&event, "source"), component = place_member(&source, "component");
    struct place host = place_member(&source, "host");

    check_form(&name, NAME_SUBDOMAIN);
    check_series(&event);
    if (!json_is(time.json, JSON_STRING))
        say_required(&time, "");
    if (!place_is(&type, "Normal") && !place_is(&type, "Warning"))
        say_invalid_as(&type, STR(""), "has invalid value: " STR_FMT, STR_ARG(place_str(&type)));
    check_unset(&first, !place_empty(&first));
    check_unset(&last, !place_empty(&last));
    check_unset(&count, place_int(&count) != 0);
    check_unset(&source, !place_empty(&component) || !place_empty(&host));
}

static void validate_create(struct request *request, const struct json *object, struct causes *causes)
{
    check_event(object, is_strict(request), causes);
    if (is_strict(request))
        check_strictly(object, causes);
}

/* Of one that was told nothing changes but how often it was seen. */
static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    static const struct {
        const char *member, *shown;
    } frozen[] = {
        { "involvedObject", "involvedObject" },
        { "reason", "reason" },
        { "message", "message" },
        { "source", "source" },
        { "firstTimestamp", "firstTimestamp" },
        { "lastTimestamp", "lastTimestamp" },
        { "count", "count" },
        { "type", "type" },
        { "eventTime", "eventTime" },
        { "action", "action" },
        { "related", "related" },
        { "reportingComponent", "reportingController" },
        { "reportingInstance", "reportingInstance" },
    };
    struct place event = place_object(causes, object);
    const struct json *series = json_member(object, "series"), *before = json_member(old, "series");

    check_event(object, is_strict(request), causes);
    if (!is_strict(request))
        return;
    if (series && !(before && json_equal(series, before)))
        check_series(&event);
    for (size_t i = 0; i < ARRAY_LEN(frozen); i++) {
        struct place at = place_member(&event, frozen[i].member);

        at.name = frozen[i].shown;
        check_same(&at, json_get(old, str_from(frozen[i].member)));
    }
}

const struct rules event_rules = {
    .resource = &RESOURCE_EVENTS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
