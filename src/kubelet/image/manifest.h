/* manifest.h - OCI and Docker manifests, from a registry or an archive. Everything lies in the arena. */
#pragma once

#include "base/arena.h"
#include "kubelet/image/digest.h"

#define MANIFEST_MAX (4u << 20)

struct descriptor {
    struct str media_type;
    struct digest digest;
    uint64_t size;
};

struct manifest {
    struct descriptor config;
    const struct descriptor *layers; /* bottom first */
    size_t layer_count;
};

struct json;

/* Parses; *ret_index: a list of manifests for several platforms, not a manifest. media_type: what the registry said,
 * unset if unknown. ERR_NOT_SUPPORTED for what is neither (schema 1, an artifact). */
int manifest_read(struct arena *arena, struct str text, struct str media_type, struct json **ret_root, bool *ret_index,
                  struct err *err);
int manifest_image(struct arena *arena, const struct json *root, struct manifest *ret_manifest, struct err *err);
int manifest_descriptor(const struct json *json, struct descriptor *ret_descriptor, struct err *err);
/* The entry of an index for this machine. ERR_NOT_FOUND names what there is. */
int manifest_choose(const struct json *root, struct str architecture, struct str variant,
                    struct descriptor *ret_descriptor, struct err *err);
/* The platform of an entry of an index, as manifest_choose() weighs it: 0 does not run here. */
int manifest_fit(const struct json *entry, struct str architecture, struct str variant);

/* For the Accept header. */
extern const char manifest_accept[];
