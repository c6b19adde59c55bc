/* custom_internal.h - the inside of custom resources: custom_compile.c makes definitions, custom.c keeps them,
 * custom_cleanup.c empties those that go. */
#pragma once

#include "apiserver/custom.h"
#include "apiserver/server.h"

#define CUSTOM_FINALIZER "customresourcecleanup.apiextensions.k8s.io"

/* One definition. */
struct custom {
    atomic_uint refs;
    struct arena arena; /* everything below */
    struct str name;    /* of the CustomResourceDefinition */
    uint64_t revision;  /* of its state */
    bool established, terminating;
    struct resource *resources; /* served versions, the preferred one first */
    size_t count;
    struct resource *storage; /* how objects are kept: no version that is served, so that every reading converts */
};

struct custom_entry {
    struct str key; /* "group/version/plural" */
    const struct resource *resource;
    struct custom *custom;
};

struct custom_table {
    VEC(struct custom *) customs; /* one reference each */
    VEC(const struct resource *) resources;
    struct map entries; /* of those that are established */
};

struct customs {
    struct apiserver *server;
    struct mutex lock; /* of the pointer table */
    struct custom_table *table;
    struct mutex loading; /* one reload at a time */
    atomic_bool stale;    /* a reload failed (no memory): it is tried again */
    struct strand *strand;
    struct store_watch *watch; /* of definitions that other servers write; the strand's. NULL: there are none */
    struct mutex timer_lock;
    struct executor_timer *timer; /* another round of cleaning up */
    bool stopping;
};

/* qsort() order of struct resource within a group: the version that clients should take first. */
int custom_by_preference(const void *a, const void *b);
/* Deletes all objects of the resource, in one namespace or (ns unset) everywhere. *ret_left: whether some are still
 * there. */
int custom_delete_objects(struct apiserver *server, struct custom *custom, struct str ns, bool *ret_left,
                          struct err *err);
/* One round over definitions that are being deleted or wait for their names, on the strand. */
void customs_clean_up(struct customs *customs);
void customs_again(struct customs *customs, nsec_t delay);
/* The definitions of now, one reference each, in the arena. */
struct custom **customs_list(struct customs *customs, struct arena *arena, size_t *ret_count);
