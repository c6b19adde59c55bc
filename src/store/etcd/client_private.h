/* client_private.h - how the parts of a client hang together. For the files of this folder only. */
#pragma once

#include "base/arena.h"
#include "base/sync.h"
#include "store/etcd/channel.h"
#include "store/etcd/client.h"
#include "store/etcd/refusal.h"

enum member_state {
    MEMBER_NONE,       /* between two: a pause, perhaps */
    MEMBER_CONNECTING, /* socket, TLS, HTTP/2 */
    MEMBER_ASKED,      /* whether it has a leader, and of which cluster it is */
    MEMBER_LOGIN,
    MEMBER_READY,
    MEMBER_LEAVING, /* it takes no more calls; those under way may end */
};

struct etcd_client {
    struct etcd_endpoint endpoints[ETCD_ENDPOINTS_MAX];
    size_t endpoints_count;
    struct tls_context *tls;
    char *user, *password;
    struct clock *clock;
    nsec_t connect_timeout, ping_interval, ping_timeout;

    struct thread thread;
    _Atomic pthread_t self;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t tick;

    /* The thread's own. */
    struct channel *channel;
    size_t at; /* endpoint */
    enum member_state state;
    nsec_t state_until; /* of NONE, CONNECTING to ASKED, LEAVING: when it is over */
    unsigned failures;  /* in a row, without an answer between them */
    bool move, relogin; /* notes for the end of the turn */
    struct err move_why;
    nsec_t heard_at;    /* the last answer of any kind */
    nsec_t answered_at; /* the last one that took more than the member itself */
    nsec_t probed_at;
    bool probing;
    uint64_t cluster;           /* 0: not known yet */
    struct list waiting, under_way; /* calls */
    struct list watches;
    struct etcd_watch *delivering; /* NULL: none, or it was freed meanwhile */
    struct arena arena;            /* the message that is being handed up */
    bool ending;

    struct mutex lock; /* of all below */
    struct cond watch_gone;
    struct list mail_calls, mail_watches;
    bool woken, stop;
    bool connected;
    struct err trouble; /* why it is not */
};

bool client_is_current(const struct etcd_client *client);
/* Under lock: has the thread look at its mail. */
void client_wake(struct etcd_client *client);
/* Ends each callback of libuv: mail, the member's state, what is to be sent. */
void client_turn(struct etcd_client *client);
/* In the client's arena, until the next message. NULL: malformed, or too large in memory. */
ProtobufCMessage *client_decode(struct etcd_client *client, const ProtobufCMessageDescriptor *type, struct str message);

/* -- call.c -- */

struct call_method {
    const char *name, *path;
    const ProtobufCMessageDescriptor *request, *answer;
    bool reads;
};

struct call {
    struct grpc_call grpc;
    struct list link; /* of the mail, or of one of the client's lists */
    struct etcd_client *client;
    const struct call_method *method;
    nsec_t deadline, sent_at;
    etcd_done_fn *done;
    void *arg;
    bool internal; /* member.c's own: it is sent to this member or not at all */
    bool answered;
    unsigned char logins;
    size_t size;
    char request[];
};

int call_new(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
             etcd_done_fn *done, void *arg, struct call **ret_call, struct err *err);
void call_send(struct call *call);
void calls_send_waiting(struct etcd_client *client);
void calls_check_deadlines(struct etcd_client *client, nsec_t now);
void calls_end(struct etcd_client *client); /* those that wait: the client is being freed */

/* -- member.c -- */

void member_drive(struct etcd_client *client);
void member_tick(struct etcd_client *client, nsec_t now);
void member_close(struct etcd_client *client, const char *why);
/* Notes, for the end of the turn. */
void member_move(struct etcd_client *client, const char *why);
void member_login(struct etcd_client *client);
const char *member_name(const struct etcd_client *client);

/* -- watch.c -- */

void watches_take_mail(struct etcd_client *client);
void watches_send(struct etcd_client *client);
