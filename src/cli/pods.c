#include "cli/pods.h"

#include <stdio.h>

#include "schema/selector.h"

static int get_json(struct session *session, struct str path, struct json **ret_json, struct err *err)
{
    const struct session_request request = { .path = path };

    return session_json(session, &request, &session->arena, NULL, ret_json, err);
}

int pods_select(struct session *session, struct str label_selector, struct pod_list *ret_pods, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '?';
    struct json *list;

    buf_add_cstr(&path, "/api/v1/namespaces/");
    http_escape(&path, session->ns);
    buf_add_cstr(&path, "/pods");
    rest_param(&path, &separator, "labelSelector", label_selector);
    int code = buf_ok(&path) ? get_json(session, buf_str(&path), &list, err) : err_set(err, ERR_NO_MEMORY, "request");

    if (code < 0)
        return code;
    const struct json *items = json_member(list, "items");

    *ret_pods = (struct pod_list){ 0 };
    if (json_is(items, JSON_ARRAY))
        *ret_pods = (struct pod_list){ items->items, items->count };
    return 0;
}

/* The selector of a workload's pods, as text: spec.selector, which is a plain map in services and old controllers. */
static int selector_of(struct arena *arena, const struct resource *resource, const struct json *object, struct str *ret_text,
                       struct err *err)
{
    const struct json *selector = json_at(object, "spec.selector");
    const struct selector *parsed;

    if (!json_is(selector, JSON_OBJECT) || !selector->count)
        return err_set(err, ERR_BAD_REQUEST, STR_FMT "/" STR_FMT " selects no pods", STR_ARG(resource->singular),
                       STR_ARG(json_str_at(object, "metadata.name")));
    if (!json_member(selector, "matchLabels") && !json_member(selector, "matchExpressions")) {
        struct json *wrapped = json_new(arena, JSON_OBJECT);

        if (!wrapped || !json_set(arena, wrapped, STR("matchLabels"), selector))
            return err_set(err, ERR_NO_MEMORY, "selector");
        selector = wrapped;
    }
    int code = selector_from_json(arena, selector, &parsed, err);

    if (code == 0)
        *ret_text = selector_text(arena, parsed);
    return code;
}

static int rank(const struct json *pod)
{
    const struct json *conditions = json_at(pod, "status.conditions");

    for (uint32_t i = 0; json_is(conditions, JSON_ARRAY) && i < conditions->count; i++)
        if (str_is(json_str_at(&conditions->items[i], "type"), "Ready") &&
            str_is(json_str_at(&conditions->items[i], "status"), "True"))
            return 2;
    return str_is(json_str_at(pod, "status.phase"), "Running");
}

static int best_pod(struct pod_list pods, const char *word, const struct json **ret_pod, struct err *err)
{
    const struct json *best = pods.count ? &pods.items[0] : NULL;

    if (!best)
        return err_set(err, ERR_NOT_FOUND, "%s has no pods", word);
    for (size_t i = 1; i < pods.count; i++)
        if (rank(&pods.items[i]) > rank(best))
            best = &pods.items[i];
    if (pods.count > 1)
        fprintf(stderr, "Found %zu pods, using pod/" STR_FMT "\n", pods.count, STR_ARG(json_str_at(best, "metadata.name")));
    *ret_pod = best;
    return 0;
}

int pods_find(struct resources *resources, const char *word, const struct json **ret_pod, struct err *err)
{
    struct session *session = resources->session;
    struct str name = str_from(word), selector;
    ssize_t slash = str_chr(name, '/');
    const struct resource *resource;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct pod_list pods;
    struct json *object;
    int code = resources_find(resources, slash < 0 ? STR("pods") : str_first(name, (size_t)slash), &resource, err);

    if (code < 0)
        return code;
    name = str_skip(name, (size_t)(slash + 1));
    if (!name.len)
        return err_set(err, ERR_BAD_REQUEST, "\"%s\": expected POD or TYPE/NAME", word);
    rest_path(&path, resource, session->ns, name, STR_NULL);
    code = buf_ok(&path) ? get_json(session, buf_str(&path), &object, err) : err_set(err, ERR_NO_MEMORY, "request");
    if (code < 0)
        return code;
    if (str_is(resource->plural, "pods") && !resource->group.len) {
        *ret_pod = object;
        return 0;
    }
    code = selector_of(&session->arena, resource, object, &selector, err);
    if (code == 0)
        code = pods_select(session, selector, &pods, err);
    return code == 0 ? best_pod(pods, word, ret_pod, err) : code;
}

/* -- containers -- */

static const char *const container_lists[] = { "spec.initContainers", "spec.containers", "spec.ephemeralContainers" };

int pod_each_container(const struct json *pod, int (*fn)(void *arg, struct str name), void *arg)
{
    for (size_t l = 0; l < ARRAY_LEN(container_lists); l++) {
        const struct json *list = json_at(pod, container_lists[l]);

        for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++) {
            int code = fn(arg, json_str_at(&list->items[i], "name"));

            if (code < 0)
                return code;
        }
    }
    return 0;
}

struct search {
    struct str wanted;
    struct buf names;
    bool found;
};

static int look_at(void *arg, struct str name)
{
    struct search *search = arg;

    search->found = search->found || str_eq(name, search->wanted);
    if (search->names.len)
        buf_add_cstr(&search->names, ", ");
    buf_add_str(&search->names, name);
    return 0;
}

int pod_container(const struct json *pod, struct str name, struct str *ret_name, struct err *err)
{
    const struct json *containers = json_at(pod, "spec.containers");
    const struct json *annotations = json_at(pod, "metadata.annotations");
    struct search search = { .wanted = name };
    bool by_default = !name.len;
    int code = 0;

    if (by_default)
        search.wanted = json_str(json_member(annotations, "kubectl.kubernetes.io/default-container"));
    if (!search.wanted.len && json_is(containers, JSON_ARRAY) && containers->count)
        search.wanted = json_str_at(&containers->items[0], "name");
    pod_each_container(pod, look_at, &search);
    if (!search.found)
        code = err_set(err, ERR_NOT_FOUND, "pod " STR_FMT " has no container \"" STR_FMT "\"; it has " STR_FMT,
                       STR_ARG(json_str_at(pod, "metadata.name")), STR_ARG(search.wanted), STR_ARG(buf_str(&search.names)));
    else if (by_default && str_find(buf_str(&search.names), STR(", ")) >= 0)
        fprintf(stderr, "Defaulted container \"" STR_FMT "\" out of: " STR_FMT "\n", STR_ARG(search.wanted),
                STR_ARG(buf_str(&search.names)));
    buf_deinit(&search.names);
    if (code == 0)
        *ret_name = search.wanted;
    return code;
}
