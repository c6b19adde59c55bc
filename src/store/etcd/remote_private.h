/* remote_private.h - how the parts of a store on etcd hang together. For the files of this folder only.
 *
 * Threads: callers (remote_commit, remote_sync), the client's (answers, the watch), the store's writer (changes
 * applied), the steward. The lock is never held across a call that waits. */
#pragma once

#include "base/sync.h"
#include "store/etcd/client.h"
#include "store/etcd/pending.h"
#include "store/etcd/remote.h"

struct question;

struct remote {
    struct store *store;
    struct clock *clock;
    struct etcd_client *client;
    struct etcd_layout layout;
    uint64_t run;
    _Atomic nsec_t heard; /* when etcd answered last */
    _Atomic nsec_t newest; /* time of the newest transaction here */

    revision_t received; /* the watch's: everything up to here is in the queue */

    struct mutex lock; /* of all below */
    struct cond wake;  /* of the steward */
    struct cond idle;  /* of who closes */
    struct pendings pendings;
    bool settling; /* the server's key is being put */
    nsec_t settled; /* when that was begun last */
    bool closing, stopping;
    struct err full; /* code 0: etcd takes puts */

    struct etcd_watch *watch;
    size_t queued; /* bytes of changes that wait for the writer */
    bool paused, watch_over;
    struct err watch_err;

    struct question *asking, *gathering, *answered;

    struct mutex leader_lock; /* of all below; below the other */
    struct store_leader leader;
    revision_t leader_seen;
    struct remote_campaign *campaign;
    revision_t compacted;

    struct thread steward;
};

/* etcd has answered. */
void remote_heard(struct remote *remote);
/* An answer came, of this kind. */
void remote_note_answer(struct remote *remote, int code);
/* The server cannot go on with this cache. Says so and ends the process. */
_Noreturn void remote_fail(const char *what, const struct err *err);
/* Gives transactions that are over to the writer, which calls done. */
void remote_tell(struct remote *remote, struct pending_over *over);
/* The newest transaction: 0: none yet. */
int remote_ask_newest(struct remote *remote, revision_t at, nsec_t timeout, revision_t *ret_newest,
                      revision_t *ret_revision, struct err *err);

/* -- follow.c -- */

/* From a revision on. */
int follow_start(struct remote *remote, revision_t from, struct err *err);
/* The watch has ended by itself: goes on, or ends the process. Steward. */
void follow_again(struct remote *remote);
void follow_leader(struct remote *remote, const Etcd__KeyValue *kv, bool gone);

/* -- commit.c -- */

/* Sends what waits. */
void commit_pump(struct remote *remote);
void commit_settle(struct remote *remote);

/* -- sync.c; all but the first with the lock -- */

void sync_ask(struct remote *remote, struct question *question);
struct question *sync_next(struct remote *remote); /* to be asked; NULL: none now */
struct question *sync_probe(struct remote *remote); /* the same, when nobody wants to know */
struct question *sync_applied(struct remote *remote); /* those that the cache has come up to */
struct question *sync_expired(struct remote *remote, nsec_t now);
bool sync_is_idle(const struct remote *remote);
/* Without the lock: calls done. */
void sync_tell(struct question *first, int code);

/* -- campaign.c -- */

/* Who leads has changed. */
void campaign_vacancy(struct remote_campaign *campaign);
revision_t campaign_term(struct remote_campaign *campaign);
