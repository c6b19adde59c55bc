/* describe_pod.c - the parts of pods: containers with their states, volumes, tolerations; and conditions, which all have. */
#include "cli/describe_object.h"

#include "schema/time.h"

static struct str add(struct arena *arena, struct str text, const char *separator, struct str more)
{
    return arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), text.len ? separator : "", STR_ARG(more));
}

/* -- containers -- */

static void describe_state(struct description *d, int level, const char *title, const struct json *state)
{
    if (!json_is(state, JSON_OBJECT) || !state->count)
        return;
    const struct json *inner = &state->members[0].value;

    doc_add(d->doc, level, str_from(title), describe_title(d->doc->arena, state->members[0].key));
    for (uint32_t i = 0; json_is(inner, JSON_OBJECT) && i < inner->count; i++) {
        struct str key = inner->members[i].key;

        if (str_is(key, "containerID"))
            continue;
        doc_add(d->doc, level + 1, describe_title(d->doc->arena, key),
                str_has_suffix(key, STR("At")) ? describe_time(d, &inner->members[i].value)
                                               : describe_scalar(d->doc->arena, &inner->members[i].value));
    }
}

static void describe_ports(struct description *d, int level, const struct json *ports)
{
    struct arena *arena = d->doc->arena;
    struct str text = STR_NULL;

    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        struct str name = json_str_at(&ports->items[i], "name"), protocol = json_str_at(&ports->items[i], "protocol");

        text = add(arena, text, ", ",
                   arena_printf(arena, "%lld/" STR_FMT "%s" STR_FMT "%s",
                                (long long)json_int(json_member(&ports->items[i], "containerPort"), 0),
                                STR_ARG(protocol.len ? protocol : STR("TCP")), name.len ? " (" : "", STR_ARG(name),
                                name.len ? ")" : ""));
    }
    if (text.len)
        doc_add(d->doc, level, STR("Ports"), text);
}

static struct str env_source(struct arena *arena, const struct json *from)
{
    static const struct {
        const char *member, *what;
    } rows[] = { { "configMapKeyRef", "config map" }, { "secretKeyRef", "secret" } };
    const struct json *field = json_at(from, "fieldRef.fieldPath");

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json *ref = json_get(from, str_from(rows[i].member));

        if (ref)
            return arena_printf(arena, "<key \"" STR_FMT "\" of %s \"" STR_FMT "\">", STR_ARG(json_str_at(ref, "key")),
                                rows[i].what, STR_ARG(json_str_at(ref, "name")));
    }
    return field ? arena_printf(arena, "<the pod's " STR_FMT ">", STR_ARG(json_str(field))) : json_text(arena, from);
}

static void describe_env(struct description *d, int level, const struct json *container)
{
    const struct json *env = json_member(container, "env"), *from = json_member(container, "envFrom");

    if (!json_is(env, JSON_ARRAY) && !json_is(from, JSON_ARRAY))
        return;
    doc_add(d->doc, level, STR("Environment"), STR_NULL);
    for (uint32_t i = 0; json_is(env, JSON_ARRAY) && i < env->count; i++) {
        const struct json *source = json_member(&env->items[i], "valueFrom");
        struct str value = json_str_at(&env->items[i], "value");

        doc_add(d->doc, level + 1, json_str_at(&env->items[i], "name"),
                source ? env_source(d->doc->arena, source) : value.data ? value : STR(""));
    }
    for (uint32_t i = 0; json_is(from, JSON_ARRAY) && i < from->count; i++)
        doc_text(d->doc, level + 1, arena_printf(d->doc->arena, "<all of " STR_FMT ">",
                                                 STR_ARG(json_text(d->doc->arena, &from->items[i]))));
}

static void describe_mounts(struct description *d, int level, const struct json *mounts)
{
    if (!json_is(mounts, JSON_ARRAY) || !mounts->count)
        return;
    doc_add(d->doc, level, STR("Mounts"), STR_NULL);
    for (uint32_t i = 0; i < mounts->count; i++)
        doc_text(d->doc, level + 1,
                 arena_printf(d->doc->arena, STR_FMT " from " STR_FMT " (%s)",
                              STR_ARG(json_str_at(&mounts->items[i], "mountPath")),
                              STR_ARG(json_str_at(&mounts->items[i], "name")),
                              json_bool(json_member(&mounts->items[i], "readOnly"), false) ? "read only" : "read and write"));
}

static void describe_probe(struct description *d, int level, struct str name, const struct json *probe)
{
    static const char *const forms[] = { "httpGet", "exec", "tcpSocket", "grpc" };
    struct str what = STR("");

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        const struct json *form = json_get(probe, str_from(forms[i]));

        if (form)
            what = arena_printf(d->doc->arena, "%s " STR_FMT, forms[i], STR_ARG(json_text(d->doc->arena, form)));
    }
    doc_add(d->doc, level, describe_title(d->doc->arena, name),
            arena_printf(d->doc->arena, STR_FMT " delay=%llds timeout=%llds period=%llds #success=%lld #failure=%lld",
                         STR_ARG(what), (long long)json_int(json_member(probe, "initialDelaySeconds"), 0),
                         (long long)json_int(json_member(probe, "timeoutSeconds"), 1),
                         (long long)json_int(json_member(probe, "periodSeconds"), 10),
                         (long long)json_int(json_member(probe, "successThreshold"), 1),
                         (long long)json_int(json_member(probe, "failureThreshold"), 3)));
}

static const struct json *status_of(const struct json *object, struct str name)
{
    static const char *const lists[] = { "status.containerStatuses", "status.initContainerStatuses",
                                         "status.ephemeralContainerStatuses" };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct json *list = json_at(object, lists[l]);

        for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
            if (str_eq(json_str_at(&list->items[i], "name"), name))
                return &list->items[i];
    }
    return NULL;
}

static void describe_status(struct description *d, int level, const struct json *status)
{
    if (!status)
        return;
    describe_state(d, level, "State", json_member(status, "state"));
    describe_state(d, level, "Last State", json_member(status, "lastState"));
    doc_add(d->doc, level, STR("Ready"), describe_scalar(d->doc->arena, json_member(status, "ready")));
    doc_add(d->doc, level, STR("Restart Count"), describe_scalar(d->doc->arena, json_member(status, "restartCount")));
    doc_add(d->doc, level, STR("Container ID"), describe_scalar(d->doc->arena, json_member(status, "containerID")));
    doc_add(d->doc, level, STR("Image ID"), describe_scalar(d->doc->arena, json_member(status, "imageID")));
}

static void describe_container(struct description *d, int level, const struct json *container)
{
    static const char *const shown[] = { "name", "image", "ports", "env", "envFrom", "volumeMounts" };
    const struct json *status = status_of(d->object, json_str_at(container, "name"));

    doc_add(d->doc, level++, json_str_at(container, "name"), STR_NULL);
    doc_add(d->doc, level, STR("Image"), describe_scalar(d->doc->arena, json_member(container, "image")));
    describe_ports(d, level, json_member(container, "ports"));
    describe_status(d, level, status);
    for (uint32_t i = 0; json_is(container, JSON_OBJECT) && i < container->count; i++) {
        struct str key = container->members[i].key;
        bool done = false;

        for (size_t s = 0; s < ARRAY_LEN(shown); s++)
            done = done || str_is(key, shown[s]);
        if (!done && str_has_suffix(key, STR("Probe")))
            describe_probe(d, level, key, &container->members[i].value);
        else if (!done && !(container->members[i].value.kind == JSON_OBJECT && container->members[i].value.count == 0))
            describe_any(d, level, arena_cstr(d->doc->arena, describe_title(d->doc->arena, key)),
                         &container->members[i].value);
    }
    describe_env(d, level, container);
    describe_mounts(d, level, json_member(container, "volumeMounts"));
}

void describe_containers(struct description *d, int level, const char *title, const struct json *value)
{
    doc_add(d->doc, level, str_from(title), STR_NULL);
    for (uint32_t i = 0; json_is(value, JSON_ARRAY) && i < value->count; i++)
        describe_container(d, level + 1, &value->items[i]);
}

void describe_template(struct description *d, int level, const char *title, const struct json *value)
{
    static const struct {
        const char *member, *title;
        describe_fn *fn;
    } lists[] = { { "initContainers", "Init Containers", describe_containers },
                  { "containers", "Containers", describe_containers },
                  { "volumes", "Volumes", describe_volumes },
                  { "tolerations", "Tolerations", describe_tolerations } };
    const struct json *metadata = json_member(value, "metadata"), *spec = json_member(value, "spec");

    doc_add(d->doc, level++, str_from(title), STR_NULL);
    for (uint32_t i = 0; json_is(metadata, JSON_OBJECT) && i < metadata->count; i++)
        if (metadata->members[i].value.kind != JSON_NULL)
            describe_any(d, level, arena_cstr(d->doc->arena, describe_title(d->doc->arena, metadata->members[i].key)),
                         &metadata->members[i].value);
    for (uint32_t i = 0; json_is(spec, JSON_OBJECT) && i < spec->count; i++) {
        const struct json *part = &spec->members[i].value;
        describe_fn *fn = describe_any;
        const char *name = arena_cstr(d->doc->arena, describe_title(d->doc->arena, spec->members[i].key));

        for (size_t l = 0; l < ARRAY_LEN(lists); l++)
            if (str_is(spec->members[i].key, lists[l].member))
                fn = lists[l].fn;
        if (name && !(part->kind == JSON_OBJECT && part->count == 0))
            fn(d, level, name, part);
    }
}

/* -- volumes, tolerations -- */

void describe_volumes(struct description *d, int level, const char *title, const struct json *value)
{
    doc_add(d->doc, level, str_from(title), STR_NULL);
    for (uint32_t i = 0; json_is(value, JSON_ARRAY) && i < value->count; i++) {
        const struct json *volume = &value->items[i];

        doc_add(d->doc, level + 1, json_str_at(volume, "name"), STR_NULL);
        for (uint32_t m = 0; m < volume->count; m++)
            if (!str_is(volume->members[m].key, "name"))
                describe_any(d, level + 2, arena_cstr(d->doc->arena, describe_title(d->doc->arena, volume->members[m].key)),
                             &volume->members[m].value);
    }
}

/* "key=value:Effect for 300s", one under the other; taints look the same. */
void describe_tolerations(struct description *d, int level, const char *title, const struct json *value)
{
    struct arena *arena = d->doc->arena;
    struct str text = STR_NULL;

    for (uint32_t i = 0; json_is(value, JSON_ARRAY) && i < value->count; i++) {
        const struct json *item = &value->items[i], *seconds = json_member(item, "tolerationSeconds");
        struct str key = json_str_at(item, "key"), equals = json_str_at(item, "value"), effect = json_str_at(item, "effect");
        struct str line = arena_printf(arena, STR_FMT "%s" STR_FMT "%s" STR_FMT, STR_ARG(key.len ? key : STR("*")),
                                       equals.len ? "=" : "", STR_ARG(equals), effect.len ? ":" : "", STR_ARG(effect));

        if (seconds)
            line = arena_printf(arena, STR_FMT " for %llds", STR_ARG(line), (long long)json_int(seconds, 0));
        text = add(arena, text, "\n", line);
    }
    doc_add(d->doc, level, str_from(title), text.len ? text : STR("<none>"));
}

/* -- conditions -- */

void describe_conditions(struct description *d, int level, const char *title, const struct json *value)
{
    static const struct str heading[] = { STR_INIT("TYPE"), STR_INIT("STATUS"), STR_INIT("SINCE"), STR_INIT("REASON"),
                                          STR_INIT("MESSAGE") };
    VEC(struct str) cells = VEC_INIT;
    char age[API_TIME_LEN];
    nsec_t at;

    doc_add(d->doc, level, str_from(title), STR_NULL);
    for (size_t i = 0; i < ARRAY_LEN(heading); i++)
        d->doc->failed = vec_push(&cells, heading[i]) < 0 || d->doc->failed;
    for (uint32_t i = 0; json_is(value, JSON_ARRAY) && i < value->count; i++) {
        const struct json *item = &value->items[i];
        struct str since = json_str_at(item, "lastTransitionTime");

        if (api_time_parse(since, &at))
            since = arena_str(d->doc->arena, duration_text(MAX(d->now - at, (nsec_t)0), age));
        const struct str row[] = { json_str_at(item, "type"), json_str_at(item, "status"), since,
                                   json_str_at(item, "reason"), json_str_at(item, "message") };

        for (size_t c = 0; c < ARRAY_LEN(row); c++)
            d->doc->failed = vec_push(&cells, row[c]) < 0 || d->doc->failed;
    }
    if (!d->doc->failed)
        doc_table(d->doc, level + 1, ARRAY_LEN(heading), cells.items, cells.count);
    vec_deinit(&cells);
}
