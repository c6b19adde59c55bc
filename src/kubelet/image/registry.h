/* registry.h - the OCI distribution protocol, the pulling half.
 *
 * One object for all registries of a store; any thread. What is slow blocks the caller. */
#pragma once

#include "kubelet/image/credentials.h"
#include "kubelet/image/image_ref.h"
#include "kubelet/image/image_store.h"

struct registry;

int registry_new(const struct image_store_options *options, struct registry **ret_registry, struct err *err);
struct registry *registry_free(struct registry *registry);
