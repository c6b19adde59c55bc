/* bench_store.c - what the store does on this machine's disk, with objects of 2.5 KB: durable commits by 1 to 512
 * clients, reads, lists, resumed watches, watch fan-out, compaction, opening. About 20 seconds; the folder is made in
 * $TMPDIR or /var/tmp. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/sync.h"
#include "store/store.h"

#define VALUE_LEN 2500
#define KEYS 100000
#define CLIENTS_MAX 512
#define COMMIT_TIME (2 * NSEC_PER_SEC)
#define SAMPLES_MAX (1u << 20)

struct bench {
    char path[128];
    struct store *store;
    char value[VALUE_LEN];
};

static void must(int code, const struct err *err)
{
    if (code >= 0)
        return;
    fprintf(stderr, "bench_store: %s\n", err->message);
    exit(1);
}

static nsec_t now(void)
{
    return clock_now(clock_real());
}

static double seconds_since(nsec_t start)
{
    return (double)(now() - start) / NSEC_PER_SEC;
}

static struct str key_of(char *out, size_t size, uint64_t n)
{
    return str_of(out, (size_t)snprintf(out, size, "/registry/pods/namespace-%02llu/deployment-name-%06llu",
                                        (unsigned long long)n % 50, (unsigned long long)n));
}

static void open_store(struct bench *b)
{
    struct store_options options = { .path = b->path, .clock = clock_real() };
    struct err err = { 0 };

    must(store_open(&options, &b->store, &err), &err);
}

/* -- commits -- */

struct clients {
    struct bench *bench;
    struct mutex lock;
    struct cond over;
    size_t running;
    atomic_bool stop;
    uint64_t commits;
    nsec_t *samples;
    size_t samples_count;
    struct rng *rng;
    bool create; /* new keys in order; else random existing ones */
    uint64_t next_key;
};

/* One that commits, waits for it, commits again; without a thread of its own. */
struct client {
    struct clients *all;
    struct store_txn txn;
    struct store_op op;
    char key[96];
    nsec_t started;
};

static void client_submit(struct client *client)
{
    struct clients *all = client->all;
    uint64_t n = all->create ? all->next_key++ : rng_below(all->rng, KEYS);

    client->op = (struct store_op){ STORE_PUT, key_of(client->key, sizeof client->key, n),
                                    str_of(all->bench->value, VALUE_LEN), 100, STORE_ANY };
    client->started = now();
    store_commit_async(all->bench->store, &client->txn);
}

/* On the writer's thread, as all but the first submissions; so the counters need no lock. */
static void client_done(struct store_txn *txn, int code)
{
    struct client *client = txn->arg;
    struct clients *all = client->all;

    must(code, &txn->err);
    all->commits++;
    if (all->samples_count < SAMPLES_MAX)
        all->samples[all->samples_count++] = now() - client->started;
    if (all->create ? all->next_key < KEYS : !all->stop) {
        client_submit(client);
        return;
    }
    LOCKED(&all->lock);
    if (--all->running == 0)
        cond_signal(&all->over);
}

static int compare_nsec(const void *a, const void *b)
{
    nsec_t x = *(const nsec_t *)a, y = *(const nsec_t *)b;

    return x < y ? -1 : x > y;
}

static void run_clients(struct bench *b, size_t count, bool create, const char *what)
{
    struct client *clients = calloc(count, sizeof *clients);
    struct seeded_rng rng;
    struct clients all = { .bench = b, .running = count, .create = create, .rng = &rng.rng };
    struct store_stats before, after;

    seeded_rng_init(&rng, count);
    all.samples = calloc(SAMPLES_MAX, sizeof *all.samples);
    mutex_init(&all.lock);
    cond_init(&all.over);
    store_stats(b->store, &before);
    nsec_t start = now();
    for (size_t i = 0; i < count; i++) { /* each with a key of its own, so that nobody else draws numbers yet */
        clients[i] = (struct client){ .all = &all };
        clients[i].txn =
            (struct store_txn){ .ops = &clients[i].op, .ops_count = 1, .done = client_done, .arg = &clients[i] };
    }
    mutex_lock(&all.lock);
    for (size_t i = 0; i < count; i++) {
        clients[i].op = (struct store_op){ STORE_PUT, key_of(clients[i].key, sizeof clients[i].key, i),
                                           str_of(b->value, VALUE_LEN), 100, STORE_ANY };
        clients[i].started = now();
        if (i == 0)
            all.next_key = count;
        store_commit_async(b->store, &clients[i].txn);
    }
    while (all.running > 0) {
        if (!create && now() - start > COMMIT_TIME)
            all.stop = true;
        cond_wait_for(&all.over, &all.lock, NSEC_PER_SEC / 20);
    }
    mutex_unlock(&all.lock);
    double took = seconds_since(start);
    store_stats(b->store, &after);
    qsort(all.samples, all.samples_count, sizeof *all.samples, compare_nsec);
    printf("%-26s %4zu clients %9.0f commits/s   p50 %7.3f ms   p99 %7.3f ms   %6.1f in a group\n", what, count,
           (double)all.commits / took, (double)all.samples[all.samples_count / 2] / NSEC_PER_MSEC,
           (double)all.samples[all.samples_count * 99 / 100] / NSEC_PER_MSEC,
           (double)(after.transactions - before.transactions) / (double)(after.commits - before.commits));
    cond_deinit(&all.over);
    mutex_deinit(&all.lock);
    free(all.samples);
    free(clients);
}

/* -- reads -- */

static void bench_get(struct bench *b)
{
    struct seeded_rng rng;
    uint64_t rounds = 0;
    nsec_t start = now();

    seeded_rng_init(&rng, 1);
    while (rounds % 1024 || now() - start < NSEC_PER_SEC) {
        struct store_snapshot *snapshot;
        struct store_item item;
        struct err err = { 0 };
        char key[96];

        must(store_snapshot_open(b->store, 0, &snapshot, &err), &err);
        must(store_get(snapshot, key_of(key, sizeof key, rng_below(&rng.rng, KEYS)), &item, &err), &err);
        store_snapshot_close(snapshot);
        rounds++;
    }
    printf("%-43s %9.0f gets/s      %.2f us each, with its snapshot and making up the key\n", "random get of 100k keys",
           (double)rounds / seconds_since(start), seconds_since(start) * 1e6 / (double)rounds);
    start = now();
    for (rounds = 0; rounds % 1024 || now() - start < NSEC_PER_SEC / 2; rounds++) {
        struct store_snapshot *snapshot;

        store_snapshot_open(b->store, 0, &snapshot, NULL);
        store_snapshot_close(snapshot);
    }
    printf("%-43s %9.0f /s          %.2f us each\n", "snapshot opened and closed",
           (double)rounds / seconds_since(start), seconds_since(start) * 1e6 / (double)rounds);
}

static void list_once(struct bench *b, revision_t revision, const char *what)
{
    struct store_snapshot *snapshot;
    struct store_cursor *cursor;
    struct store_item item;
    struct err err = { 0 };
    uint64_t items = 0, bytes = 0, rounds = 0, count;
    nsec_t start = now();

    must(store_snapshot_open(b->store, revision, &snapshot, &err), &err);
    for (; rounds < 1 || now() - start < NSEC_PER_SEC; rounds++) {
        must(store_cursor_open(snapshot, STR("/registry/pods/"), STR_NULL, &cursor, &err), &err);
        while (store_cursor_next(cursor, &item, &err) > 0) {
            items++;
            bytes += item.value.len;
        }
        store_cursor_close(cursor);
    }
    double took = seconds_since(start);
    printf("%-43s %9.2f lists/s     %.1f million items/s, %.0f MB/s\n", what, (double)rounds / took,
           (double)items / took / 1e6, (double)bytes / took / 1e6);
    start = now();
    must(store_count(snapshot, STR("/registry/pods/"), &count, &err), &err);
    if (!revision)
        printf("%-43s %9.3f ms\n", "count of 100k keys", seconds_since(start) * 1e3);
    store_snapshot_close(snapshot);
}

/* -- watches -- */

static void ignore(void *arg)
{
}

static void bench_resume(struct bench *b, const char *prefix, const char *what)
{
    struct store_watch *watch;
    struct store_event *event;
    struct err err = { 0 };
    revision_t newest = store_revision(b->store), compacted = store_compacted(b->store);
    revision_t after = newest > compacted + KEYS ? newest - KEYS : compacted + 1;
    uint64_t events = 0;
    nsec_t start = now();

    must(store_watch_open(b->store, str_from(prefix), after, ignore, NULL, &watch, &err), &err);
    while (store_watch_next(watch, &event, &err) > 0) {
        events++;
        store_event_unref(event);
    }
    store_watch_close(watch);
    double took = seconds_since(start);
    printf("%-43s %9.3f s           %llu events, %.0f/s\n", what, took, (unsigned long long)events,
           (double)events / took);
}

#define MANY_WATCHES 100000

/* Commits while very many watches want other keys. */
static void bench_fan_out(struct bench *b)
{
    struct store_watch **watches = calloc(MANY_WATCHES, sizeof *watches);
    struct err err = { 0 };
    nsec_t start = now();

    for (uint64_t i = 0; i < MANY_WATCHES; i++) {
        char key[96];
        struct str prefix = key_of(key, sizeof key, i);

        must(store_watch_open(b->store, prefix, store_revision(b->store), ignore, NULL, &watches[i], &err), &err);
    }
    printf("%-43s %9.2f us each\n", "opening 100k watches of one key", seconds_since(start) * 1e6 / MANY_WATCHES);
    run_clients(b, 512, false, "put, 100k watches");
    for (uint64_t i = 0; i < MANY_WATCHES; i++)
        store_watch_close(watches[i]);
    free(watches);
}

int main(void)
{
    static struct bench b;
    const char *tmp = getenv("TMPDIR");
    static const size_t counts[] = { 1, 8, 64, 512 };
    struct store_stats stats;
    struct err err = { 0 };

    memset(b.value, 'x', sizeof b.value);
    snprintf(b.path, sizeof b.path, "%s/caravel-bench-XXXXXX", tmp ? tmp : "/var/tmp");
    if (!mkdtemp(b.path))
        return 1;
    open_store(&b);
    run_clients(&b, 512, true, "create 100k keys");
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        run_clients(&b, counts[i], false, "put, random keys");
    bench_fan_out(&b);
    revision_t old = store_revision(b.store) - 20000;
    bench_get(&b);
    list_once(&b, 0, "list of 100k keys");
    list_once(&b, old, "list of 100k keys, 20k revisions ago");
    bench_resume(&b, "/registry/", "watch from 100k revisions ago");
    bench_resume(&b, "/registry/pods/namespace-00/deployment-name-000000", "watch of one key, 100k revisions ago");
    store_close(b.store);
    nsec_t start = now();
    open_store(&b);
    printf("%-43s %9.3f ms\n", "open", seconds_since(start) * 1e3);
    store_stats(b.store, &stats);
    start = now();
    must(store_compact(b.store, store_revision(b.store), &err), &err);
    double took = seconds_since(start);
    uint64_t records = stats.log_records;
    store_stats(b.store, &stats);
    printf("%-43s %9.3f s           %.0f records/s\n", "compaction of all that is superseded", took,
           (double)(records - stats.log_records) / took);
    store_close(b.store);
    file_remove_tree(b.path, &err);
    return 0;
}
