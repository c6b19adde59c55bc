/* apiserver.h - the Kubernetes API over the store: one pipeline, reached over HTTP or from inside the process.
 *
 * A request goes through: path -> who (authn) -> may they (authz) -> content negotiation -> the verb's handler, which
 * decodes, defaults, admits, validates, and reads or commits. Every answer that is not an object is a metav1.Status. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/executor.h"
#include "base/rng.h"
#include "client/client.h"
#include "client/node_session.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/tunnel.h"
#include "store/store.h"

struct apiserver;
struct request;

struct apiserver_options {
    struct store *store;       /* all of these outlive the server */
    struct executor *executor; /* runs what may block */
    struct clock *clock;
    struct rng *rng;                     /* used under a lock of the server */
    struct http_client *http_client;     /* to the agents; NULL: logs and the like answer 503 */
    struct tunnels *tunnels;             /* to the agents as well; NULL: exec and the like answer 503 */
    struct node_sessions *sessions;      /* where heartbeats are noted; NULL: they answer 404 */
    struct str service_cidr;             /* unset: "10.96.0.0/12" */
    int node_port_first, node_port_last; /* 0: 30000 and 32767 */
    nsec_t bookmark_interval;            /* 0: one minute */
    struct str token_key_pem; /* signs tokens of service accounts (P-256); unset: there are none. Copied */
    struct str token_issuer;  /* unset: "https://kubernetes.default.svc.cluster.local" */
};

int apiserver_new(const struct apiserver_options *options, struct apiserver **ret_server, struct err *err);
/* Ends the watches and lists under way; the HTTP server that uses the handler must have stopped. */
struct apiserver *apiserver_free(struct apiserver *server);
DEFINE_AUTO(apiserver, apiserver_free)

/* For http_server_options.handler. */
struct http_handler apiserver_handler(struct apiserver *server);

/* Calls that run the same pipeline on the caller's thread, as that user (group system:masters), without HTTP. Watches
 * share one decoded object an event with all others. Free all clients before the server. */
int apiserver_local_client(struct apiserver *server, struct str user, struct client **ret_client, struct err *err);

/* The same for those who act for the leader: their writes fail with ERR_UNAVAILABLE once that term is over. */
int apiserver_term_client(struct apiserver *server, struct str user, revision_t term, struct client **ret_client,
                          struct err *err);
/* From now on (term > 0) this server does in the background what one server of a cluster does for all, or no longer does
 * (0). On a store that is not shared it always does. Any thread. */
void apiserver_lead(struct apiserver *server, revision_t term);

/* A check behind /livez, /readyz and /healthz: "[+]name ok". check() runs on an executor; what it says about a failure is
 * logged nowhere and not shown to clients. Before the handler is in use; the struct must stay. */
struct health_check {
    struct str name;
    bool live, ready; /* part of which; /healthz has all */
    int (*check)(void *ctx, struct err *err);
    void *ctx;
};
int apiserver_add_health_check(struct apiserver *server, const struct health_check *check, struct err *err);

/* Makes the namespaces default, kube-system, kube-public and kube-node-lease, and the service default/kubernetes, where
 * they are absent. advertise: the address behind that service; unset: no endpoints are written. */
int apiserver_bootstrap(struct apiserver *server, struct str advertise, int port, struct err *err);

/* -- what other files of the server register -- */

/* A path that is no resource: "/version", "/openapi/v3/". The longest matching prefix wins. handle() runs on an
 * executor, must set the reply (request.h) and may block. */
struct route {
    struct str path;
    bool exact;     /* only this path (a trailing '/' aside), not what lies below it */
    bool anonymous; /* served without a client certificate */
    int (*handle)(struct request *request, struct err *err);
    bool quick;     /* handle() never blocks: it may run on a network loop */
};
/* Before the handler is in use. route must stay. */
int apiserver_add_route(struct apiserver *server, const struct route *route, struct err *err);

/* May this request proceed? Asked in order; the first that decides wins; none: allowed. Set request->failure for
 * details. */
enum authz_decision { AUTHZ_NO_OPINION, AUTHZ_ALLOW, AUTHZ_DENY };
struct authorizer {
    const char *name;
    enum authz_decision (*decide)(void *ctx, const struct request *request, struct str *ret_reason);
    void *ctx;
};
int apiserver_add_authorizer(struct apiserver *server, const struct authorizer *authorizer, struct err *err);

/* Admission of writes, in order: all mutators (after defaults, in the storage version), then all validators. new_object
 * is NULL for deletions, old_object for creations. A negative return refuses the request with that error. */
struct json;
struct admission {
    const char *name;
    int (*mutate)(void *ctx, struct request *request, struct json *new_object, const struct json *old_object,
                  struct err *err);
    int (*validate)(void *ctx, struct request *request, const struct json *new_object, const struct json *old_object,
                    struct err *err);
    void *ctx;
};
int apiserver_add_admission(struct apiserver *server, const struct admission *admission, struct err *err);
