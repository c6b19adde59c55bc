/* image.h - one image in the node's store: its names and how a container of it is started.
 *
 * Immutable and counted; any thread may read, keep and drop it. Every slice lies in the image's own arena, and the
 * strings meant for a container's command line hold no NUL byte. A tag that moves makes a new struct image. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "kubelet/image/digest.h"

struct image_strings {
    const struct str *items;
    size_t count;
};

struct image_label {
    struct str key, value;
};

/* What the OCI image configuration says. Unset slices and zero counts: not given. */
struct image_config {
    struct str os, architecture, variant;
    struct image_strings entrypoint, cmd, env; /* env: "NAME=value" */
    struct str working_dir, user, stop_signal;
    struct image_strings exposed_ports; /* "80/tcp" */
    struct image_strings volumes;       /* paths */
    const struct image_label *labels;
    size_t label_count;
};

struct image_layer {
    struct digest diff_id; /* of the uncompressed tar */
    uint64_t size;         /* bytes of its files once unpacked */
};

struct image {
    atomic_uint refs;
    struct arena *arena;
    struct digest id;                  /* of the configuration */
    struct digest manifest;            /* of the manifest it came from; unset for a docker archive */
    struct image_strings repo_tags;    /* "docker.io/library/nginx:1.27" */
    struct image_strings repo_digests; /* "docker.io/library/nginx@sha256:..." */
    const struct image_layer *layers;  /* bottom first */
    size_t layer_count;
    struct digest attributes; /* one more layer on top, see store_attributes.c; unset: none */
    uint64_t size;            /* of all layers */
    struct image_config config;
    struct str config_json; /* as it came */
};

/* What image_new() makes an image of; everything is copied. sizes has one number per diff_id of config_json. */
struct image_parts {
    struct str config_json;
    struct digest manifest, attributes;
    struct image_strings repo_tags, repo_digests;
    const uint64_t *sizes;
    size_t size_count;
};

#define IMAGE_CONFIG_MAX (8u << 20)
#define IMAGE_LAYERS_MAX 500

/* ERR_INVALID when the configuration is not one of an image. The id is computed. */
int image_new(const struct image_parts *parts, struct image **ret_image, struct err *err);
struct image *image_keep(struct image *image); /* one more reference */
struct image *image_drop(struct image *image); /* one fewer; NULL is allowed */
DEFINE_AUTO(image, image_drop)

/* The diff_ids of a configuration, in the arena. */
int image_diff_ids(struct arena *arena, struct str config_json, struct digest **ret_ids, size_t *ret_count,
                   struct err *err);
/* What a container's status calls imageID: a repo digest where there is one, else the id. */
struct str image_status_id(const struct image *image);
bool image_has(const struct image_strings *strings, struct str s);
