/* campaign.c - leading: a key bound to a lease, and the word that it is so kept shorter than the lease.
 *
 * Two threads. The keeper talks to etcd: while nobody leads it grants itself a lease and tries to make the key; while
 * this server leads it keeps the lease alive, and when that has not worked for KEPT_FOR since the last time it worked was
 * begun, the term is over: a second before etcd may give the lease up. The other thread tells the owner, who may take his
 * time; the keeper does not wait for him. What the owner then still writes fails by the term. */
#include "store/etcd/remote_private.h"

#define LEASE_TTL 3 /* seconds */
#define KEPT_FOR (2 * NSEC_PER_SEC)
#define KEEP_EACH NSEC_PER_SEC
#define RETRY_AFTER (200 * NSEC_PER_MSEC)
#define LOOK_EACH NSEC_PER_SEC /* whether there is a leader, if the watch should not say */
#define CALL_TIME NSEC_PER_SEC

struct remote_campaign {
    struct remote *remote;
    const struct store_campaign_options *options;
    struct thread keeper, teller;
    int64_t lease; /* the keeper's; 0: none */
    nsec_t kept;   /* the keeper's: when the last keepalive that worked was begun */
    struct mutex lock; /* of all below */
    struct cond changed;
    revision_t term; /* 0: another leads, or nobody */
    bool ending, told_end, vacant;
};

revision_t campaign_term(struct remote_campaign *campaign)
{
    LOCKED(&campaign->lock);
    return campaign->term;
}

void campaign_vacancy(struct remote_campaign *campaign)
{
    LOCKED(&campaign->lock);
    campaign->vacant = true;
    cond_broadcast(&campaign->changed);
}

static void set_term(struct remote_campaign *campaign, revision_t term)
{
    LOCKED(&campaign->lock);
    campaign->term = term;
    cond_broadcast(&campaign->changed);
}

/* -- telling -- */

static void tell(void *arg)
{
    struct remote_campaign *campaign = arg;
    const struct store_campaign_options *options = campaign->options;
    revision_t told = 0;

    mutex_lock(&campaign->lock);
    for (;;) {
        revision_t term = campaign->ending ? 0 : campaign->term;

        if (term == told) {
            if (campaign->ending)
                break;
            cond_wait(&campaign->changed, &campaign->lock);
            continue;
        }
        told = told ? 0 : term; /* one is ended before another is begun */
        mutex_unlock(&campaign->lock);
        options->changed(options->arg, told);
        mutex_lock(&campaign->lock);
    }
    campaign->told_end = true;
    cond_broadcast(&campaign->changed);
    mutex_unlock(&campaign->lock);
}

/* -- etcd -- */

static int call(struct remote_campaign *campaign, enum etcd_method method, const ProtobufCMessage *request,
                nsec_t timeout, ProtobufCMessage **ret_answer)
{
    struct remote *remote = campaign->remote;
    int code = etcd_do(remote->client, method, request, timeout, ret_answer, NULL);

    remote_note_answer(remote, code);
    return code;
}

static void revoke(struct remote_campaign *campaign)
{
    Etcd__LeaseRevokeRequest request = ETCD__LEASE_REVOKE_REQUEST__INIT;
    ProtobufCMessage *answer;

    request.id = campaign->lease;
    if (campaign->lease && call(campaign, ETCD_LEASE_REVOKE, &request.base, CALL_TIME, &answer) == 0)
        protobuf_c_message_free_unpacked(answer, NULL);
    campaign->lease = 0; /* or it ends by itself */
}

static int grant(struct remote_campaign *campaign)
{
    Etcd__LeaseGrantRequest request = ETCD__LEASE_GRANT_REQUEST__INIT;
    ProtobufCMessage *answer;
    nsec_t begun = clock_now(campaign->remote->clock);

    request.ttl = LEASE_TTL;
    int code = call(campaign, ETCD_LEASE_GRANT, &request.base, CALL_TIME, &answer);
    if (code < 0)
        return code;
    Etcd__LeaseGrantResponse *response = (Etcd__LeaseGrantResponse *)answer;
    campaign->lease = response->ttl >= LEASE_TTL ? response->id : 0;
    campaign->kept = begun;
    protobuf_c_message_free_unpacked(answer, NULL);
    return campaign->lease ? 0 : -ERR_UNAVAILABLE;
}

/* The leader's key as it is. *ret_term 0: there is none; *ret_own: it is bound to our lease. */
static int look(struct remote_campaign *campaign, revision_t *ret_term, bool *ret_own)
{
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    ProtobufCMessage *answer;

    range.key = etcd_bytes(campaign->remote->layout.leader);
    range.keys_only = true;
    int code = call(campaign, ETCD_RANGE, &range.base, CALL_TIME, &answer);
    if (code < 0)
        return code;
    const Etcd__RangeResponse *response = (const Etcd__RangeResponse *)answer;
    *ret_term = response->n_kvs > 0 ? (revision_t)response->kvs[0]->mod_revision : 0;
    *ret_own = response->n_kvs > 0 && campaign->lease && response->kvs[0]->lease == campaign->lease;
    protobuf_c_message_free_unpacked(answer, NULL);
    return 0;
}

/* Makes the key if there is none. */
static int claim(struct remote_campaign *campaign)
{
    Etcd__TxnRequest txn = ETCD__TXN_REQUEST__INIT;
    Etcd__Compare compare = ETCD__COMPARE__INIT, *compares[] = { &compare };
    Etcd__RequestOp op = ETCD__REQUEST_OP__INIT, *ops[] = { &op };
    Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
    Stored__Leader leader = STORED__LEADER__INIT;
    uint8_t value[2 * STORE_LEADER_NAME_MAX + 32];
    ProtobufCMessage *answer;

    leader.name = etcd_bytes(str_first(campaign->options->name, STORE_LEADER_NAME_MAX - 1));
    leader.address = etcd_bytes(str_first(campaign->options->address, STORE_LEADER_NAME_MAX - 1));
    compare.target = ETCD__COMPARE__TARGET__CREATE;
    compare.target_union_case = ETCD__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.key = put.key = etcd_bytes(campaign->remote->layout.leader);
    put.value = (ProtobufCBinaryData){ stored__leader__pack(&leader, value), value };
    put.lease = campaign->lease;
    op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    txn.n_compare = txn.n_success = 1;
    txn.compare = compares;
    txn.success = ops;
    int code = call(campaign, ETCD_TXN, &txn.base, CALL_TIME, &answer);
    if (code == 0)
        protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

static nsec_t time_left(const struct remote_campaign *campaign)
{
    return campaign->kept + KEPT_FOR - clock_now(campaign->remote->clock);
}

/* What the key says after the claim counts, whatever was answered to that. */
static void attempt(struct remote_campaign *campaign)
{
    revision_t term;
    bool own;

    if (look(campaign, &term, &own) < 0 || (term && !own))
        return;
    revoke(campaign); /* of a term that is over */
    if (grant(campaign) < 0)
        return;
    claim(campaign);
    if (look(campaign, &term, &own) == 0 && own && time_left(campaign) > 0)
        set_term(campaign, term);
    else
        revoke(campaign);
}

/* False: the lease is lost. */
static bool keep(struct remote_campaign *campaign)
{
    Etcd__LeaseKeepAliveRequest request = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    ProtobufCMessage *answer;
    nsec_t begun = clock_now(campaign->remote->clock), left = time_left(campaign);

    if (left <= 0)
        return false;
    request.id = campaign->lease;
    int code = call(campaign, ETCD_LEASE_KEEP_ALIVE, &request.base, MIN(left, CALL_TIME), &answer);
    if (code == -ERR_NOT_FOUND)
        return false;
    if (code < 0)
        return time_left(campaign) > 0;
    bool alive = ((Etcd__LeaseKeepAliveResponse *)answer)->ttl > 0;
    protobuf_c_message_free_unpacked(answer, NULL);
    if (alive)
        campaign->kept = begun;
    return alive && time_left(campaign) > 0;
}

/* -- keeping -- */

/* Until it is time, or something has happened. */
static void wait_a_while(struct remote_campaign *campaign, nsec_t time)
{
    nsec_t end = clock_now(campaign->remote->clock) + time, left;

    LOCKED(&campaign->lock);
    while (!campaign->told_end && !(campaign->vacant && !campaign->ending) &&
           (left = end - clock_now(campaign->remote->clock)) > 0)
        cond_wait_for(&campaign->changed, &campaign->lock, left);
    campaign->vacant = false;
}

static nsec_t next_keep(const struct remote_campaign *campaign)
{
    nsec_t since = clock_now(campaign->remote->clock) - campaign->kept;

    return MIN(since < KEEP_EACH ? KEEP_EACH - since : RETRY_AFTER, MAX(time_left(campaign), 0));
}

/* The key has gone, or is another's: somebody took it from us. */
static bool is_deposed(struct remote_campaign *campaign, revision_t term)
{
    struct remote *remote = campaign->remote;

    LOCKED(&remote->leader_lock);
    return remote->leader_seen > term;
}

static void keep_on(void *arg)
{
    struct remote_campaign *campaign = arg;

    for (;;) {
        mutex_lock(&campaign->lock);
        revision_t term = campaign->term;
        bool over = campaign->told_end, ending = campaign->ending;
        mutex_unlock(&campaign->lock);

        if (over)
            break;
        if (term && (is_deposed(campaign, term) || !keep(campaign)))
            set_term(campaign, 0);
        else if (!term && !ending)
            attempt(campaign);
        mutex_lock(&campaign->lock);
        term = campaign->term;
        mutex_unlock(&campaign->lock);
        wait_a_while(campaign, term ? next_keep(campaign) : LOOK_EACH);
    }
    revoke(campaign);
}

/* -- beginning and ending -- */

static void set_campaign(struct remote *remote, struct remote_campaign *campaign)
{
    LOCKED(&remote->leader_lock);
    remote->campaign = campaign;
}

int remote_campaign_start(struct remote *remote, const struct store_campaign_options *options,
                          struct remote_campaign **ret_campaign, struct err *err)
{
    struct remote_campaign *campaign = calloc(1, sizeof *campaign);
    int code;

    if (!campaign)
        return err_set(err, ERR_NO_MEMORY, "campaigning");
    campaign->remote = remote;
    campaign->options = options;
    mutex_init(&campaign->lock);
    cond_init(&campaign->changed);
    set_campaign(remote, campaign);
    if ((code = thread_start(&campaign->teller, "campaign", tell, campaign, err)) < 0 ||
        (code = thread_start(&campaign->keeper, "campaign-keeper", keep_on, campaign, err)) < 0) {
        remote_campaign_end(campaign);
        return code;
    }
    *ret_campaign = campaign;
    return 0;
}

struct remote_campaign *remote_campaign_end(struct remote_campaign *campaign)
{
    if (!campaign)
        return NULL;
    mutex_lock(&campaign->lock);
    campaign->ending = true;
    if (!campaign->teller.started)
        campaign->told_end = true;
    cond_broadcast(&campaign->changed);
    mutex_unlock(&campaign->lock);
    thread_join(&campaign->teller);
    thread_join(&campaign->keeper);
    set_campaign(campaign->remote, NULL);
    cond_deinit(&campaign->changed);
    mutex_deinit(&campaign->lock);
    free(campaign);
    return NULL;
}
