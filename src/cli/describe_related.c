/* describe_related.c - one row for each kind that is described with others: where they are, and how they are told.
 *
 * What a pod takes of its node is what its containers take together, or its init containers one at a time beside the
 * sidecars that were started before, whichever is more; what the pod says of itself as a whole goes before both. */
#include "cli/describe_related.h"

#include <stdio.h>

#include "schema/quantity.h"
#include "schema/time.h"

#define ENDPOINTS_SHOWN 10
#define REVISION "deployment.kubernetes.io/revision"

static uint32_t count_of(const struct json *array)
{
    return json_is(array, JSON_ARRAY) ? array->count : 0;
}

/* -- services -- */

static void add_address(struct buf *out, struct str address, int64_t port)
{
    bool wide = str_chr(address, ':') >= 0;

    buf_printf(out, "%s" STR_FMT "%s", wide && port ? "[" : "", STR_ARG(address), wide && port ? "]" : "");
    if (port)
        buf_printf(out, ":%lld", (long long)port);
}

/* The ready ones of a slice, behind one of its ports; port 0: there is none. */
static void add_slice(struct buf *out, const struct json *slice, int64_t port, size_t *count)
{
    const struct json *endpoints = json_member(slice, "endpoints");

    for (uint32_t i = 0; i < count_of(endpoints); i++) {
        const struct json *addresses = json_member(&endpoints->items[i], "addresses");

        if (!json_bool(json_at(&endpoints->items[i], "conditions.ready"), true) || !count_of(addresses))
            continue;
        if (++*count > ENDPOINTS_SHOWN)
            continue;
        buf_add_cstr(out, *count > 1 ? "," : "");
        add_address(out, json_str(&addresses->items[0]), port);
    }
}

/* port: of the service; NULL: it has none. */
static struct str endpoints_of(struct arena *arena, const struct json *slices, const struct json *port)
{
    AUTO_DEINIT(buf, out) = BUF_INIT;
    size_t count = 0;

    for (uint32_t i = 0; i < count_of(slices); i++) {
        const struct json *ports = json_member(&slices->items[i], "ports");

        if (!port)
            add_slice(&out, &slices->items[i], 0, &count);
        for (uint32_t k = 0; port && k < count_of(ports); k++) {
            struct str name = json_str_at(&ports->items[k], "name"), wanted = json_str_at(port, "name");

            if (str_eq(name.data ? name : STR(""), wanted.data ? wanted : STR("")))
                add_slice(&out, &slices->items[i], json_int(json_member(&ports->items[k], "port"), 0), &count);
        }
    }
    if (count > ENDPOINTS_SHOWN)
        buf_printf(&out, " + %zu more", count - ENDPOINTS_SHOWN);
    return count ? arena_str(arena, buf_str(&out)) : STR("<none>");
}

void describe_endpoints(struct doc *doc, const struct json *service, const struct json *slices, nsec_t now)
{
    const struct json *ports = json_at(service, "spec.ports");

    (void)now;
    if (count_of(ports) < 2) {
        doc_add(doc, 0, STR("Endpoints"),
                endpoints_of(doc->arena, slices, count_of(ports) ? &ports->items[0] : NULL));
        return;
    }
    doc_add(doc, 0, STR("Endpoints"), STR_NULL);
    for (uint32_t i = 0; i < ports->count; i++)
        doc_add(doc, 1, json_str_at(&ports->items[i], "name"), endpoints_of(doc->arena, slices, &ports->items[i]));
}

/* -- nodes -- */

enum amount { REQUESTS, LIMITS };
static const char *const amounts[] = { [REQUESTS] = "resources.requests", [LIMITS] = "resources.limits" };

static __int128 amount_of(const struct json *amounts_of, struct str resource)
{
    struct quantity quantity;

    return quantity_parse(json_str(json_get(amounts_of, resource)), &quantity) ? quantity.nano : 0;
}

static __int128 pod_amount(const struct json *pod, enum amount which, struct str resource)
{
    const struct json *spec = json_member(pod, "spec"), *own = json_at(spec, amounts[which]);
    const struct json *containers = json_member(spec, "containers"), *inits = json_member(spec, "initContainers");
    __int128 together = 0, sidecars = 0, peak = 0, total;

    for (uint32_t i = 0; i < count_of(inits); i++) {
        __int128 one = amount_of(json_at(&inits->items[i], amounts[which]), resource);

        if (str_is(json_str_at(&inits->items[i], "restartPolicy"), "Always"))
            sidecars += one;
        else
            peak = MAX(peak, sidecars + one);
    }
    for (uint32_t i = 0; i < count_of(containers); i++)
        together += amount_of(json_at(&containers->items[i], amounts[which]), resource);
    total = json_get(own, resource) ? amount_of(own, resource) : MAX(together + sidecars, peak);
    return total || which == REQUESTS ? total + amount_of(json_member(spec, "overhead"), resource) : 0;
}

static struct str amount_text(struct arena *arena, struct str resource, __int128 nano)
{
    bool binary = str_is(resource, "memory") || str_is(resource, "ephemeral-storage") ||
                  str_has_prefix(resource, STR("hugepages-"));

    return quantity_text(arena, (struct quantity){ nano, binary ? QUANTITY_BINARY_SI : QUANTITY_DECIMAL_SI });
}

struct cells {
    struct str *items;
    size_t count, cap;
};

static void add_cell(struct doc *doc, struct cells *cells, struct str text)
{
    doc->failed = vec_push(cells, text.data ? text : STR("")) < 0 || doc->failed;
}

static struct str pod_age(struct arena *arena, const struct json *pod, nsec_t now)
{
    char text[API_TIME_LEN];
    nsec_t at;

    if (!api_time_parse(json_str_at(pod, "metadata.creationTimestamp"), &at))
        return STR("<unknown>");
    duration_text(MAX(now - at, (nsec_t)0), text);
    return arena_printf(arena, "%s", text);
}

static void list_pods(struct doc *doc, const struct json *pods, nsec_t now)
{
    static const char *const heading[] = { "NAMESPACE", "NAME", "CPU REQUESTS", "CPU LIMITS", "MEMORY REQUESTS",
                                           "MEMORY LIMITS", "AGE" };
    static const struct {
        const char *resource;
        enum amount which;
    } shown[] = { { "cpu", REQUESTS }, { "cpu", LIMITS }, { "memory", REQUESTS }, { "memory", LIMITS } };
    struct cells cells = VEC_INIT;

    for (size_t i = 0; i < ARRAY_LEN(heading); i++)
        add_cell(doc, &cells, str_from(heading[i]));
    for (uint32_t i = 0; i < count_of(pods); i++) {
        const struct json *pod = &pods->items[i];

        add_cell(doc, &cells, json_str_at(pod, "metadata.namespace"));
        add_cell(doc, &cells, json_str_at(pod, "metadata.name"));
        for (size_t k = 0; k < ARRAY_LEN(shown); k++) {
            struct str resource = str_from(shown[k].resource);

            add_cell(doc, &cells, amount_text(doc->arena, resource, pod_amount(pod, shown[k].which, resource)));
        }
        add_cell(doc, &cells, pod_age(doc->arena, pod, now));
    }
    doc_add(doc, 0, STR("Pods"), STR_NULL);
    if (!doc->failed)
        doc_table(doc, 1, ARRAY_LEN(heading), cells.items, cells.count);
    vec_deinit(&cells);
}

static struct str share_text(struct arena *arena, struct str resource, __int128 nano, __int128 all)
{
    struct str text = amount_text(arena, resource, nano);

    return all > 0 ? arena_printf(arena, STR_FMT " (%lld%%)", STR_ARG(text), (long long)(nano * 100 / all)) : text;
}

static void total_pods(struct doc *doc, const struct json *allocatable, const struct json *pods)
{
    static const char *const heading[] = { "RESOURCE", "REQUESTS", "LIMITS" };
    struct cells cells = VEC_INIT;

    for (size_t i = 0; i < ARRAY_LEN(heading); i++)
        add_cell(doc, &cells, str_from(heading[i]));
    for (uint32_t i = 0; json_is(allocatable, JSON_OBJECT) && i < allocatable->count; i++) {
        struct str resource = allocatable->members[i].key;
        __int128 totals[] = { [REQUESTS] = 0, [LIMITS] = 0 };

        if (str_is(resource, "pods"))
            continue;
        for (uint32_t k = 0; k < count_of(pods); k++)
            for (enum amount which = REQUESTS; which <= LIMITS; which++)
                totals[which] += pod_amount(&pods->items[k], which, resource);
        add_cell(doc, &cells, resource);
        for (enum amount which = REQUESTS; which <= LIMITS; which++)
            add_cell(doc, &cells,
                     share_text(doc->arena, resource, totals[which], amount_of(allocatable, resource)));
    }
    doc_add(doc, 0, STR("Allocated Resources"), STR_NULL);
    if (!doc->failed)
        doc_table(doc, 1, ARRAY_LEN(heading), cells.items, cells.count);
    vec_deinit(&cells);
}

void describe_node_pods(struct doc *doc, const struct json *node, const struct json *pods, nsec_t now)
{
    if (count_of(pods))
        list_pods(doc, pods, now);
    else
        doc_add(doc, 0, STR("Pods"), STR("<none>"));
    total_pods(doc, json_at(node, "status.allocatable"), pods);
}

/* -- deployments -- */

static struct str annotation(const struct json *object, struct str name)
{
    return json_str(json_get(json_at(object, "metadata.annotations"), name));
}

static bool is_owned(const struct json *object, struct str uid)
{
    const struct json *owners = json_at(object, "metadata.ownerReferences");

    for (uint32_t i = 0; i < count_of(owners); i++)
        if (str_eq(json_str_at(&owners->items[i], "uid"), uid))
            return true;
    return false;
}

void describe_replica_sets(struct doc *doc, const struct json *deployment, const struct json *sets, nsec_t now)
{
    struct str uid = json_str_at(deployment, "metadata.uid"), revision = annotation(deployment, STR(REVISION));
    struct str texts[] = { STR_NULL, STR_NULL };

    (void)now;
    for (uint32_t i = 0; i < count_of(sets); i++) {
        const struct json *set = &sets->items[i];
        struct str *text = &texts[str_eq(annotation(set, STR(REVISION)), revision)];

        if (!is_owned(set, uid))
            continue;
        *text = arena_printf(doc->arena, STR_FMT "%s" STR_FMT " (%lld/%lld replicas created)", STR_ARG(*text),
                             text->len ? "\n" : "", STR_ARG(json_str_at(set, "metadata.name")),
                             (long long)json_int(json_at(set, "status.replicas"), 0),
                             (long long)json_int(json_at(set, "spec.replicas"), 1));
    }
    doc_add(doc, 0, STR("Old Replica Sets"), texts[0].len ? texts[0] : STR("<none>"));
    doc_add(doc, 0, STR("New Replica Set"), texts[1].len ? texts[1] : STR("<none>"));
}

/* -- asking -- */

static void path_of_slices(struct buf *path, struct arena *arena, const struct json *object)
{
    char separator = '?';

    buf_add_cstr(path, "/apis/discovery.k8s.io/v1/namespaces/");
    http_escape(path, json_str_at(object, "metadata.namespace"));
    buf_add_cstr(path, "/endpointslices");
    rest_param(path, &separator, "labelSelector",
               arena_concat(arena, STR("kubernetes.io/service-name="), json_str_at(object, "metadata.name")));
}

static void path_of_pods(struct buf *path, struct arena *arena, const struct json *object)
{
    char separator = '?';

    buf_add_cstr(path, "/api/v1/pods");
    rest_param(path, &separator, "fieldSelector",
               arena_concat(arena, STR("spec.nodeName="), json_str_at(object, "metadata.name"),
                            STR(",status.phase!=Succeeded,status.phase!=Failed")));
}

/* By the labels that it matches; whose they are is seen by their owner. */
static void path_of_sets(struct buf *path, struct arena *arena, const struct json *object)
{
    const struct json *labels = json_at(object, "spec.selector.matchLabels");
    struct str selector = STR_NULL;
    char separator = '?';

    for (uint32_t i = 0; json_is(labels, JSON_OBJECT) && i < labels->count; i++)
        selector = arena_printf(arena, STR_FMT "%s" STR_FMT "=" STR_FMT, STR_ARG(selector), i ? "," : "",
                                STR_ARG(labels->members[i].key), STR_ARG(json_str(&labels->members[i].value)));
    buf_add_cstr(path, "/apis/apps/v1/namespaces/");
    http_escape(path, json_str_at(object, "metadata.namespace"));
    buf_add_cstr(path, "/replicasets");
    rest_param(path, &separator, "labelSelector", selector);
}

static const struct relation {
    struct str group, kind;
    const char *what;
    void (*path)(struct buf *path, struct arena *arena, const struct json *object);
    void (*describe)(struct doc *doc, const struct json *object, const struct json *items, nsec_t now);
} relations[] = {
    { STR_INIT(""), STR_INIT("Service"), "its endpoints", path_of_slices, describe_endpoints },
    { STR_INIT(""), STR_INIT("Node"), "its pods", path_of_pods, describe_node_pods },
    { STR_INIT("apps"), STR_INIT("Deployment"), "its ReplicaSets", path_of_sets, describe_replica_sets },
};

static int describe_relation(const struct relation *relation, struct doc *doc, struct session *session,
                             const struct json *object, nsec_t now, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct json *list;

    relation->path(&path, doc->arena, object);
    const struct session_request request = { .path = buf_str(&path) };
    int code = buf_ok(&path) ? session_json(session, &request, doc->arena, NULL, &list, err)
                             : err_set(err, ERR_NO_MEMORY, "request");

    if (code < 0)
        return err_wrap(err, code, "%s", relation->what);
    relation->describe(doc, object, json_member(list, "items"), now);
    return 0;
}

int describe_related(struct doc *doc, struct session *session, const struct resource *resource, const struct json *object,
                     nsec_t now, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(relations); i++)
        if (str_eq(relations[i].kind, resource->kind) && str_eq(relations[i].group, resource->group))
            return describe_relation(&relations[i], doc, session, object, now, err);
    return 0;
}
