/* bench_size.c - how the store bears size: a million objects (reading, opening, memory, disk), and what stays on disk after
 * two days of updates with retention running, in virtual time and at a scale that is said. About half a minute; the
 * folder is made in $TMPDIR or /var/tmp. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "store/store.h"

#define BATCH 500 /* operations of a transaction */
#define MILLION 1000000
#define SMALL_LEN 500
#define LARGE_LEN 2500
#define SCALE 75               /* of a cluster of 150,000 objects */
#define OBJECTS (150000 / SCALE)
#define DAYS 2
#define UPDATES_A_DAY 48 /* of each object */
#define DAY (24 * 3600 * NSEC_PER_SEC)
#define HISTORY_BYTES ((2ull << 30) / SCALE) /* the server's default */

struct bench {
    char path[128];
    struct clock *clock;
    struct store *store;
    char value[LARGE_LEN];
};

static void must(int code, const struct err *err)
{
    if (code >= 0)
        return;
    fprintf(stderr, "bench_size: %s\n", err->message);
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

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static struct str key_of(char *out, size_t size, uint64_t n)
{
    return str_of(out, (size_t)snprintf(out, size, "/registry/pods/namespace-%02llu/deployment-name-%07llu",
                                        (unsigned long long)n % 50, (unsigned long long)n));
}

static void open_store(struct bench *b)
{
    struct store_options options = { .path = b->path, .clock = b->clock };
    struct err err = { 0 };

    must(store_open(&options, &b->store, &err), &err);
}

static void put_all(struct bench *b, uint64_t objects, size_t len)
{
    static struct store_op ops[BATCH];
    static char keys[BATCH][96];
    struct err err = { 0 };

    for (uint64_t n = 0; n < objects;) {
        size_t count = 0;

        for (; count < BATCH && n < objects; count++, n++)
            ops[count] = (struct store_op){ STORE_PUT, key_of(keys[count], sizeof keys[count], n),
                                            str_of(b->value, len), 100, STORE_ANY };
        must(store_commit(b->store, ops, count, NULL, NULL, &err), &err);
    }
}

static uint64_t file_bytes(const struct bench *b)
{
    char path[192];
    struct stat st;

    snprintf(path, sizeof path, "%s/data.mdb", b->path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* Without what is only mapped. */
static uint64_t memory(void)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct str rest, line;
    uint64_t kib = 0;

    if (file_read("/proc/self/status", 64 << 10, &text, NULL) < 0)
        return 0;
    for (rest = buf_str(&text); str_split(&rest, '\n', &line);)
        if (str_has_prefix(line, STR("RssAnon:"))) {
            line = str_trim(str_skip(line, 8));
            ssize_t end = str_chr(line, ' ');
            str_to_u64(end < 0 ? line : str_first(line, (size_t)end), &kib);
        }
    return kib << 10;
}

/* -- a million objects -- */

static void bench_get(struct bench *b)
{
    struct seeded_rng rng;
    uint64_t rounds = 0;
    nsec_t start = now();

    seeded_rng_init(&rng, 1);
    for (; rounds % 1024 || now() - start < NSEC_PER_SEC; rounds++) {
        struct store_snapshot *snapshot;
        struct store_item item;
        struct err err = { 0 };
        char key[96];

        must(store_snapshot_open(b->store, 0, &snapshot, &err), &err);
        must(store_get(snapshot, key_of(key, sizeof key, rng_below(&rng.rng, MILLION)), &item, &err), &err);
        store_snapshot_close(snapshot);
    }
    printf("%-43s %9.0f gets/s      %.2f us each\n", "random get of a million keys",
           (double)rounds / seconds_since(start), seconds_since(start) * 1e6 / (double)rounds);
}

static void bench_list(struct bench *b)
{
    struct store_snapshot *snapshot;
    struct store_cursor *cursor;
    struct store_item item;
    struct err err = { 0 };
    uint64_t items = 0, count;
    nsec_t start = now();

    must(store_snapshot_open(b->store, 0, &snapshot, &err), &err);
    must(store_cursor_open(snapshot, STR("/registry/pods/"), STR_NULL, &cursor, &err), &err);
    while (store_cursor_next(cursor, &item, &err) > 0)
        items++;
    store_cursor_close(cursor);
    printf("%-43s %9.3f s           %.1f million items/s\n", "list of a million keys", seconds_since(start),
           (double)items / seconds_since(start) / 1e6);
    start = now();
    must(store_count(snapshot, STR("/registry/pods/"), &count, &err), &err);
    printf("%-43s %9.3f ms\n", "count of a million keys", seconds_since(start) * 1e3);
    store_snapshot_close(snapshot);
}

static void bench_million(struct bench *b)
{
    struct err err = { 0 };
    uint64_t before = memory();
    nsec_t start = now();

    b->clock = clock_real();
    open_store(b);
    put_all(b, MILLION, SMALL_LEN);
    printf("%-43s %9.0f /s          in transactions of %d, %d bytes each\n", "create a million objects",
           MILLION / seconds_since(start), BATCH, SMALL_LEN);
    bench_get(b);
    bench_list(b);
    store_close(b->store);
    start = now();
    open_store(b);
    printf("%-43s %9.3f ms          target < 1 s\n", "open with a million objects", seconds_since(start) * 1e3);
    printf("%-43s %9.1f MiB added; on disk %.0f MiB, values %.0f MiB\n", "memory with a million objects",
           mib(memory() - MIN(before, memory())), mib(file_bytes(b)), mib((uint64_t)MILLION * SMALL_LEN));
    store_close(b->store);
    file_remove_tree(b->path, &err);
}

/* -- days of updates -- */

static void bench_days(struct bench *b, uint64_t history_bytes, const char *what)
{
    const struct store_retention retention = { DAY, history_bytes };
    struct virtual_clock clock;
    struct store_stats stats;
    struct err err = { 0 };

    virtual_clock_init(&clock, DAY);
    b->clock = &clock.clock;
    open_store(b);
    for (int update = 0; update < DAYS * UPDATES_A_DAY; update++) {
        put_all(b, OBJECTS, LARGE_LEN);
        virtual_clock_advance(&clock, DAY / UPDATES_A_DAY);
        must(store_retain(b->store, &retention, &err), &err);
        if ((update + 1) % UPDATES_A_DAY)
            continue;
        store_stats(b->store, &stats);
        printf("%-28s after day %d      live %6.1f MiB, history %6.1f MiB, file %6.1f MiB\n", what,
               (update + 1) / UPDATES_A_DAY, mib((uint64_t)OBJECTS * LARGE_LEN), mib(stats.history_bytes),
               mib(file_bytes(b)));
    }
    store_close(b->store);
    file_remove_tree(b->path, &err);
}

int main(void)
{
    static struct bench b;
    const char *tmp = getenv("TMPDIR");

    memset(b.value, 'x', sizeof b.value);
    snprintf(b.path, sizeof b.path, "%s/caravel-bench-XXXXXX", tmp ? tmp : "/var/tmp");
    if (!mkdtemp(b.path))
        return 1;
    bench_million(&b);
    printf("%d objects of %d bytes, each updated %d times a day, %d days in virtual time; scale 1:%d\n", OBJECTS, LARGE_LEN,
           UPDATES_A_DAY, DAYS, SCALE);
    bench_days(&b, 0, "history of 24 h");
    bench_days(&b, HISTORY_BYTES, "at most 2 GiB at full scale");
    return 0;
}
