/* member.c - which member the client talks to, and whether that is any good.
 *
 *   NONE -> CONNECTING -> ASKED -> LOGIN (with a user) -> READY -> LEAVING -> NONE ...
 *
 * and from each of them to NONE when the member proves useless: then the next one of the list is tried at once, after a
 * full round of failures following a pause that grows.
 *
 * A connected member is asked for its Status first: one without a leader, a learner, or one of another cluster is of no
 * use. The same question is the keepalive: it is asked when nothing was heard for an interval. HTTP/2's own PING will
 * not do: etcd's server ends a connection that is pinged more often than each five seconds without traffic, and a member
 * that is cut off from the others answers it all the same.
 *
 * A token goes with every call; when etcd no longer knows it (it forgets them after some minutes, or with a restart)
 * the calls that were refused wait for another login. */
#include "store/etcd/client_private.h"

#include <stdio.h>

#define PAUSE_MIN (100 * NSEC_PER_MSEC)
#define PAUSE_DOUBLINGS 3
#define LOGIN_TIMEOUT (2500 * NSEC_PER_MSEC) /* etcd hashes the password slowly, on purpose */
#define LEAVING_TIME (500 * NSEC_PER_MSEC)

const char *member_name(const struct etcd_client *client)
{
    return client->endpoints[client->at].text;
}

static void set_connected(struct etcd_client *client, bool connected, const char *why)
{
    LOCKED(&client->lock);
    client->connected = connected;
    if (!connected)
        err_set(&client->trouble, ERR_UNAVAILABLE, "%s: %s", member_name(client), why);
}

void member_move(struct etcd_client *client, const char *why)
{
    if (client->move || !client->channel)
        return;
    client->move = true;
    err_set(&client->move_why, ERR_UNAVAILABLE, "%s", why);
}

void member_login(struct etcd_client *client)
{
    client->relogin = true;
}

/* -- questions of our own -- */

static void ask(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
                etcd_done_fn *done)
{
    struct call *call;
    struct err err = { 0 };

    if (call_new(client, method, request, timeout, done, client, &call, &err) < 0) {
        member_move(client, err.message);
        return;
    }
    call->internal = true;
    call_send(call);
}

static void on_login(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct etcd_client *client = arg;
    struct grpc_session *session = client->channel ? channel_session(client->channel) : NULL;
    const Etcd__AuthenticateResponse *login = (const Etcd__AuthenticateResponse *)answer;
    struct err trouble = { 0 };

    if (client->state != MEMBER_LOGIN || !session)
        return;
    if (code == 0)
        code = grpc_session_set_token(session, str_from(login->token), &trouble);
    else if (code == -ERR_BAD_REQUEST && str_find(str_from(err->message), STR("authentication is not enabled")) >= 0)
        code = 0; /* then no token is needed */
    else
        trouble = *err;
    if (code < 0)
        member_move(client, trouble.message);
    else
        client->state = MEMBER_READY;
}

static void log_in(struct etcd_client *client)
{
    struct grpc_session *session = channel_session(client->channel);
    Etcd__AuthenticateRequest request = ETCD__AUTHENTICATE_REQUEST__INIT;

    client->state = MEMBER_LOGIN;
    request.name = client->user;
    request.password = client->password;
    if (session)
        grpc_session_set_token(session, STR_NULL, NULL);
    ask(client, ETCD_AUTHENTICATE, &request.base, LOGIN_TIMEOUT, on_login);
}

/* NULL: the member is fit; else why not. */
static const char *judge(struct etcd_client *client, const Etcd__StatusResponse *status, char *text, size_t size)
{
    uint64_t cluster = status->header ? status->header->cluster_id : 0;

    if (status->islearner)
        return "is a learner";
    if (status->leader == 0)
        return "has no leader";
    if (client->cluster != 0 && cluster != 0 && cluster != client->cluster) {
        snprintf(text, size, "belongs to another cluster: %llx, the others to %llx", (unsigned long long)cluster,
                 (unsigned long long)client->cluster);
        return text;
    }
    client->cluster = cluster;
    return NULL;
}

static void on_status(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct etcd_client *client = arg;
    bool denied = code == -ERR_FORBIDDEN || code == -ERR_UNAUTHORIZED; /* alive, but it does not tell everybody */
    const char *why = NULL;
    char text[128];

    client->probing = false;
    if (client->state == MEMBER_NONE)
        return;
    if (code == 0)
        why = judge(client, (const Etcd__StatusResponse *)answer, text, sizeof text);
    else if (!denied)
        why = err->message;
    if (why)
        member_move(client, why);
    else if (client->state == MEMBER_ASKED && client->user)
        log_in(client);
    else if (client->state == MEMBER_ASKED)
        client->state = MEMBER_READY;
}

static void probe(struct etcd_client *client, nsec_t timeout)
{
    const Etcd__StatusRequest request = ETCD__STATUS_REQUEST__INIT;

    client->probing = true;
    client->probed_at = clock_now(client->clock);
    ask(client, ETCD_STATUS, &request.base, timeout, on_status);
}

/* -- moving -- */

static void on_turn(void *arg)
{
    client_turn(arg);
}

static void open_next(struct etcd_client *client)
{
    const struct channel_options options = {
        .uv = &client->uv,
        .endpoint = &client->endpoints[client->at],
        .tls = client->tls,
        .max_message = ETCD_MESSAGE_MAX,
        .turn = on_turn,
        .arg = client,
    };
    nsec_t now = clock_now(client->clock);
    struct err err = { 0 };

    client->state_until = now + client->connect_timeout;
    if (channel_open(&options, &client->channel, &err) == 0) {
        client->state = MEMBER_CONNECTING;
        return;
    }
    client->state_until = now + PAUSE_MIN;
    set_connected(client, false, err.message);
}

void member_close(struct etcd_client *client, const char *why)
{
    client->state = MEMBER_NONE;
    set_connected(client, false, why);
    client->channel = channel_close(client->channel, why);
    client->move = client->relogin = client->probing = false;
}

static void move_on(struct etcd_client *client, const char *why)
{
    unsigned round;

    member_close(client, why);
    client->at = (client->at + 1) % client->endpoints_count;
    round = ++client->failures / (unsigned)client->endpoints_count;
    client->state_until = clock_now(client->clock);
    if (client->failures % client->endpoints_count == 0)
        client->state_until += PAUSE_MIN << MIN(round - 1, PAUSE_DOUBLINGS);
}

static void leave_politely(struct etcd_client *client, nsec_t now)
{
    if (client->state != MEMBER_LEAVING) {
        client->state = MEMBER_LEAVING;
        client->state_until = now + LEAVING_TIME;
    }
    if (list_empty(&client->under_way) || now >= client->state_until)
        member_move(client, "the member is being shut down");
}

static void look(struct etcd_client *client, nsec_t now)
{
    struct grpc_session *session = channel_session(client->channel);
    struct err err = { 0 };

    if (channel_check(client->channel, &err) < 0) {
        member_move(client, err.message);
    } else if (client->state == MEMBER_CONNECTING && channel_is_ready(client->channel)) {
        client->state = MEMBER_ASKED;
        probe(client, MAX(client->state_until - now, NSEC_PER_MSEC));
    } else if (client->state >= MEMBER_READY && session && grpc_session_ending(session)) {
        leave_politely(client, now);
    } else if (client->state == MEMBER_READY && client->relogin) {
        log_in(client);
    }
    if (client->state >= MEMBER_LOGIN)
        client->relogin = false;
}

void member_drive(struct etcd_client *client)
{
    nsec_t now = clock_now(client->clock);

    if (client->channel)
        look(client, now);
    if (client->move)
        move_on(client, client->move_why.message);
    if (!client->channel && !client->ending && now >= client->state_until)
        open_next(client);
    if (client->state == MEMBER_READY && !client->connected)
        set_connected(client, true, NULL);
}

void member_tick(struct etcd_client *client, nsec_t now)
{
    switch (client->state) {
    case MEMBER_CONNECTING:
    case MEMBER_ASKED:
        if (now >= client->state_until)
            member_move(client, "does not answer");
        break;
    case MEMBER_READY:
        if (!client->probing && now - MAX(client->heard_at, client->probed_at) >= client->ping_interval)
            probe(client, client->ping_timeout);
        break;
    default:
        break;
    }
}
