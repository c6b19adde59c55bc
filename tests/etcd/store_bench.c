#include "store_bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/sync.h"

struct bench {
    struct mutex lock;
    struct cond changed;
    struct store *store;
    int running;
    uint64_t done, failed;
    nsec_t end;
};

struct write {
    struct bench *bench;
    struct store_op op;
    struct store_txn txn;
    char key[64];
};

static void written(struct store_txn *txn, int code)
{
    struct write *write = txn->arg;
    struct bench *bench = write->bench;

    mutex_lock(&bench->lock);
    bench->done += code == 0;
    bench->failed += code < 0;
    bool more = code == 0 && clock_now(clock_real()) < bench->end;
    bench->running -= !more;
    cond_signal(&bench->changed);
    mutex_unlock(&bench->lock);
    if (more)
        store_commit_async(bench->store, &write->txn);
}

double bench_commits(struct store *store, int in_flight, double seconds)
{
    static char value[1000];
    struct write *writes = calloc((size_t)in_flight, sizeof *writes);
    struct bench bench = { .store = store, .running = in_flight };
    nsec_t begin = clock_now(clock_real());

    if (!writes)
        return 0;
    memset(value, 'x', sizeof value);
    mutex_init(&bench.lock);
    cond_init(&bench.changed);
    bench.end = begin + (nsec_t)(seconds * (double)NSEC_PER_SEC);
    for (int i = 0; i < in_flight; i++) {
        struct write *write = &writes[i];

        write->bench = &bench;
        write->op = (struct store_op){ .kind = STORE_PUT, .value = str_of(value, sizeof value),
                                       .splice = STORE_NO_SPLICE, .expect = STORE_ANY };
        write->op.key = str_of(write->key, (size_t)snprintf(write->key, sizeof write->key, "/bench/%d", i));
        write->txn = (struct store_txn){ .ops = &write->op, .ops_count = 1, .done = written, .arg = write };
        store_commit_async(store, &write->txn);
    }
    mutex_lock(&bench.lock);
    while (bench.running > 0)
        cond_wait(&bench.changed, &bench.lock);
    mutex_unlock(&bench.lock);
    cond_deinit(&bench.changed);
    mutex_deinit(&bench.lock);
    free(writes);
    if (bench.failed)
        fprintf(stderr, "%llu writes failed\n", (unsigned long long)bench.failed);
    return (double)bench.done * (double)NSEC_PER_SEC / (double)(clock_now(clock_real()) - begin);
}
