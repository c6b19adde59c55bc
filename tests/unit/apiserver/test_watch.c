/* Lists and watches inside the process: selectors, pages, resuming, entering and leaving a selection, shared objects.
 */
#include "fixture.h"

#include "api/core_v1.h"
#include "base/buf.h"

static void create_pod(struct fixture *f, const char *name, const char *label, const char *node)
{
    struct str body = arena_printf(
        f->arena,
        "{'metadata':{'name':'%s','labels':{'l':'%s'}},'spec':{%s%s%s'containers':[{'name':'c','image':'i'}]}}", name,
        label, node ? "'nodeName':'" : "", node ? node : "", node ? "'," : "");

    must(f, 201, "POST", PODS, body.data);
}

static void set_label(struct fixture *f, const char *name, const char *label)
{
    struct str target = arena_printf(f->arena, PODS "/%s", name);
    struct str body = arena_printf(f->arena, "{'metadata':{'labels':{'l':'%s'}}}", label);
    struct answer a = send_raw(f, &(struct raw){ "PATCH", target.data, body.data, "application/merge-patch+json" });

    assert_int_equal(a.status, 200);
}

static int add_name(void *arg, struct str text, struct err *err)
{
    struct fixture *f = arg;
    struct json *json;

    assert_int_equal(json_parse(f->arena, arena_str(f->arena, text), NULL, &json, err), 0);
    struct json *names = f->arena ? json_at(json, "metadata.name") : NULL;
    snprintf(f->path + 48, 16, "%.*s", (int)names->string.len, names->string.data);
    return 0;
}

/* "a b c" */
static const char *names_of(struct fixture *f, struct answer a)
{
    const struct json *items = json_at(a.json, "items");
    AUTO_DEINIT(buf, out) = BUF_INIT;

    for (uint32_t i = 0; i < items->count; i++)
        buf_printf(&out, "%s" STR_FMT, i ? " " : "", STR_ARG(json_str_at(&items->items[i], "metadata.name")));
    return arena_cstr(f->arena, buf_str(&out));
}

static void test_selectors(void **state)
{
    static const struct {
        const char *query, *want;
    } cases[] = {
        { "", "a b c d" },
        { "?labelSelector=l%3Dx", "a b" },
        { "?labelSelector=l!%3Dx", "c d" },
        { "?labelSelector=l%20in%20(x,y)", "a b c" },
        { "?labelSelector=!l", "" },
        { "?fieldSelector=metadata.name%3Dc", "c" },
        { "?fieldSelector=spec.nodeName%3Dn1", "b c" },
        { "?fieldSelector=spec.nodeName%3D", "a" },
        { "?fieldSelector=spec.nodeName!%3Dn1", "a d" },
        { "?fieldSelector=status.phase%3DPending,spec.nodeName%3Dn1", "b c" },
        { "?fieldSelector=status.phase%3DRunning", "" },
        { "?fieldSelector=spec.restartPolicy%3DAlways&labelSelector=l%3Dx", "a b" },
        { "?fieldSelector=spec.hostNetwork%3Dfalse", "a b c d" },
    };
    struct fixture f;

    fixture_init(&f);
    create_pod(&f, "a", "x", NULL);
    create_pod(&f, "b", "x", "n1");
    create_pod(&f, "c", "y", "n1");
    create_pod(&f, "d", "z", "n2");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str target = arena_printf(f.arena, PODS "%s", cases[i].query);
        struct answer a = must(&f, 200, "GET", target.data, NULL);

        if (strcmp(names_of(&f, a), cases[i].want))
            fail_msg("%s: %s, not %s", cases[i].query, names_of(&f, a), cases[i].want);
        assert_string_equal(at(&f, a, "kind"), "PodList");
    }
    fixture_deinit(&f);
}

static void test_pages(void **state)
{
    struct fixture f;
    struct answer a;
    struct str target;

    fixture_init(&f);
    create_pod(&f, "a", "x", NULL);
    create_pod(&f, "b", "x", NULL);
    create_pod(&f, "c", "x", NULL);
    create_pod(&f, "d", "x", NULL);
    create_pod(&f, "e", "x", NULL);
    a = must(&f, 200, "GET", PODS "?limit=2", NULL);
    assert_string_equal(names_of(&f, a), "a b");
    assert_int_equal(json_int(json_at(a.json, "metadata.remainingItemCount"), -1), 3);
    /* The pages are of one revision, whatever happens in between. */
    must(&f, 200, "DELETE", PODS "/d", NULL);
    create_pod(&f, "bb", "x", NULL);
    target = arena_printf(f.arena, PODS "?limit=2&continue=%s", at(&f, a, "metadata.continue"));
    a = must(&f, 200, "GET", target.data, NULL);
    assert_string_equal(names_of(&f, a), "c d");
    assert_int_equal(json_int(json_at(a.json, "metadata.remainingItemCount"), -1), 1);
    target = arena_printf(f.arena, PODS "?limit=2&continue=%s", at(&f, a, "metadata.continue"));
    a = must(&f, 200, "GET", target.data, NULL);
    assert_string_equal(names_of(&f, a), "e");
    assert_null(json_at(a.json, "metadata.continue"));
    target = arena_printf(f.arena, PODS "?resourceVersionMatch=Exact&resourceVersion=%s",
                          at(&f, a, "metadata.resourceVersion"));
    a = must(&f, 200, "GET", target.data, NULL);
    assert_string_equal(names_of(&f, a), "a b c d e");
    fixture_deinit(&f);
}

static void test_all_namespaces(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    must(&f, 201, "POST", "/api/v1/namespaces", "{'metadata':{'name':'default-2'}}");
    create_pod(&f, "a", "x", NULL);
    must(&f, 201, "POST", "/api/v1/namespaces/default-2/pods", POD("b"));
    assert_string_equal(names_of(&f, must(&f, 200, "GET", PODS, NULL)), "a");
    a = must(&f, 200, "GET", "/api/v1/pods", NULL);
    assert_int_equal(json_at(a.json, "items")->count, 2);
    a = must(&f, 200, "GET", "/api/v1/pods?fieldSelector=metadata.namespace%3Ddefault-2", NULL);
    assert_string_equal(names_of(&f, a), "b");
    fixture_deinit(&f);
}

struct watcher {
    struct client_watch *watch;
    int ready;
};

static void on_ready(void *arg)
{
    ((struct watcher *)arg)->ready++;
}

static void watch(struct fixture *f, struct watcher *w, const char *labels, const char *fields, uint64_t after)
{
    struct client_call call = { .verb = CLIENT_LIST,
                                .resource = &RESOURCE_PODS,
                                .ns = STR_INIT("default"),
                                .label_selector = str_from(labels),
                                .field_selector = str_from(fields) };
    struct err err = { 0 };

    w->ready = 0;
    assert_int_equal(f->client->ops->watch(f->client, &call, after, on_ready, w, &w->watch, &err), 0);
}

/* Everything there is: "ADDED a, DELETED b". */
static const char *drain(struct fixture *f, struct watcher *w)
{
    static const char *const kinds[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
    AUTO_DEINIT(buf, out) = BUF_INIT;
    struct watch_event event;
    struct err err = { 0 };
    int code;

    while ((code = w->watch->next(w->watch, &event, &err)) > 0) {
        buf_printf(&out, "%s%s " STR_FMT, out.len ? ", " : "", kinds[event.kind], STR_ARG(event.object->key));
        assert_int_equal(event.object->revision, event.revision);
        object_unref(event.object);
    }
    assert_int_equal(code, 0);
    return arena_cstr(f->arena, buf_str(&out));
}

static void test_watch_selection(void **state)
{
    struct watcher all, some, node;
    struct fixture f;
    uint64_t start;

    fixture_init(&f);
    start = store_revision(f.store);
    watch(&f, &all, "", "", start);
    watch(&f, &some, "l=x", "", start);
    watch(&f, &node, "", "spec.nodeName=n1", start);
    create_pod(&f, "a", "x", NULL);
    assert_string_equal(drain(&f, &all), "ADDED default/a");
    assert_string_equal(drain(&f, &some), "ADDED default/a");
    assert_string_equal(drain(&f, &node), "");
    must(&f, 201, "POST", PODS "/a/binding", "{'target':{'name':'n1'}}");
    assert_string_equal(drain(&f, &node), "ADDED default/a");
    set_label(&f, "a", "y");
    assert_string_equal(drain(&f, &all), "MODIFIED default/a, MODIFIED default/a");
    assert_string_equal(drain(&f, &some), "MODIFIED default/a, DELETED default/a");
    assert_string_equal(drain(&f, &node), "MODIFIED default/a");
    set_label(&f, "a", "x");
    assert_string_equal(drain(&f, &some), "ADDED default/a");
    must(&f, 200, "DELETE", PODS "/a?gracePeriodSeconds=0", NULL);
    assert_string_equal(drain(&f, &some), "DELETED default/a");
    assert_string_equal(drain(&f, &node), "MODIFIED default/a, DELETED default/a");
    assert_true(all.ready > 0);
    all.watch->free(all.watch);
    some.watch->free(some.watch);
    node.watch->free(node.watch);
    fixture_deinit(&f);
}

static void test_watch_resumes(void **state)
{
    struct watcher w;
    struct fixture f;
    uint64_t middle;

    fixture_init(&f);
    create_pod(&f, "a", "x", NULL);
    middle = store_revision(f.store);
    create_pod(&f, "b", "x", NULL);
    set_label(&f, "a", "y");
    watch(&f, &w, "", "", middle);
    assert_string_equal(drain(&f, &w), "ADDED default/b, MODIFIED default/a");
    w.watch->free(w.watch);
    fixture_deinit(&f);
}

static void test_watch_shares_objects(void **state)
{
    struct watch_event a, b;
    struct watcher one, two;
    struct err err = { 0 };
    struct fixture f;

    fixture_init(&f);
    watch(&f, &one, "", "", store_revision(f.store));
    watch(&f, &two, "", "", store_revision(f.store));
    create_pod(&f, "a", "x", NULL);
    assert_int_equal(one.watch->next(one.watch, &a, &err), 1);
    assert_int_equal(two.watch->next(two.watch, &b, &err), 1);
    assert_ptr_equal(a.object, b.object);
    assert_int_equal(str_cmp(OBJECT_VIEW(a.object, pod)->spec.restart_policy, STR("Always")), 0);
    object_unref(a.object);
    object_unref(b.object);
    one.watch->free(one.watch);
    two.watch->free(two.watch);
    fixture_deinit(&f);
}

static void test_client(void **state)
{
    struct client_call list = { .verb = CLIENT_LIST, .resource = &RESOURCE_PODS, .ns = STR_INIT("default") };
    struct client_delete_options options = { .grace_seconds = 0 };
    struct object *object = NULL;
    uint64_t revision = 0;
    struct err err = { 0 };
    struct fixture f;

    fixture_init(&f);
    create_pod(&f, "a", "x", NULL);
    assert_int_equal(client_get(f.client, &RESOURCE_PODS, STR("default"), STR("a"), &object, &err), 0);
    assert_true(str_is(object->key, "default/a"));
    object = object_unref(object);
    assert_int_equal(client_get(f.client, &RESOURCE_PODS, STR("default"), STR("b"), &object, &err), -ERR_NOT_FOUND);
    assert_string_equal(err.message, "pods \"b\" not found");
    assert_int_equal(f.client->ops->call(f.client, &list, add_name, &f, &revision, NULL, &err), 0);
    assert_string_equal(f.path + 48, "a");
    assert_int_equal(revision, store_revision(f.store));
    f.path[48] = '\0';
    assert_int_equal(client_patch(f.client, &RESOURCE_PODS, STR("default"), STR("a"), STR("status"), PATCH_MERGE,
                                  STR("{\"status\":{\"phase\":\"Running\"}}"), STR("test"), 3, &object, &err),
                     0);
    assert_true(str_is(OBJECT_VIEW(object, pod)->status.phase, "Running"));
    object = object_unref(object);
    assert_int_equal(client_delete(f.client, &RESOURCE_PODS, STR("default"), STR("a"), &options, STR("test"), 0, &err),
                     0);
    assert_int_equal(client_delete(f.client, &RESOURCE_PODS, STR("default"), STR("a"), &options, STR("test"), 0, &err),
                     -ERR_NOT_FOUND);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors),      cmocka_unit_test(test_pages),
        cmocka_unit_test(test_all_namespaces), cmocka_unit_test(test_watch_selection),
        cmocka_unit_test(test_watch_resumes),  cmocka_unit_test(test_watch_shares_objects),
        cmocka_unit_test(test_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
