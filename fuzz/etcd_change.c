/* etcd_change.c - what a watch of etcd may say about the store's keys: a revision of events, and the answer to a
 * transaction. The first byte says which. */
#include "store/etcd/codec.h"

static const struct store_op ops[] = {
    { .kind = STORE_PUT, .key = STR_INIT("a"), .expect = 3 },
    { .kind = STORE_CHECK, .key = STR_INIT("b"), .expect = STORE_ABSENT },
};
static const struct store_txn txn = { .ops = ops, .ops_count = 2, .cause.term = 5 };

static void try_change(const struct etcd_layout *layout, const Etcd__WatchResponse *response)
{
    AUTO(etcd_change) change = NULL;

    for (size_t i = 0; i < response->n_events; i++)
        if (!response->events[i]->kv)
            return;
    if (response->n_events > 0 &&
        etcd_change_decode(layout, response->events, response->n_events, &change, NULL) == 0)
        INVARIANT(change->txn.ops_count <= STORE_OPS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct etcd_layout layout;
    struct etcd_verdict verdict;

    if (size == 0 || etcd_layout_init(&layout, STR("/c"), STR("1"), NULL) < 0)
        return 0;
    if (data[0] & 1) {
        Etcd__WatchResponse *response = etcd__watch_response__unpack(NULL, size - 1, data + 1);

        if (response) {
            try_change(&layout, response);
            etcd__watch_response__free_unpacked(response, NULL);
        }
    } else {
        Etcd__TxnResponse *answer = etcd__txn_response__unpack(NULL, size - 1, data + 1);

        if (answer) {
            if (etcd_txn_judge(&layout, &txn, 2, answer, &verdict, NULL) == 0)
                INVARIANT(verdict.failed_op < 2 || verdict.outcome != ETCD_CONFLICT);
            etcd__txn_response__free_unpacked(answer, NULL);
        }
    }
    return 0;
}
