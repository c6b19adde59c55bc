/* identity.h - of what a folder is the cache: the file "etcd" in it. */
#pragma once

#include "store/etcd/codec.h"

struct etcd_identity {
    uint64_t cluster; /* etcd's own number */
    char prefix[ETCD_PREFIX_MAX + 1];
    char boot[64];                     /* of the machine: what was not synced is lost with it */
    char server[ETCD_SERVER_ID + 1];   /* this server, chosen once */
    bool complete;                     /* the cache has been loaded to its end */
};

/* Is the folder a cache, whatever of? */
bool etcd_identity_there(const char *folder);
/* 1: read; 0: there is none, or nothing that can be understood. ERR_INVALID: the folder is a store of its own. */
int etcd_identity_read(const char *folder, struct etcd_identity *ret_identity, struct err *err);
int etcd_identity_write(const char *folder, const struct etcd_identity *identity, struct err *err);
/* The machine's present boot into out (64 bytes); empty when it does not say. */
void etcd_identity_boot(char out[64]);
/* Removes the cache's files from a folder that no process has open. ERR_UNAVAILABLE: one has. */
int etcd_cache_remove(const char *folder, struct err *err);
