/* power_store.c - cuts the power while a store is written, again and again, and checks what is left on the disk.
 *
 *   power_store [rounds [seed]]      prints "N rounds, 0 lost"; a round that loses says its seed: power_store 1 SEED
 *
 * Each round pairs of keys are written, with compactions now and then: under an even seed by several threads, under an
 * odd one by one thread, so that it replays exactly. In two rounds of three the disk fails now and
 * then, too: writes, syncs, the root, no room. At a random call (tests/disk/disk.h) the power is cut: the image holds
 * what was synced, and of the rest some pages, some sectors, or nothing. The store is opened on it:
 *
 *   - what was acknowledged before the cut is there, or something newer;
 *   - what was answered "nothing was written" is not;
 *   - a transaction is whole, and store/check.h finds no damage;
 *   - it takes writes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../disk/disk.h"
#include "base/file.h"
#include "base/sync.h"
#include "store/check.h"

#define WRITERS 3
#define PAIRS 8
#define NUMBERS 4096 /* of one pair, in one round */
#define VALUE_MAX 9000
#define CALLS_MAX 400

enum fate { UNKNOWN, WRITTEN, VOID };

struct pair {
    uint32_t count; /* states tried; their numbers are 1.. */
    uint8_t fate[NUMBERS];
};

struct round {
    uint64_t seed;
    char path[128], image_path[128];
    struct store *store;
    struct mutex lock;
    struct pair pairs[WRITERS][PAIRS], at_cut[WRITERS][PAIRS];
    bool cut, faults, lost;
};

struct writer {
    struct round *round;
    uint32_t number;
    struct thread thread;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "power_store: %s: %s\n", what, why);
    exit(2);
}

static void lose(struct round *r, const char *what, struct str key)
{
    fprintf(stderr, "LOST: seed %llu: %s: " STR_FMT "\n", (unsigned long long)r->seed, what, STR_ARG(key));
    r->lost = true;
}

static struct str pair_key(char *out, uint32_t writer, uint32_t pair, char side)
{
    return str_of(out, (size_t)snprintf(out, 32, "/%c/%u/%u", side, writer, pair));
}

static struct str pair_value(char *out, uint32_t writer, uint32_t pair, uint64_t number)
{
    size_t head = (size_t)snprintf(out, VALUE_MAX, "%llu ", (unsigned long long)number);
    size_t len = head + (number * 7919 + writer * 31 + pair * 997) % (VALUE_MAX - 64);

    memset(out + head, 'a' + (int)(number % 26), len - head);
    return str_of(out, len);
}

/* -- writing -- */

static bool is_cut(struct round *r)
{
    LOCKED(&r->lock);
    return r->cut;
}

static void note(struct round *r, uint32_t writer, uint32_t pair, uint32_t number, int code, const struct err *err)
{
    LOCKED(&r->lock);
    r->pairs[writer][pair].fate[number] = code == 0                                    ? WRITTEN
                                          : err && strstr(err->message, "not known") ? UNKNOWN
                                                                                       : VOID;
}

static void write_pair(struct round *r, uint32_t writer, uint32_t pair)
{
    char a[32], b[32], value[VALUE_MAX];
    struct pair *p = &r->pairs[writer][pair];
    struct err err = { 0 };

    mutex_lock(&r->lock);
    uint32_t number = p->count + 1 < NUMBERS ? ++p->count : 0;
    mutex_unlock(&r->lock);
    if (number == 0)
        return;
    struct str text = pair_value(value, writer, pair, number);
    struct store_op ops[] = {
        { STORE_PUT, pair_key(a, writer, pair, 'a'), text, STORE_NO_SPLICE, STORE_ANY },
        { STORE_PUT, pair_key(b, writer, pair, 'b'), text, STORE_NO_SPLICE, STORE_ANY },
    };
    int code = store_commit(r->store, ops, 2, NULL, NULL, &err);
    note(r, writer, pair, number, code, &err);
}

static void break_disk(struct rng *rng)
{
    static const int errors[] = { EIO, EIO, ENOSPC, 0 };
    const struct disk_fault fault = {
        .call = (enum disk_call)rng_below(rng, DISK_CALLS),
        .after = (int)rng_below(rng, 6),
        .times = 1 + (int)rng_below(rng, 3),
        .error = errors[rng_below(rng, ARRAY_LEN(errors))],
    };
    struct disk_fault sure = fault;

    if (sure.call == DISK_SYNC && sure.error == 0)
        sure.error = EIO;
    disk_fail(&sure);
}

static void write_something(struct round *r, uint32_t writer, struct rng *rng)
{
    write_pair(r, writer, (uint32_t)rng_below(rng, PAIRS));
    revision_t newest = store_revision(r->store);
    if (rng_below(rng, 12) == 0 && newest > 10)
        store_compact(r->store, newest - rng_below(rng, 10), NULL);
    if (r->faults && rng_below(rng, 10) == 0)
        break_disk(rng);
}

static void writer_main(void *arg)
{
    struct writer *w = arg;
    struct seeded_rng rng;

    seeded_rng_init(&rng, w->round->seed * WRITERS + w->number);
    while (!is_cut(w->round))
        write_something(w->round, w->number, &rng.rng);
}

/* Without a thread but this: replays exactly. */
static void write_alone(struct round *r)
{
    struct seeded_rng rng;

    seeded_rng_init(&rng, r->seed);
    while (!is_cut(r))
        write_something(r, (uint32_t)rng_below(&rng.rng, WRITERS), &rng.rng);
}

static void write_together(struct round *r)
{
    struct writer writers[WRITERS];
    struct err err = { 0 };

    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ r, i, { 0 } };
        if (thread_start(&writers[i].thread, "writer", writer_main, &writers[i], &err) < 0)
            die("starting", err.message);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        thread_join(&writers[i].thread);
}

/* In the thread that writes. */
static void cut(void *arg, struct str image)
{
    struct round *r = arg;
    char path[192];

    LOCKED(&r->lock);
    r->cut = true;
    memcpy(r->at_cut, r->pairs, sizeof r->pairs);
    snprintf(path, sizeof path, "%s/data.mdb", r->image_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        die(path, strerror(errno));
    for (size_t at = 0; at < image.len;) {
        ssize_t put = write(fd, image.data + at, image.len - at);

        if (put <= 0)
            die(path, strerror(errno));
        at += (size_t)put;
    }
    close(fd);
}

static void write_until_cut(struct round *r)
{
    struct store_options options = { .path = r->path, .clock = clock_real(), .map_size = 256u << 20,
                                     .synchronous = r->seed % 2 };
    struct err err = { 0 };

    if (store_open(&options, &r->store, &err) < 0)
        die("opening", err.message);
    if (options.synchronous)
        write_alone(r);
    else
        write_together(r);
    r->store = store_close(r->store);
}

/* -- what is left -- */

static void damage(void *arg, struct str message)
{
    lose(arg, "damage", message);
}

static void check_pair(struct round *r, struct store_snapshot *snapshot, uint32_t writer, uint32_t pair)
{
    char key_a[32], key_b[32], want[VALUE_MAX];
    const struct pair *p = &r->at_cut[writer][pair];
    struct str a_key = pair_key(key_a, writer, pair, 'a');
    struct store_item a = { .revision = 0 }, b = { .revision = 0 };
    uint64_t number = 0, acknowledged = 0;

    for (uint32_t i = 1; i <= p->count; i++)
        if (p->fate[i] == WRITTEN)
            acknowledged = i;
    int a_code = store_get(snapshot, a_key, &a, NULL);
    if (a_code != store_get(snapshot, pair_key(key_b, writer, pair, 'b'), &b, NULL))
        return lose(r, "half a transaction", a_key);
    if (a_code < 0) {
        if (acknowledged)
            lose(r, "acknowledged, but not there", a_key);
        return;
    }
    struct str digits = str_first(a.value, (size_t)MAX(str_chr(a.value, ' '), 0));
    if (a.revision != b.revision || !str_eq(a.value, b.value) || !str_to_u64(digits, &number) ||
        !str_eq(a.value, pair_value(want, writer, pair, number)))
        return lose(r, "a pair does not agree", a_key);
    if (number < acknowledged)
        lose(r, "older than acknowledged", a_key);
    if (number > p->count || p->fate[number] == VOID)
        lose(r, "what was refused is there", a_key);
}

static void check_image(struct round *r)
{
    struct store_options options = { .path = r->image_path, .clock = clock_real(), .map_size = 256u << 20 };
    const struct store_check_events events = { r, damage, NULL };
    const struct store_op op = { STORE_PUT, STR("/after"), STR("1"), STORE_NO_SPLICE, STORE_ANY };
    struct store_check_report report;
    AUTO(store) store = NULL;
    AUTO(store_snapshot) snapshot = NULL;
    struct err err = { 0 };

    if (store_open(&options, &store, &err) < 0) {
        lose(r, "it does not open", str_from(err.message));
        return;
    }
    if (store_snapshot_open(store, 0, &snapshot, &err) < 0)
        die("reading", err.message);
    for (uint32_t writer = 0; writer < WRITERS; writer++)
        for (uint32_t pair = 0; pair < PAIRS; pair++)
            check_pair(r, snapshot, writer, pair);
    snapshot = store_snapshot_close(snapshot);
    if (store_commit(store, &op, 1, NULL, NULL, &err) < 0)
        lose(r, "it takes no write", str_from(err.message));
    if (store_check(r->image_path, &events, &report, &err) < 0)
        lose(r, "it cannot be checked", str_from(err.message));
}

struct totals {
    uint64_t acknowledged, refused, unknown, faults, lost;
};

static void add_up(const struct round *r, struct totals *totals)
{
    for (uint32_t i = 0; i < WRITERS * PAIRS; i++) {
        const struct pair *p = &r->at_cut[i / PAIRS][i % PAIRS];

        for (uint32_t n = 1; n <= p->count; n++) {
            totals->acknowledged += p->fate[n] == WRITTEN;
            totals->refused += p->fate[n] == VOID;
            totals->unknown += p->fate[n] == UNKNOWN;
        }
    }
    totals->lost += r->lost;
}

static void round_run(const char *folder, uint64_t seed, struct totals *totals)
{
    AUTO_FREE struct round *r = calloc(1, sizeof *r);
    struct seeded_rng rng;

    if (!r)
        die("round", "no memory");
    seeded_rng_init(&rng, seed);
    r->seed = seed;
    r->faults = seed % 3 != 0;
    mutex_init(&r->lock);
    snprintf(r->path, sizeof r->path, "%s/store", folder);
    snprintf(r->image_path, sizeof r->image_path, "%s/image", folder);
    if (mkdir(r->path, 0700) < 0 || mkdir(r->image_path, 0700) < 0)
        die(folder, strerror(errno));
    disk_use(r->path);
    disk_power(seed, 1 + rng_below(&rng.rng, CALLS_MAX), cut, r);
    write_until_cut(r);
    totals->faults += disk_failed();
    disk_power_end();
    disk_use(NULL);
    check_image(r);
    add_up(r, totals);
    mutex_deinit(&r->lock);
    file_remove_tree(r->path, NULL);
    file_remove_tree(r->image_path, NULL);
}

int main(int argc, char **argv)
{
    uint64_t rounds = 50, seed = 1;
    struct totals totals = { 0 };
    const char *tmp = getenv("TMPDIR");
    char folder[96];

    if ((argc > 1 && !str_to_u64(str_from(argv[1]), &rounds)) || (argc > 2 && !str_to_u64(str_from(argv[2]), &seed)))
        die("usage", "power_store [rounds [seed]]");
    snprintf(folder, sizeof folder, "%s/caravel-power-XXXXXX", tmp ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        die(folder, strerror(errno));
    for (uint64_t i = 0; i < rounds; i++)
        round_run(folder, seed + i, &totals);
    printf("%llu rounds, %llu lost (of transactions %llu acknowledged, %llu refused, %llu in doubt or on their way; %llu "
           "calls failed)\n", (unsigned long long)rounds, (unsigned long long)totals.lost,
           (unsigned long long)totals.acknowledged, (unsigned long long)totals.refused,
           (unsigned long long)totals.unknown, (unsigned long long)totals.faults);
    file_remove_tree(folder, NULL);
    return totals.lost ? 1 : 0;
}
