/* remote.h - a store whose writes are made in etcd, and whose own files are a cache that follows it.
 *
 * The parts: codec.c (keys and values), load.c (a cache made anew), follow.c (the watch, for the writer), commit.c and
 * pending.c (transactions on their way), sync.c (reading what others wrote), campaign.c (who leads), remote.c (opening,
 * closing, and the steward: a thread that looks after what takes too long). */
#pragma once

#include "store/engine.h"
#include "store/store.h"

struct remote;

/* Connects, and makes sure that the folder's cache fits; one that does not is loaded anew. Blocks. ERR_UNAVAILABLE: etcd
 * does not answer, or another process has the cache. ERR_INVALID: options; the folder is a store of its own.
 * ERR_NOT_SUPPORTED: another format. */
int remote_open(const struct store_options *options, struct remote **ret_remote, struct engine **ret_engine,
                struct err *err);
/* Follows etcd from the cache's revision on; from now on changes come to the store's queue. */
int remote_start(struct remote *remote, struct store *store, struct err *err);
/* Waits for the transactions and questions under way (each has its deadline). Nothing comes to the queue any more. */
void remote_stop(struct remote *remote);
struct remote *remote_free(struct remote *remote);
DEFINE_AUTO(remote, remote_free)

/* As their counterparts in store.h. */
void remote_commit(struct remote *remote, struct store_txn *txn);
void remote_sync(struct remote *remote, struct store_sync *sync);
int remote_ready(struct remote *remote, enum store_condition *ret_condition, struct err *err);
void remote_leader(struct remote *remote, struct store_leader *ret_leader);
/* The store has given up history before floor: so may etcd, if this server leads. */
void remote_retained(struct remote *remote, revision_t floor);

struct remote_campaign; /* options must outlive it */
int remote_campaign_start(struct remote *remote, const struct store_campaign_options *options,
                          struct remote_campaign **ret_campaign, struct err *err);
struct remote_campaign *remote_campaign_end(struct remote_campaign *campaign);
