/* sync.c - reading what others wrote: where is etcd, and is the cache there?
 *
 * A question is a linearizable read of the revision of the newest transaction. One is under way at a time; who comes
 * meanwhile must not share it, as it may have been answered already, so those gather for the next one. */
#include "store/etcd/remote_private.h"

#define SYNC_TIME (4 * NSEC_PER_SEC)

struct question {
    struct remote *remote;
    struct question *next;
    struct store_sync *first, **end;
    revision_t until;
    nsec_t deadline;
};

static struct question *question_new(struct remote *remote)
{
    struct question *question = calloc(1, sizeof *question);

    if (!question)
        return NULL;
    question->remote = remote;
    question->end = &question->first;
    question->deadline = clock_now(remote->clock) + SYNC_TIME;
    return question;
}

void sync_tell(struct question *first, int code)
{
    while (first) {
        struct question *question = first;
        struct store_sync *sync = question->first;

        first = question->next;
        while (sync) {
            struct store_sync *next = sync->next; /* done() may free it */

            if (code < 0)
                err_set(&sync->err, ERR_UNAVAILABLE, question->until ? "this server lags behind etcd"
                                                                     : "etcd does not answer");
            sync->done(sync, code);
            sync = next;
        }
        free(question);
    }
}

bool sync_is_idle(const struct remote *remote)
{
    return !remote->asking && !remote->gathering && !remote->answered;
}

struct question *sync_next(struct remote *remote)
{
    if (remote->asking || !remote->gathering)
        return NULL;
    return remote->asking = TAKE(remote->gathering);
}

struct question *sync_probe(struct remote *remote)
{
    if (remote->asking || remote->gathering)
        return sync_next(remote);
    return remote->asking = question_new(remote);
}

static struct question *take_answered(struct remote *remote, revision_t applied, nsec_t now)
{
    struct question **at = &remote->answered, *taken = NULL;

    while (*at) {
        struct question *question = *at;

        if (question->until > applied && question->deadline > now) {
            at = &question->next;
            continue;
        }
        *at = question->next;
        question->next = taken;
        taken = question;
    }
    return taken;
}

struct question *sync_applied(struct remote *remote)
{
    return take_answered(remote, remote->pendings.applied, INT64_MIN);
}

struct question *sync_expired(struct remote *remote, nsec_t now)
{
    struct question *expired = take_answered(remote, 0, now);

    if (remote->gathering && remote->gathering->deadline <= now) {
        struct question *question = TAKE(remote->gathering);

        question->next = expired;
        expired = question;
    }
    return expired;
}

/* No answer: they wait on, with those that have come meanwhile. The steward asks again. */
static void gather_again(struct remote *remote, struct question *question)
{
    struct question *later = remote->gathering;

    if (later) {
        *question->end = later->first;
        question->end = later->first ? later->end : question->end;
        free(later);
    }
    remote->gathering = question;
}

static void answered(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct question *question = arg, *over = NULL, *next;
    struct remote *remote = question->remote;
    const Etcd__RangeResponse *range = (const Etcd__RangeResponse *)answer;

    remote_note_answer(remote, code);
    mutex_lock(&remote->lock);
    remote->asking = NULL;
    if (code == 0) {
        question->until = range->n_kvs > 0 ? (revision_t)range->kvs[0]->mod_revision : 0;
        question->next = remote->answered;
        remote->answered = question;
        over = sync_applied(remote);
    } else if (question->first) {
        gather_again(remote, question);
    } else {
        free(question);
    }
    next = code == 0 ? sync_next(remote) : NULL;
    cond_broadcast(&remote->idle);
    mutex_unlock(&remote->lock);
    sync_tell(over, 0);
    if (next)
        sync_ask(remote, next);
}

void sync_ask(struct remote *remote, struct question *question)
{
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    struct err err = { 0 };
    nsec_t left = question->deadline - clock_now(remote->clock);

    range.key = etcd_bytes(remote->layout.txn);
    range.keys_only = true;
    int code = etcd_call(remote->client, ETCD_RANGE, &range.base, MIN(MAX(left, NSEC_PER_MSEC), ETCD_CALL_TIMEOUT),
                         answered, question, &err);
    if (code < 0)
        answered(question, code, &err, NULL);
}

void remote_sync(struct remote *remote, struct store_sync *sync)
{
    struct question *question, *next = NULL;

    err_clear(&sync->err);
    sync->next = NULL;
    mutex_lock(&remote->lock);
    question = remote->gathering ? remote->gathering : (remote->gathering = question_new(remote));
    if (question) {
        *question->end = sync;
        question->end = &sync->next;
        next = sync_next(remote);
    }
    mutex_unlock(&remote->lock);
    if (next)
        sync_ask(remote, next);
    if (!question)
        sync->done(sync, err_set(&sync->err, ERR_UNAVAILABLE, "no memory for a question to etcd"));
}
