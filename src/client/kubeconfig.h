/* kubeconfig.h - reading and writing kubeconfig files (v1 Config). */
#pragma once

#include "client/client.h"

/* The current context of the file; certificate files are read; slices live in the arena. */
int kubeconfig_load(struct arena *arena, const char *path, struct client_config *ret_config, struct err *err);

/* Several files, as $KUBECONFIG names them: the first one that has a cluster, user, context or current-context of a name
 * counts. Files that do not exist are passed over while one does. */
struct kubeconfig {
    struct client_config client;
    struct str context, ns; /* ns: the context's; unset: none */
};
/* context: which one; unset: the current. ERR_NOT_FOUND when there is no file or no such context. */
int kubeconfig_choose(struct arena *arena, const char *const *paths, size_t count, struct str context,
                      struct kubeconfig *ret_config, struct err *err);
/* The names of all contexts, in order. */
int kubeconfig_contexts(struct arena *arena, const char *const *paths, size_t count, struct str_array *ret_names,
                        struct err *err);
/* One cluster, user and context named `name`, certificates inline; mode 0600. */
int kubeconfig_write(const char *path, struct str name, const struct client_config *config, struct err *err);
