/* source.h - ConfigMaps and Secrets that a pod takes values from: read once in a look, whoever asks. */
#pragma once

#include "kubelet/internal.h"

enum source_kind { SOURCE_CONFIG_MAP, SOURCE_SECRET };

/* *ret_object is NULL when it is absent and optional; it lives until sources_release(). */
int source_get(struct pod_sync *sync, enum source_kind kind, struct str name, bool optional,
               const struct object **ret_object, struct err *err);
const struct str_map *source_data(const struct object *object);
const struct str_map *source_binary_data(const struct object *object); /* empty for a Secret */
void sources_release(struct pod_sync *sync);
