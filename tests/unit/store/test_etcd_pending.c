/* test_etcd_pending.c - what becomes of transactions on their way to etcd, step by step, without etcd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/etcd/pending.h"

#define RUN 77
#define EPOCH 10

struct world {
    struct pendings table;
    struct store_op op;
    struct store_txn txns[4];
    struct pending *sent[4];
    struct pending_over over;
    nsec_t now;
};

static void world_init(struct world *w)
{
    *w = (struct world){ .op = { .kind = STORE_PUT, .key = STR("a"), .expect = 5 }, .now = NSEC_PER_SEC };
    w->over = (struct pending_over)PENDING_OVER_INIT(w->over);
    pendings_init(&w->table, RUN);
    for (size_t i = 0; i < ARRAY_LEN(w->txns); i++)
        w->txns[i] = (struct store_txn){ .ops = &w->op, .ops_count = 1 };
    pending_set_epoch(&w->table, EPOCH, &w->over);
    pending_progress(&w->table, EPOCH, &w->over);
}

static void add(struct world *w, size_t i)
{
    assert_int_equal(pending_add(&w->table, &w->txns[i], w->now, NULL), 0);
}

static void send(struct world *w, size_t i)
{
    assert_non_null(w->sent[i] = pending_next(&w->table));
    assert_ptr_equal(w->sent[i]->txn, &w->txns[i]);
    pending_encoded(w->sent[i]);
}

static void answer(struct world *w, size_t i, int code)
{
    struct err err = { (enum err_code)-code, "as etcd says" };
    struct etcd_verdict verdict = { .outcome = ETCD_WRITTEN, .revision = 20 };

    assert_false(pending_answer(&w->table, w->sent[i], code, &err, &verdict, &w->over));
}

static void judge(struct world *w, size_t i, struct etcd_verdict verdict)
{
    assert_false(pending_answer(&w->table, w->sent[i], 0, NULL, &verdict, &w->over));
}

static struct store_txn *seen(struct world *w, uint64_t number, revision_t revision)
{
    struct store_txn *txn = pending_written(&w->table, (struct etcd_txn_id){ RUN, number });

    pending_progress(&w->table, revision, &w->over);
    return txn;
}

/* What is over since the last look: one transaction with this code, or none. */
static void assert_over(struct world *w, struct store_txn *txn, enum err_code code)
{
    assert_ptr_equal(w->over.first, txn);
    if (txn) {
        assert_int_equal(txn->err.code, code);
        assert_true(txn->decided);
        assert_null(txn->next);
    }
    w->over = (struct pending_over)PENDING_OVER_INIT(w->over);
}

static void tick(struct world *w, nsec_t by)
{
    w->now += by;
    pending_tick(&w->table, w->now, &w->over);
}

static void test_written(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    add(&w, 1);
    send(&w, 0);
    send(&w, 1);
    assert_null(pending_next(&w.table));
    answer(&w, 0, 0); /* the answer first, then the watch; and the other way round */
    assert_over(&w, NULL, 0);
    assert_ptr_equal(seen(&w, 1, 20), &w.txns[0]);
    assert_null(seen(&w, 1, 20));
    assert_ptr_equal(seen(&w, 2, 21), &w.txns[1]);
    answer(&w, 1, 0);
    assert_over(&w, NULL, 0);
    assert_null(pending_written(&w.table, (struct etcd_txn_id){ RUN + 1, 2 }));
    pendings_deinit(&w.table);
}

/* A conflict is told when whoever looks again sees what was in the way. */
static void test_conflict(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    judge(&w, 0, (struct etcd_verdict){ .outcome = ETCD_CONFLICT, .revision = 30, .epoch = EPOCH, .present = 29 });
    pending_progress(&w.table, 29, &w.over);
    assert_over(&w, NULL, 0);
    pending_progress(&w.table, 31, &w.over);
    assert_over(&w, &w.txns[0], ERR_CONFLICT);
    assert_int_equal(w.txns[0].result.present, 29);
    pendings_deinit(&w.table);
}

static void test_term(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    judge(&w, 0, (struct etcd_verdict){ .outcome = ETCD_TERM_OVER, .revision = EPOCH });
    assert_over(&w, &w.txns[0], ERR_UNAVAILABLE);
    pendings_deinit(&w.table);
}

/* No answer: nothing is said or sent until a newer epoch has been applied; then it is sent under that. */
static void test_unknown_then_not_written(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    assert_false(pending_wants_epoch(&w.table));
    answer(&w, 0, -ERR_TIMEOUT);
    assert_true(pending_wants_epoch(&w.table));
    assert_null(pending_next(&w.table));
    pending_set_epoch(&w.table, 40, &w.over);
    assert_false(pending_wants_epoch(&w.table));
    pending_progress(&w.table, 39, &w.over);
    assert_null(pending_next(&w.table));
    pending_progress(&w.table, 40, &w.over);
    send(&w, 0);
    assert_int_equal(w.sent[0]->epoch, 40);
    answer(&w, 0, 0);
    assert_ptr_equal(seen(&w, 1, 41), &w.txns[0]);
    assert_over(&w, NULL, 0);
    pendings_deinit(&w.table);
}

static void test_unknown_then_written(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    answer(&w, 0, -ERR_TIMEOUT);
    pending_set_epoch(&w.table, 40, &w.over);
    assert_ptr_equal(seen(&w, 1, 39), &w.txns[0]);
    pending_progress(&w.table, 40, &w.over);
    assert_null(pending_next(&w.table));
    assert_over(&w, NULL, 0);
    pendings_deinit(&w.table);
}

/* The call ends only after the new epoch has been applied. */
static void test_late_unknown(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    pending_set_epoch(&w.table, 40, &w.over);
    pending_progress(&w.table, 50, &w.over);
    assert_null(pending_next(&w.table));
    answer(&w, 0, -ERR_TIMEOUT);
    send(&w, 0);
    answer(&w, 0, -ERR_UNAVAILABLE); /* never sent: again with the next tick */
    assert_null(pending_next(&w.table));
    tick(&w, NSEC_PER_SEC);
    send(&w, 0);
    answer(&w, 0, 0);
    assert_ptr_equal(seen(&w, 1, 51), &w.txns[0]);
    pendings_deinit(&w.table);
}

static void test_epoch_over(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    judge(&w, 0, (struct etcd_verdict){ .outcome = ETCD_EPOCH_OVER, .epoch = 12 });
    send(&w, 0);
    assert_int_equal(w.sent[0]->epoch, 12);
    judge(&w, 0, (struct etcd_verdict){ .outcome = ETCD_EPOCH_OVER, .epoch = 0 }); /* somebody has removed the key */
    assert_null(pending_next(&w.table));
    assert_true(pending_wants_epoch(&w.table));
    pending_set_epoch(&w.table, 60, &w.over);
    send(&w, 0);
    answer(&w, 0, 0);
    assert_ptr_equal(seen(&w, 1, 61), &w.txns[0]);
    pendings_deinit(&w.table);
}

static void test_no_space(void **state)
{
    struct err err = { ERR_NO_SPACE, "etcd is full" };
    struct world w;

    world_init(&w);
    for (size_t i = 0; i < 3; i++) {
        add(&w, i);
        send(&w, i);
        assert_true(pending_answer(&w.table, w.sent[i], -ERR_NO_SPACE, &err, NULL, &w.over));
    }
    assert_over(&w, NULL, 0);
    assert_ptr_equal(seen(&w, 1, 20), &w.txns[0]); /* it was written all the same */
    pending_doubt_over(&w.table, 1, true, &w.over);
    assert_over(&w, NULL, 0);
    pending_doubt_over(&w.table, 2, true, &w.over);
    assert_over(&w, &w.txns[1], ERR_NO_SPACE);
    pending_doubt_over(&w.table, 3, false, &w.over);
    assert_over(&w, &w.txns[2], ERR_TIMEOUT);
    pendings_deinit(&w.table);
}

static void test_deadlines(void **state)
{
    struct world w;

    world_init(&w);
    add(&w, 0);
    send(&w, 0);
    tick(&w, PENDING_TIME - 1);
    assert_over(&w, NULL, 0);
    add(&w, 1);
    tick(&w, 1);
    assert_over(&w, &w.txns[0], ERR_TIMEOUT); /* on its way: not known */
    answer(&w, 0, -ERR_TIMEOUT);
    assert_null(seen(&w, 1, 20));
    tick(&w, PENDING_TIME);
    assert_over(&w, &w.txns[1], ERR_UNAVAILABLE); /* never sent */
    add(&w, 2);
    assert_non_null(w.sent[2] = pending_next(&w.table));
    tick(&w, PENDING_TIME);
    assert_over(&w, NULL, 0); /* it is being read just now */
    pending_encoded(w.sent[2]);
    answer(&w, 2, -ERR_TOO_LARGE);
    assert_over(&w, &w.txns[2], ERR_TOO_LARGE);
    pendings_deinit(&w.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),           cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_term),              cmocka_unit_test(test_unknown_then_not_written),
        cmocka_unit_test(test_unknown_then_written), cmocka_unit_test(test_late_unknown),
        cmocka_unit_test(test_epoch_over),        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
