/* resources.h - which resource a word means: "pods", "po", "Pod", "deployments.apps", "cron.v1.stable.example.com", "all".
 *
 * Built-in ones come from the tables of this program without asking anybody; for other names the server is asked once. */
#pragma once

#include "base/vec.h"
#include "cli/session.h"

struct resources {
    struct session *session;
    VEC(const struct resource *) known; /* those of the server, in its order; the arena's */
    bool asked;
};

void resources_init(struct resources *resources, struct session *session);
void resources_deinit(struct resources *resources);
/* Asks the server, unless it was asked. */
int resources_discover(struct resources *resources, struct err *err);
/* The next unknown word asks again. */
void resources_forget(struct resources *resources);
/* Reads an APIGroupDiscoveryList. */
int resources_add(struct resources *resources, struct arena *arena, const struct json *list, struct err *err);

/* ERR_NOT_FOUND in words for users. */
int resources_find(struct resources *resources, struct str word, const struct resource **ret_resource, struct err *err);
int resources_find_kind(struct resources *resources, struct str api_version, struct str kind,
                        const struct resource **ret_resource, struct err *err);
/* "pods,svc" or a category ("all"): each once. */
struct resource_list {
    const struct resource **items; /* the session's arena */
    size_t count;
};
int resources_expand(struct resources *resources, struct str words, struct resource_list *ret_list, struct err *err);

/* How users name it: "deployments.apps", "pods". In arena. */
struct str resource_full_name(struct arena *arena, const struct resource *resource);
/* How objects are named in output: "deployment.apps", "pod". In arena. */
struct str resource_type_name(struct arena *arena, const struct resource *resource);
/* "apps/v1", "v1". In arena. */
struct str resource_group_version(struct arena *arena, const struct resource *resource);

/* What "TYPE NAME...", "TYPE/NAME ..." and "TYPE,TYPE" on a command line mean. */
struct target {
    const struct resource *resource;
    struct str name; /* unset: all of the type */
    struct str ns;   /* unset: the session's */
};
struct targets {
    struct target *items; /* the session's arena */
    size_t count;
    bool single_type; /* one type was named, so that output needs no type before each name */
};
/* ERR_BAD_REQUEST for words that do not fit together. */
int targets_parse(struct resources *resources, char *const *words, size_t count, struct targets *ret_targets,
                  struct err *err);
