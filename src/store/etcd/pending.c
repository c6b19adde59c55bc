/* pending.c - what becomes of a transaction that is sent to etcd.
 *
 * It is over when the watch shows its id: then it is written, and can be read here. All else is about those that the
 * watch does not show:
 *
 *   An answer that a comparison failed is told when the cache has come to where it was made: who looks again then sees
 *   why. An answer that it was written only means to wait on.
 *
 *   No answer (the connection ended, the deadline passed): the request may still be on its way. So the server's key is
 *   put anew, at revision E. A transaction compares the revision of that key with the one it was sent under, so from E
 *   on it can no longer be written; when the cache has applied E and has not seen it, it never was. Then it is sent
 *   again, under E.
 *
 *   A refusal for lack of space can come after the write. No request is on its way any more, so it is enough to ask where
 *   etcd is and to wait until the cache is there.
 *
 * Whatever happens the owner is told after PENDING_TIME, if need be that it is not known. */
#include "store/etcd/pending.h"

void pendings_init(struct pendings *table, uint64_t run)
{
    *table = (struct pendings){ .run = run };
    map_init(&table->by_number);
    list_init(&table->waiting);
    list_init(&table->resting);
    list_init(&table->others);
}

void pendings_deinit(struct pendings *table)
{
    INVARIANT(table->count == 0 && table->calls == 0);
    map_deinit(&table->by_number);
}

static struct str number_key(const uint64_t *number)
{
    return str_of(number, sizeof *number);
}

static size_t bytes_of(const struct store_txn *txn)
{
    size_t bytes = 256;

    for (size_t i = 0; i < txn->ops_count; i++)
        bytes += 64 + 2 * txn->ops[i].key.len + txn->ops[i].value.len;
    return bytes;
}

int pending_add(struct pendings *table, struct store_txn *txn, nsec_t now, struct err *err)
{
    struct pending *pending = calloc(1, sizeof *pending);

    if (pending)
        *pending = (struct pending){ .txn = txn, .number = ++table->numbers, .deadline = now + PENDING_TIME,
                                     .bytes = bytes_of(txn) };
    if (!pending || map_put(&table->by_number, number_key(&pending->number), pending, NULL) < 0) {
        free(pending);
        return err_set(err, ERR_NO_MEMORY, "a transaction for etcd");
    }
    list_append(&table->waiting, &pending->member);
    table->count++;
    return 0;
}

static void move(struct pending *pending, enum pending_state state, struct list *list)
{
    list_remove(&pending->member);
    pending->state = state;
    list_append(list, &pending->member);
}

struct pending *pending_next(struct pendings *table)
{
    struct pending *pending = list_first(&table->waiting, struct pending, member);

    if (!pending || !table->epoch || table->calls >= PENDING_CALLS_MAX ||
        (table->calls > 0 && table->call_bytes + pending->bytes > PENDING_CALL_BYTES_MAX))
        return NULL;
    move(pending, PENDING_SENT, &table->others);
    pending->epoch = table->epoch;
    pending->calling = pending->encoding = true;
    table->calls++;
    table->call_bytes += pending->bytes;
    return pending;
}

void pending_encoded(struct pending *pending)
{
    pending->encoding = false;
}

/* -- the end of one -- */

static void free_if_over(struct pending *pending)
{
    if (pending->txn || pending->calling)
        return;
    list_remove(&pending->member);
    free(pending);
}

/* Its owner is told what is in txn->err. */
static void tell(struct pendings *table, struct pending *pending, struct pending_over *over)
{
    struct store_txn *txn = TAKE(pending->txn);

    table->count--;
    map_remove(&table->by_number, number_key(&pending->number));
    txn->decided = true;
    txn->next = NULL;
    *over->end = txn;
    over->end = &txn->next;
    free_if_over(pending);
}

struct store_txn *pending_written(struct pendings *table, struct etcd_txn_id id)
{
    struct pending *pending = id.run == table->run ? map_remove(&table->by_number, number_key(&id.number)) : NULL;

    if (!pending)
        return NULL;
    struct store_txn *txn = TAKE(pending->txn);
    table->count--;
    err_clear(&txn->err);
    free_if_over(pending);
    return txn;
}

/* -- answers -- */

static void refuse(struct pendings *table, struct pending *pending, revision_t until, struct pending_over *over)
{
    if (until <= table->applied) {
        tell(table, pending, over);
        return;
    }
    pending->until = until;
    pending->state = PENDING_REFUSED;
    table->unsettled = true;
}

static void conflict(struct pendings *table, struct pending *pending, const struct etcd_verdict *verdict,
                     struct pending_over *over)
{
    struct store_txn *txn = pending->txn;
    const struct store_op *op = &txn->ops[verdict->failed_op];

    txn->result.failed_op = verdict->failed_op;
    txn->result.present = verdict->present;
    err_set(&txn->err, ERR_CONFLICT, "key " STR_FMT " is at revision %llu, not at %llu",
            STR_ARG(str_first(op->key, 256)), (unsigned long long)verdict->present, (unsigned long long)op->expect);
    refuse(table, pending, verdict->revision, over);
}

static bool is_settled(const struct pendings *table, const struct pending *pending)
{
    return pending->state == PENDING_UNKNOWN && pending->epoch < table->epoch && table->epoch <= table->applied;
}

static void send_again(struct pendings *table, struct pending *pending)
{
    move(pending, PENDING_WAITING, &table->waiting);
}

static void follow_verdict(struct pendings *table, struct pending *pending, const struct etcd_verdict *verdict,
                           struct pending_over *over)
{
    switch (verdict->outcome) {
    case ETCD_WRITTEN:
        pending->state = PENDING_WRITTEN;
        break;
    case ETCD_EPOCH_OVER:
        /* Another put of the key was faster; if it has gone, it must be put. */
        if (verdict->epoch > table->epoch)
            table->epoch = verdict->epoch;
        else if (verdict->epoch == 0 && pending->epoch == table->epoch)
            table->epoch = 0;
        send_again(table, pending);
        break;
    case ETCD_TERM_OVER:
        err_set(&pending->txn->err, ERR_UNAVAILABLE, "this server no longer leads: nothing was written");
        refuse(table, pending, verdict->revision, over);
        break;
    case ETCD_CONFLICT:
        conflict(table, pending, verdict, over);
        break;
    }
}

static bool follow_error(struct pendings *table, struct pending *pending, int code, const struct err *err,
                         struct pending_over *over)
{
    switch (-code) {
    case ERR_UNAVAILABLE:
        move(pending, PENDING_RESTING, &table->resting);
        return false;
    case ERR_TIMEOUT:
    case ERR_IO:
        pending->state = PENDING_UNKNOWN;
        table->unsettled = true;
        if (is_settled(table, pending))
            send_again(table, pending);
        return false;
    case ERR_NO_SPACE:
        pending->txn->err = *err;
        pending->state = PENDING_DOUBTED;
        return true;
    case ERR_TOO_LARGE:
        err_set(&pending->txn->err, ERR_TOO_LARGE, "%s (its options --max-request-bytes and --max-txn-ops)",
                err->message);
        tell(table, pending, over);
        return false;
    case ERR_NO_MEMORY:
        pending->txn->err = *err;
        tell(table, pending, over);
        return false;
    default:
        err_set(&pending->txn->err, ERR_UNAVAILABLE, "etcd refuses the write: %s", err->message);
        tell(table, pending, over);
        return false;
    }
}

bool pending_answer(struct pendings *table, struct pending *pending, int code, const struct err *err,
                    const struct etcd_verdict *verdict, struct pending_over *over)
{
    pending->calling = pending->encoding = false;
    table->calls--;
    table->call_bytes -= pending->bytes;
    if (!pending->txn) {
        free_if_over(pending);
        return false;
    }
    if (code < 0)
        return follow_error(table, pending, code, err, over);
    follow_verdict(table, pending, verdict, over);
    return false;
}

static void tell_unknown(struct pendings *table, struct pending *pending, struct pending_over *over)
{
    err_set(&pending->txn->err, ERR_TIMEOUT, "etcd does not answer: it is not known whether the write was made");
    tell(table, pending, over);
}

void pending_doubt_over(struct pendings *table, uint64_t number, bool known, struct pending_over *over)
{
    struct pending *pending = map_get(&table->by_number, number_key(&number));

    if (!pending || pending->state != PENDING_DOUBTED)
        return;
    if (known)
        tell(table, pending, over);
    else
        tell_unknown(table, pending, over);
}

/* -- settling -- */

static void settle(struct pendings *table, struct pending_over *over)
{
    if (!table->unsettled)
        return;
    table->unsettled = false;
    list_each (&table->others, pending, struct pending, member) {
        if (!pending->txn || (pending->state != PENDING_UNKNOWN && pending->state != PENDING_REFUSED))
            continue;
        if (is_settled(table, pending))
            send_again(table, pending);
        else if (pending->state == PENDING_REFUSED && pending->until <= table->applied)
            tell(table, pending, over);
        else
            table->unsettled = true;
    }
}

void pending_progress(struct pendings *table, revision_t applied, struct pending_over *over)
{
    table->applied = MAX(applied, table->applied);
    settle(table, over);
}

void pending_set_epoch(struct pendings *table, revision_t epoch, struct pending_over *over)
{
    table->epoch = MAX(epoch, table->epoch);
    settle(table, over);
}

bool pending_wants_epoch(const struct pendings *table)
{
    if (!table->epoch)
        return true;
    list_each (&table->others, pending, struct pending, member)
        if (pending->txn && pending->state == PENDING_UNKNOWN && pending->epoch >= table->epoch)
            return true;
    return false;
}

/* -- time -- */

static void give_up(struct pendings *table, struct pending *pending, struct pending_over *over)
{
    switch (pending->state) {
    case PENDING_WAITING:
    case PENDING_RESTING:
        err_set(&pending->txn->err, ERR_UNAVAILABLE, "etcd cannot be reached: nothing was written");
        break;
    case PENDING_WRITTEN:
        err_set(&pending->txn->err, ERR_TIMEOUT, "the write was made, but etcd has not told this server of it yet");
        break;
    case PENDING_REFUSED:
        break;
    default:
        tell_unknown(table, pending, over);
        return;
    }
    tell(table, pending, over);
}

static void expire(struct pendings *table, struct list *list, nsec_t now, struct pending_over *over)
{
    list_each (list, pending, struct pending, member)
        if (pending->txn && !pending->encoding && pending->deadline <= now)
            give_up(table, pending, over);
}

void pending_tick(struct pendings *table, nsec_t now, struct pending_over *over)
{
    expire(table, &table->waiting, now, over);
    expire(table, &table->resting, now, over);
    expire(table, &table->others, now, over);
    list_each (&table->resting, pending, struct pending, member)
        send_again(table, pending);
}
