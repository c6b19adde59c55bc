/* follow.c - the watch of all that is the store's in etcd, and its changes on their way to the writer.
 *
 * Every revision goes through the store's queue in order, also one that changes no object: when the writer is done with
 * it, the cache has everything up to there. When the writer falls behind, the watch is paused. */
#include "store/etcd/remote_private.h"
#include "store/store_private.h"

#define QUEUED_MAX (32u << 20)
#define QUEUED_LOW (8u << 20)

/* -- the writer: a change has been applied -- */

/* The blobs of a change that was our own, in the order of the owner's operations. */
static void hand_over(struct store_txn *own, const struct etcd_change *change)
{
    const struct store_txn *txn = &change->txn;
    size_t at = 0;

    own->result.revision = change->revision;
    for (size_t i = 0; own->result.values && i < own->ops_count; i++) {
        own->result.values[i] = NULL;
        if (own->ops[i].kind == STORE_CHECK)
            continue;
        for (size_t tried = 0; tried < txn->ops_count; tried++, at++) {
            if (at >= txn->ops_count)
                at = 0;
            if (str_eq(txn->ops[at].key, own->ops[i].key)) {
                own->result.values[i] = blob_ref(txn->result.values[at++]);
                break;
            }
        }
    }
}

static void free_change(struct etcd_change *change)
{
    for (size_t i = 0; change->txn.result.values && i < change->txn.ops_count; i++)
        blob_unref(change->txn.result.values[i]);
    etcd_change_free(change);
}

static void queue_shrinks(struct remote *remote, size_t bytes)
{
    remote->queued -= bytes;
    if (remote->paused && remote->queued < QUEUED_LOW) {
        remote->paused = false;
        etcd_watch_resume(remote->watch);
    }
}

static void call_done(struct store_txn *first)
{
    while (first) {
        struct store_txn *txn = first;

        first = txn->next;
        txn->done(txn, -(int)txn->err.code);
    }
}

static void applied(struct store_txn *txn, int code)
{
    struct etcd_change *change = container_of(txn, struct etcd_change, txn);
    struct remote *remote = txn->arg;
    struct pending_over over = PENDING_OVER_INIT(over);
    struct question *asked = NULL;
    struct store_txn *own = NULL;

    mutex_lock(&remote->lock);
    if (code == 0) {
        own = pending_written(&remote->pendings, change->id);
        pending_progress(&remote->pendings, change->revision, &over);
        asked = sync_applied(remote);
    }
    queue_shrinks(remote, change->bytes);
    cond_broadcast(&remote->idle);
    mutex_unlock(&remote->lock);
    if (own) {
        hand_over(own, change);
        own->done(own, 0);
    }
    call_done(over.first);
    sync_tell(asked, 0);
    free_change(change);
}

/* -- the client's thread: what the watch says -- */

void follow_leader(struct remote *remote, const Etcd__KeyValue *kv, bool gone)
{
    struct remote_campaign *campaign;
    Stored__Leader *leader = gone ? NULL : stored__leader__unpack(NULL, kv->value.len, kv->value.data);

    mutex_lock(&remote->leader_lock);
    if ((revision_t)kv->mod_revision > remote->leader_seen) {
        remote->leader_seen = (revision_t)kv->mod_revision;
        remote->leader = (struct store_leader){ 0 };
    }
    if (leader && (revision_t)kv->mod_revision == remote->leader_seen) {
        struct str name = str_first(etcd_str(leader->name), STORE_LEADER_NAME_MAX - 1);
        struct str address = str_first(etcd_str(leader->address), STORE_LEADER_NAME_MAX - 1);

        remote->leader.term = (revision_t)kv->mod_revision;
        memcpy(remote->leader.name, name.data, name.len);
        memcpy(remote->leader.address, address.data, address.len);
    }
    campaign = remote->campaign;
    if (campaign && gone)
        campaign_vacancy(campaign);
    mutex_unlock(&remote->leader_lock);
    if (leader)
        stored__leader__free_unpacked(leader, NULL);
}

static void look_at_leader(struct remote *remote, Etcd__Event *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(etcd_str(events[i]->kv->key), remote->layout.leader))
            follow_leader(remote, events[i]->kv, events[i]->type != ETCD__EVENT__TYPE__PUT);
}

static struct etcd_change *decode(struct remote *remote, Etcd__Event *const *events, size_t count)
{
    struct etcd_change *change;
    struct err err = { 0 };

    if (etcd_change_decode(&remote->layout, events, count, &change, &err) < 0)
        remote_fail("what etcd says cannot be followed", &err);
    change->txn.done = applied;
    change->txn.arg = remote;
    if (change->id.run == remote->run && change->txn.ops_count > 0) {
        change->txn.result.values = arena_array_of(change->arena, change->txn.ops_count, struct blob *);
        if (!change->txn.result.values)
            remote_fail("what etcd says cannot be followed: no memory", &err);
    }
    atomic_store(&remote->newest, MAX(atomic_load(&remote->newest), change->txn.time));
    return change;
}

static void queue_grows(struct remote *remote, size_t bytes)
{
    LOCKED(&remote->lock);
    remote->queued += bytes;
    if (remote->queued > QUEUED_MAX && remote->watch && !remote->paused) {
        remote->paused = true;
        etcd_watch_pause(remote->watch);
    }
}

static size_t same_revision(Etcd__Event *const *events, size_t count)
{
    size_t same = 0;

    while (same < count && events[same]->kv && events[same]->kv->mod_revision == events[0]->kv->mod_revision)
        same++;
    return same;
}

static void watch_response(void *arg, const Etcd__WatchResponse *response)
{
    struct remote *remote = arg;
    struct store_txn *first = NULL, **end = &first;
    size_t bytes = 0;

    remote_heard(remote);
    for (size_t i = 0, count; i < response->n_events; i += count) {
        Etcd__Event *const *events = response->events + i;
        struct err err = { ERR_IO, "an event of no key" };

        if (!events[0]->kv || (count = same_revision(events, response->n_events - i)) == 0)
            remote_fail("what etcd says cannot be followed", &err);
        if ((revision_t)events[0]->kv->mod_revision <= remote->received)
            continue;
        look_at_leader(remote, events, count);
        struct etcd_change *change = decode(remote, events, count);
        remote->received = change->revision;
        bytes += change->bytes;
        *end = &change->txn;
        end = &change->txn.next;
    }
    if (!first)
        return;
    queue_grows(remote, bytes); /* before it can shrink */
    store_enqueue(remote->store, first);
}

static void watch_done(void *arg, int code, const struct err *err, int64_t compacted)
{
    struct remote *remote = arg;

    LOCKED(&remote->lock);
    remote->watch_over = true;
    remote->watch_err = *err;
    cond_signal(&remote->wake);
}

int follow_start(struct remote *remote, revision_t from, struct err *err)
{
    const struct etcd_watch_events events = { remote, watch_response, watch_done };
    struct etcd_watch *watch;
    int code = etcd_watch_start(remote->client, remote->layout.all, (int64_t)from, &events, &watch, err);

    if (code < 0)
        return code;
    LOCKED(&remote->lock);
    remote->watch = watch;
    return 0;
}

/* -- the steward: the watch is over -- */

/* What it wanted next is compacted. If the store has no newer transaction than those received, nothing was missed. */
void follow_again(struct remote *remote)
{
    struct etcd_watch *watch;
    struct err err;
    revision_t newest, revision;

    mutex_lock(&remote->lock);
    watch = TAKE(remote->watch);
    remote->paused = false;
    err = remote->watch_err;
    mutex_unlock(&remote->lock);
    etcd_watch_free(watch);
    if (err.code != ERR_EXPIRED)
        remote_fail("etcd's changes can no longer be followed", &err);
    if (remote_ask_newest(remote, 0, NSEC_PER_SEC, &newest, &revision, NULL) < 0)
        return; /* the steward comes again */
    mutex_lock(&remote->lock);
    remote->watch_over = false;
    mutex_unlock(&remote->lock);
    if (newest > remote->received)
        remote_fail("changes have been missed for so long that etcd has them no more; the cache is to be loaded anew",
                    &err);
    remote->received = revision;
    if (follow_start(remote, revision + 1, &err) < 0)
        remote_fail("etcd's changes can no longer be followed", &err);
}
