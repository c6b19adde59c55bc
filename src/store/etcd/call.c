/* call.c - calls: serialised by their caller, sent by the client's thread, answered once.
 *
 * A call waits until there is a member to send it to. Sent, it ends with the answer, a refusal, its deadline or the
 * connection. A refusal that is the member's own trouble sends the call to the next member, as long as it is certain
 * that nothing was done, or the method only reads; otherwise the caller is told that it is not known. */
#include "store/etcd/client_private.h"

#include <stdio.h>

#define LOGINS_MAX 2 /* of one call */

static const struct call_method methods[] = {
#define X(name, path, request, answer, reads)                                                                          \
    [ETCD_##name] = { #name, path, &etcd__##request##__descriptor, &etcd__##answer##__descriptor, reads },
    ETCD_METHODS(X)
#undef X
};

static void on_message(struct grpc_call *grpc, struct str message);
static void on_closed(struct grpc_call *grpc, const struct grpc_status *status);
static const struct grpc_events call_events = { on_message, on_closed };

static const char *short_name(const struct call_method *method)
{
    return strrchr(method->path, '/') + 1;
}

int call_new(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
             etcd_done_fn *done, void *arg, struct call **ret_call, struct err *err)
{
    struct call *call;
    size_t size;

    if ((unsigned)method >= ARRAY_LEN(methods) || request->descriptor != methods[method].request)
        return err_set(err, ERR_INVALID, "etcd: the request is not of this method");
    size = protobuf_c_message_get_packed_size(request);
    if (size > ETCD_MESSAGE_MAX)
        return err_set(err, ERR_TOO_LARGE, "etcd: a request of %zu bytes", size);
    call = malloc(sizeof *call + GRPC_PREFIX + size);
    if (!call)
        return err_set(err, ERR_NO_MEMORY, "etcd: request");
    memset(call, 0, sizeof *call);
    list_init(&call->link);
    call->client = client;
    call->method = &methods[method];
    call->deadline = clock_now(client->clock) + timeout;
    call->done = done;
    call->arg = arg;
    grpc_prefix(call->request, size);
    protobuf_c_message_pack(request, (uint8_t *)call->request + GRPC_PREFIX);
    call->grpc.events = &call_events;
    call->grpc.path = call->method->path;
    call->grpc.request = str_of(call->request, GRPC_PREFIX + size);
    *ret_call = call;
    return 0;
}

/* Tells the caller, and frees; the call is neither in a list nor under way any more. */
static void finish(struct call *call, int code, const struct err *err)
{
    list_remove(&call->link);
    if (!call->answered)
        call->done(call->arg, code, err, NULL);
    free(call);
}

static void fail(struct call *call, enum err_code code, const char *text)
{
    struct err err = { 0 };
    bool unknown = code == ERR_TIMEOUT && !call->method->reads;

    if (code == ERR_TIMEOUT && call->method->reads)
        code = ERR_UNAVAILABLE;
    if (call->internal)
        err_set(&err, code, "%s: %s", short_name(call->method), text);
    else
        err_set(&err, code, "etcd %s: %s: %s%s", member_name(call->client), short_name(call->method), text,
                unknown ? "; it is not known whether it was done" : "");
    finish(call, -(int)code, &err);
}

static void fail_waiting(struct call *call)
{
    struct etcd_client *client = call->client;
    struct err trouble, err = { 0 };

    mutex_lock(&client->lock);
    trouble = client->trouble;
    mutex_unlock(&client->lock);
    err_set(&err, ERR_UNAVAILABLE, "etcd: %s was not sent: %s", short_name(call->method),
            client->ending ? "the client is closed" : trouble.message[0] ? trouble.message : "no connection");
    finish(call, -ERR_UNAVAILABLE, &err);
}

/* -- sending -- */

static void wait_again(struct call *call)
{
    list_remove(&call->link);
    list_append(&call->client->waiting, &call->link);
}

void call_send(struct call *call)
{
    struct etcd_client *client = call->client;
    struct grpc_session *session = client->channel ? channel_session(client->channel) : NULL;
    struct err err = { 0 };

    list_remove(&call->link);
    call->sent_at = clock_now(client->clock);
    if (session && grpc_call_start(session, &call->grpc, &err) == 0)
        list_append(&client->under_way, &call->link);
    else if (call->internal)
        fail(call, ERR_UNAVAILABLE, "not sent");
    else
        list_append(&client->waiting, &call->link);
}

void calls_send_waiting(struct etcd_client *client)
{
    struct list calls;

    if (client->state != MEMBER_READY || list_empty(&client->waiting))
        return;
    calls = client->waiting; /* those that cannot be sent come back to the list */
    calls.next->prev = calls.prev->next = &calls;
    list_init(&client->waiting);
    list_each(&calls, call, struct call, link)
        call_send(call);
}

/* -- the answer -- */

static void on_message(struct grpc_call *grpc, struct str message)
{
    struct call *call = container_of(grpc, struct call, grpc);
    struct etcd_client *client = call->client;
    ProtobufCMessage *answer;

    if (call->answered)
        return;
    client->heard_at = clock_now(client->clock);
    if (!call->internal)
        client->answered_at = client->heard_at, client->failures = 0;
    answer = client_decode(client, call->method->answer, message);
    if (!answer) {
        grpc_call_cancel(grpc);
        member_move(client, "an answer is malformed");
        fail(call, ERR_IO, "the answer is malformed");
        return;
    }
    call->answered = true;
    call->done(call->arg, 0, NULL, answer);
}

/* Whether the caller need not hear of it. */
static bool goes_on(struct call *call, const struct refusal *refusal)
{
    struct etcd_client *client = call->client;

    if (call->answered || call->internal || client->ending)
        return false;
    if (refusal->then == THEN_LOGIN && client->user && call->logins < LOGINS_MAX) {
        call->logins++;
        return true;
    }
    return refusal->then == THEN_MOVE && (refusal->unseen || call->method->reads);
}

static void on_closed(struct grpc_call *grpc, const struct grpc_status *status)
{
    struct call *call = container_of(grpc, struct call, grpc);
    struct etcd_client *client = call->client;
    struct refusal refusal;

    if (call->answered) {
        finish(call, 0, NULL);
        return;
    }
    refusal = refusal_of(status);
    client->heard_at = clock_now(client->clock);
    if (refusal.then == THEN_MOVE)
        member_move(client, status->text);
    else if (refusal.then == THEN_LOGIN && client->user)
        member_login(client);
    if (goes_on(call, &refusal))
        wait_again(call);
    else
        fail(call, refusal.code, status->text);
}

/* -- deadlines -- */

static void overdue(struct call *call)
{
    struct etcd_client *client = call->client;
    nsec_t last = call->internal ? client->heard_at : client->answered_at;
    bool started = call->grpc.started;

    grpc_call_cancel(&call->grpc);
    if (!call->answered && last <= call->sent_at)
        member_move(client, "no answer in time");
    fail(call, started ? ERR_TIMEOUT : ERR_UNAVAILABLE, started ? "no answer in time" : "not sent in time");
}

void calls_check_deadlines(struct etcd_client *client, nsec_t now)
{
    list_each(&client->waiting, call, struct call, link)
        if (now >= call->deadline)
            fail_waiting(call);
    list_each(&client->under_way, call, struct call, link)
        if (now >= call->deadline)
            overdue(call);
}

void calls_end(struct etcd_client *client)
{
    list_each(&client->waiting, call, struct call, link)
        fail_waiting(call);
}
