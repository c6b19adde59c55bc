/* client_check.c - the client against a real etcd, for tests/e2e/etcd.bats.
 *
 *   client_check [--ca FILE] [--cert FILE --key FILE] [--user NAME --password WORD] [--patience SECONDS] ENDPOINTS
 *     calls|leases|watches
 *   client_check ... ENDPOINTS through COMMAND    writes while the command hurts the members; nothing acknowledged may be
 *                                                 missing, nothing may come twice, the watch may have no gap
 *   client_check ... ENDPOINTS rate CALLS FLIGHT  puts per second and processor time of each
 *
 * Says what is wrong and ends with 1. */
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/sync.h"
#include "store/etcd/client.h"

#define FILE_MAX (1u << 20)
#define CHECK(cond, ...)                                                                                               \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "client_check: %s: ", #cond);                                                              \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, "\n");                                                                                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static nsec_t patience = 30 * NSEC_PER_SEC;

static ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
}

/* A read or a write that may meet a member without a leader: until it works. */
static void *must(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request)
{
    ProtobufCMessage *answer = NULL;
    struct err err = { 0 };

    CHECK(etcd_do(client, method, request, patience, &answer, &err) == 0, "%s", err.message);
    return answer;
}

static void drop(void *answer)
{
    protobuf_c_message_free_unpacked(answer, NULL);
}

static int64_t put(struct etcd_client *client, const char *key, const char *value)
{
    Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
    Etcd__PutResponse *answer;
    int64_t revision;

    request.key = bytes(key);
    request.value = bytes(value);
    answer = must(client, ETCD_PUT, &request.base);
    revision = answer->header->revision;
    drop(answer);
    return revision;
}

static void compact(struct etcd_client *client, int64_t revision)
{
    Etcd__CompactionRequest request = ETCD__COMPACTION_REQUEST__INIT;

    request.revision = revision;
    drop(must(client, ETCD_COMPACT, &request.base));
}

static int refused(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request)
{
    ProtobufCMessage *answer = NULL;
    struct err err = { 0 };
    int code = etcd_do(client, method, request, patience, &answer, &err);

    CHECK(code < 0 && err.message[0] && code == -(int)err.code, "code %d: %s", code, err.message);
    return -code;
}

/* -- calls -- */

static bool create(struct etcd_client *client, const char *key, const char *value)
{
    Etcd__Compare compare = ETCD__COMPARE__INIT, *compares[] = { &compare };
    Etcd__PutRequest request_put = ETCD__PUT_REQUEST__INIT;
    Etcd__RangeRequest request_range = ETCD__RANGE_REQUEST__INIT;
    Etcd__RequestOp yes = ETCD__REQUEST_OP__INIT, no = ETCD__REQUEST_OP__INIT, *success[] = { &yes }, *failure[] = { &no };
    Etcd__TxnRequest request = ETCD__TXN_REQUEST__INIT;
    Etcd__TxnResponse *answer;
    bool succeeded;

    compare.target = ETCD__COMPARE__TARGET__MOD;
    compare.key = bytes(key);
    compare.target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
    request_put.key = request_range.key = bytes(key);
    request_put.value = bytes(value);
    yes.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
    yes.request_put = &request_put;
    no.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_RANGE;
    no.request_range = &request_range;
    request.compare = compares;
    request.success = success;
    request.failure = failure;
    request.n_compare = request.n_success = request.n_failure = 1;
    answer = must(client, ETCD_TXN, &request.base);
    succeeded = answer->succeeded;
    CHECK(answer->n_responses == 1, "%zu", answer->n_responses);
    CHECK(succeeded || answer->responses[0]->response_range->n_kvs == 1, "what is there was asked for");
    drop(answer);
    return succeeded;
}

static void check_refusals(struct etcd_client *client)
{
    Etcd__RangeRequest past = ETCD__RANGE_REQUEST__INIT;
    Etcd__PutRequest large = ETCD__PUT_REQUEST__INIT;
    size_t size = 3u << 20;

    past.key = bytes("calls/a");
    past.revision = 1;
    put(client, "calls/a", "1");
    compact(client, put(client, "calls/a", "2"));
    CHECK(refused(client, ETCD_RANGE, &past.base) == ERR_EXPIRED, "compacted");
    past.revision = INT64_MAX;
    CHECK(refused(client, ETCD_RANGE, &past.base) == ERR_INVALID, "of the future");
    large.key = bytes("calls/large");
    large.value = (ProtobufCBinaryData){ size, calloc(1, size) };
    CHECK(refused(client, ETCD_PUT, &large.base) == ERR_TOO_LARGE, "too large");
    free(large.value.data);
    CHECK(refused(client, ETCD_TXN, &large.base) == ERR_INVALID, "a request of another method");
}

static void check_calls(struct etcd_client *client)
{
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    Etcd__DeleteRangeRequest delete = ETCD__DELETE_RANGE_REQUEST__INIT;
    Etcd__RangeResponse *found;
    Etcd__DeleteRangeResponse *deleted;
    char end[16];
    struct str last = etcd_prefix_end(STR("calls/"), end);

    delete.key = range.key = bytes("calls/");
    delete.range_end = range.range_end = (ProtobufCBinaryData){ last.len, (uint8_t *)last.data };
    drop(must(client, ETCD_DELETE_RANGE, &delete.base));
    CHECK(create(client, "calls/b", "first"), "the key was absent");
    CHECK(!create(client, "calls/b", "second"), "the key was there");
    put(client, "calls/c", "third");
    found = must(client, ETCD_RANGE, &range.base);
    CHECK(found->count == 2 && found->n_kvs == 2, "%zu keys", found->n_kvs);
    CHECK(memcmp(found->kvs[0]->value.data, "first", 5) == 0, "the value of the first transaction");
    drop(found);
    check_refusals(client);
    deleted = must(client, ETCD_DELETE_RANGE, &delete.base);
    CHECK(deleted->deleted == 3, "%d deleted", (int)deleted->deleted);
    drop(deleted);
}

static void check_leases(struct etcd_client *client)
{
    Etcd__LeaseGrantRequest grant = ETCD__LEASE_GRANT_REQUEST__INIT;
    Etcd__LeaseKeepAliveRequest keep = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    Etcd__LeaseRevokeRequest revoke = ETCD__LEASE_REVOKE_REQUEST__INIT;
    Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    Etcd__LeaseGrantResponse *granted;
    Etcd__LeaseKeepAliveResponse *kept;
    Etcd__RangeResponse *found;

    grant.ttl = 600;
    granted = must(client, ETCD_LEASE_GRANT, &grant.base);
    request.lease = keep.id = revoke.id = granted->id;
    drop(granted);
    request.key = range.key = bytes("leases/a");
    drop(must(client, ETCD_PUT, &request.base));
    kept = must(client, ETCD_LEASE_KEEP_ALIVE, &keep.base);
    CHECK(kept->ttl == 600 && kept->id == keep.id, "ttl %d", (int)kept->ttl);
    drop(kept);
    drop(must(client, ETCD_LEASE_REVOKE, &revoke.base));
    CHECK(refused(client, ETCD_LEASE_REVOKE, &revoke.base) == ERR_NOT_FOUND, "it is gone");
    kept = must(client, ETCD_LEASE_KEEP_ALIVE, &keep.base);
    CHECK(kept->ttl == 0, "ttl %d", (int)kept->ttl);
    drop(kept);
    found = must(client, ETCD_RANGE, &range.base);
    CHECK(found->n_kvs == 0, "the key went with the lease");
    drop(found);
}

/* -- watches -- */

#define KEYS_MAX 1000000

struct observer {
    struct mutex lock;
    struct cond changed;
    int64_t last;      /* revision */
    size_t count;      /* events */
    size_t responses;
    bool over;
    int code;
    int64_t compacted;
    struct etcd_watch *pausing; /* paused after each response */
    unsigned char *seen;        /* by number of the key: how often; NULL: not wanted */
};

static void on_response(void *arg, const Etcd__WatchResponse *response)
{
    struct observer *observer = arg;

    LOCKED(&observer->lock);
    for (size_t i = 0; i < response->n_events; i++) {
        const Etcd__KeyValue *kv = response->events[i]->kv;
        struct str key = str_of(kv->key.data, kv->key.len);
        uint64_t number;
        CHECK(kv->mod_revision >= observer->last, "%d behind %d", (int)kv->mod_revision, (int)observer->last);
        CHECK(i > 0 || kv->mod_revision > observer->last, "revision %d is in two responses", (int)observer->last);
        observer->last = kv->mod_revision;
        if (observer->seen && str_to_u64(str_skip(key, (size_t)str_rchr(key, '/') + 1), &number) && number < KEYS_MAX)
            observer->seen[number]++;
    }
    observer->count += response->n_events;
    observer->responses++;
    if (observer->pausing)
        etcd_watch_pause(observer->pausing);
    cond_broadcast(&observer->changed);
}

static void on_over(void *arg, int code, const struct err *err, int64_t compacted)
{
    struct observer *observer = arg;

    LOCKED(&observer->lock);
    observer->over = true;
    observer->code = code;
    observer->compacted = compacted;
    cond_broadcast(&observer->changed);
}

static void observer_init(struct observer *observer)
{
    *observer = (struct observer){ 0 };
    mutex_init(&observer->lock);
    cond_init(&observer->changed);
}

static struct etcd_watch *watch(struct etcd_client *client, const char *prefix, int64_t from, struct observer *observer)
{
    const struct etcd_watch_events events = { observer, on_response, on_over };
    struct etcd_watch *watch;
    struct err err = { 0 };

    CHECK(etcd_watch_start(client, str_from(prefix), from, &events, &watch, &err) == 0, "%s", err.message);
    return watch;
}

static void wait_for(struct observer *observer, size_t count)
{
    LOCKED(&observer->lock);
    while (observer->count < count && !observer->over)
        CHECK(cond_wait_for(&observer->changed, &observer->lock, patience), "%zu of %zu events", observer->count, count);
    CHECK(observer->count == count && !observer->over, "%zu of %zu events", observer->count, count);
}

/* Many large revisions that were written before: etcd sends them in fragments. */
static void check_backlog(struct etcd_client *client)
{
    size_t size = 256u << 10, count = 40;
    char *value = malloc(size + 1), key[32];
    struct observer observer;
    struct etcd_watch *watched;
    int64_t first = 0;

    memset(value, 'x', size);
    value[size] = '\0';
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "watches/%zu", i);
        int64_t revision = put(client, key, value);
        first = i == 0 ? revision : first;
    }
    free(value);
    observer_init(&observer);
    watched = watch(client, "watches/", first, &observer);
    wait_for(&observer, count);
    CHECK(observer.responses > 1, "10 MiB in one response");
    etcd_watch_free(watched);

    /* The same with a pause after each response. */
    observer_init(&observer);
    mutex_lock(&observer.lock);
    watched = watch(client, "watches/", first, &observer);
    observer.pausing = watched;
    for (size_t seen = 0; observer.count < count; etcd_watch_resume(watched), seen++) {
        while (observer.responses == seen)
            CHECK(cond_wait_for(&observer.changed, &observer.lock, patience), "%zu of %zu events", observer.count, count);
        CHECK(observer.responses == seen + 1, "paused, and yet something came");
    }
    mutex_unlock(&observer.lock);
    etcd_watch_free(watched);
}

static void check_watches(struct etcd_client *client)
{
    struct observer observer;
    struct etcd_watch *watched;
    int64_t revision = put(client, "other", "");

    observer_init(&observer);
    watched = watch(client, "watches/", revision + 1, &observer);
    put(client, "watches/0", "1");
    put(client, "other", "2");
    put(client, "watches/1", "3");
    wait_for(&observer, 2);
    etcd_watch_free(watched);
    check_backlog(client);

    revision = put(client, "watches/0", "");
    compact(client, revision);
    observer_init(&observer);
    watched = watch(client, "watches/", revision - 1, &observer);
    mutex_lock(&observer.lock);
    while (!observer.over)
        CHECK(cond_wait_for(&observer.changed, &observer.lock, patience), "the watch of what is compacted goes on");
    mutex_unlock(&observer.lock);
    CHECK(observer.code == -ERR_EXPIRED && observer.compacted == revision, "code %d, %d", observer.code,
          (int)observer.compacted);
    etcd_watch_free(watched);
}

/* -- through trouble -- */

enum outcome { NOT_TRIED, WRITTEN, NOT_WRITTEN, UNKNOWN };

struct writer {
    struct etcd_client *client;
    struct observer *observer;
    struct thread thread;
    unsigned char outcomes[KEYS_MAX];
    atomic_size_t tried, written;
    atomic_bool stop;
};

static void write_on(void *arg)
{
    struct writer *writer = arg;
    Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
    char key[48];

    for (size_t i = 0; i < KEYS_MAX && !writer->stop; i++) {
        ProtobufCMessage *answer = NULL;
        struct err err = { 0 };
        snprintf(key, sizeof key, "through/%zu", i);
        request.key = bytes(key);
        request.value = bytes("x");
        int code = etcd_do(writer->client, ETCD_PUT, &request.base, ETCD_CALL_TIMEOUT, &answer, &err);
        CHECK(code == 0 || code == -ERR_UNAVAILABLE || code == -ERR_TIMEOUT, "%s", err.message);
        writer->outcomes[i] = code == 0 ? WRITTEN : code == -ERR_UNAVAILABLE ? NOT_WRITTEN : UNKNOWN;
        if (code == 0) {
            drop(answer);
            atomic_fetch_add(&writer->written, 1);
        }
        atomic_store(&writer->tried, i + 1);
    }
}

static void wait_written(struct writer *writer, size_t more)
{
    size_t want = atomic_load(&writer->written) + more;
    nsec_t until = clock_now(clock_real()) + patience;

    while (atomic_load(&writer->written) < want) {
        CHECK(clock_now(clock_real()) < until, "no more writes succeed");
        nanosleep(&(struct timespec){ .tv_nsec = 5 * NSEC_PER_MSEC }, NULL);
    }
}

static void judge(struct writer *writer)
{
    struct observer *observer = writer->observer;
    size_t counts[4] = { 0 };

    LOCKED(&observer->lock);
    CHECK(!observer->over, "the watch ended with %d", observer->code);
    for (size_t i = 0; i < writer->tried; i++) {
        unsigned seen = observer->seen[i], outcome = writer->outcomes[i];
        counts[outcome]++;
        CHECK(seen <= 1, "key %zu was seen %u times", i, seen);
        CHECK(outcome != WRITTEN || seen == 1, "key %zu was written and not seen", i);
        CHECK(outcome != NOT_WRITTEN || seen == 0, "key %zu was not written, and yet seen", i);
    }
    printf("written %zu, not written %zu, not known %zu\n", counts[WRITTEN], counts[NOT_WRITTEN], counts[UNKNOWN]);
}

static void check_through(struct etcd_client *client, const char *command)
{
    struct writer *writer = calloc(1, sizeof *writer);
    struct observer observer;
    struct etcd_watch *watched;
    struct err err = { 0 };

    CHECK(writer, "memory");
    observer_init(&observer);
    observer.seen = calloc(1, KEYS_MAX);
    writer->client = client;
    writer->observer = &observer;
    watched = watch(client, "through/", put(client, "other", "") + 1, &observer);
    CHECK(thread_start(&writer->thread, "writer", write_on, writer, &err) == 0, "%s", err.message);
    wait_written(writer, 20);
    CHECK(system(command) == 0, "%s", command);
    wait_written(writer, 20);
    writer->stop = true;
    thread_join(&writer->thread);
    int64_t last = put(client, "through/end", "");
    mutex_lock(&observer.lock);
    while (observer.last < last && !observer.over)
        CHECK(cond_wait_for(&observer.changed, &observer.lock, patience), "the watch does not come to the end");
    mutex_unlock(&observer.lock);
    judge(writer);
    etcd_watch_free(watched);
    free(observer.seen);
    free(writer);
}

/* -- rate -- */

struct rate {
    struct etcd_client *client;
    struct mutex lock;
    struct cond over;
    size_t to_start, to_end;
};

static void on_put(void *arg, int code, const struct err *err, const ProtobufCMessage *answer);

static void start_put(struct rate *rate, size_t number)
{
    static const char value[1024];
    Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
    char key[32];
    struct err err = { 0 };

    snprintf(key, sizeof key, "rate/%zu", number % 1000);
    request.key = bytes(key);
    request.value = (ProtobufCBinaryData){ sizeof value, (uint8_t *)value };
    CHECK(etcd_call(rate->client, ETCD_PUT, &request.base, patience, on_put, rate, &err) == 0, "%s", err.message);
}

static void on_put(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct rate *rate = arg;

    CHECK(code == 0, "%s", err->message);
    LOCKED(&rate->lock);
    if (rate->to_start > 0)
        start_put(rate, rate->to_start--);
    if (--rate->to_end == 0)
        cond_signal(&rate->over);
}

static void measure(struct etcd_client *client, const char *calls, const char *flight)
{
    size_t count = strtoul(calls, NULL, 10), at_once = strtoul(flight, NULL, 10);
    struct rate rate = { .client = client, .to_end = count, .to_start = count - MIN(count, at_once) };
    nsec_t began = clock_now(clock_real());
    double seconds, processor;
    clock_t before = clock();

    mutex_init(&rate.lock);
    cond_init(&rate.over);
    for (size_t i = 0; i < MIN(count, at_once); i++)
        start_put(&rate, i);
    mutex_lock(&rate.lock);
    while (rate.to_end > 0)
        cond_wait(&rate.over, &rate.lock);
    mutex_unlock(&rate.lock);
    seconds = (double)(clock_now(clock_real()) - began) / 1e9;
    processor = (double)(clock() - before) / CLOCKS_PER_SEC;
    printf("%.0f calls/s, %.1f us of processor time each\n", (double)count / seconds, processor / (double)count * 1e6);
}

/* -- main -- */

static struct str read_pem(const char *path)
{
    struct buf buf = BUF_INIT;
    struct err err = { 0 };

    CHECK(file_read(path, FILE_MAX, &buf, &err) == 0, "%s", err.message);
    return buf_str(&buf);
}

static int parse(int argc, char **argv, struct etcd_client_options *options)
{
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--ca") == 0)
            options->ca_pem = read_pem(argv[i + 1]);
        else if (strcmp(argv[i], "--cert") == 0)
            options->cert_pem = read_pem(argv[i + 1]);
        else if (strcmp(argv[i], "--key") == 0)
            options->key_pem = read_pem(argv[i + 1]);
        else if (strcmp(argv[i], "--user") == 0)
            options->user = str_from(argv[i + 1]);
        else if (strcmp(argv[i], "--password") == 0)
            options->password = str_from(argv[i + 1]);
        else if (strcmp(argv[i], "--patience") == 0)
            patience = strtol(argv[i + 1], NULL, 10) * NSEC_PER_SEC;
        else
            CHECK(false, "unknown option %s", argv[i]);
    }
    CHECK(i + 1 < argc, "ENDPOINTS and what to check");
    options->endpoints = str_from(argv[i]);
    return i + 1;
}

int main(int argc, char **argv)
{
    struct etcd_client_options options = { .connect_timeout = 5 * NSEC_PER_SEC };
    int at = parse(argc, argv, &options);
    struct etcd_client *client;
    struct err err = { 0 };

    CHECK(etcd_client_new(&options, &client, &err) == 0, "%s", err.message);
    if (strcmp(argv[at], "calls") == 0)
        check_calls(client);
    else if (strcmp(argv[at], "leases") == 0)
        check_leases(client);
    else if (strcmp(argv[at], "watches") == 0)
        check_watches(client);
    else if (strcmp(argv[at], "through") == 0 && at + 1 < argc)
        check_through(client, argv[at + 1]);
    else if (strcmp(argv[at], "rate") == 0 && at + 2 < argc)
        measure(client, argv[at + 1], argv[at + 2]);
    else
        CHECK(false, "%s", argv[at]);
    etcd_client_free(client);
    free((char *)options.ca_pem.data);
    free((char *)options.cert_pem.data);
    free((char *)options.key_pem.data);
    return 0;
}
