/* watch.c - watches: streams that are begun anew, where they were, on each member that the client comes to.
 *
 * Each is a stream of its own, with a window of its own, so that a paused one holds up nobody. What was handed up decides
 * where it goes on: behind the last revision that was whole.
 *
 * etcd is asked to send large responses in fragments, because those of a watch that is far behind have no other limit. A
 * fragment may end in the midst of a revision: that revision's events are kept, packed, and stand in front of the next
 * fragment's bytes when those are read: two protobuf messages one behind the other are one message with the fields of
 * both. */
#include "store/etcd/client_private.h"

#include <stdio.h>

#define DENIALS_MAX 2 /* a token that is no longer known looks like a refusal */
#define CREATE_BYTES 64 /* of a request, without its keys */

struct etcd_watch {
    struct grpc_call grpc;
    struct etcd_client *client;
    struct list link, mail;
    struct etcd_watch_events events;
    int64_t next; /* revision */
    struct buf request, carry;
    unsigned denials;
    bool over;
    atomic_int pauses;

    /* Under the client's lock. */
    bool freeing, gone;
    size_t prefix_len, end_len;
    char prefix[]; /* and the end of the range */
};

static void on_message(struct grpc_call *grpc, struct str message);
static void on_closed(struct grpc_call *grpc, const struct grpc_status *status);
static const struct grpc_events watch_events = { on_message, on_closed };

struct str etcd_prefix_end(struct str prefix, char *end)
{
    size_t len = prefix.len;

    while (len > 0 && (unsigned char)prefix.data[len - 1] == 0xff)
        len--;
    if (len == 0) {
        end[0] = '\0';
        return str_of(end, 1);
    }
    memcpy(end, prefix.data, len);
    end[len - 1]++;
    return str_of(end, len);
}

/* -- how it ends, or goes on -- */

static void end_watch(struct etcd_watch *watch, int code, const struct err *err, int64_t compacted)
{
    watch->over = true;
    grpc_call_cancel(&watch->grpc);
    watch->events.done(watch->events.arg, code, err, compacted);
}

static void end_refused(struct etcd_watch *watch, enum err_code code, const char *text, int64_t compacted)
{
    struct err err = { 0 };

    err_set(&err, code, "etcd %s: watch: %s", member_name(watch->client), text);
    end_watch(watch, -(int)code, &err, compacted);
}

/* It is not running (or will not be in a moment). Either it is tried again, or it is over. */
static void interrupted(struct etcd_watch *watch, struct refusal refusal, const char *text)
{
    struct etcd_client *client = watch->client;
    bool denied = refusal.code == ERR_FORBIDDEN || refusal.code == ERR_UNAUTHORIZED;

    buf_clear(&watch->carry);
    if (client->state == MEMBER_NONE)
        return;
    if (denied && client->user && watch->denials < DENIALS_MAX) {
        watch->denials++;
        member_login(client);
    } else if (refusal.code == ERR_TIMEOUT || refusal.code == ERR_UNAVAILABLE || refusal.code == ERR_IO) {
        member_move(client, text);
    } else {
        end_refused(watch, refusal.code, text, 0);
    }
}

static void on_closed(struct grpc_call *grpc, const struct grpc_status *status)
{
    struct etcd_watch *watch = container_of(grpc, struct etcd_watch, grpc);

    interrupted(watch, refusal_of(status), status->code == GRPC_OK ? "the watch was ended" : status->text);
}

static void cancelled(struct etcd_watch *watch, const Etcd__WatchResponse *response)
{
    const char *reason = response->cancel_reason[0] ? response->cancel_reason : "cancelled";
    char text[160];

    if (response->compact_revision > 0) {
        snprintf(text, sizeof text, "revision %lld is compacted, as all before %lld are", (long long)watch->next,
                 (long long)response->compact_revision);
        end_refused(watch, ERR_EXPIRED, text, response->compact_revision);
        return;
    }
    grpc_call_cancel(&watch->grpc);
    interrupted(watch, refusal_of_text(str_from(reason)), reason);
}

/* -- responses -- */

/* Keys are there, revisions do not decrease, and none comes again. */
static bool is_sound(const struct etcd_watch *watch, const Etcd__WatchResponse *response)
{
    int64_t last = watch->next;

    for (size_t i = 0; i < response->n_events; i++) {
        const Etcd__KeyValue *kv = response->events[i]->kv;
        if (!kv || kv->mod_revision < last)
            return false;
        last = kv->mod_revision;
    }
    return response->n_events > 0 || response->header;
}

/* How many events of a fragment are of revisions that are whole. */
static size_t whole_count(const Etcd__WatchResponse *response)
{
    size_t count = response->n_events;
    int64_t last = response->events[count - 1]->kv->mod_revision;

    while (count > 0 && response->events[count - 1]->kv->mod_revision == last)
        count--;
    return count;
}

static bool keep_rest(struct etcd_watch *watch, const Etcd__WatchResponse *response, size_t from)
{
    Etcd__WatchResponse rest = ETCD__WATCH_RESPONSE__INIT;
    size_t size;
    char *room;

    rest.events = response->events + from;
    rest.n_events = response->n_events - from;
    size = protobuf_c_message_get_packed_size(&rest.base);
    buf_clear(&watch->carry);
    if (size > ETCD_MESSAGE_MAX || !(room = buf_reserve(&watch->carry, size)))
        return false;
    watch->carry.len += protobuf_c_message_pack(&rest.base, (uint8_t *)room);
    return true;
}

static void hand_up(struct etcd_watch *watch, Etcd__WatchResponse *response)
{
    struct etcd_client *client = watch->client;
    bool fragment = response->fragment && response->n_events > 0;

    if (fragment) {
        size_t count = whole_count(response);
        if (!keep_rest(watch, response, count)) {
            end_refused(watch, ERR_TOO_LARGE, "a revision is too large", 0);
            return;
        }
        response->n_events = count;
        if (count == 0)
            return;
    }
    watch->next = 1 + (response->n_events > 0 ? response->events[response->n_events - 1]->kv->mod_revision
                                              : response->header->revision);
    client->delivering = watch;
    watch->events.response(watch->events.arg, response);
    if (client->delivering != watch)
        return; /* freed */
    client->delivering = NULL;
    if (atomic_load(&watch->pauses) > 0)
        grpc_call_pause(&watch->grpc);
}

static Etcd__WatchResponse *decode(struct etcd_watch *watch, struct str message)
{
    ProtobufCMessage *response;

    if (watch->carry.len > 0) {
        buf_add_str(&watch->carry, message);
        if (!buf_ok(&watch->carry))
            return NULL;
        message = buf_str(&watch->carry);
    }
    response = client_decode(watch->client, &etcd__watch_response__descriptor, message);
    buf_clear(&watch->carry);
    return (Etcd__WatchResponse *)response;
}

static void on_message(struct grpc_call *grpc, struct str message)
{
    struct etcd_watch *watch = container_of(grpc, struct etcd_watch, grpc);
    struct etcd_client *client = watch->client;
    Etcd__WatchResponse *response = decode(watch, message);

    client->heard_at = clock_now(client->clock);
    if (response && response->canceled) {
        cancelled(watch, response);
    } else if (response && response->created) {
        watch->denials = 0;
        client->failures = 0;
    } else if (response && is_sound(watch, response)) {
        if (response->n_events > 0 || response->header->revision >= watch->next)
            hand_up(watch, response);
    } else {
        grpc_call_cancel(grpc);
        interrupted(watch, (struct refusal){ ERR_IO, THEN_MOVE, true }, "a response to a watch is malformed");
    }
}

/* -- beginning -- */

static bool build_request(struct etcd_watch *watch)
{
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
    size_t size;
    char *room;

    create.key = (ProtobufCBinaryData){ watch->prefix_len, (uint8_t *)watch->prefix };
    create.range_end = (ProtobufCBinaryData){ watch->end_len, (uint8_t *)watch->prefix + watch->prefix_len };
    if (create.key.len == 0) /* all keys: from the least one that there may be */
        create.key = create.range_end;
    create.start_revision = watch->next;
    create.progress_notify = create.fragment = true;
    request.request_case = ETCD__WATCH_REQUEST__REQUEST_CREATE_REQUEST;
    request.create_request = &create;
    size = protobuf_c_message_get_packed_size(&request.base);
    buf_clear(&watch->request);
    if (!(room = buf_reserve(&watch->request, GRPC_PREFIX + size)))
        return false;
    grpc_prefix(room, size);
    protobuf_c_message_pack(&request.base, (uint8_t *)room + GRPC_PREFIX);
    watch->request.len = GRPC_PREFIX + size;
    watch->grpc.request = buf_str(&watch->request);
    return true;
}

static void send_watch(struct etcd_watch *watch)
{
    struct grpc_session *session = channel_session(watch->client->channel);
    struct err err = { 0 };

    if (!session)
        return;
    watch->grpc.paused = atomic_load(&watch->pauses) > 0;
    if (!build_request(watch))
        member_move(watch->client, "no memory for a watch");
    else if (grpc_call_start(session, &watch->grpc, &err) < 0)
        member_move(watch->client, err.message);
}

void watches_send(struct etcd_client *client)
{
    if (client->state != MEMBER_READY)
        return;
    list_each(&client->watches, watch, struct etcd_watch, link)
        if (!watch->over && !watch->grpc.session)
            send_watch(watch);
}

/* -- other threads -- */

static void watch_delete(struct etcd_watch *watch)
{
    buf_deinit(&watch->request);
    buf_deinit(&watch->carry);
    free(watch);
}

static void detach(struct etcd_watch *watch)
{
    if (watch->client->delivering == watch)
        watch->client->delivering = NULL;
    grpc_call_cancel(&watch->grpc);
    list_remove(&watch->link);
}

/* The next one that something was said about; the answer to that is given without the lock. */
static struct etcd_watch *next_mail(struct etcd_client *client, bool *ret_freeing)
{
    LOCKED(&client->lock);
    struct etcd_watch *watch = list_first(&client->mail_watches, struct etcd_watch, mail);

    if (watch) {
        list_remove(&watch->mail);
        *ret_freeing = watch->freeing;
    }
    return watch;
}

static void let_go(struct etcd_watch *watch)
{
    struct etcd_client *client = watch->client;

    detach(watch);
    LOCKED(&client->lock);
    watch->gone = true;
    cond_broadcast(&client->watch_gone);
}

void watches_take_mail(struct etcd_client *client)
{
    struct etcd_watch *watch;
    bool freeing;

    while ((watch = next_mail(client, &freeing))) {
        if (freeing) {
            let_go(watch);
            continue;
        }
        if (list_empty(&watch->link))
            list_append(&client->watches, &watch->link);
        if (atomic_load(&watch->pauses) > 0)
            grpc_call_pause(&watch->grpc);
        else
            grpc_call_resume(&watch->grpc);
    }
}

static void post(struct etcd_watch *watch)
{
    if (list_empty(&watch->mail))
        list_append(&watch->client->mail_watches, &watch->mail);
    client_wake(watch->client);
}

int etcd_watch_start(struct etcd_client *client, struct str prefix, int64_t from_revision,
                     const struct etcd_watch_events *events, struct etcd_watch **ret_watch, struct err *err)
{
    struct etcd_watch *watch;

    if (from_revision <= 0)
        return err_set(err, ERR_INVALID, "etcd: a watch from revision %lld", (long long)from_revision);
    if (prefix.len > ETCD_MESSAGE_MAX / 4)
        return err_set(err, ERR_TOO_LARGE, "etcd: a prefix of %zu bytes", prefix.len);
    watch = calloc(1, sizeof *watch + 2 * prefix.len + 1);
    if (!watch)
        return err_set(err, ERR_NO_MEMORY, "etcd: watch");
    watch->client = client;
    list_init(&watch->link);
    list_init(&watch->mail);
    watch->events = *events;
    watch->next = from_revision;
    buf_init(&watch->request, 0);
    buf_init(&watch->carry, 2 * (size_t)ETCD_MESSAGE_MAX);
    if (prefix.len > 0)
        memcpy(watch->prefix, prefix.data, prefix.len);
    watch->prefix_len = prefix.len;
    watch->end_len = etcd_prefix_end(prefix, watch->prefix + prefix.len).len;
    watch->grpc.events = &watch_events;
    watch->grpc.path = "/etcdserverpb.Watch/Watch";
    watch->grpc.open_ended = true;
    LOCKED(&client->lock);
    post(watch);
    *ret_watch = watch;
    return 0;
}

static void change_pauses(struct etcd_watch *watch, int by)
{
    LOCKED(&watch->client->lock);
    atomic_fetch_add(&watch->pauses, by);
    post(watch);
}

void etcd_watch_pause(struct etcd_watch *watch)
{
    change_pauses(watch, 1);
}

void etcd_watch_resume(struct etcd_watch *watch)
{
    change_pauses(watch, -1);
}

struct etcd_watch *etcd_watch_free(struct etcd_watch *watch)
{
    struct etcd_client *client;

    if (!watch)
        return NULL;
    client = watch->client;
    mutex_lock(&client->lock);
    if (client_is_current(client)) {
        list_remove(&watch->mail);
        mutex_unlock(&client->lock);
        detach(watch);
    } else {
        watch->freeing = true;
        post(watch);
        while (!watch->gone)
            cond_wait(&client->watch_gone, &client->lock);
        mutex_unlock(&client->lock);
    }
    watch_delete(watch);
    return NULL;
}
