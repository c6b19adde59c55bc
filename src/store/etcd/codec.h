/* codec.h - how the store is laid out in etcd: its keys, their values (record.proto), and the transactions that change
 * them. Pure: nothing here talks to anybody.
 *
 *   P/o KEY        an object. Its revision is etcd's mod_revision.
 *   P/txn          put by every transaction: who made it, and the last states of what it deletes. So every transaction has
 *                  a revision, and whoever sees it knows whose it is. etcd's other revisions are not the store's.
 *   P/server/ID    its mod_revision is the epoch of that server: a transaction sent under an older one fails.
 *   P/leader       bound to the lease of who leads; its mod_revision is the term.
 *   P/format       version of all this. */
#pragma once

#include "base/arena.h"
#include "store/etcd/record.pb-c.h"
#include "store/etcd/rpc.pb-c.h"
#include "store/store.h"

#define ETCD_FORMAT 1
#define ETCD_PREFIX_MAX 200
#define ETCD_SERVER_ID 32 /* hexadecimal digits */

struct etcd_layout {
    struct str all; /* prefix of all below */
    struct str objects, txn, server, leader, format;
    char bytes[6 * (ETCD_PREFIX_MAX + 16) + ETCD_SERVER_ID];
};
/* ERR_INVALID: an impossible prefix. An empty one is "/caravel". */
int etcd_layout_init(struct etcd_layout *layout, struct str prefix, struct str server_id, struct err *err);

struct etcd_txn_id {
    uint64_t run, number;
};

/* What a transaction is sent with. */
struct etcd_stamp {
    struct etcd_txn_id id;
    revision_t epoch; /* of this server */
    nsec_t time;
};

/* The transaction for etcd, in the arena; it refers to the keys and terms of txn. ERR_NO_MEMORY. */
int etcd_txn_encode(const struct etcd_layout *layout, const struct store_txn *txn, const struct etcd_stamp *stamp,
                    struct arena *arena, Etcd__TxnRequest **ret_request, struct err *err);

enum etcd_outcome {
    ETCD_WRITTEN,
    ETCD_EPOCH_OVER, /* nothing was written: to be sent anew */
    ETCD_TERM_OVER,
    ETCD_CONFLICT,
};
struct etcd_verdict {
    enum etcd_outcome outcome;
    revision_t revision;    /* WRITTEN: of the transaction; else: of the newest one when it was compared */
    revision_t epoch;       /* EPOCH_OVER: the present one */
    size_t failed_op;       /* CONFLICT: which comparison failed, and what was there */
    revision_t present;
};
/* What etcd's answer says about the transaction. ERR_IO: it cannot be understood. */
int etcd_txn_judge(const struct etcd_layout *layout, const struct store_txn *txn, revision_t epoch,
                   const Etcd__TxnResponse *answer, struct etcd_verdict *ret_verdict, struct err *err);

/* The value of a key as a record of the store. The slices are the message's; terms has room for STORE_TERMS_MAX.
 * ERR_IO: it is damaged. */
struct etcd_object {
    Stored__Record *record; /* NULL when there is no such object any more; to be freed */
    struct str text, actor, rule;
    uint32_t splice;
    size_t terms_count;
    struct str terms[STORE_TERMS_MAX];
};
int etcd_object_decode(struct str value, ProtobufCAllocator *allocator, struct etcd_object *ret_object, struct err *err);

/* One revision of etcd as the store sees it, for the writer. */
struct etcd_change {
    struct store_txn txn; /* given, or decided when it is none of the store's */
    struct etcd_txn_id id; /* of the transaction; run 0: it is none */
    revision_t revision;
    size_t bytes;
    struct arena *arena; /* of all in it, itself too */
};
/* From all events of one revision. ERR_IO: they cannot be understood. */
int etcd_change_decode(const struct etcd_layout *layout, Etcd__Event *const *events, size_t count,
                       struct etcd_change **ret_change, struct err *err);
struct etcd_change *etcd_change_free(struct etcd_change *change);
DEFINE_AUTO(etcd_change, etcd_change_free)

/* The bytes of a small message, in the arena. */
struct str etcd_pack(struct arena *arena, const ProtobufCMessage *message);

static inline ProtobufCBinaryData etcd_bytes(struct str s)
{
    return (ProtobufCBinaryData){ s.len, (uint8_t *)s.data };
}

static inline struct str etcd_str(ProtobufCBinaryData bytes)
{
    return str_of(bytes.data ? (const char *)bytes.data : "", bytes.len);
}
