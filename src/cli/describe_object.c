/* describe_object.c - any object as readable text.
 *
 * Everyday kinds have a table of what comes first, in which order and form; what a row has shown is taken out of the object.
 * The rest of spec, status and other members follows by its form alone, so that nothing is left out, whatever the kind. */
#include "cli/describe_object.h"

#include "cli/table.h"
#include "schema/time.h"

struct row {
    const char *title, *path; /* members with '.' between */
    describe_fn *fn;          /* NULL: a scalar */
    bool always;              /* "<none>" when it is not there */
};

/* -- small forms -- */

struct str describe_scalar(struct arena *arena, const struct json *value)
{
    if (!value || value->kind == JSON_NULL)
        return STR("<none>");
    if (value->kind == JSON_STRING)
        return value->string.len ? value->string : STR("<none>");
    return json_text(arena, value);
}

struct str describe_time(struct description *d, const struct json *value)
{
    char age[API_TIME_LEN];
    nsec_t at;

    if (!json_is(value, JSON_STRING) || !api_time_parse(value->string, &at))
        return describe_scalar(d->doc->arena, value);
    return arena_printf(d->doc->arena, STR_FMT " (" STR_FMT " ago)", STR_ARG(value->string),
                        STR_ARG(duration_text(MAX(d->now - at, (nsec_t)0), age)));
}

/* "Dns" is "DNS". */
static void raise_acronyms(char *text, size_t len)
{
    static const struct str acronyms[] = { STR_INIT("Dns"), STR_INIT("Ip"), STR_INIT("Os"), STR_INIT("Uid"),
                                           STR_INIT("Url"), STR_INIT("Cpu"), STR_INIT("Http"), STR_INIT("Tcp") };
    struct str rest = str_of(text, len), word;

    while (str_split(&rest, ' ', &word))
        for (size_t i = 0; i < ARRAY_LEN(acronyms); i++) {
            if (!str_eq(word, acronyms[i]))
                continue;
            for (char *c = text + (word.data - text) + 1; c < word.data + word.len; c++)
                *c = (char)(*c - 'a' + 'A');
            break;
        }
}

struct str describe_title(struct arena *arena, struct str name)
{
    char *text = arena_alloc(arena, name.len * 2 + 1);
    size_t len = 0;

    if (!text)
        return name;
    for (size_t i = 0; i < name.len; i++) {
        bool upper = name.data[i] >= 'A' && name.data[i] <= 'Z';
        bool after_lower = i && !(name.data[i - 1] >= 'A' && name.data[i - 1] <= 'Z') && name.data[i - 1] != '-';
        bool before_lower = i + 1 < name.len && name.data[i + 1] >= 'a' && name.data[i + 1] <= 'z' && i + 2 < name.len;

        if (upper && i && (after_lower || before_lower))
            text[len++] = ' ';
        text[len++] = i == 0 && name.data[0] >= 'a' && name.data[0] <= 'z' ? (char)(name.data[0] - 'a' + 'A')
                                                                           : name.data[i];
    }
    raise_acronyms(text, len);
    return str_of(text, len);
}

/* "a=1" under "b=2". */
static void describe_map(struct description *d, int level, const char *title, const struct json *value)
{
    struct str text = STR_NULL;

    for (uint32_t i = 0; json_is(value, JSON_OBJECT) && i < value->count; i++) {
        struct str one = describe_scalar(d->doc->arena, &value->members[i].value);

        text = arena_printf(d->doc->arena, STR_FMT "%s" STR_FMT "=" STR_FMT, STR_ARG(text), i ? "\n" : "",
                            STR_ARG(value->members[i].key), STR_ARG(one));
    }
    doc_add(d->doc, level, str_from(title), text.data ? text : STR("<none>"));
}

static void describe_annotations(struct description *d, int level, const char *title, const struct json *value)
{
    struct str text = STR_NULL;

    for (uint32_t i = 0; json_is(value, JSON_OBJECT) && i < value->count; i++) {
        if (str_is(value->members[i].key, "kubectl.kubernetes.io/last-applied-configuration"))
            continue;
        text = arena_printf(d->doc->arena, STR_FMT "%s" STR_FMT ": " STR_FMT, STR_ARG(text), text.data ? "\n" : "",
                            STR_ARG(value->members[i].key), STR_ARG(json_str(&value->members[i].value)));
    }
    doc_add(d->doc, level, str_from(title), text.data ? text : STR("<none>"));
}

static void describe_moment(struct description *d, int level, const char *title, const struct json *value)
{
    doc_add(d->doc, level, str_from(title), describe_time(d, value));
}

/* matchLabels and matchExpressions, or a plain map. */
static void describe_selector(struct description *d, int level, const char *title, const struct json *value)
{
    const struct json *labels = json_member(value, "matchLabels"), *rest = json_member(value, "matchExpressions");

    if (!labels && !rest)
        labels = value;
    doc_add(d->doc, level, str_from(title), labels_text(d->doc->arena, labels));
    if (rest)
        describe_any(d, level, "Match Expressions", rest);
}

/* "Controlled By": the owners. */
static void describe_owners(struct description *d, int level, const char *title, const struct json *value)
{
    for (uint32_t i = 0; json_is(value, JSON_ARRAY) && i < value->count; i++)
        doc_printf(d->doc, level, json_bool(json_member(&value->items[i], "controller"), false) ? title : "Owned By",
                   STR_FMT "/" STR_FMT, STR_ARG(json_str_at(&value->items[i], "kind")),
                   STR_ARG(json_str_at(&value->items[i], "name")));
}

static void describe_conditions_or_any(struct description *d, int level, const char *title, const struct json *value)
{
    const struct json *first = json_is(value, JSON_ARRAY) && value->count ? &value->items[0] : NULL;

    if (json_member(first, "type") && json_member(first, "status"))
        describe_conditions(d, level, title, value);
    else
        describe_any(d, level, title, value);
}

/* The values of a Secret are not shown. */
static void describe_secret_data(struct description *d, int level, const char *title, const struct json *value)
{
    doc_add(d->doc, level, str_from(title), STR_NULL);
    for (uint32_t i = 0; json_is(value, JSON_OBJECT) && i < value->count; i++) {
        struct str text = json_str(&value->members[i].value);
        size_t padding = str_has_suffix(text, STR("==")) ? 2 : str_has_suffix(text, STR("="));

        doc_add(d->doc, level + 1, value->members[i].key,
                arena_printf(d->doc->arena, "%zu bytes", text.len / 4 * 3 - MIN(padding, text.len / 4 * 3)));
    }
}

static void describe_texts(struct description *d, int level, const char *title, const struct json *value)
{
    doc_add(d->doc, level, str_from(title), STR_NULL);
    for (uint32_t i = 0; json_is(value, JSON_OBJECT) && i < value->count; i++) {
        struct str text = json_str(&value->members[i].value);

        doc_add(d->doc, level + 1, value->members[i].key, STR_NULL);
        doc_text(d->doc, level + 2, text);
    }
}

/* -- any form -- */

static void any(struct description *d, int level, struct str title, const struct json *value);

static bool is_scalar(const struct json *value)
{
    return value->kind != JSON_ARRAY && value->kind != JSON_OBJECT;
}

/* Empty, or full of what is empty. */
static bool is_nothing(const struct json *value)
{
    if (is_scalar(value) || value->kind == JSON_ARRAY)
        return value->kind == JSON_ARRAY && value->count == 0;
    for (uint32_t i = 0; i < value->count; i++)
        if (!is_nothing(&value->members[i].value))
            return false;
    return true;
}

static bool is_long(const struct json *value)
{
    return value->kind == JSON_STRING && str_chr(value->string, '\n') >= 0;
}

/* Small things without a name, on a line: "address=192.0.2.2, type=InternalIP". */
static bool one_line(struct description *d, int level, const struct json *item)
{
    struct arena *arena = d->doc->arena;
    struct str text = STR("");

    if (!json_is(item, JSON_OBJECT) || item->count > 4)
        return false;
    for (uint32_t i = 0; i < item->count; i++)
        if (!is_scalar(&item->members[i].value) || is_long(&item->members[i].value))
            return false;
    for (uint32_t i = 0; i < item->count; i++)
        text = arena_printf(arena, STR_FMT "%s" STR_FMT "=" STR_FMT, STR_ARG(text), i ? ", " : "",
                            STR_ARG(item->members[i].key), STR_ARG(describe_scalar(arena, &item->members[i].value)));
    doc_text(d->doc, level, text);
    return true;
}

static void any_list(struct description *d, int level, struct str title, const struct json *value)
{
    struct arena *arena = d->doc->arena;

    doc_add(d->doc, level, title, value->count ? STR_NULL : STR("<none>"));
    for (uint32_t i = 0; i < value->count; i++) {
        const struct json *item = &value->items[i];
        struct str name = json_str_at(item, "name");

        if (is_scalar(item))
            doc_text(d->doc, level + 1, describe_scalar(arena, item));
        else if (name.len || !one_line(d, level + 1, item))
            any(d, level + 1, name.len ? name : arena_printf(arena, "%u", i + 1), item);
    }
}

/* Keys of these are words of users, not names of fields. */
static bool keys_are_words(struct str title)
{
    static const struct str maps[] = {
        STR_INIT("Labels"), STR_INIT("Annotations"), STR_INIT("Match Labels"),  STR_INIT("Node Selector"),
        STR_INIT("Limits"), STR_INIT("Requests"),    STR_INIT("Capacity"),      STR_INIT("Allocatable"),
        STR_INIT("Hard"),   STR_INIT("Used"),        STR_INIT("Selector"),      STR_INIT("Data"),
    };

    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        if (str_eq(title, maps[i]))
            return true;
    return false;
}

static void any_object(struct description *d, int level, struct str title, const struct json *value)
{
    bool words = keys_are_words(title);

    doc_add(d->doc, level, title, value->count ? STR_NULL : STR("{}"));
    for (uint32_t i = 0; i < value->count; i++) {
        const struct json *member = &value->members[i].value;
        bool is_title = str_is(value->members[i].key, "name") && str_eq(json_str(member), title);

        if (!is_nothing(member) && !is_title)
            any(d, level + 1, words ? value->members[i].key : describe_title(d->doc->arena, value->members[i].key), member);
    }
}

static void any(struct description *d, int level, struct str title, const struct json *value)
{
    if (level >= DOC_LEVELS - 2) {
        doc_add(d->doc, level, title, json_text(d->doc->arena, value));
    } else if (value->kind == JSON_ARRAY) {
        any_list(d, level, title, value);
    } else if (value->kind == JSON_OBJECT) {
        any_object(d, level, title, value);
    } else if (is_long(value)) {
        doc_add(d->doc, level, title, STR_NULL);
        doc_text(d->doc, level + 1, value->string);
    } else {
        doc_add(d->doc, level, title, describe_scalar(d->doc->arena, value));
    }
}

void describe_any(struct description *d, int level, const char *title, const struct json *value)
{
    any(d, level, arena_str(d->doc->arena, str_from(title)), value);
}

/* -- tables -- */

static const struct row pod_rows[] = {
    { "Priority", "spec.priority", NULL, false },
    { "Priority Class", "spec.priorityClassName", NULL, false },
    { "Service Account", "spec.serviceAccountName", NULL, true },
    { "Node", "spec.nodeName", NULL, true },
    { "Start Time", "status.startTime", describe_moment, false },
    { "Status", "status.phase", NULL, true },
    { "Reason", "status.reason", NULL, false },
    { "Message", "status.message", NULL, false },
    { "IP", "status.podIP", NULL, true },
    { "Host IP", "status.hostIP", NULL, false },
    { "QoS Class", "status.qosClass", NULL, false },
    { "Restart Policy", "spec.restartPolicy", NULL, false },
    { "Node Selectors", "spec.nodeSelector", describe_map, true },
    { "Init Containers", "spec.initContainers", describe_containers, false },
    { "Containers", "spec.containers", describe_containers, false },
    { "Ephemeral Containers", "spec.ephemeralContainers", describe_containers, false },
    { "Conditions", "status.conditions", describe_conditions, false },
    { "Volumes", "spec.volumes", describe_volumes, false },
    { "Tolerations", "spec.tolerations", describe_tolerations, true },
};

static const struct row node_rows[] = {
    { "Taints", "spec.taints", describe_tolerations, true },
    { "Unschedulable", "spec.unschedulable", NULL, false },
    { "Pod CIDR", "spec.podCIDR", NULL, false },
    { "Conditions", "status.conditions", describe_conditions, false },
    { "Addresses", "status.addresses", describe_any, false },
    { "Capacity", "status.capacity", describe_any, false },
    { "Allocatable", "status.allocatable", describe_any, false },
    { "System Info", "status.nodeInfo", describe_any, false },
};

static const struct row deployment_rows[] = {
    { "Selector", "spec.selector", describe_selector, true },
    { "Replicas Desired", "spec.replicas", NULL, true },
    { "Replicas Updated", "status.updatedReplicas", NULL, false },
    { "Replicas Available", "status.availableReplicas", NULL, false },
    { "Replicas Ready", "status.readyReplicas", NULL, false },
    { "Replicas Unavailable", "status.unavailableReplicas", NULL, false },
    { "Paused", "spec.paused", NULL, false },
    { "Strategy", "spec.strategy", describe_any, false },
    { "Pod Template", "spec.template", describe_template, false },
    { "Conditions", "status.conditions", describe_conditions, false },
};

/* ReplicaSets, StatefulSets, DaemonSets, Jobs, ... */
static const struct row workload_rows[] = {
    { "Selector", "spec.selector", describe_selector, false },
    { "Replicas Desired", "spec.replicas", NULL, false },
    { "Replicas Current", "status.replicas", NULL, false },
    { "Replicas Ready", "status.readyReplicas", NULL, false },
    { "Pod Template", "spec.template", describe_template, false },
    { "Conditions", "status.conditions", describe_conditions, false },
};

static const struct row service_rows[] = {
    { "Selector", "spec.selector", describe_selector, true },
    { "Type", "spec.type", NULL, true },
    { "IP", "spec.clusterIP", NULL, true },
    { "External Name", "spec.externalName", NULL, false },
    { "Ports", "spec.ports", describe_any, false },
    { "Session Affinity", "spec.sessionAffinity", NULL, false },
};

static const struct row config_map_rows[] = { { "Data", "data", describe_texts, true } };
static const struct row secret_rows[] = {
    { "Type", "type", NULL, true },
    { "Data", "data", describe_secret_data, true },
};
static const struct row namespace_rows[] = {
    { "Status", "status.phase", NULL, true },
    { "Conditions", "status.conditions", describe_conditions, false },
};

static const struct kind {
    struct str group, kind;
    const struct row *rows;
    size_t count;
} kinds[] = {
#define KIND(group, kind, rows) { STR_INIT(group), STR_INIT(kind), rows, ARRAY_LEN(rows) }
    KIND("", "Pod", pod_rows),
    KIND("", "Node", node_rows),
    KIND("", "Service", service_rows),
    KIND("", "ConfigMap", config_map_rows),
    KIND("", "Secret", secret_rows),
    KIND("", "Namespace", namespace_rows),
    KIND("", "ReplicationController", workload_rows),
    KIND("apps", "Deployment", deployment_rows),
    KIND("apps", "ReplicaSet", workload_rows),
    KIND("apps", "StatefulSet", workload_rows),
    KIND("apps", "DaemonSet", workload_rows),
    KIND("batch", "Job", workload_rows),
#undef KIND
};

/* The head of all. */
static const struct row head_rows[] = {
    { "Name", "metadata.name", NULL, true },
    { "Namespace", "metadata.namespace", NULL, false },
    { "Labels", "metadata.labels", describe_map, true },
    { "Annotations", "metadata.annotations", describe_annotations, true },
    { "Created", "metadata.creationTimestamp", describe_moment, false },
    { "Being Deleted Since", "metadata.deletionTimestamp", describe_moment, false },
    { "Finalizers", "metadata.finalizers", describe_any, false },
    { "Controlled By", "metadata.ownerReferences", describe_owners, false },
};

/* -- all of it -- */

/* Takes the value out, so that it is not described again. */
static void remove_path(struct json *object, const char *path)
{
    const char *dot = strchr(path, '.');
    struct json *inner = dot ? json_get(object, str_of(path, (size_t)(dot - path))) : NULL;

    if (dot && json_is(inner, JSON_OBJECT))
        remove_path(inner, dot + 1);
    else if (!dot && json_is(object, JSON_OBJECT))
        json_remove(object, str_from(path));
}

static void describe_rows(struct description *d, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct json *value = json_at(d->object, rows[i].path);

        if (!value && rows[i].always)
            doc_add(d->doc, 0, str_from(rows[i].title), STR("<none>"));
        else if (value && rows[i].fn)
            rows[i].fn(d, 0, rows[i].title, value);
        else if (value)
            describe_any(d, 0, rows[i].title, value);
        remove_path(d->object, rows[i].path);
    }
}

/* What nobody has shown: the members of spec and status, then all others. */
static void describe_rest(struct description *d)
{
    static const char *const known[] = { "apiVersion", "kind", "metadata", "status.containerStatuses",
                                         "status.initContainerStatuses", "status.ephemeralContainerStatuses" };
    struct arena *arena = d->doc->arena;

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        remove_path(d->object, known[i]);
    for (uint32_t i = 0; i < d->object->count; i++) {
        const struct json *value = &d->object->members[i].value;

        if (is_nothing(value))
            continue;
        const char *title = arena_cstr(arena, describe_title(arena, d->object->members[i].key));

        if (title && str_is(d->object->members[i].key, "status") && json_is(json_member(value, "conditions"), JSON_ARRAY)) {
            describe_conditions_or_any(d, 0, "Conditions", json_member(value, "conditions"));
            remove_path(d->object, "status.conditions");
        }
        if (title && !is_nothing(value))
            describe_any(d, 0, title, value);
    }
}

void describe_object(struct doc *doc, const struct resource *resource, struct json *object, nsec_t now)
{
    struct description d = { doc, object, now };

    describe_rows(&d, head_rows, ARRAY_LEN(head_rows));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].kind, resource->kind) && str_eq(kinds[i].group, resource->group))
            describe_rows(&d, kinds[i].rows, kinds[i].count);
    describe_rest(&d);
}
