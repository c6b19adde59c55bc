/* remote.c - opening a store on etcd, closing it, and what needs a look now and then.
 *
 * The folder is a cache if its file "etcd" says that it is one of this cluster and prefix, written since the machine was
 * started, and etcd at the cache's revision had the same newest transaction. Else it is removed and loaded anew. */
#include "store/etcd/remote_private.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "store/etcd/identity.h"
#include "store/etcd/load.h"
#include "store/store_private.h"

#define OPEN_TIME (10 * NSEC_PER_SEC)
#define TICK (100 * NSEC_PER_MSEC)
#define PROBE_AFTER NSEC_PER_SEC
#define CUT_OFF_AFTER (3 * NSEC_PER_SEC)
#define EXIT_LOST 75 /* EX_TEMPFAIL: start it again */
#define COMPACT_MARGIN 10000 /* revisions that others may be behind */
#define FULL_PROBE (5 * NSEC_PER_SEC)
#define LOAD_TRIES 3

_Noreturn void remote_fail(const char *what, const struct err *err)
{
    log_error("store", "%s: %s; this process ends, and is to be started again", what, err->message);
    _exit(EXIT_LOST);
}

void remote_heard(struct remote *remote)
{
    atomic_store(&remote->heard, clock_now(remote->clock));
}

void remote_note_answer(struct remote *remote, int code)
{
    if (code != -ERR_UNAVAILABLE && code != -ERR_TIMEOUT && code != -ERR_CANCELLED && code != -ERR_NO_MEMORY)
        remote_heard(remote);
}

/* -- opening -- */

int remote_ask_newest(struct remote *remote, revision_t at, nsec_t timeout, revision_t *ret_newest,
                      revision_t *ret_revision, struct err *err)
{
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    ProtobufCMessage *answer;

    range.key = etcd_bytes(remote->layout.txn);
    range.keys_only = true;
    range.revision = (int64_t)at;
    int code = etcd_do(remote->client, ETCD_RANGE, &range.base, timeout, &answer, err);
    if (code < 0)
        return code;
    Etcd__RangeResponse *response = (Etcd__RangeResponse *)answer;
    *ret_newest = response->n_kvs > 0 ? (revision_t)response->kvs[0]->mod_revision : 0;
    *ret_revision = response->header ? (revision_t)response->header->revision : 0;
    protobuf_c_message_free_unpacked(answer, NULL);
    return 0;
}

static int check_format(const Etcd__TxnResponse *response, struct err *err)
{
    Stored__Format *format = NULL;
    uint32_t version = 0;

    if (response->succeeded)
        return 0;
    if (response->n_responses == 1 &&
        response->responses[0]->response_case == ETCD__RESPONSE_OP__RESPONSE_RESPONSE_RANGE &&
        response->responses[0]->response_range->n_kvs == 1) {
        ProtobufCBinaryData value = response->responses[0]->response_range->kvs[0]->value;

        format = stored__format__unpack(NULL, value.len, value.data);
        version = format ? format->version : 0;
        if (format)
            stored__format__free_unpacked(format, NULL);
    }
    return version == ETCD_FORMAT
               ? 0 : err_set(err, ERR_NOT_SUPPORTED, "what is in etcd has format %u and this program knows format %u: "
                             "use the program that wrote it", version, ETCD_FORMAT);
}

/* Writes the format where nothing is yet; also says which cluster it is. */
static int agree_on_format(struct remote *remote, uint64_t *ret_cluster, struct err *err)
{
    Etcd__TxnRequest txn = ETCD__TXN_REQUEST__INIT;
    Etcd__Compare compare = ETCD__COMPARE__INIT, *compares[] = { &compare };
    Etcd__RequestOp put_op = ETCD__REQUEST_OP__INIT, read_op = ETCD__REQUEST_OP__INIT;
    Etcd__RequestOp *puts[] = { &put_op }, *reads[] = { &read_op };
    Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    Stored__Format format = STORED__FORMAT__INIT;
    uint8_t value[32];
    ProtobufCMessage *answer;
    int code;

    format.version = ETCD_FORMAT;
    compare.target = ETCD__COMPARE__TARGET__MOD;
    compare.target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.key = put.key = range.key = etcd_bytes(remote->layout.format);
    put.value = (ProtobufCBinaryData){ stored__format__pack(&format, value), value };
    put_op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
    put_op.request_put = &put;
    read_op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_RANGE;
    read_op.request_range = &range;
    txn.n_compare = txn.n_success = txn.n_failure = 1;
    txn.compare = compares;
    txn.success = puts;
    txn.failure = reads;
    nsec_t end = clock_now(remote->clock) + OPEN_TIME;
    do {
        code = etcd_do(remote->client, ETCD_TXN, &txn.base, ETCD_CALL_TIMEOUT, &answer, err);
    } while ((code == -ERR_TIMEOUT || code == -ERR_UNAVAILABLE) && clock_now(remote->clock) < end);
    if (code < 0)
        return err_wrap(err, code == -ERR_TIMEOUT ? -ERR_UNAVAILABLE : code, "etcd");
    Etcd__TxnResponse *response = (Etcd__TxnResponse *)answer;
    *ret_cluster = response->header ? response->header->cluster_id : 0;
    code = check_format(response, err);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* Who leads now. */
static int read_leader(struct remote *remote, struct err *err)
{
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    ProtobufCMessage *answer;

    range.key = etcd_bytes(remote->layout.leader);
    int code = etcd_do(remote->client, ETCD_RANGE, &range.base, OPEN_TIME, &answer, err);
    if (code < 0)
        return code;
    Etcd__RangeResponse *response = (Etcd__RangeResponse *)answer;
    if (response->n_kvs > 0)
        follow_leader(remote, response->kvs[0], false);
    protobuf_c_message_free_unpacked(answer, NULL);
    return 0;
}

static int cached_revision(struct engine *engine, revision_t *ret_revision, struct err *err)
{
    struct meta meta;
    MDB_txn *txn;
    int rc = mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &txn);

    if (rc == 0) {
        rc = engine_meta_get(engine, txn, &meta);
        mdb_txn_abort(txn);
    }
    if (rc)
        return engine_fail(engine, rc, "opening the cache", err);
    *ret_revision = meta.revision;
    return 0;
}

/* Whether the cache's revision is one of etcd's history from which its changes can be followed. */
static int is_of_history(struct remote *remote, revision_t cached, bool *ret_is, struct err *err)
{
    revision_t newest, then, revision, ignored;
    int code = remote_ask_newest(remote, 0, OPEN_TIME, &newest, &revision, err);

    if (code < 0)
        return code;
    if (newest == cached) { /* nothing was missed */
        remote->received = revision;
        *ret_is = true;
        return 0;
    }
    *ret_is = false;
    remote->received = cached;
    if (cached == 0 || cached > newest)
        return 0;
    code = remote_ask_newest(remote, cached, OPEN_TIME, &then, &ignored, err);
    if (code == 0)
        *ret_is = then == cached;
    return code == -ERR_EXPIRED ? 0 : code;
}

static int open_engine(const struct store_options *options, struct engine **ret_engine, struct err *err)
{
    AUTO(engine) engine = NULL;
    int code = engine_open(options->path, options->map_size, &engine, err);

    if (code < 0 || (code = engine_make_cache(engine, err)) < 0)
        return code;
    *ret_engine = TAKE(engine);
    return 0;
}

static int load_once(struct remote *remote, const struct store_options *options, struct etcd_identity *identity,
                     struct engine **ret_engine, struct err *err)
{
    AUTO(engine) engine = NULL;
    int code;

    identity->complete = false;
    if ((code = file_make_dirs(options->path, 0700, err)) < 0 ||
        (code = etcd_cache_remove(options->path, err)) < 0 ||
        (code = etcd_identity_write(options->path, identity, err)) < 0 || (code = open_engine(options, &engine, err)) < 0 ||
        (code = etcd_load(remote->client, &remote->layout, engine, &remote->received, err)) < 0)
        return code;
    identity->complete = true;
    if ((code = etcd_identity_write(options->path, identity, err)) < 0)
        return code;
    *ret_engine = TAKE(engine);
    return 0;
}

/* It takes its time, and what is read may be compacted meanwhile. */
static int load_cache(struct remote *remote, const struct store_options *options, struct etcd_identity *identity,
                      struct engine **ret_engine, struct err *err)
{
    int code = load_once(remote, options, identity, ret_engine, err);

    for (int tries = 1; code == -ERR_EXPIRED && tries < LOAD_TRIES; tries++)
        code = load_once(remote, options, identity, ret_engine, err);
    return code == -ERR_EXPIRED ? err_set(err, ERR_UNAVAILABLE, "etcd is compacted faster than it can be read") : code;
}

/* 1: as it is; 0: it does not fit. */
static int use_cache(struct remote *remote, const struct store_options *options, struct engine **ret_engine,
                     struct err *err)
{
    AUTO(engine) engine = NULL;
    revision_t cached = 0;
    bool fits = false;
    int code;

    if ((code = open_engine(options, &engine, err)) < 0 || (code = cached_revision(engine, &cached, err)) < 0 ||
        (code = is_of_history(remote, cached, &fits, err)) < 0)
        return code;
    if (!fits)
        return 0;
    *ret_engine = TAKE(engine);
    return 1;
}

static void new_server_id(char out[ETCD_SERVER_ID + 1])
{
    snprintf(out, ETCD_SERVER_ID + 1, "%016llx%016llx", (unsigned long long)rng_u64(rng_system()),
             (unsigned long long)rng_u64(rng_system()));
}

static int open_cache(struct remote *remote, const struct store_options *options, struct engine **ret_engine,
                      struct err *err)
{
    struct etcd_identity now = { 0 }, then = { 0 };
    struct str prefix = options->etcd->prefix;
    int there = etcd_identity_read(options->path, &then, err), code;

    if (there < 0)
        return there;
    etcd_identity_boot(now.boot);
    if (there)
        memcpy(now.server, then.server, sizeof now.server);
    else
        new_server_id(now.server);
    if ((code = etcd_layout_init(&remote->layout, prefix, str_from(now.server), err)) < 0)
        return code;
    prefix = str_chop(remote->layout.all, 1);
    memcpy(now.prefix, prefix.data, prefix.len);
    if ((code = agree_on_format(remote, &now.cluster, err)) < 0)
        return code;
    if (there && then.complete && now.boot[0] && now.cluster == then.cluster && strcmp(now.prefix, then.prefix) == 0 &&
        strcmp(now.boot, then.boot) == 0 && (code = use_cache(remote, options, ret_engine, err)) != 0)
        return MIN(code, 0);
    return load_cache(remote, options, &now, ret_engine, err);
}

static int make_client(struct remote *remote, const struct store_etcd_options *etcd, struct err *err)
{
    const struct etcd_client_options options = {
        .endpoints = etcd->endpoints,
        .ca_pem = etcd->ca_pem,
        .cert_pem = etcd->cert_pem,
        .key_pem = etcd->key_pem,
        .user = etcd->user,
        .password = etcd->password,
        .clock = remote->clock,
    };
    return etcd_client_new(&options, &remote->client, err);
}

int remote_open(const struct store_options *options, struct remote **ret_remote, struct engine **ret_engine,
                struct err *err)
{
    AUTO(remote) remote = calloc(1, sizeof *remote);
    AUTO(engine) engine = NULL;
    int code;

    if (!remote)
        return err_set(err, ERR_NO_MEMORY, "a store on etcd");
    if (options->synchronous) {
        free(TAKE(remote));
        return err_set(err, ERR_INVALID, "a store on etcd cannot be synchronous");
    }
    remote->clock = options->clock ? options->clock : clock_real();
    remote->run = rng_u64(rng_system()) | 1;
    mutex_init(&remote->lock);
    mutex_init(&remote->leader_lock);
    cond_init(&remote->wake);
    cond_init(&remote->idle);
    pendings_init(&remote->pendings, remote->run);
    if ((code = make_client(remote, options->etcd, err)) < 0 ||
        (code = open_cache(remote, options, &engine, err)) < 0 || (code = read_leader(remote, err)) < 0)
        return code;
    remote_heard(remote);
    remote->pendings.applied = remote->received;
    *ret_engine = TAKE(engine);
    *ret_remote = TAKE(remote);
    return 0;
}

/* -- the steward -- */

struct round {
    struct pending_over over;
    struct question *expired, *next;
    bool settle, follow;
};

static void look_around(struct remote *remote, struct round *round)
{
    nsec_t now = clock_now(remote->clock);

    pending_tick(&remote->pendings, now, &round->over);
    round->expired = sync_expired(remote, now);
    bool probe = remote->full.code != ERR_NONE && now - remote->settled > FULL_PROBE; /* whether there is room again */
    round->settle = !remote->settling && (probe || pending_wants_epoch(&remote->pendings));
    if (round->settle)
        remote->settled = now;
    remote->settling |= round->settle;
    round->next = !remote->closing && now - atomic_load(&remote->heard) > PROBE_AFTER ? sync_probe(remote)
                                                                                      : sync_next(remote);
    round->follow = remote->watch_over;
    if (remote->closing)
        cond_broadcast(&remote->idle);
}

static void act(struct remote *remote, struct round *round)
{
    remote_tell(remote, &round->over);
    sync_tell(round->expired, -ERR_UNAVAILABLE);
    if (round->settle)
        commit_settle(remote);
    if (round->next)
        sync_ask(remote, round->next);
    if (round->follow)
        follow_again(remote);
    commit_pump(remote);
}

static void steward(void *arg)
{
    struct remote *remote = arg;

    mutex_lock(&remote->lock);
    while (!remote->stopping) {
        struct round round = { .expired = NULL };

        round.over = (struct pending_over)PENDING_OVER_INIT(round.over);
        look_around(remote, &round);
        mutex_unlock(&remote->lock);
        act(remote, &round);
        mutex_lock(&remote->lock);
        if (!remote->stopping)
            cond_wait_for(&remote->wake, &remote->lock, TICK);
    }
    mutex_unlock(&remote->lock);
}

/* -- beginning and ending -- */

int remote_start(struct remote *remote, struct store *store, struct err *err)
{
    int code;

    remote->store = store;
    if ((code = follow_start(remote, remote->received + 1, err)) < 0)
        return code;
    return thread_start(&remote->steward, "etcd-steward", steward, remote, err);
}

void remote_stop(struct remote *remote)
{
    mutex_lock(&remote->lock);
    remote->closing = true;
    while (remote->steward.started && (remote->pendings.count > 0 || !sync_is_idle(remote)))
        cond_wait(&remote->idle, &remote->lock);
    remote->stopping = true;
    cond_signal(&remote->wake);
    mutex_unlock(&remote->lock);
    thread_join(&remote->steward);
    struct etcd_watch *watch;
    mutex_lock(&remote->lock);
    watch = remote->watch;
    remote->paused = false; /* from now on nobody resumes it */
    remote->watch = NULL;
    mutex_unlock(&remote->lock);
    etcd_watch_free(watch);
    remote->client = etcd_client_free(remote->client);
}

struct remote *remote_free(struct remote *remote)
{
    if (!remote)
        return NULL;
    etcd_client_free(remote->client);
    pendings_deinit(&remote->pendings);
    cond_deinit(&remote->idle);
    cond_deinit(&remote->wake);
    mutex_deinit(&remote->leader_lock);
    mutex_deinit(&remote->lock);
    free(remote);
    return NULL;
}

/* -- how it is -- */

static bool is_cut_off(struct remote *remote)
{
    return clock_now(remote->clock) - atomic_load(&remote->heard) > CUT_OFF_AFTER;
}

int remote_ready(struct remote *remote, enum store_condition *ret_condition, struct err *err)
{
    struct err why = { 0 };

    if (is_cut_off(remote)) {
        if (ret_condition)
            *ret_condition = STORE_CUT_OFF;
        if (etcd_client_check(remote->client, &why) == 0)
            err_set(&why, ERR_UNAVAILABLE, "no answer");
        return err_set(err, ERR_UNAVAILABLE, "etcd cannot be reached: %s", why.message);
    }
    LOCKED(&remote->lock);
    if (remote->full.code == ERR_NONE)
        return 0;
    if (ret_condition)
        *ret_condition = STORE_FULL;
    if (err)
        *err = remote->full;
    return -(int)remote->full.code;
}

void remote_leader(struct remote *remote, struct store_leader *ret_leader)
{
    bool cut_off = is_cut_off(remote);

    LOCKED(&remote->leader_lock);
    *ret_leader = cut_off ? (struct store_leader){ 0 } : remote->leader;
    ret_leader->self = ret_leader->term && remote->campaign && campaign_term(remote->campaign) == ret_leader->term;
}

/* -- giving up history -- */

static void compacted(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct remote *remote = arg;

    remote_note_answer(remote, code);
}

void remote_retained(struct remote *remote, revision_t floor)
{
    Etcd__CompactionRequest compaction = ETCD__COMPACTION_REQUEST__INIT;
    revision_t newest = store_revision(remote->store);

    floor = MIN(floor, newest > COMPACT_MARGIN ? newest - COMPACT_MARGIN : 0); /* others may be a little behind */
    mutex_lock(&remote->leader_lock);
    bool wanted = remote->campaign && campaign_term(remote->campaign) && floor > remote->compacted;
    if (wanted)
        remote->compacted = floor;
    mutex_unlock(&remote->leader_lock);
    if (!wanted)
        return;
    compaction.revision = (int64_t)floor;
    etcd_call(remote->client, ETCD_COMPACT, &compaction.base, ETCD_CALL_TIMEOUT, compacted, remote, NULL);
}
