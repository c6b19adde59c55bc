#include "apiserver/selectable.h"

#include "api/resources.h"

#define NAME                                       \
    {                                              \
        STR_INIT("metadata.name"), "metadata.name" \
    }
#define NAMESPACE                                            \
    {                                                        \
        STR_INIT("metadata.namespace"), "metadata.namespace" \
    }
#define SET(of, fields, words)                                                              \
    {                                                                                       \
        .resource = &(of), .rows = (fields), .count = ARRAY_LEN(fields), .refusal = (words) \
    }
#define UNSUPPORTED "field label not supported: %s"

static const struct selectable_row any_fields[] = { NAME, NAMESPACE };

static const struct selectable_row pod_fields[] = {
    NAME,
    NAMESPACE,
    { STR_INIT("spec.nodeName"), "spec.nodeName" },
    { STR_INIT("spec.host"), "spec.nodeName" }, /* the field's name in the oldest clients */
    { STR_INIT("spec.restartPolicy"), "spec.restartPolicy" },
    { STR_INIT("spec.schedulerName"), "spec.schedulerName" },
    { STR_INIT("spec.serviceAccountName"), "spec.serviceAccountName" },
    { STR_INIT("spec.hostNetwork"), "spec.hostNetwork", FORM_BOOL },
    { STR_INIT("status.phase"), "status.phase" },
    { STR_INIT("status.podIP"), "status.podIP" },
    { STR_INIT("status.podIPs"), "", FORM_NONE },
    { STR_INIT("status.nominatedNodeName"), "status.nominatedNodeName" },
};

static const struct selectable_row event_fields[] = {
    NAME,
    NAMESPACE,
    { STR_INIT("involvedObject.kind"), "involvedObject.kind" },
    { STR_INIT("involvedObject.namespace"), "involvedObject.namespace" },
    { STR_INIT("involvedObject.name"), "involvedObject.name" },
    { STR_INIT("involvedObject.uid"), "involvedObject.uid" },
    { STR_INIT("involvedObject.apiVersion"), "involvedObject.apiVersion" },
    { STR_INIT("involvedObject.resourceVersion"), "involvedObject.resourceVersion" },
    { STR_INIT("involvedObject.fieldPath"), "involvedObject.fieldPath" },
    { STR_INIT("reason"), "reason" },
    { STR_INIT("reportingComponent"), "reportingComponent" },
    { STR_INIT("source"), "source.component", .other = "reportingComponent" },
    { STR_INIT("type"), "type" },
};

/* Kept as events of the core group. */
static const struct selectable_row new_event_fields[] = {
    NAME,
    NAMESPACE,
    { STR_INIT("regarding.kind"), "involvedObject.kind" },
    { STR_INIT("regarding.namespace"), "involvedObject.namespace" },
    { STR_INIT("regarding.name"), "involvedObject.name" },
    { STR_INIT("regarding.uid"), "involvedObject.uid" },
    { STR_INIT("regarding.apiVersion"), "involvedObject.apiVersion" },
    { STR_INIT("regarding.resourceVersion"), "involvedObject.resourceVersion" },
    { STR_INIT("regarding.fieldPath"), "involvedObject.fieldPath" },
    { STR_INIT("reason"), "reason" },
    { STR_INIT("reportingController"), "reportingComponent" },
    { STR_INIT("source"), "source.component", .other = "reportingComponent" },
    { STR_INIT("type"), "type" },
};

static const struct selectable_row node_fields[] = {
    NAME,
    { STR_INIT("spec.unschedulable"), "spec.unschedulable", FORM_BOOL },
};
static const struct selectable_row namespace_fields[] = { NAME, { STR_INIT("status.phase"), "status.phase" } };
static const struct selectable_row secret_fields[] = { NAME, NAMESPACE, { STR_INIT("type"), "type" } };
static const struct selectable_row service_fields[] = {
    NAME,
    NAMESPACE,
    { STR_INIT("spec.clusterIP"), "spec.clusterIP" },
    { STR_INIT("spec.type"), "spec.type" },
};
static const struct selectable_row replicas_fields[] = {
    NAME,
    NAMESPACE,
    { STR_INIT("status.replicas"), "status.replicas", FORM_NUMBER },
};
static const struct selectable_row job_fields[] = {
    NAME,
    NAMESPACE,
    { STR_INIT("status.successful"), "status.succeeded", FORM_NUMBER },
};
static const struct selectable_row csr_fields[] = { NAME, { STR_INIT("spec.signerName"), "spec.signerName" } };

static const struct selectable_set any_set = {
    .rows = any_fields,
    .count = ARRAY_LEN(any_fields),
    .refusal = "\"%s\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
};
static const struct selectable_set sets[] = {
    SET(RESOURCE_PODS, pod_fields, UNSUPPORTED),
    SET(RESOURCE_EVENTS, event_fields, UNSUPPORTED),
    SET(RESOURCE_EVENTS_K8S_IO_EVENTS, new_event_fields, UNSUPPORTED),
    SET(RESOURCE_NODES, node_fields, UNSUPPORTED),
    SET(RESOURCE_NAMESPACES, namespace_fields, UNSUPPORTED),
    SET(RESOURCE_SECRETS, secret_fields, UNSUPPORTED),
    SET(RESOURCE_SERVICES, service_fields, UNSUPPORTED),
    SET(RESOURCE_REPLICATIONCONTROLLERS, replicas_fields, UNSUPPORTED),
    SET(RESOURCE_APPS_REPLICASETS, replicas_fields, UNSUPPORTED),
    SET(RESOURCE_BATCH_JOBS, job_fields, "field label \"%s\" not supported for Job"),
    SET(RESOURCE_CERTIFICATES_K8S_IO_CERTIFICATESIGNINGREQUESTS, csr_fields, UNSUPPORTED),
};

const struct selectable_set *selectable_of(const struct resource *resource)
{
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        if (sets[i].resource == resource)
            return &sets[i];
    return &any_set;
}

const struct selectable_row *selectable_row(const struct selectable_set *set, struct str name)
{
    for (size_t i = 0; i < set->count; i++)
        if (str_eq(set->rows[i].name, name))
            return &set->rows[i];
    return NULL;
}

static struct str text_at(const struct json *object, const char *path)
{
    struct str text = path ? json_str_at(object, path) : STR_NULL;

    return text.data ? text : STR("");
}

struct str selectable_value(const struct selectable_row *row, struct arena *arena, const struct json *object)
{
    struct str text;

    switch (row->form) {
    case FORM_TEXT: text = text_at(object, row->path); return str_empty(text) ? text_at(object, row->other) : text;
    case FORM_BOOL: return json_bool(json_at(object, row->path), false) ? STR("true") : STR("false");
    case FORM_NUMBER:
        text = arena_printf(arena, "%lld", (long long)json_int(json_at(object, row->path), 0));
        return text.data ? text : STR("0");
    case FORM_NONE: break;
    }
    return STR("");
}
