/* load.h - a cache made anew: all objects of etcd at one revision. */
#pragma once

#include "store/engine.h"
#include "store/etcd/client.h"
#include "store/etcd/codec.h"

/* Into an empty engine. Each object's record stands at its own revision; older revisions than the newest of the store
 * cannot be read. *ret_at: the revision of etcd that was read: the watch goes on behind it. Blocks. */
int etcd_load(struct etcd_client *client, const struct etcd_layout *layout, struct engine *engine, revision_t *ret_at,
              struct err *err);
