/* node_session.h - when each node was last heard of, in memory: heartbeats come each second and are no business of the
 * log.
 *
 * The API server writes it, the node lifecycle controller reads it. Any thread. */
#pragma once

#include "base/clock.h"
#include "base/err.h"

struct node_sessions;

#define NODE_SESSIONS_MAX 20000 /* names that are kept; more are refused */

int node_sessions_new(struct clock *clock, struct node_sessions **ret_sessions, struct err *err);
struct node_sessions *node_sessions_free(struct node_sessions *sessions);
DEFINE_AUTO(node_sessions, node_sessions_free)

/* Notes that node was heard of now. applied: revision up to which it has applied what concerns it; 0: not said. */
int node_sessions_touch(struct node_sessions *sessions, struct str node, uint64_t applied, struct err *err);
/* The same, that it was heard of so long ago; what is known of later times stays. */
int node_sessions_note(struct node_sessions *sessions, struct str node, nsec_t age, uint64_t applied, struct err *err);
void node_sessions_forget(struct node_sessions *sessions, struct str node);

struct node_session {
    struct str node; /* valid during the call */
    nsec_t seen;     /* clock_now() of the last heartbeat */
    nsec_t since;    /* of the first one since it was forgotten */
    uint64_t applied;
};
/* False: never heard of. session->node is the caller's slice. */
bool node_sessions_get(struct node_sessions *sessions, struct str node, struct node_session *ret_session);
/* fn must not call back into sessions. */
void node_sessions_each(struct node_sessions *sessions, void (*fn)(void *arg, const struct node_session *session),
                        void *arg);
size_t node_sessions_count(struct node_sessions *sessions);
