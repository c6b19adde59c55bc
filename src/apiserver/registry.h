/* registry.h - what is particular to a resource, as rows of functions; all else is done by table for every resource.
 *
 * Trees are in the storage version, normalized. A hook that is NULL does nothing. Rules live in registry/, one file a
 * resource. */
#pragma once

#include "apiserver/request.h"
#include "apiserver/table.h"
#include "schema/object.h"

enum name_form { NAME_SUBDOMAIN, NAME_LABEL, NAME_DNS1035, NAME_PATH_SEGMENT, NAME_NOT_EMPTY };

enum rule_flag {
    RULE_NO_GENERATION = 1 << 0,       /* metadata.generation is not kept */
    RULE_CREATE_ON_UPDATE = 1 << 1,    /* PUT of an absent object creates it */
    RULE_NEED_VERSION = 1 << 2,        /* PUT without a resourceVersion is refused */
    RULE_ORPHAN = 1 << 3,              /* dependents are orphaned unless the caller says otherwise */
    RULE_STATUS_LABELS = 1 << 4,       /* writes of status may change labels */
    RULE_ANY_NAMESPACE_STATE = 1 << 5, /* may be created in a namespace that is being deleted */
};

struct write;

/* A subresource that is the object, of which a write changes one part only (pods/resize). */
struct rule_part {
    const char *subresource;
    /* object, as it was asked for, becomes old with that part changed; metadata is seen to elsewhere. */
    int (*take)(struct request *request, struct json *object, const struct json *old, struct err *err);
    void (*validate)(struct request *request, const struct json *object, const struct json *old, struct causes *causes);
};

struct rules {
    const struct resource *resource; /* the storage version; NULL in the default row */
    enum name_form name_form;
    uint32_t flags;
    /* Fields that a client may not choose. Defaults that depend on other fields come in default_, after the table's. */
    int (*prepare_create)(struct request *request, struct json *object, struct err *err);
    int (*prepare_update)(struct request *request, struct json *object, const struct json *old, struct err *err);
    /* Writes of the status, and of what else is no part of the wanted state. */
    int (*prepare_status)(struct request *request, struct json *object, const struct json *old, struct err *err);
    int (*default_)(struct request *request, struct json *object, struct err *err);
    void (*validate_create)(struct request *request, const struct json *object, struct causes *causes);
    void (*validate_update)(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes);
    void (*validate_status)(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes);
    /* The grace period (seconds) that a deletion of this object has; wanted: what the caller asked for, or -1. NULL:
     * none. */
    int64_t (*grace)(const struct json *object, int64_t wanted);
    /* True while something beside metadata.finalizers holds the object back (namespaces' spec.finalizers). */
    bool (*held)(const struct json *object);
    /* Called when the deletion begins, for the object's state (a namespace's phase). */
    int (*deleting)(struct request *request, struct json *object, struct err *err);
    /* Adds operations of the same transaction (allocations) and may still change the object. old NULL: creation; object
     * NULL: removal. On ERR_CONFLICT of one of them the whole write is planned again. */
    int (*transact)(struct write *write, struct json *object, const struct json *old, struct err *err);
    /* A write was committed and is about to be answered; dry runs are not told. May block. */
    void (*committed)(struct request *request);
    const struct table_cell *cells;
    size_t cell_count;
    const struct rule_part *parts;
    size_t part_count;
};

/* Never NULL: resources without a file of their own get the default row. */
const struct rules *registry_rules(const struct resource *resource);
/* Of the request's subresource; NULL: it is none of these. */
const struct rule_part *registry_part(const struct request *request);
