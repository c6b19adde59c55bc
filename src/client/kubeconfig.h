/* kubeconfig.h - reading and writing kubeconfig files (v1 Config). */
#pragma once

#include "client/client.h"

/* The current context of the file; certificate files are read; slices live in the arena. */
int kubeconfig_load(struct arena *arena, const char *path, struct client_config *ret_config, struct err *err);
/* One cluster, user and context named `name`, certificates inline; mode 0600. */
int kubeconfig_write(const char *path, struct str name, const struct client_config *config, struct err *err);
