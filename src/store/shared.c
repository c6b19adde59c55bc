/* shared.c - several servers on one store. One that is alone has little to say to it: what was written can be read at
 * once, and whoever asks to lead does. All else is in etcd/. */
#include <string.h>

#include "store/etcd/remote.h"
#include "store/store_private.h"

#define LONE_TERM 1

bool store_is_shared(const struct store *store)
{
    return store->remote != NULL;
}

/* -- reading what others wrote -- */

void store_sync_async(struct store *store, struct store_sync *sync)
{
    if (store->remote) {
        remote_sync(store->remote, sync);
        return;
    }
    err_clear(&sync->err);
    sync->done(sync, 0);
}

struct waiter {
    struct mutex lock;
    struct cond over;
    bool done;
    int code;
};

static void synced(struct store_sync *sync, int code)
{
    struct waiter *waiter = sync->arg;

    LOCKED(&waiter->lock);
    waiter->code = code;
    waiter->done = true;
    cond_signal(&waiter->over);
}

int store_sync(struct store *store, struct err *err)
{
    struct waiter waiter = { .done = false };
    struct store_sync sync = { .done = synced, .arg = &waiter };

    if (!store->remote)
        return 0;
    mutex_init(&waiter.lock);
    cond_init(&waiter.over);
    remote_sync(store->remote, &sync);
    mutex_lock(&waiter.lock);
    while (!waiter.done)
        cond_wait(&waiter.over, &waiter.lock);
    mutex_unlock(&waiter.lock);
    cond_deinit(&waiter.over);
    mutex_deinit(&waiter.lock);
    if (waiter.code < 0 && err)
        *err = sync.err;
    return waiter.code;
}

/* -- leading -- */

struct store_campaign {
    struct store *store;
    struct store_campaign_options options;
    struct store_leader leader;       /* with the names that the options have */
    struct remote_campaign *remote; /* NULL: this store is not shared */
    struct thread thread;
    struct mutex lock; /* of all below */
    struct cond over;
    bool ending;
};

static void lead(void *arg)
{
    struct store_campaign *campaign = arg;

    campaign->options.changed(campaign->options.arg, LONE_TERM);
    mutex_lock(&campaign->lock);
    while (!campaign->ending)
        cond_wait(&campaign->over, &campaign->lock);
    mutex_unlock(&campaign->lock);
    campaign->options.changed(campaign->options.arg, 0);
}

static void keep_name(char out[STORE_LEADER_NAME_MAX], struct str name)
{
    struct str kept = str_first(name, STORE_LEADER_NAME_MAX - 1);

    memcpy(out, kept.data, kept.len);
    out[kept.len] = 0;
}

static void set_campaign(struct store *store, struct store_campaign *campaign)
{
    LOCKED(&store->campaign_lock);
    store->campaign = campaign;
}

int store_campaign_start(struct store *store, const struct store_campaign_options *options,
                         struct store_campaign **ret_campaign, struct err *err)
{
    struct store_campaign *campaign = calloc(1, sizeof *campaign);
    int code;

    if (!campaign)
        return err_set(err, ERR_NO_MEMORY, "campaigning");
    campaign->store = store;
    campaign->options = *options;
    campaign->leader = (struct store_leader){ .term = LONE_TERM, .self = true };
    keep_name(campaign->leader.name, options->name);
    keep_name(campaign->leader.address, options->address);
    mutex_init(&campaign->lock);
    cond_init(&campaign->over);
    campaign->options.name = str_from(campaign->leader.name);
    campaign->options.address = str_from(campaign->leader.address);
    set_campaign(store, campaign);
    code = store->remote ? remote_campaign_start(store->remote, &campaign->options, &campaign->remote, err)
                         : thread_start(&campaign->thread, "campaign", lead, campaign, err);
    if (code < 0) {
        store_campaign_end(campaign);
        return code;
    }
    *ret_campaign = campaign;
    return 0;
}

struct store_campaign *store_campaign_end(struct store_campaign *campaign)
{
    if (!campaign)
        return NULL;
    mutex_lock(&campaign->lock);
    campaign->ending = true;
    cond_signal(&campaign->over);
    mutex_unlock(&campaign->lock);
    thread_join(&campaign->thread);
    remote_campaign_end(campaign->remote);
    set_campaign(campaign->store, NULL);
    cond_deinit(&campaign->over);
    mutex_deinit(&campaign->lock);
    free(campaign);
    return NULL;
}

void store_leader(struct store *store, struct store_leader *ret_leader)
{
    if (store->remote) {
        remote_leader(store->remote, ret_leader);
        return;
    }
    LOCKED(&store->campaign_lock);
    *ret_leader = store->campaign ? store->campaign->leader : (struct store_leader){ 0 };
}
