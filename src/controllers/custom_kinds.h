/* custom_kinds.h - the metadata of all custom objects, kept by list and watch as definitions come and go.
 *
 * Each kind has a row: a small number that stays its own for good, so that keys can carry it. */
#pragma once

#include "api/meta_v1.h"
#include "client/informer.h"

struct custom_kinds;

struct custom_kinds_options {
    struct client *client;
    struct executor *executor;
    struct rng *rng;
    /* As an informer's handler; any thread, never under a lock. When a kind goes, all its objects do. */
    void (*changed)(void *ctx, struct object *old, struct object *new);
    void *ctx;
};

int custom_kinds_new(const struct custom_kinds_options *options, struct custom_kinds **ret_kinds, struct err *err);
/* Afterwards changed is not running and never will; look-ups go on. */
void custom_kinds_stop(struct custom_kinds *kinds);
struct custom_kinds *custom_kinds_free(struct custom_kinds *kinds);

/* Of one definition: begins to watch its objects, or (definition NULL, or of another scope or kind than before) ends it.
 * One caller at a time for each name; waits for handlers under way. *ret_new: a kind that was not there. */
int custom_kinds_sync(struct custom_kinds *kinds, struct str name, const struct object *definition, bool *ret_new,
                      struct err *err);

/* The resource lives as long as kinds. NULL: no such kind was ever seen. */
const struct resource *custom_kinds_owner(struct custom_kinds *kinds, const struct owner_reference *reference);
/* -1: none of ours. */
int custom_kinds_row(struct custom_kinds *kinds, const struct resource *resource);
/* The kind that a row is of; NULL: there is none. */
const struct resource *custom_kinds_resource(struct custom_kinds *kinds, int row);
/* One reference for the caller, or NULL. key: "ns/name" or "name". */
struct object *custom_kinds_get(struct custom_kinds *kinds, int row, struct str key);
