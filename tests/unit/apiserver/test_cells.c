/* What kubectl prints, cell by cell: each function on small objects; then rows as a whole. */
#include "fixture.h"

#include "apiserver/cells/cells.h"
#include "apiserver/table.h"

#define NOW (1767366245LL * NSEC_PER_SEC) /* 2026-01-02T15:04:05Z */

static const struct cell_case {
    const char *function, *object, *want; /* want: JSON, ' for " */
} cases[] = {
    { "age", "{'metadata':{'creationTimestamp':'2026-01-02T15:01:00Z'}}", "'3m5s'" },
    { "age", "{'metadata':{}}", "'<unknown>'" },
    { "age", "{'metadata':{'creationTimestamp':'2025-01-01T15:04:05Z'}}", "'366d'" },
    { "created-at", "{'metadata':{'creationTimestamp':'2026-01-02T15:01:00Z'}}", "'2026-01-02T15:01:00Z'" },
    { "selector", "{'spec':{'selector':{'matchLabels':{'b':'2','a':'1'}}}}", "'a=1,b=2'" },
    { "selector", "{'spec':{'selector':{'matchExpressions':[{'key':'a','operator':'In','values':['y','x']}]}}}",
      "'a in (x,y)'" },
    { "selector", "{'spec':{}}", "'<none>'" },
    { "template.images",
      "{'spec':{'template':{'spec':{'containers':[{'name':'a','image':'x'},{'name':'b','image':'y:1'}]}}}}",
      "'x,y:1'" },

    /* pods */
    { "pod.ready", "{}", "'0/0'" },
    { "pod.ready",
      "{'spec':{'containers':[{'name':'a'},{'name':'b'}]},'status':{'containerStatuses':[{'name':'a','ready':true,'"
      "state':{'running':{}}},{'name':'b','ready':false,'state':{'running':{}}}]}}",
      "'1/2'" },
    { "pod.ready",
      "{'spec':{'initContainers':[{'name':'i','restartPolicy':'Always'}],'containers':[{'name':'a'}]},'status':{'"
      "initContainerStatuses':[{'name':'i','started':true,'ready':true,'state':{'running':{}}}],'containerStatuses':[{'"
      "name':'a','ready':true,'state':{'running':{}}}]}}",
      "'2/2'" },
    { "pod.status", "{'status':{'phase':'Pending'}}", "'Pending'" },
    { "pod.status", "{'status':{'phase':'Failed','reason':'Evicted'}}", "'Evicted'" },
    { "pod.status",
      "{'status':{'phase':'Pending','conditions':[{'type':'PodScheduled','status':'False','reason':'SchedulingGated'}]}"
      "}",
      "'SchedulingGated'" },
    { "pod.status",
      "{'spec':{'containers':[{'name':'a'}]},'status':{'phase':'Pending','containerStatuses':[{'name':'a','state':{'"
      "waiting':{'reason':'ContainerCreating'}}}]}}",
      "'ContainerCreating'" },
    { "pod.status",
      "{'status':{'phase':'Running','containerStatuses':[{'name':'a','state':{'waiting':{'reason':'CrashLoopBackOff'}}}"
      "]}}",
      "'CrashLoopBackOff'" },
    { "pod.status",
      "{'status':{'phase':'Succeeded','containerStatuses':[{'name':'a','state':{'terminated':{'exitCode':0,'reason':'"
      "Completed'}}}]}}",
      "'Completed'" },
    { "pod.status",
      "{'status':{'phase':'Running','containerStatuses':[{'name':'a','state':{'terminated':{'exitCode':3}}}]}}",
      "'ExitCode:3'" },
    { "pod.status",
      "{'status':{'phase':'Running','containerStatuses':[{'name':'a','state':{'terminated':{'exitCode':137,'signal':9}}"
      "}]}}",
      "'Signal:9'" },
    { "pod.status",
      "{'status':{'phase':'Running','conditions':[{'type':'Ready','status':'True'}],'containerStatuses':[{'name':'a','"
      "state':{'terminated':{'exitCode':0,'reason':'Completed'}}},{'name':'b','ready':true,'state':{'running':{}}}]}}",
      "'Running'" },
    { "pod.status",
      "{'status':{'phase':'Running','containerStatuses':[{'name':'a','state':{'terminated':{'exitCode':0,'reason':'"
      "Completed'}}},{'name':'b','ready':true,'state':{'running':{}}}]}}",
      "'NotReady'" },
    { "pod.status",
      "{'status':{'phase':'Running','containerStatuses':[{'name':'a','state':{'waiting':{'reason':'First'}}},{'name':'"
      "b','state':{'waiting':{'reason':'Second'}}}]}}",
      "'First'" },
    { "pod.status",
      "{'spec':{'initContainers':[{'name':'i'},{'name':'j'}]},'status':{'phase':'Pending','initContainerStatuses':[{'"
      "name':'i','state':{'running':{}}},{'name':'j','state':{'waiting':{'reason':'PodInitializing'}}}]}}",
      "'Init:0/2'" },
    { "pod.status",
      "{'spec':{'initContainers':[{'name':'i'},{'name':'j'}]},'status':{'phase':'Pending','initContainerStatuses':[{'"
      "name':'i','state':{'terminated':{'exitCode':0}}},{'name':'j','state':{'waiting':{'reason':'PodInitializing'}}}],"
      "'containerStatuses':[{'name':'a','state':{'waiting':{'reason':'PodInitializing'}}}]}}",
      "'Init:1/2'" },
    { "pod.status",
      "{'spec':{'initContainers':[{'name':'i'}]},'status':{'initContainerStatuses':[{'name':'i','state':{'waiting':{'"
      "reason':'ImagePullBackOff'}}}]}}",
      "'Init:ImagePullBackOff'" },
    { "pod.status",
      "{'spec':{'initContainers':[{'name':'i'}]},'status':{'initContainerStatuses':[{'name':'i','state':{'terminated':{"
      "'exitCode':1,'reason':'Error'}}}]}}",
      "'Init:Error'" },
    { "pod.status",
      "{'spec':{'initContainers':[{'name':'i'}]},'status':{'initContainerStatuses':[{'name':'i','state':{'terminated':{"
      "'exitCode':2}}}]}}",
      "'Init:ExitCode:2'" },
    { "pod.status",
      "{'spec':{'initContainers':[{'name':'i'}]},'status':{'initContainerStatuses':[{'name':'i','state':{'terminated':{"
      "'exitCode':2,'signal':15}}}]}}",
      "'Init:Signal:15'" },
    { "pod.status",
      "{'status':{'phase':'Pending','initContainerStatuses':[{'name':'i','state':{'terminated':{'exitCode':0}}}],'"
      "containerStatuses':[{'name':'a','state':{'waiting':{'reason':'PodInitializing'}}}]}}",
      "'PodInitializing'" },
    { "pod.status", "{'metadata':{'deletionTimestamp':'2026-01-02T15:04:05Z'},'status':{'phase':'Running'}}",
      "'Terminating'" },
    { "pod.status", "{'metadata':{'deletionTimestamp':'2026-01-02T15:04:05Z'},'status':{'phase':'Succeeded'}}",
      "'Succeeded'" },
    { "pod.status",
      "{'metadata':{'deletionTimestamp':'2026-01-02T15:04:05Z'},'status':{'phase':'Running','reason':'NodeLost'}}",
      "'Unknown'" },
    { "pod.restarts", "{'status':{'containerStatuses':[{'restartCount':0}]}}", "'0'" },
    { "pod.restarts",
      "{'status':{'containerStatuses':[{'restartCount':1},{'restartCount':1,'lastState':{'terminated':{'finishedAt':'"
      "2026-01-02T15:01:05Z'}}}]}}",
      "'2 (3m ago)'" },
    { "pod.restarts",
      "{'status':{'initContainerStatuses':[{'name':'i','restartCount':4,'state':{'waiting':{'reason':'CrashLoopBackOff'"
      "}}}]}}",
      "'4'" },
    { "pod.restarts",
      "{'status':{'initContainerStatuses':[{'name':'i','restartCount':4,'state':{'terminated':{'exitCode':0}}}],'"
      "containerStatuses':[{'restartCount':1}]}}",
      "'1'" },
    { "pod.ip", "{'status':{'podIPs':[{'ip':'10.0.0.2'}]}}", "'10.0.0.2'" },
    { "pod.ip", "{'status':{}}", "'<none>'" },
    { "pod.readiness-gates",
      "{'spec':{'readinessGates':[{'conditionType':'a'},{'conditionType':'b'}]},'status':{'conditions':[{'type':'a','"
      "status':'True'},{'type':'b','status':'False'}]}}",
      "'1/2'" },
    { "pod.readiness-gates", "{}", "'<none>'" },

    /* nodes */
    { "node.status", "{}", "'Unknown'" },
    { "node.status", "{'status':{'conditions':[{'type':'Ready','status':'True'}]}}", "'Ready'" },
    { "node.status", "{'spec':{'unschedulable':true},'status':{'conditions':[{'type':'Ready','status':'True'}]}}",
      "'Ready,SchedulingDisabled'" },
    { "node.status", "{'status':{'conditions':[{'type':'Ready','status':'Unknown'}]}}", "'NotReady'" },
    { "node.roles",
      "{'metadata':{'labels':{'node-role.kubernetes.io/worker':'','kubernetes.io/role':'edge','node-role.kubernetes.io/"
      "control-plane':'','node-role.kubernetes.io/':''}}}",
      "'control-plane,edge,worker'" },
    { "node.roles", "{}", "'<none>'" },
    { "node.internal-ip",
      "{'status':{'addresses':[{'type':'Hostname','address':'n'},{'type':'InternalIP','address':'10.0.0.1'}]}}",
      "'10.0.0.1'" },
    { "node.external-ip", "{'status':{'addresses':[{'type':'InternalIP','address':'10.0.0.1'}]}}", "'<none>'" },

    /* workloads */
    { "deployment.ready", "{'spec':{'replicas':3},'status':{'readyReplicas':1}}", "'1/3'" },
    { "daemonset.node-selector", "{'spec':{'template':{'spec':{'nodeSelector':{'b':'2','a':'1'}}}}}", "'a=1,b=2'" },
    { "daemonset.node-selector", "{}", "'<none>'" },
    { "controllerrevision.controller",
      "{'metadata':{'ownerReferences':[{'apiVersion':'apps/v1','kind':'DaemonSet','name':'d','controller':true}]}}",
      "'daemonset.apps/d'" },
    { "controllerrevision.controller", "{'metadata':{'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'p'}]}}",
      "'<none>'" },
    { "poddisruptionbudget.min-available", "{'spec':{'minAvailable':2}}", "'2'" },
    { "poddisruptionbudget.min-available", "{'spec':{'minAvailable':'50%'}}", "'50%'" },
    { "poddisruptionbudget.max-unavailable", "{'spec':{}}", "'N/A'" },
    { "job.completions", "{'spec':{'completions':3},'status':{'succeeded':1}}", "'1/3'" },
    { "job.completions", "{'spec':{'parallelism':3},'status':{'succeeded':1}}", "'1/1 of 3'" },
    { "job.completions", "{'spec':{'parallelism':1}}", "'0/1'" },
    { "job.duration", "{'status':{'startTime':'2026-01-02T15:03:05Z'}}", "'60s'" },
    { "job.duration", "{'status':{'startTime':'2026-01-02T15:00:00Z','completionTime':'2026-01-02T15:00:07Z'}}",
      "'7s'" },
    { "job.duration", "{}", "''" },
    { "job.status", "{}", "'Running'" },
    { "job.status", "{'status':{'conditions':[{'type':'Complete','status':'True'}]}}", "'Complete'" },
    { "job.status",
      "{'metadata':{'deletionTimestamp':'x'},'status':{'conditions':[{'type':'Suspended','status':'True'}]}}",
      "'Terminating'" },
    { "job.status",
      "{'status':{'conditions':[{'type':'Complete','status':'False'},{'type':'FailureTarget','status':'True'}]}}",
      "'FailureTarget'" },
    { "cronjob.suspend", "{'spec':{'suspend':true}}", "'True'" },
    { "cronjob.suspend", "{'spec':{}}", "'<unset>'" },
    { "cronjob.active", "{'status':{'active':[{},{}]}}", "2" },
    { "cronjob.last-schedule", "{'status':{'lastScheduleTime':'2026-01-02T15:04:00Z'}}", "'5s'" },
    { "cronjob.last-schedule", "{}", "'<none>'" },
    { "horizontalpodautoscaler.targets",
      "{'spec':{'metrics':[{'type':'Resource','resource':{'name':'cpu','target':{'averageUtilization':80}}}]},'status':"
      "{'currentMetrics':[{'type':'Resource','resource':{'name':'cpu','current':{'averageUtilization':12}}}]}}",
      "'cpu: 12%/80%'" },
    { "horizontalpodautoscaler.targets",
      "{'spec':{'metrics':[{'type':'Pods','pods':{'target':{'averageValue':'10'}}},{'type':'External','external':{'"
      "target':{'averageValue':'5'}}},{'type':'Object','object':{'target':{'value':'7'}}}]}}",
      "'<unknown>/10, <unknown>/5 (avg) + 1 more...'" },
    { "horizontalpodautoscaler.targets", "{'spec':{'targetCPUUtilizationPercentage':50}}", "'cpu: <unknown>/50%'" },
    { "horizontalpodautoscaler.targets", "{'spec':{}}", "'<none>'" },

    /* services */
    { "service.external-ip", "{'spec':{'type':'ClusterIP'}}", "'<none>'" },
    { "service.external-ip", "{'spec':{'type':'LoadBalancer'}}", "'<pending>'" },
    { "service.external-ip",
      "{'spec':{'type':'LoadBalancer','externalIPs':['9.9.9.9']},'status':{'loadBalancer':{'ingress':[{'ip':'2.2.2.2'},"
      "{'hostname':'a.b'},{'ip':'2.2.2.2'}]}}}",
      "'2.2.2.2,a.b,9.9.9.9'" },
    { "service.external-ip", "{'spec':{'type':'ExternalName','externalName':'x.y'}}", "'x.y'" },
    { "service.ports",
      "{'spec':{'ports':[{'port':80,'protocol':'TCP','nodePort':30080},{'port':53,'protocol':'UDP'}]}}",
      "'80:30080/TCP,53/UDP'" },
    { "service.ports", "{'spec':{}}", "'<none>'" },
    { "endpoints.endpoints",
      "{'subsets':[{'addresses':[{'ip':'1.1.1.1'},{'ip':'fd00::1'}],'ports':[{'port':80},{'port':81}]}]}",
      "'1.1.1.1:80,[fd00::1]:80,1.1.1.1:81 + 1 more...'" },
    { "endpoints.endpoints", "{'subsets':[{'addresses':[{'ip':'1.1.1.1'}]}]}", "'1.1.1.1'" },
    { "endpoints.endpoints", "{}", "'<none>'" },
    { "endpointslice.ports", "{'ports':[{'port':80},{}]}", "'80,*'" },
    { "endpointslice.endpoints",
      "{'endpoints':[{'addresses':['1.1.1.1','1.1.1.2']},{'addresses':['1.1.1.3']},{'addresses':['1.1.1.4']}]}",
      "'1.1.1.1,1.1.1.2,1.1.1.3 + 1 more...'" },
    { "endpointslice.endpoints", "{'endpoints':[]}", "'<unset>'" },
    { "ingress.hosts", "{'spec':{'rules':[{'host':'a'},{},{'host':'b'}]}}", "'a,b'" },
    { "ingress.hosts", "{'spec':{'rules':[{'host':'a'},{'host':'b'},{'host':'c'},{'host':'d'}]}}",
      "'a,b,c + 1 more...'" },
    { "ingress.hosts", "{'spec':{}}", "'*'" },
    { "ingress.ports", "{'spec':{'tls':[{}]}}", "'80, 443'" },
    { "ingress.class", "{'spec':{}}", "'<none>'" },
    { "ingressclass.parameters", "{'spec':{'parameters':{'apiGroup':'g','kind':'K','name':'n'}}}", "'K.g/n'" },
    { "ipaddress.parent-ref",
      "{'spec':{'parentRef':{'group':'','resource':'services','namespace':'default','name':'kubernetes'}}}",
      "'services/default/kubernetes'" },

    /* storage */
    { "persistentvolume.access-modes", "{'spec':{'accessModes':['ReadWriteMany','ReadWriteOnce','ReadWriteOnce']}}",
      "'RWO,RWX'" },
    { "persistentvolume.claim", "{'spec':{'claimRef':{'namespace':'n','name':'c'}}}", "'n/c'" },
    { "persistentvolume.storage-class",
      "{'metadata':{'annotations':{'volume.beta.kubernetes.io/"
      "storage-class':'old'}},'spec':{'storageClassName':'new'}}",
      "'old'" },
    { "persistentvolumeclaim.capacity", "{'spec':{'volumeName':'v'},'status':{'capacity':{'storage':'1Gi'}}}",
      "'1Gi'" },
    { "persistentvolumeclaim.capacity", "{'spec':{},'status':{'capacity':{'storage':'1Gi'}}}", "''" },
    { "persistentvolumeclaim.status", "{'metadata':{'deletionTimestamp':'x'},'status':{'phase':'Bound'}}",
      "'Terminating'" },
    { "storageclass.name",
      "{'metadata':{'name':'s','annotations':{'storageclass.kubernetes.io/is-default-class':'true'}}}",
      "'s (default)'" },
    { "csidriver.token-requests", "{'spec':{}}", "'<unset>'" },
    { "csinode.drivers", "{'spec':{'drivers':[{}]}}", "1" },

    /* the rest */
    { "configmap.data", "{'data':{'a':'b'},'binaryData':{'c':''}}", "2" },
    { "secret.data", "{}", "0" },
    { "resourcequota.request", "{'status':{'hard':{'pods':'3','limits.cpu':'4','cpu':'1'},'used':{'pods':'2'}}}",
      "'cpu: 0/1, pods: 2/3'" },
    { "resourcequota.limit", "{'status':{'hard':{'pods':'3','limits.cpu':'4'}}}", "'limits.cpu: 0/4'" },
    { "event.last-seen", "{'lastTimestamp':null,'firstTimestamp':null,'eventTime':'2026-01-02T15:04:00.000000Z'}",
      "'5s'" },
    { "event.last-seen",
      "{'deprecatedLastTimestamp':'2026-01-02T15:04:00Z','series':{'count':3,'lastObservedTime':'2026-01-02T15:04:03."
      "000000Z'}}",
      "'2s'" },
    { "event.count", "{'series':{'count':3}}", "3" },
    { "event.count", "{}", "1" },
    { "event.object", "{'involvedObject':{'kind':'ReplicaSet','name':'r'}}", "'replicaset/r'" },
    { "event.source", "{'source':{'component':'kubelet','host':'n'}}", "'kubelet, n'" },
    { "event.source", "{'source':{},'reportingComponent':'c'}", "'c'" },
    { "event.message", "{'note':' done\\n'}", "'done'" },
    { "rolebinding.users",
      "{'subjects':[{'kind':'User','name':'a'},{'kind':'Group','name':'g'},{'kind':'User','name':'b'}]}", "'a, b'" },
    { "rolebinding.service-accounts", "{'subjects':[{'kind':'ServiceAccount','namespace':'n','name':'a'}]}", "'n/a'" },
    { "certificatesigningrequest.condition", "{}", "'Pending'" },
    { "certificatesigningrequest.condition", "{'status':{'certificate':'x','conditions':[{'type':'Approved'}]}}",
      "'Approved,Issued'" },
    { "certificatesigningrequest.duration", "{'spec':{'expirationSeconds':3600}}", "'60m'" },
    { "apiservice.available", "{'status':{'conditions':[{'type':'Available','status':'False','reason':'Gone'}]}}",
      "'False (Gone)'" },
    { "apiservice.service", "{'spec':{}}", "'Local'" },
    { "prioritylevelconfiguration.shares", "{'spec':{'limited':{'nominalConcurrencyShares':0}}}", "0" },
    { "resourceclaim.state", "{'status':{'allocation':{},'reservedFor':[{}]}}", "'allocated,reserved'" },
    { "resourceclaim.state", "{}", "'pending'" },
    { "admissionpolicybinding.param-ref", "{'spec':{'paramRef':{'name':'p','namespace':'n'}}}", "'n/p'" },
};

static void test_cells(void **state)
{
    struct arena *arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        table_cell_fn *fn = cell_function(str_from(cases[i].function));
        struct json *object, cell = { .kind = JSON_NULL };
        struct err err = { 0 };
        struct str got;

        assert_non_null(fn);
        if (json_parse(arena, quoted(arena, cases[i].object), NULL, &object, &err) < 0)
            fail_msg("case %zu: %s", i, err.message);
        fn(arena, object, NOW, &cell);
        got = json_text(arena, &cell);
        if (!str_eq(got, quoted(arena, cases[i].want)))
            fail_msg("%s of %s: " STR_FMT ", not %s", cases[i].function, cases[i].object, STR_ARG(got), cases[i].want);
    }
    arena_free(arena);
}

/* Members of all kinds where functions look for others: nothing may crash. */
static const char *const hostile[] = {
    "null",
    "[]",
    "'x'",
    "1",
    "{'metadata':1,'spec':[],'status':'x','subsets':{},'ports':3,'subjects':[1,'x',null,[]]}",
    "{'metadata':{'labels':{'node-role.kubernetes.io/"
    "x':1},'ownerReferences':[null]},'spec':{'containers':[null,1],'ports':[[]],'rules':[1],"
    "'selector':{'matchExpressions':[1]},'metrics':[null,{'type':'Resource'}],'initContainers':[{}],'accessModes':[{}],"
    "'readinessGates':[1]},"
    "'status':{'containerStatuses':[null,{'state':[]}],'initContainerStatuses':['x'],'conditions':[1,{}],'hard':{'a':{}"
    "},'addresses':[2],"
    "'loadBalancer':{'ingress':[{},1]}},'subsets':[{'addresses':[{}],'ports':[{}]}],'endpoints':[{'addresses':[1]}],'"
    "series':{}}",
};

static void test_every_column(void **state)
{
    struct arena *arena = arena_new(0);

    for (size_t i = 0; i < api_resource_count; i++)
        for (size_t c = 0; c < api_resources[i]->column_count; c++) {
            const struct column *column = &api_resources[i]->columns[c];
            table_cell_fn *fn;

            if (str_empty(column->function))
                continue;
            fn = table_cell_find(api_resources[i], column->function);
            if (!fn)
                fail_msg("no function " STR_FMT, STR_ARG(column->function));
            for (size_t h = 0; h < ARRAY_LEN(hostile); h++) {
                struct json *object, cell = { .kind = JSON_NULL };

                assert_int_equal(json_parse(arena, quoted(arena, hostile[h]), NULL, &object, NULL), 0);
                fn(arena, object, NOW, &cell);
                assert_true(json_text(arena, &cell).len > 0);
            }
        }
    arena_free(arena);
}

static const struct type custom_type = { .kind = TYPE_STRUCT };
static const struct column custom_columns[] = {
    { .name = STR_INIT("Ready"),
      .type = STR_INIT("string"),
      .path = STR_INIT(".status.conditions[?(@.type=='Ready')].status") },
    { .name = STR_INIT("Size"), .type = STR_INIT("integer"), .path = STR_INIT(".spec.size") },
    { .name = STR_INIT("Since"), .type = STR_INIT("date"), .path = STR_INIT(".status.since") },
    { .name = STR_INIT("Tags"), .type = STR_INIT("string"), .path = STR_INIT(".spec.tags") },
    { .name = STR_INIT("Broken"), .type = STR_INIT("string"), .path = STR_INIT(".spec[") },
};
static const struct resource custom = { .group = STR_INIT("x.io"),
                                        .version = STR_INIT("v1"),
                                        .plural = STR_INIT("xs"),
                                        .kind = STR_INIT("X"),
                                        .type = &custom_type,
                                        .columns = custom_columns,
                                        .column_count = ARRAY_LEN(custom_columns),
                                        .storage = &custom };

static const struct {
    const char *object, *want;
} rows[] = {
    { "{'spec':{'size':3,'tags':['a']},'status':{'since':'2026-01-02T15:04:00Z','conditions':[{'type':'Ready','status':"
      "'True'}]}}",
      "{'cells':['True',3,'5s','[\\'a\\']',null]}" },
    { "{}", "{'cells':[null,null,null,null,null]}" },
};

static void test_custom_columns(void **state)
{
    struct arena *arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int prepared = 0; prepared < 2; prepared++) {
            struct table_format format = { .now = NOW, .include = TABLE_INCLUDE_NONE };
            AUTO_DEINIT(buf, out) = BUF_INIT;
            struct json *object;

            if (prepared)
                table_prepare(arena, &custom, &format);
            assert_int_equal(json_parse(arena, quoted(arena, rows[i].object), NULL, &object, NULL), 0);
            assert_int_equal(table_write_row(arena, &out, &custom, &format, object, STR_NULL, NULL), 0);
            assert_string_equal(arena_cstr(arena, buf_str(&out)), quoted(arena, rows[i].want).data);
        }
    arena_free(arena);
}

/* A list, an object, and what includeObject does, through the whole server. */
static void test_tables(void **state)
{
    static const struct raw list = { .method = "GET",
                                     .target = PODS,
                                     .accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" };
    static const struct {
        const char *target, *object_kind;
    } answers[] = {
        { PODS "/p", "PartialObjectMetadata" },
        { PODS "/p?includeObject=Object", "Pod" },
        { PODS "/p?includeObject=None", "" },
    };
    struct fixture f;
    struct answer answer;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, POD("p"));
    answer = send_raw(&f, &list);
    assert_int_equal(answer.status, 200);
    assert_string_equal(at(&f, answer, "kind"), "Table");
    assert_int_equal(json_at(answer.json, "columnDefinitions")->count, 9);
    const struct json *row = &json_at(answer.json, "rows")->items[0];
    assert_string_equal(arena_cstr(f.arena, json_text(f.arena, json_member(row, "cells"))),
                        quoted(f.arena, "['p','0/1','Pending','0','0s','<none>','<none>','<none>','<none>']").data);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        answer = send_raw(&f, &(struct raw){ .method = "GET", .target = answers[i].target, .accept = list.accept });
        assert_int_equal(answer.status, 200);
        row = &json_at(answer.json, "rows")->items[0];
        struct str kind = json_str_at(row, "object.kind");
        assert_true(str_is(kind, answers[i].object_kind));
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_every_column),
        cmocka_unit_test(test_custom_columns),
        cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
