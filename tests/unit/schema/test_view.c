/* Views: decode, encode, write, copy and compare, over hand-written cases and random objects of every type. */
#include "random_object.h"

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/resources.h"
#include "schema/object.h"
#include "schema/selector.h"
#include "schema/view.h"

static const struct decoding {
    const char *name;
    const struct type *type;
    const char *in, *want;
} decodings[] = {
    { "identity is added", &TYPE_CONFIG_MAP, "{}", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{}}" },
    { "identity with a group", &TYPE_DEPLOYMENT, "{'spec':{'selector':{},'template':{'metadata':{},'spec':{}}}}",
      "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{},'spec':{'selector':{},'strategy':{},"
      "'template':{'metadata':{},'spec':{'containers':[]}}},'status':{}}" },
    { "identity that is there stays", &TYPE_CONFIG_MAP, "{'kind':'X','apiVersion':'y'}",
      "{'apiVersion':'y','kind':'X','metadata':{}}" },
    { "members in order", &TYPE_CONFIG_MAP,
      "{'metadata':{'name':'n'},'data':{'b':'2','a':'1'},'kind':'K','apiVersion':'v'}",
      "{'apiVersion':'v','data':{'a':'1','b':'2'},'kind':'K','metadata':{'name':'n'}}" },
    { "unknown and null are skipped", &TYPE_CONFIG_MAP, "{'zzz':1,'data':null,'metadata':{'x':{},'name':'n'}}",
      "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'n'}}" },
    { "bytes", &TYPE_SECRET, "{'data':{'a':'aGk='}}",
      "{'apiVersion':'v1','data':{'a':'aGk='},'kind':'Secret','metadata':{}}" },
    { "zero is not unset", &TYPE_CONTAINER,
      "{'name':'a','securityContext':{'runAsUser':0,'privileged':false},'ports':[{'containerPort':0}]}",
      "{'name':'a','ports':[{'containerPort':0}],'resources':{},'securityContext':{'privileged':false,'runAsUser':0}"
      "}" },
    { "zero that Go omits", &TYPE_CONTAINER,
      "{'name':'a','image':'','tty':false,'ports':[{'containerPort':1,'hostPort':0}]}",
      "{'name':'a','ports':[{'containerPort':1}],'resources':{}}" },
    { "empty struct stays", &TYPE_VOLUME, "{'name':'a','emptyDir':{}}", "{'emptyDir':{},'name':'a'}" },
    { "empty string of a pointer stays", &TYPE_PERSISTENT_VOLUME_CLAIM_SPEC, "{'storageClassName':''}",
      "{'resources':{},'storageClassName':''}" },
    { "int or string", &TYPE_SERVICE_PORT, "{'port':80,'targetPort':'http'}", "{'port':80,'targetPort':'http'}" },
    { "int or string, int", &TYPE_SERVICE_PORT, "{'port':80,'targetPort':8080}", "{'port':80,'targetPort':8080}" },
    { "quantity as a number", &TYPE_RESOURCE_REQUIREMENTS, "{'limits':{'cpu':1}}", "{'limits':{'cpu':'1'}}" },
};

static void test_decode_encode(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(decodings); i++) {
        const struct decoding *c = &decodings[i];
        struct arena arena;
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct err err = { 0 };
        struct json *encoded;
        void *view;

        arena_init(&arena, 0);
        assert_int_equal(view_decode(&arena, c->type, parse(&arena, c->in), &view, &err), 0);
        assert_int_equal(view_encode(&arena, c->type, view, &encoded, &err), 0);
        assert_text(&arena, c->name, encoded, c->want);
        assert_int_equal(view_write(&buf, c->type, view, &err), 0);
        assert_true(str_eq(buf_str(&buf), from_quoted(&arena, c->want)));
        arena_deinit(&arena);
    }
}

static const struct refusal {
    const struct type *type;
    const char *in, *want;
} refusals[] = {
    { &TYPE_POD, "[]", "json: cannot unmarshal array into Go value of type v1.Pod" },
    { &TYPE_POD, "{'spec':{'containers':'x'}}",
      "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container" },
    { &TYPE_POD, "{'spec':{'containers':[1]}}",
      "json: cannot unmarshal number into Go struct field PodSpec.spec.containers of type v1.Container" },
    { &TYPE_POD, "{'metadata':{'labels':{'a':1}}}",
      "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string" },
    { &TYPE_POD, "{'metadata':{'labels':[]}}",
      "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string" },
    { &TYPE_DEPLOYMENT, "{'spec':{'replicas':'3'}}",
      "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" },
    { &TYPE_DEPLOYMENT, "{'spec':{'replicas':3000000000}}",
      "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32" },
    { &TYPE_DEPLOYMENT, "{'spec':{'replicas':1.5}}",
      "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32" },
    { &TYPE_POD, "{'spec':{'hostNetwork':'true'}}",
      "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool" },
    { &TYPE_SECRET, "{'data':{'a':'!'}}", "data[a]: illegal base64 data" },
    { &TYPE_POD, "{'metadata':{'creationTimestamp':'yesterday'}}",
      "metadata.creationTimestamp: not a time in RFC 3339 format" },
    { &TYPE_SERVICE, "{'spec':{'ports':[{'targetPort':true}]}}",
      "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32" },
};

static void test_refusals(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct arena arena;
        struct err err = { 0 };
        void *view = NULL;

        arena_init(&arena, 0);
        assert_int_equal(view_decode(&arena, refusals[i].type, parse(&arena, refusals[i].in), &view, &err),
                         -ERR_BAD_REQUEST);
        assert_string_equal(err.message, refusals[i].want);
        assert_null(view);
        arena_deinit(&arena);
    }
}

/* The table and the struct agree: what C reads is what JSON says. */
static void test_members(void **state)
{
    struct arena arena;
    struct err err = { 0 };
    const struct pod *pod;

    arena_init(&arena, 0);
    assert_int_equal(
        view_decode(&arena, &TYPE_POD,
                    parse(&arena, "{'metadata':{'name':'p','labels':{'b':'2','a':'1'},'deletionGracePeriodSeconds':0,"
                                  "'creationTimestamp':'1970-01-01T00:00:01Z'},'spec':{'containers':[{'name':'c',"
                                  "'resources':{'limits':{'cpu':'500m'}},'env':[{'name':'E','value':'v'}]}],"
                                  "'priority':7,'nodeName':'n1'}}"),
                    (void **)&pod, &err),
        0);
    assert_true(str_is(pod->metadata.name, "p"));
    assert_int_equal(pod->metadata.labels.count, 2);
    assert_true(str_is(pod->metadata.labels.items[0].key, "a"));
    assert_true(str_is(pod->metadata.labels.items[1].value, "2"));
    assert_true(pod->metadata.deletion_grace_period_seconds.set);
    assert_int_equal(pod->metadata.deletion_grace_period_seconds.value, 0);
    assert_int_equal(pod->metadata.creation_timestamp.unix_nsec, NSEC_PER_SEC);
    assert_false(pod->metadata.deletion_timestamp.set);
    assert_int_equal(pod->spec.containers.count, 1);
    assert_true(str_is(pod->spec.containers.items[0].resources.limits.items[0].value, "500m"));
    assert_true(str_is(pod->spec.containers.items[0].env.items[0].value, "v"));
    assert_null(pod->spec.affinity);
    assert_int_equal(opt_or(pod->spec.priority, 0), 7);
    assert_true(str_is(pod->spec.node_name, "n1"));
    assert_null(pod->spec.hostname.data);
    arena_deinit(&arena);
}

static const struct comparison {
    const struct type *type;
    const char *a, *b;
    bool equal;
} comparisons[] = {
    { &TYPE_POD_SPEC, "{}", "{}", true },
    { &TYPE_POD_SPEC, "{'containers':[],'nodeName':'','nodeSelector':{}}", "{}", true },
    { &TYPE_POD_SPEC, "{'affinity':{}}", "{}", false },
    { &TYPE_POD_SPEC, "{'priority':0}", "{}", false },
    { &TYPE_POD_SPEC, "{'hostNetwork':false}", "{}", true },
    { &TYPE_POD_SPEC, "{'hostNetwork':true}", "{}", false },
    { &TYPE_POD_SPEC, "{'nodeName':'a'}", "{'nodeName':'b'}", false },
    { &TYPE_POD_SPEC, "{'nodeSelector':{'a':'1','b':'2'}}", "{'nodeSelector':{'b':'2','a':'1'}}", true },
    { &TYPE_POD_SPEC, "{'nodeSelector':{'a':'1'}}", "{'nodeSelector':{'b':'1'}}", false },
    { &TYPE_RESOURCE_REQUIREMENTS, "{'limits':{'cpu':'1'}}", "{'limits':{'cpu':'1000m'}}", true },
    { &TYPE_RESOURCE_REQUIREMENTS, "{'limits':{'cpu':'1'}}", "{'limits':{'cpu':'1001m'}}", false },
    { &TYPE_OBJECT_META, "{'creationTimestamp':'2026-01-01T01:00:00+01:00'}",
      "{'creationTimestamp':'2026-01-01T00:00:00Z'}", true },
    { &TYPE_OBJECT_META, "{'creationTimestamp':'2026-01-01T00:00:00Z'}", "{}", false },
    { &TYPE_SERVICE_PORT, "{'port':1,'targetPort':1}", "{'port':1,'targetPort':'1'}", false },
    { &TYPE_SERVICE_PORT, "{'port':0}", "{}", true },
    { &TYPE_CONTAINER, "{'name':'a','resources':{}}", "{'name':'a'}", true },
    { &TYPE_CONTAINER, "{'name':'a','resources':{'limits':{'cpu':'1'}}}", "{'name':'a'}", false },
    { &TYPE_CONTAINER, "{'ports':[{'containerPort':1},{'containerPort':2}]}",
      "{'ports':[{'containerPort':2},{'containerPort':1}]}", false },
    { &TYPE_CONTROLLER_REVISION, "{'data':{'a':1,'b':2}}", "{'data':{'b':2,'a':1.0}}", true },
};

static void test_equal(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(comparisons); i++) {
        const struct comparison *c = &comparisons[i];
        struct arena arena;
        struct err err = { 0 };
        void *a, *b;

        arena_init(&arena, 0);
        struct json *left = parse(&arena, c->a), *right = parse(&arena, c->b);

        assert_int_equal(view_decode(&arena, c->type, left, &a, &err), 0);
        assert_int_equal(view_decode(&arena, c->type, right, &b, &err), 0);
        if (view_equal(c->type, a, b) != c->equal || view_equal(c->type, b, a) != c->equal)
            fail_msg("views %s and %s", c->a, c->b);
        if (object_equal(c->type, left, right) != c->equal || object_equal(c->type, right, left) != c->equal)
            fail_msg("objects %s and %s", c->a, c->b);
        arena_deinit(&arena);
    }
}

static void check_round_trip(const struct type *type, uint64_t seed)
{
    struct seeded_rng rng;
    struct arena arena, other;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct err err = { 0 };
    struct json *encoded;
    void *view, *again, *copy;

    arena_init(&arena, 0);
    arena_init(&other, 0);
    seeded_rng_init(&rng, seed);
    struct json *object = random_object(&arena, &rng.rng, type);

    if (view_decode(&arena, type, object, &view, &err) < 0)
        fail_msg(STR_FMT " seed %llu: %s", STR_ARG(type->name), (unsigned long long)seed, err.message);
    assert_int_equal(view_encode(&arena, type, view, &encoded, &err), 0);
    assert_int_equal(view_write(&buf, type, view, &err), 0);
    assert_true(str_eq(buf_str(&buf), json_text(&arena, encoded)));
    assert_int_equal(view_decode(&arena, type, encoded, &again, &err), 0);
    copy = view_copy(&other, type, again);
    assert_non_null(copy);

    /* A view that was decoded over its text needs the tree no more. */
    struct arena *tree = arena_new(0);
    struct json *parsed;
    void *over;

    assert_int_equal(json_parse(tree, buf_str(&buf), NULL, &parsed, &err), 0);
    assert_int_equal(view_decode_from(&other, type, parsed, buf_str(&buf), &over, &err), 0);
    arena_free(tree);
    assert_true(view_equal(type, over, again));

    /* Apart from the identity, which encoding adds, the round trip loses nothing. */
    struct json *kind = json_member(encoded, "kind"), *version = json_member(encoded, "apiVersion");

    if (kind && type->kind_name.len && !json_member(object, "kind"))
        assert_non_null(json_set(&arena, object, STR("kind"), kind));
    if (version && type->kind_name.len && !json_member(object, "apiVersion"))
        assert_non_null(json_set(&arena, object, STR("apiVersion"), version));
    if (!object_equal(type, object, encoded))
        fail_msg(STR_FMT " seed %llu:\n%s\n%s", STR_ARG(type->name), (unsigned long long)seed, text_of(&arena, object),
                 text_of(&arena, encoded));
    arena_deinit(&arena);
    assert_int_equal(view_write(&buf, type, copy, &err), 0); /* the copy needs nothing of the first arena */
    assert_true(str_eq(str_first(buf_str(&buf), buf.len / 2), str_skip(buf_str(&buf), buf.len / 2)));
    arena_deinit(&other);
}

static void test_random_round_trips(void **state)
{
    for (size_t i = 0; i < api_type_count; i++)
        for (uint64_t seed = 0; seed < 4; seed++)
            check_round_trip(api_types[i], seed);
    for (uint64_t seed = 0; seed < 100; seed++) {
        check_round_trip(&TYPE_POD, seed);
        check_round_trip(&TYPE_DEPLOYMENT, seed);
        check_round_trip(&TYPE_NODE, seed);
    }
}

static void test_selector(void **state)
{
    struct arena arena;
    struct err err = { 0 };
    const struct selector *selector;
    void *view;

    arena_init(&arena, 0);
    assert_int_equal(
        view_decode(&arena, &TYPE_LABEL_SELECTOR,
                    parse(&arena, "{'matchLabels':{'a':'1'},'matchExpressions':[{'key':'b','operator':'In',"
                                  "'values':['x','y']}]}"),
                    &view, &err),
        0);
    assert_int_equal(selector_from_view(&arena, view, &selector, &err), 0);
    assert_true(selector_matches_json(selector, parse(&arena, "{'a':'1','b':'y'}")));
    assert_false(selector_matches_json(selector, parse(&arena, "{'a':'1','b':'z'}")));
    assert_int_equal(selector_from_view(&arena, NULL, &selector, &err), 0);
    assert_false(selector_matches_json(selector, parse(&arena, "{}"))); /* absent: nothing */
    assert_int_equal(view_decode(&arena, &TYPE_LABEL_SELECTOR, parse(&arena, "{}"), &view, &err), 0);
    assert_int_equal(selector_from_view(&arena, view, &selector, &err), 0);
    assert_true(selector_matches_json(selector, parse(&arena, "{'a':'1'}"))); /* empty: everything */
    arena_deinit(&arena);
}

/* Every allocation fails once. */
static void test_no_memory(void **state)
{
    struct arena source;
    struct seeded_rng rng;
    size_t limit = 16;
    bool done = false;

    arena_init(&source, 0);
    seeded_rng_init(&rng, 7);
    struct json *object = random_object(&source, &rng.rng, &TYPE_POD);

    for (; !done; limit += 48) {
        struct arena arena;
        struct err err = { 0 };
        struct json *encoded = NULL;
        void *view = NULL;
        int r;

        arena_init(&arena, limit);
        r = view_decode(&arena, &TYPE_POD, object, &view, &err);
        if (r == 0)
            r = view_encode(&arena, &TYPE_POD, view, &encoded, &err);
        done = r == 0 && view_copy(&arena, &TYPE_POD, view);
        assert_true(r == 0 || r == -ERR_NO_MEMORY);
        assert_true(done || arena_failed(&arena));
        arena_deinit(&arena);
    }
    assert_true(limit > 1000);
    arena_deinit(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_encode), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_members),       cmocka_unit_test(test_equal),
        cmocka_unit_test(test_selector),      cmocka_unit_test(test_random_round_trips),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
