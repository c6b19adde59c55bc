/* crash_store.c - kills a process that writes, again and again, and checks that the store lost nothing.
 *
 *   crash_store [rounds [seed]]      prints "N rounds, 0 lost"; the exit status says the same
 *
 * Each round a child opens the store and writes from several threads at once, with a compaction now and then. After
 * each commit has returned, and only then, it reports through a pipe what it wrote and the revision it got. At a random
 * moment the parent kills it (SIGKILL), or, every other round, it kills itself within a commit or a step of compaction:
 * before a write or a sync of LMDB. The parent reads what is left in the pipe, opens the store and checks:
 *
 *   - what was acknowledged is there: the pair's last acknowledged state, or a newer one;
 *   - a transaction is whole: the two keys of every pair agree in value and revision;
 *   - revisions did not go back, and those acknowledged were given once;
 *   - a watch from the compacted revision on sees each pair twice or not at all;
 *   - nothing is damaged (store/check.h).
 *
 * kill -9 leaves the page cache to the kernel, so this shows that the order of writes is right, not that the disk keeps
 * what it was told to keep; for that the store relies on fdatasync. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../disk/disk.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/sync.h"
#include "store/check.h"

#define WRITERS 4
#define PAIRS 16 /* of each writer */
#define VALUE_MAX 6000

struct report { /* less than PIPE_BUF: never mixed with another */
    uint32_t writer, pair;
    uint64_t number; /* of this pair's writes; the value follows from it */
    revision_t revision;
};

struct tester {
    char path[128];
    struct seeded_rng rng;
    uint64_t acknowledged[WRITERS][PAIRS]; /* the highest number */
    revision_t newest;                     /* acknowledged */
    uint64_t reports, lost;
    uint64_t within, compacting; /* killed in the middle of a commit; while a compaction was on its way */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "crash_store: %s: %s\n", what, why);
    exit(2);
}

static struct str pair_key(char *out, size_t size, uint32_t writer, uint32_t pair, char side)
{
    return str_of(out, (size_t)snprintf(out, size, "/pairs/%c/%u/%02u", side, writer, pair));
}

/* A value that shows when any byte of it is wrong: its number, and as many letters as follow from that. */
static struct str pair_value(char *out, uint32_t writer, uint32_t pair, uint64_t number)
{
    size_t head = (size_t)snprintf(out, VALUE_MAX, "%llu ", (unsigned long long)number);
    size_t len = head + (number * 7919 + writer * 31 + pair) % (VALUE_MAX - 64);

    for (size_t i = head; i < len; i++)
        out[i] = (char)('a' + (number + i) % 26);
    return str_of(out, len);
}

/* -- the child -- */

struct child {
    struct store *store;
    int pipe;
    uint64_t numbers[WRITERS][PAIRS];
    uint64_t seed;
    atomic_int compacting;
};

struct child_writer {
    struct child *child;
    uint32_t writer;
    struct thread thread;
};

static void write_pair(struct child *child, uint32_t writer, uint32_t pair)
{
    char a[64], b[64], value[VALUE_MAX];
    uint64_t number = ++child->numbers[writer][pair];
    struct str text = pair_value(value, writer, pair, number);
    struct store_op ops[] = {
        { STORE_PUT, pair_key(a, sizeof a, writer, pair, 'a'), text, STORE_NO_SPLICE, STORE_ANY },
        { STORE_PUT, pair_key(b, sizeof b, writer, pair, 'b'), text, STORE_NO_SPLICE, STORE_ANY },
    };
    struct store_result result = { 0 };
    struct err err = { 0 };

    if (store_commit(child->store, ops, 2, NULL, &result, &err) < 0)
        die("committing", err.message);
    struct report report = { writer, pair, number, result.revision };
    if (write(child->pipe, &report, sizeof report) != sizeof report)
        die("reporting", "the pipe is gone");
}

static void child_writer_main(void *arg)
{
    struct child_writer *w = arg;
    struct seeded_rng rng;
    struct err err = { 0 };

    seeded_rng_init(&rng, w->child->seed + w->writer);
    for (;;) {
        write_pair(w->child, w->writer, (uint32_t)rng_below(&rng.rng, PAIRS));
        revision_t newest = store_revision(w->child->store);
        if (rng_below(&rng.rng, 8) != 0 || newest <= 50)
            continue;
        atomic_fetch_add(&w->child->compacting, 1);
        if (store_compact(w->child->store, newest - 50, &err) < 0)
            die("compacting", err.message);
        atomic_fetch_sub(&w->child->compacting, 1);
    }
}

#define KILLED UINT32_MAX /* as the writer of a report: the child is about to kill itself */

static void kill_self(void *arg, struct str image)
{
    struct child *child = arg;
    struct report report = { KILLED, atomic_load(&child->compacting) > 0, 0, 0 };

    if (write(child->pipe, &report, sizeof report) == sizeof report)
        kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* calls: of LMDB until it kills itself; 0: it does not. */
static void child_main(const char *path, int pipe, uint64_t seed, uint64_t calls, uint64_t numbers[WRITERS][PAIRS])
{
    struct store_options options = { .path = path, .clock = clock_real(), .map_size = 1u << 30 };
    struct child child = { .pipe = pipe, .seed = seed };
    struct child_writer writers[WRITERS];
    struct err err = { 0 };

    memcpy(child.numbers, numbers, sizeof child.numbers);
    if (calls) {
        disk_use(path);
        disk_power(seed, calls, kill_self, &child);
    }
    if (store_open(&options, &child.store, &err) < 0)
        die("opening", err.message);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct child_writer){ &child, i, { 0 } };
        if (thread_start(&writers[i].thread, "writer", child_writer_main, &writers[i], &err) < 0)
            die("starting", err.message);
    }
    for (;;)
        pause();
}

/* -- the parent -- */

static void lose(struct tester *t, const char *what, struct str key)
{
    fprintf(stderr, "LOST: %s: " STR_FMT "\n", what, STR_ARG(key));
    t->lost++;
}

/* What came through the pipe before the child died. */
static void read_reports(struct tester *t, int pipe, int64_t wanted, pid_t child)
{
    struct report report;
    ssize_t got;

    while ((got = read(pipe, &report, sizeof report)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got != sizeof report)
            die("reading reports", "cut short");
        if (report.writer == KILLED) {
            t->within++;
            t->compacting += report.pair;
            continue;
        }
        t->reports++;
        t->newest = MAX(t->newest, report.revision);
        t->acknowledged[report.writer][report.pair] = MAX(t->acknowledged[report.writer][report.pair], report.number);
        if (--wanted == 0)
            kill(child, SIGKILL);
    }
}

static void check_pair(struct tester *t, struct store_snapshot *snapshot, uint32_t writer, uint32_t pair)
{
    char key_a[64], key_b[64], want[VALUE_MAX];
    struct str a_key = pair_key(key_a, sizeof key_a, writer, pair, 'a');
    struct str b_key = pair_key(key_b, sizeof key_b, writer, pair, 'b');
    struct store_item a, b;
    uint64_t number = 0;
    int a_code = store_get(snapshot, a_key, &a, NULL), b_code = store_get(snapshot, b_key, &b, NULL);

    if (a_code != b_code)
        return lose(t, "half a transaction", a_key);
    if (a_code < 0) {
        if (a_code != -ERR_NOT_FOUND || t->acknowledged[writer][pair] > 0)
            lose(t, "acknowledged, but not there", a_key);
        return;
    }
    if (a.revision != b.revision || !str_eq(a.value, b.value))
        return lose(t, "a pair does not agree", a_key);
    struct str digits = str_first(a.value, (size_t)MAX(str_chr(a.value, ' '), 0));
    if (!str_to_u64(digits, &number) || !str_eq(a.value, pair_value(want, writer, pair, number)))
        return lose(t, "a value is damaged", a_key);
    if (number < t->acknowledged[writer][pair])
        return lose(t, "an older state than acknowledged", a_key);
    t->acknowledged[writer][pair] = number; /* whether reported or not, it is there now and must stay */
}

static void ignore_ready(void *arg)
{
}

static void check_history(struct tester *t, struct store *store)
{
    revision_t compacted = store_compacted(store), previous = 0;
    AUTO(store_watch) watch = NULL;
    struct store_event *event;
    struct err err = { 0 };
    char side = 'b';
    int more;

    if (store_watch_open(store, STR("/pairs/"), compacted ? compacted + 1 : 0, ignore_ready, NULL, &watch, &err) < 0)
        die("watching", err.message);
    while ((more = store_watch_next(watch, &event, &err)) > 0) {
        side = side == 'a' ? 'b' : 'a';
        if (event->key.data[7] != side || (side == 'a' ? event->revision <= previous : event->revision != previous))
            lose(t, "the history has a gap", event->key);
        previous = event->revision;
        store_event_unref(event);
    }
    if (more < 0 || side != 'b')
        lose(t, "the history is cut short", str_from(err.message));
}

static void damage_found(void *ctx, struct str message)
{
    lose(ctx, "damage", message);
}

/* Checksums, links, indexes and sums. */
static void check_whole(struct tester *t)
{
    const struct store_check_events events = { t, damage_found, NULL };
    struct store_check_report report;
    struct err err = { 0 };

    if (store_check(t->path, &events, &report, &err) < 0 && t->newest > 0) /* else it died before there was a store */
        die("checking after the crash", err.message);
}

static void check_store(struct tester *t)
{
    struct store_options options = { .path = t->path, .clock = clock_real(), .map_size = 1u << 30 };
    AUTO(store) store = NULL;
    AUTO(store_snapshot) snapshot = NULL;
    struct err err = { 0 };

    if (store_open(&options, &store, &err) < 0)
        die("opening after the crash", err.message);
    if (store_revision(store) < t->newest)
        lose(t, "the revision went back", STR("store"));
    if (store_snapshot_open(store, 0, &snapshot, &err) < 0)
        die("reading after the crash", err.message);
    for (uint32_t writer = 0; writer < WRITERS; writer++)
        for (uint32_t pair = 0; pair < PAIRS; pair++)
            check_pair(t, snapshot, writer, pair);
    snapshot = store_snapshot_close(snapshot);
    check_history(t, store);
    t->newest = store_revision(store);
}

static void round_run(struct tester *t)
{
    uint64_t seed = rng_u64(&t->rng.rng);
    int64_t reports = (int64_t)rng_below(&t->rng.rng, 400); /* then it dies; 0: before it has reported anything */
    uint64_t calls = seed % 2 ? 1 + (uint64_t)reports : 0;
    int ends[2];

    if (pipe(ends) < 0)
        die("pipe", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        die("fork", strerror(errno));
    if (child == 0) {
        close(ends[0]);
        child_main(t->path, ends[1], seed, calls, t->acknowledged);
    }
    close(ends[1]);
    if (calls) {
        reports = INT64_MAX;
    } else if (reports == 0) { /* somewhere in opening */
        usleep((useconds_t)rng_below(&t->rng.rng, 5000));
        kill(child, SIGKILL);
    }
    read_reports(t, ends[0], reports, child);
    close(ends[0]);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        die("the child", "ended by itself");
    check_whole(t);
    check_store(t);
}

int main(int argc, char **argv)
{
    static struct tester t;
    uint64_t rounds = 20, seed = 1;
    const char *tmp = getenv("TMPDIR");

    if ((argc > 1 && !str_to_u64(str_from(argv[1]), &rounds)) || (argc > 2 && !str_to_u64(str_from(argv[2]), &seed)))
        die("usage", "crash_store [rounds [seed]]");
    seeded_rng_init(&t.rng, seed);
    snprintf(t.path, sizeof t.path, "%s/caravel-crash-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(t.path))
        die(t.path, strerror(errno));
    for (uint64_t i = 0; i < rounds; i++)
        round_run(&t);
    printf("%llu rounds, %llu lost (%llu commits acknowledged, revision %llu; killed within a commit %llu times, while "
           "compacting %llu times)\n", (unsigned long long)rounds, (unsigned long long)t.lost,
           (unsigned long long)t.reports, (unsigned long long)t.newest, (unsigned long long)t.within,
           (unsigned long long)t.compacting);
    file_remove_tree(t.path, NULL);
    return t.lost ? 1 : 0;
}
