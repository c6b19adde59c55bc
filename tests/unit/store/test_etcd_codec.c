/* test_etcd_codec.c - transactions as etcd gets them, its answers, and changes as the watch brings them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/etcd/codec.h"

static const struct etcd_stamp stamp = { .id = { 7, 9 }, .epoch = 30, .time = 1234 };

static void layout_init(struct etcd_layout *layout)
{
    assert_int_equal(etcd_layout_init(layout, STR_NULL, STR("0123456789abcdef0123456789abcdef"), NULL), 0);
}

static void assert_str(struct str s, const char *want)
{
    if (!str_is(s, want))
        fail_msg("got \"" STR_FMT "\", want \"%s\"", STR_ARG(s), want);
}

static void test_layout(void **state)
{
    struct etcd_layout layout;
    char longest[ETCD_PREFIX_MAX + 1];

    layout_init(&layout);
    assert_str(layout.all, "/caravel/");
    assert_str(layout.objects, "/caravel/o");
    assert_str(layout.server, "/caravel/server/0123456789abcdef0123456789abcdef");
    memset(longest, 'p', sizeof longest);
    assert_int_equal(etcd_layout_init(&layout, str_of(longest, sizeof longest), STR("x"), NULL), -ERR_INVALID);
    assert_int_equal(etcd_layout_init(&layout, str_of(longest, sizeof longest - 1), STR("x"), NULL), 0);
    assert_int_equal(etcd_layout_init(&layout, STR("/ends/"), STR("x"), NULL), -ERR_INVALID);
}

static const struct store_op ops[] = {
    { .kind = STORE_PUT, .key = STR_INIT("/pods/a"), .value = STR_INIT("{\"v\":\"\"}"), .splice = 6,
      .expect = STORE_ABSENT, .terms = &(const struct str)STR_INIT("node=x"), .terms_count = 1 },
    { .kind = STORE_CHECK, .key = STR_INIT("/pods/b"), .expect = 12 },
    { .kind = STORE_DELETE, .key = STR_INIT("/pods/c"), .value = STR_INIT("last"), .splice = STORE_NO_SPLICE,
      .expect = STORE_ANY },
};
static const struct store_txn txn = {
    .ops = ops, .ops_count = 3, .cause = { STR_INIT("me"), STR_INIT("a test"), 5, 40 }
};

static void test_request(void **state)
{
    struct etcd_layout layout;
    AUTO_DEINIT(arena, arena);
    Etcd__TxnRequest *request;

    layout_init(&layout);
    arena_init(&arena, 0);
    assert_int_equal(etcd_txn_encode(&layout, &txn, &stamp, &arena, &request, NULL), 0);
    static const struct {
        const char *key;
        int64_t revision;
    } want[] = { { "/caravel/server/0123456789abcdef0123456789abcdef", 30 },
                 { "/caravel/leader", 40 },
                 { "/caravel/o/pods/a", 0 },
                 { "/caravel/o/pods/b", 12 } };
    assert_int_equal(request->n_compare, ARRAY_LEN(want));
    assert_int_equal(request->n_failure, ARRAY_LEN(want) + 1);
    assert_str(etcd_str(request->failure[0]->request_range->key), "/caravel/txn");
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_str(etcd_str(request->compare[i]->key), want[i].key);
        assert_int_equal(request->compare[i]->mod_revision, want[i].revision);
        assert_str(etcd_str(request->failure[i + 1]->request_range->key), want[i].key);
        assert_true(request->failure[i + 1]->request_range->keys_only);
    }
    assert_int_equal(request->n_success, 3);
    assert_str(etcd_str(request->success[0]->request_put->key), "/caravel/o/pods/a");
    assert_str(etcd_str(request->success[1]->request_delete_range->key), "/caravel/o/pods/c");
    assert_str(etcd_str(request->success[2]->request_put->key), "/caravel/txn");
}

/* The answer of a failed transaction: what the keys of the failure branch are at. */
static void test_verdicts(void **state)
{
    static const struct {
        revision_t present[5]; /* newest, server, leader, a, b */
        size_t count;
        int code;
        enum etcd_outcome outcome;
        size_t failed_op;
        revision_t there;
    } cases[] = {
        { { 50, 31, 40, 0, 12 }, 5, 0, ETCD_EPOCH_OVER, 0, 0 },
        { { 50, 0, 0, 0, 12 }, 5, 0, ETCD_EPOCH_OVER, 0, 0 },
        { { 50, 30, 41, 7, 12 }, 5, 0, ETCD_TERM_OVER, 0, 0 },
        { { 50, 30, 40, 7, 13 }, 5, 0, ETCD_CONFLICT, 0, 7 },
        { { 50, 30, 40, 0, 0 }, 5, 0, ETCD_CONFLICT, 1, 0 },
        { { 50, 30, 40, 0, 12 }, 5, -ERR_IO, 0, 0, 0 }, /* all of it holds */
        { { 50, 30, 40, 0 }, 4, -ERR_IO, 0, 0, 0 },
        { { 0 }, 0, -ERR_IO, 0, 0, 0 },
    };
    struct etcd_layout layout;

    layout_init(&layout);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Etcd__TxnResponse answer = ETCD__TXN_RESPONSE__INIT;
        Etcd__ResponseOp responses[5], *places[5];
        Etcd__RangeResponse ranges[5];
        Etcd__KeyValue kvs[5], *kv[5];
        struct etcd_verdict verdict = { 0 };

        for (size_t j = 0; j < cases[i].count; j++) {
            etcd__key_value__init(kv[j] = &kvs[j]);
            kvs[j].mod_revision = (int64_t)cases[i].present[j];
            etcd__range_response__init(&ranges[j]);
            ranges[j].n_kvs = cases[i].present[j] != 0;
            ranges[j].kvs = &kv[j];
            etcd__response_op__init(places[j] = &responses[j]);
            responses[j].response_case = ETCD__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
            responses[j].response_range = &ranges[j];
        }
        answer.n_responses = cases[i].count;
        answer.responses = places;
        assert_int_equal(etcd_txn_judge(&layout, &txn, 30, &answer, &verdict, NULL), cases[i].code);
        if (cases[i].code == 0) {
            assert_int_equal(verdict.outcome, cases[i].outcome);
            assert_int_equal(verdict.revision, 50);
            assert_int_equal(verdict.failed_op, cases[i].failed_op);
            assert_int_equal(verdict.present, cases[i].there);
        }
    }
}

/* The events that etcd makes of a request's successful branch. */
static size_t make_events(Etcd__TxnRequest *request, Etcd__Event *events, Etcd__KeyValue *kvs, Etcd__Event **places)
{
    for (size_t i = 0; i < request->n_success; i++) {
        Etcd__RequestOp *op = request->success[i];

        etcd__event__init(places[i] = &events[i]);
        etcd__key_value__init(events[i].kv = &kvs[i]);
        kvs[i].mod_revision = 60;
        if (op->request_case == ETCD__REQUEST_OP__REQUEST_REQUEST_PUT) {
            kvs[i].key = op->request_put->key;
            kvs[i].value = op->request_put->value;
        } else {
            events[i].type = ETCD__EVENT__TYPE__DELETE;
            kvs[i].key = op->request_delete_range->key;
        }
    }
    return request->n_success;
}

static void test_change(void **state)
{
    struct etcd_layout layout;
    AUTO_DEINIT(arena, arena);
    AUTO(etcd_change) change = NULL;
    Etcd__TxnRequest *request;
    Etcd__Event events[3], *places[3];
    Etcd__KeyValue kvs[3];

    layout_init(&layout);
    arena_init(&arena, 0);
    assert_int_equal(etcd_txn_encode(&layout, &txn, &stamp, &arena, &request, NULL), 0);
    size_t count = make_events(request, events, kvs, places);
    assert_int_equal(etcd_change_decode(&layout, places, count, &change, NULL), 0);
    assert_int_equal(change->revision, 60);
    assert_int_equal(change->txn.given, 60);
    assert_false(change->txn.decided);
    assert_int_equal(change->id.run, 7);
    assert_int_equal(change->id.number, 9);
    assert_int_equal(change->txn.time, 1234);
    assert_int_equal(change->txn.cause.trigger, 5);
    assert_str(change->txn.cause.actor, "me");
    assert_str(change->txn.cause.rule, "a test");
    assert_int_equal(change->txn.ops_count, 2);
    assert_str(change->txn.ops[0].key, "/pods/a");
    assert_str(change->txn.ops[0].value, "{\"v\":\"\"}");
    assert_int_equal(change->txn.ops[0].splice, 6);
    assert_int_equal(change->txn.ops[0].terms_count, 1);
    assert_str(change->txn.ops[0].terms[0], "node=x");
    assert_int_equal(change->txn.ops[1].kind, STORE_DELETE);
    assert_str(change->txn.ops[1].value, "last");
    assert_int_equal(change->txn.ops[1].splice, STORE_NO_SPLICE);
}

static void test_hostile_changes(void **state)
{
    static const struct {
        const char *key, *value;
        bool deletion;
        int code;
        bool decided;
    } cases[] = {
        { "/caravel/leader", "anything", false, 0, true },
        { "/caravel/o/pods/a", "\xff\xff", false, 0, true }, /* without P/txn: not the store's */
        { "/caravel/txn", "", false, -ERR_IO, false },
        { "/caravel/txn", "\xff\xff\xff", false, -ERR_IO, false },
        { "/caravel/txn", "\xff", true, 0, true },
    };
    struct etcd_layout layout;

    layout_init(&layout);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Etcd__Event event = ETCD__EVENT__INIT, *events[] = { &event };
        Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
        AUTO(etcd_change) change = NULL;

        event.kv = &kv;
        event.type = cases[i].deletion ? ETCD__EVENT__TYPE__DELETE : ETCD__EVENT__TYPE__PUT;
        kv.mod_revision = 5;
        kv.key = etcd_bytes(str_from(cases[i].key));
        kv.value = etcd_bytes(str_from(cases[i].value));
        assert_int_equal(etcd_change_decode(&layout, events, 1, &change, NULL), cases[i].code);
        if (cases[i].code == 0)
            assert_int_equal(change->txn.decided, cases[i].decided);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout), cmocka_unit_test(test_request),         cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_change), cmocka_unit_test(test_hostile_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
