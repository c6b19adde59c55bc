/* commit.c - transactions on their way: pending.c says what is to be done, here it is done. */
#include "store/etcd/remote_private.h"
#include "store/store_private.h"

void remote_tell(struct remote *remote, struct pending_over *over)
{
    if (over->first)
        store_enqueue(remote->store, over->first);
}

/* -- in doubt: perhaps it was written before it was refused -- */

struct doubt {
    struct store_sync sync;
    struct remote *remote;
    uint64_t number;
};

static void doubt_over(struct remote *remote, uint64_t number, bool known)
{
    struct pending_over over = PENDING_OVER_INIT(over);

    mutex_lock(&remote->lock);
    pending_doubt_over(&remote->pendings, number, known, &over);
    mutex_unlock(&remote->lock);
    remote_tell(remote, &over);
}

static void doubt_synced(struct store_sync *sync, int code)
{
    struct doubt *doubt = container_of(sync, struct doubt, sync);

    doubt_over(doubt->remote, doubt->number, code == 0);
    free(doubt);
}

static void ask_doubt(struct remote *remote, uint64_t number)
{
    struct doubt *doubt = malloc(sizeof *doubt);

    if (!doubt) {
        doubt_over(remote, number, false);
        return;
    }
    *doubt = (struct doubt){ .sync = { .done = doubt_synced }, .remote = remote, .number = number };
    remote_sync(remote, &doubt->sync);
}

/* -- calls -- */

static void note_full(struct remote *remote, int code, const struct err *err, const struct etcd_verdict *verdict)
{
    if (code == -ERR_NO_SPACE)
        remote->full = *err;
    else if (code == 0 && verdict->outcome == ETCD_WRITTEN)
        err_clear(&remote->full);
}

static void take_answer(struct pending *pending, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct remote *remote = pending->owner;
    struct pending_over over = PENDING_OVER_INIT(over);
    struct etcd_verdict verdict = { .outcome = ETCD_WRITTEN };
    uint64_t number = pending->number;
    struct err why = err ? *err : (struct err){ 0 };

    mutex_lock(&remote->lock);
    if (code == 0 && pending->txn)
        code = etcd_txn_judge(&remote->layout, pending->txn, pending->epoch, (const Etcd__TxnResponse *)answer,
                              &verdict, &why);
    note_full(remote, code, &why, &verdict);
    bool doubted = pending_answer(&remote->pendings, pending, code, &why, &verdict, &over);
    cond_broadcast(&remote->idle);
    mutex_unlock(&remote->lock);
    remote_tell(remote, &over);
    if (doubted)
        ask_doubt(remote, number);
}

static void answered(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct pending *pending = arg;
    struct remote *remote = pending->owner;

    remote_note_answer(remote, code);
    take_answer(pending, code, err, answer);
    commit_pump(remote);
}

static void send_one(struct remote *remote, struct pending *pending, const struct etcd_stamp *stamp, struct arena *arena)
{
    Etcd__TxnRequest *request;
    struct err err = { 0 };
    int code = etcd_txn_encode(&remote->layout, pending->txn, stamp, arena, &request, &err);

    mutex_lock(&remote->lock);
    pending_encoded(pending); /* the request is a copy: from now on its owner may be told */
    mutex_unlock(&remote->lock);
    if (code == 0)
        code = etcd_call(remote->client, ETCD_TXN, &request->base, ETCD_CALL_TIMEOUT, answered, pending, &err);
    if (code < 0)
        take_answer(pending, code, &err, NULL);
}

void commit_pump(struct remote *remote)
{
    AUTO_DEINIT(arena, arena);
    struct pending *pending;

    arena_init(&arena, 0);
    for (;;) {
        struct etcd_stamp stamp = { .time = MAX(clock_wall(remote->clock), atomic_load(&remote->newest)) };

        mutex_lock(&remote->lock);
        if ((pending = pending_next(&remote->pendings))) {
            pending->owner = remote;
            stamp.id = (struct etcd_txn_id){ remote->run, pending->number };
            stamp.epoch = pending->epoch;
        }
        mutex_unlock(&remote->lock);
        if (!pending)
            return;
        send_one(remote, pending, &stamp, &arena);
        arena_reset(&arena);
    }
}

void remote_commit(struct remote *remote, struct store_txn *txn)
{
    if (!txn->decided) {
        LOCKED(&remote->lock);
        INVARIANT(!remote->closing);
        txn->decided = pending_add(&remote->pendings, txn, clock_now(remote->clock), &txn->err) < 0;
    }
    if (txn->decided)
        store_enqueue(remote->store, txn);
    else
        commit_pump(remote);
}

/* -- the epoch -- */

static void epoch_put(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct remote *remote = arg;
    struct pending_over over = PENDING_OVER_INIT(over);
    const Etcd__PutResponse *put = (const Etcd__PutResponse *)answer;

    remote_note_answer(remote, code);
    mutex_lock(&remote->lock);
    remote->settling = false;
    if (code == 0 && put->header && put->header->revision > 0)
        pending_set_epoch(&remote->pendings, (revision_t)put->header->revision, &over);
    if (code == -ERR_NO_SPACE)
        remote->full = *err;
    else if (code == 0)
        err_clear(&remote->full);
    mutex_unlock(&remote->lock);
    remote_tell(remote, &over);
    commit_pump(remote);
}

void commit_settle(struct remote *remote)
{
    Stored__Server server = STORED__SERVER__INIT;
    Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
    uint8_t value[64];
    struct err err = { 0 };

    server.run = remote->run;
    put.key = etcd_bytes(remote->layout.server);
    put.value = (ProtobufCBinaryData){ stored__server__pack(&server, value), value };
    int code = etcd_call(remote->client, ETCD_PUT, &put.base, ETCD_CALL_TIMEOUT, epoch_put, remote, &err);
    if (code < 0)
        epoch_put(remote, code, &err, NULL);
}
