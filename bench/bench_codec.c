/* bench_codec.c - how fast a pod of about 2 KB is parsed and written, alone and by the megabyte.
 *
 * Prints one line per measure: MB/s and nanoseconds per object, of the best of BATCHES batches, as others may use the
 * machine too. An argument scales the number of rounds. */
#include <stdio.h>

#include "base/clock.h"
#include "codec/json.h"
#include "codec/yaml.h"

#define ROUNDS 10000 /* per batch, of a small object */
#define BATCHES 20

static const char pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-7d4b9c8f6d-x2x9k\",\"generateName\":"
    "\"web-7d4b9c8f6d-\",\"namespace\":\"default\",\"uid\":\"0b0ef6a4-9d2c-4c3e-8a55-6c1f0c0a7d11\","
    "\"resourceVersion\":"
    "\"184467\",\"creationTimestamp\":\"2026-01-02T15:04:05Z\",\"labels\":{\"app\":\"web\",\"pod-template-hash\":"
    "\"7d4b9c8f6d\",\"tier\":\"frontend\"},\"annotations\":{\"prometheus.io/scrape\":\"true\",\"note\":"
    "\"a \\\"quoted\\\" word\\nand a line\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","
    "\"name\":\"web-7d4b9c8f6d\",\"uid\":\"5d8a2b1e-1c57-4b0f-9d0a-2f7c1f6a9e00\",\"controller\":true,"
    "\"blockOwnerDeletion\":true}]},\"spec\":{\"volumes\":[{\"name\":\"kube-api-access-4x8tq\",\"projected\":{"
    "\"sources\":"
    "[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{\"name\":"
    "\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}}],\"defaultMode\":420}}],"
    "\"containers\":"
    "[{\"name\":\"web\",\"image\":\"registry.example.com/shop/"
    "web:1.25.3\",\"ports\":[{\"name\":\"http\",\"containerPort\":"
    "8080,\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"LOG_LEVEL\",\"value\":\"info\"},{\"name\":\"NODE\",\"valueFrom\":"
    "{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"spec.nodeName\"}}}],\"resources\":{\"limits\":{\"cpu\":"
    "\"500m\","
    "\"memory\":\"256Mi\"},\"requests\":{\"cpu\":\"250m\",\"memory\":\"128Mi\"}},\"volumeMounts\":[{\"name\":"
    "\"kube-api-access-4x8tq\",\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],"
    "\"readinessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":8080,\"scheme\":\"HTTP\"},\"timeoutSeconds\":1,"
    "\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3},\"terminationMessagePath\":"
    "\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\"}],"
    "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\","
    "\"serviceAccountName\":\"default\",\"nodeName\":\"node-0042\",\"securityContext\":{},\"schedulerName\":"
    "\"default-scheduler\",\"tolerations\":[{\"key\":\"node.kubernetes.io/"
    "not-ready\",\"operator\":\"Exists\",\"effect\":"
    "\"NoExecute\",\"tolerationSeconds\":300}],\"priority\":0,\"enableServiceLinks\":true},\"status\":{\"phase\":"
    "\"Running\",\"hostIP\":\"10.0.0.42\",\"podIP\":\"10.244.3.17\",\"qosClass\":\"Burstable\"}}";

/* What one round does. */
struct subject {
    struct arena *arena;
    struct buf out;
    struct str text;
    struct json *json;
};

static void parse_json(struct subject *s)
{
    struct json *json;

    arena_reset(s->arena);
    INVARIANT(json_parse(s->arena, s->text, NULL, &json, NULL) == 0);
}

static void parse_yaml(struct subject *s)
{
    struct json *json;

    arena_reset(s->arena);
    INVARIANT(yaml_parse(s->arena, s->text, NULL, &json, NULL) == 0);
}

static void write_json(struct subject *s)
{
    buf_clear(&s->out);
    json_write(&s->out, s->json);
}

static void write_yaml(struct subject *s)
{
    buf_clear(&s->out);
    INVARIANT(yaml_write(&s->out, s->json, NULL) == 0);
}

static void bench(const char *what, struct subject *s, void (*run)(struct subject *s), long rounds, size_t bytes)
{
    nsec_t best = INT64_MAX;

    for (int batch = 0; batch < BATCHES; batch++) {
        nsec_t start = clock_now(clock_real());

        for (long i = 0; i < rounds; i++)
            run(s);
        nsec_t took = clock_now(clock_real()) - start;

        best = MIN(best, took);
    }
    double per_round = (double)best / (double)rounds;

    printf("%-28s %8.0f MB/s %10.0f ns/object (%zu bytes)\n", what, (double)bytes * 1000.0 / per_round, per_round,
           bytes);
}

static void bench_parse(const char *what, struct str text, void (*run)(struct subject *s), long rounds)
{
    AUTO(arena) arena = arena_new(0);
    struct subject subject = { .arena = arena, .text = text };

    INVARIANT(arena);
    bench(what, &subject, run, MAX(rounds, 1), text.len);
}

static void bench_write(const char *what, struct str text, void (*run)(struct subject *s), long rounds)
{
    AUTO(arena) arena = arena_new(0);
    struct subject subject = { .arena = arena, .out = BUF_INIT };

    INVARIANT(arena && json_parse(arena, text, NULL, &subject.json, NULL) == 0);
    run(&subject);
    bench(what, &subject, run, rounds, subject.out.len);
    buf_deinit(&subject.out);
}

/* [pod,pod,...] of about a megabyte; pretty: laid out over many lines. */
static void make_list(struct buf *list, bool pretty)
{
    AUTO(arena) arena = arena_new(0);
    struct json *json;

    buf_add_char(list, '[');
    while (list->len < 1 << 20) {
        if (list->len > 1)
            buf_add_char(list, ',');
        buf_add(list, pod, sizeof pod - 1);
    }
    buf_add_char(list, ']');
    if (!pretty)
        return;
    INVARIANT(arena && json_parse(arena, buf_str(list), NULL, &json, NULL) == 0);
    AUTO_DEINIT(buf, out) = BUF_INIT;

    json_write_pretty(&out, json, 4);
    buf_clear(list);
    buf_add_str(list, buf_str(&out));
}

/* One object with that many keys. */
static void make_wide(struct buf *wide, int keys)
{
    buf_add_char(wide, '{');
    for (int i = 0; i < keys; i++)
        buf_printf(wide, "%s\"key-%d\":%d", i ? "," : "", i, i);
    buf_add_char(wide, '}');
}

int main(int argc, char **argv)
{
    long scale = argc > 1 ? strtol(argv[1], NULL, 10) : 1, rounds = ROUNDS * MAX(scale, 1);
    struct str text = str_of(pod, sizeof pod - 1);
    AUTO_DEINIT(buf, list) = BUF_INIT;
    AUTO_DEINIT(buf, pretty) = BUF_INIT;
    AUTO_DEINIT(buf, wide) = BUF_INIT;
    AUTO_DEINIT(buf, yaml) = BUF_INIT;
    AUTO(arena) arena = arena_new(0);
    struct json *json;

    make_list(&list, false);
    make_list(&pretty, true);
    make_wide(&wide, 100000);
    INVARIANT(buf_ok(&list) && buf_ok(&pretty) && buf_ok(&wide));
    bench_parse("JSON parse, pod", text, parse_json, rounds);
    bench_parse("JSON parse, 1 MB list", buf_str(&list), parse_json, rounds / 1000);
    bench_parse("JSON parse, 1 MB indented", buf_str(&pretty), parse_json, rounds / 1000);
    bench_parse("JSON parse, 100,000 keys", buf_str(&wide), parse_json, rounds / 5000);
    bench_write("JSON write, pod", text, write_json, rounds);
    bench_write("YAML write, pod", text, write_yaml, rounds / 50);
    INVARIANT(arena && json_parse(arena, text, NULL, &json, NULL) == 0 && yaml_write(&yaml, json, NULL) == 0);
    bench_parse("YAML parse, pod", buf_str(&yaml), parse_yaml, rounds / 50);
    return 0;
}
