/* shared.c - several servers on one store, as far as one that is alone has anything to say to it: what was written can
 * be read at once, and whoever asks to lead does. */
#include <string.h>

#include "store/store_private.h"

#define LONE_TERM 1

bool store_is_shared(const struct store *store)
{
    return false;
}

/* -- reading what others wrote -- */

void store_sync_async(struct store *store, struct store_sync *sync)
{
    err_clear(&sync->err);
    sync->done(sync, 0);
}

int store_sync(struct store *store, struct err *err)
{
    return 0;
}

/* -- leading -- */

struct store_campaign {
    struct store *store;
    struct store_campaign_options options;
    struct store_leader leader;
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
    set_campaign(store, campaign);
    if ((code = thread_start(&campaign->thread, "campaign", lead, campaign, err)) < 0) {
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
    set_campaign(campaign->store, NULL);
    cond_deinit(&campaign->over);
    mutex_deinit(&campaign->lock);
    free(campaign);
    return NULL;
}

void store_leader(struct store *store, struct store_leader *ret_leader)
{
    LOCKED(&store->campaign_lock);
    *ret_leader = store->campaign ? store->campaign->leader : (struct store_leader){ 0 };
}
