/* client.h - etcd's v3 API: calls and watches on one connection to one of its members, and to the next one when that
 * fails.
 *
 * A client has a thread of its own, on which all callbacks run: they must not block; they may start calls, start, pause
 * and free watches, but not free the client. Everything else may be called by any thread.
 *
 * Members: the client keeps one connection, to the member that answered last. It leaves a member that does not connect
 * in connect_timeout, does not answer a question after its health in ping_timeout, has no leader, belongs to another
 * cluster than those before, or let a call's deadline pass without having answered another one meanwhile. The next of the
 * list is tried at once, with a pause after each round.
 *
 * Codes of calls and what they say about a write:
 *   ERR_UNAVAILABLE  certainly nothing was written (never sent, or refused unseen: too many requests)
 *   ERR_TIMEOUT      it is not known whether it was written: the connection, the deadline or the member's leader was
 *                    lost after sending
 *   ERR_EXPIRED      the revision is compacted
 *   ERR_NO_SPACE     etcd's database is full
 *   ERR_TOO_LARGE    request, number of operations; the answer
 *   ERR_NOT_FOUND    no such lease
 *   ERR_ALREADY_EXISTS, ERR_INVALID, ERR_UNAUTHORIZED, ERR_FORBIDDEN, ERR_BAD_REQUEST, ERR_NOT_SUPPORTED  refused
 *   ERR_IO           etcd's answer cannot be read, or it says that it is corrupt: not known whether it was written
 * Calls that only read (Range, Status, LeaseKeepAlive) are asked again on the next connection while their deadline
 * lasts, and answer ERR_UNAVAILABLE in place of ERR_TIMEOUT. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "store/etcd/rpc.pb-c.h"

#define ETCD_CALL_TIMEOUT (2500 * NSEC_PER_MSEC) /* what most calls should give */
#define ETCD_MESSAGE_MAX (64u << 20)             /* of answers; requests: etcd itself says (1.5 MiB by default) */

struct etcd_client;

struct etcd_client_options {
    struct str endpoints; /* "h1:2379,h2,[::1]:2379"; 2379 where no port is said; at most 16 */
    struct str ca_pem;    /* unset: plain TCP. Set: TLS, and the certificate must be for the host as written above */
    struct str cert_pem, key_pem; /* of this client; unset: none */
    struct str user, password;    /* unset: none */
    struct clock *clock;          /* NULL: the machine's */
    nsec_t connect_timeout;       /* until calls can be sent; 0: 1 s */
    nsec_t ping_interval;         /* asked after its health when it was silent for so long; 0: 1 s */
    nsec_t ping_timeout;          /* 0: 2 s */
};

/* Copies the options and begins to connect; does not wait for it. ERR_INVALID: endpoints, certificates, keys. */
int etcd_client_new(const struct etcd_client_options *options, struct etcd_client **ret_client, struct err *err);
/* Calls under way end with done(): sent ones with ERR_TIMEOUT, others with ERR_UNAVAILABLE. All watches must be freed.
 */
struct etcd_client *etcd_client_free(struct etcd_client *client);
DEFINE_AUTO(etcd_client, etcd_client_free)

/* 0: connected (and logged in). ERR_UNAVAILABLE: not; the message says what keeps it: "10.0.0.1:2379: Connection
 * refused". */
int etcd_client_check(struct etcd_client *client, struct err *err);

/* -- calls -- */

/* method, path, request, answer, only reads */
#define ETCD_METHODS(X)                                                                                                \
    X(RANGE, "/etcdserverpb.KV/Range", range_request, range_response, true)                                            \
    X(PUT, "/etcdserverpb.KV/Put", put_request, put_response, false)                                                   \
    X(DELETE_RANGE, "/etcdserverpb.KV/DeleteRange", delete_range_request, delete_range_response, false)                \
    X(TXN, "/etcdserverpb.KV/Txn", txn_request, txn_response, false)                                                   \
    X(COMPACT, "/etcdserverpb.KV/Compact", compaction_request, compaction_response, false)                             \
    X(LEASE_GRANT, "/etcdserverpb.Lease/LeaseGrant", lease_grant_request, lease_grant_response, false)                 \
    X(LEASE_REVOKE, "/etcdserverpb.Lease/LeaseRevoke", lease_revoke_request, lease_revoke_response, false)             \
    X(LEASE_KEEP_ALIVE, "/etcdserverpb.Lease/LeaseKeepAlive", lease_keep_alive_request, lease_keep_alive_response,     \
      true)                                                                                                            \
    X(AUTHENTICATE, "/etcdserverpb.Auth/Authenticate", authenticate_request, authenticate_response, true)              \
    X(STATUS, "/etcdserverpb.Maintenance/Status", status_request, status_response, true)

enum etcd_method {
#define X(name, path, request, answer, reads) ETCD_##name,
    ETCD_METHODS(X)
#undef X
    ETCD_METHODS_COUNT
};

/* code 0: answer is the method's response message, valid until done returns. Negative: err says why, answer is NULL.
 * Once for each call. */
typedef void etcd_done_fn(void *arg, int code, const struct err *err, const ProtobufCMessage *answer);

/* The request is serialised before it returns. timeout covers everything, waiting for a connection too. After an error
 * here (ERR_NO_MEMORY; ERR_INVALID: a message of another method; ERR_TOO_LARGE; ERR_CANCELLED: the client is being
 * freed) done is not called. */
int etcd_call(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
              etcd_done_fn *done, void *arg, struct err *err);
/* The same, blocking; not from a callback. Free the answer with protobuf_c_message_free_unpacked(answer, NULL). */
int etcd_do(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
            ProtobufCMessage **ret_answer, struct err *err);

/* The range_end of all keys with a prefix: the prefix with its last byte that is not 0xff counted up, into end (as long
 * as the prefix at least); one zero byte ("all from there") when there is none. */
struct str etcd_prefix_end(struct str prefix, char *end);

/* -- watches -- */

struct etcd_watch_events {
    void *arg;
    /* Events of whole revisions, in order, each once; none: progress, everything up to header.revision has been said.
     * Valid until it returns. */
    void (*response)(void *arg, const Etcd__WatchResponse *response);
    /* The watch is over by itself (it must still be freed). ERR_EXPIRED: what it wants next is compacted, up to
     * compacted; ERR_FORBIDDEN and so on: refused for good. */
    void (*done)(void *arg, int code, const struct err *err, int64_t compacted);
};

struct etcd_watch;
/* All keys with the prefix, from a revision (> 0) on. Lost connections and leaders are not errors: the watch goes on
 * with the next member, without a gap. */
int etcd_watch_start(struct etcd_client *client, struct str prefix, int64_t from_revision,
                     const struct etcd_watch_events *events, struct etcd_watch **ret_watch, struct err *err);
/* While paused at most a few MiB more are read from the network; a response that is being delivered is not taken back.
 * Counted: as many resumes as pauses. Not necessarily in effect when it returns, unless from a callback. */
void etcd_watch_pause(struct etcd_watch *watch);
void etcd_watch_resume(struct etcd_watch *watch);
/* After it returns no callback is running (except the one it is called from) and none will. */
struct etcd_watch *etcd_watch_free(struct etcd_watch *watch);
DEFINE_AUTO(etcd_watch, etcd_watch_free)
