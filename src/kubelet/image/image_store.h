/* image_store.h - the images of a node: pulled from registries or imported from archives, unpacked, kept, collected.
 *
 * Everything lies beneath one folder (mode 0700) and survives kill -9 and power loss at any moment: what is half done
 * lies beneath tmp/ and is removed when the store is opened next. Several processes may use one store at the same
 * time (an agent, and a user's `image import` beside it): each sees what the other has committed. All functions may be
 * called from any thread; the slow ones (pull, import, remove, gc) block the caller and nobody else. */
#pragma once

#include "base/clock.h"
#include "base/rng.h"
#include "kubelet/image/credentials.h"
#include "kubelet/image/image.h"
#include "kubelet/image/layer_tree.h"

struct image_store;

/* How a registry is reached; one without an entry is reached over TLS with the system's authorities, or, on
 * localhost and 127.0.0.0/8, over TLS if it speaks it and plain HTTP if not. */
struct registry_host {
    struct str host;   /* as in references: "docker.io", "10.0.0.5:5000" */
    struct str mirror; /* "https://mirror.example:5000", asked first; unset: none */
    struct str ca_pem; /* authorities for this host alone; unset: the system's */
    bool plain_http;   /* no TLS */
    bool insecure;     /* TLS, but anyone's certificate */
};

struct image_store_options {
    const char *dir;     /* e.g. "/var/lib/caravel/images"; made when absent. No ':', ',' or '\' in it */
    struct clock *clock; /* NULL: clock_real() */
    struct rng *rng;     /* NULL: rng_system() */
    const struct registry_host *hosts;
    size_t host_count;
    struct str architecture, variant; /* as images name it ("amd64"); unset: this machine's */
    struct layer_limits layer_limits; /* of one layer */
    uint64_t max_archive;             /* bytes of an imported archive, uncompressed; 0: 128 GiB */
    int parallel;                     /* layers at a time in one pull; 0: 3 */
    nsec_t retry_delay;               /* before a broken download goes on, doubling; 0: 500 ms */
    bool no_sync;                     /* for tests: do not wait for the disk; losing power may then damage layers */
    /* For tests: what statvfs() says of the folder; NULL: ask the system. */
    int (*disk_stat)(void *ctx, uint64_t *ret_capacity, uint64_t *ret_available);
    void *disk_stat_ctx;
};

int image_store_open(const struct image_store_options *options, struct image_store **ret_store, struct err *err);
/* Pulls and imports that run or come end with ERR_CANCELLED; for those who must wait for theirs before the store closes. */
void image_store_cancel(struct image_store *store);
/* Cancels and waits for what runs; images handed out stay valid. */
struct image_store *image_store_close(struct image_store *store);
DEFINE_AUTO(image_store, image_store_close)

/* -- progress of pulls and imports -- */

enum image_phase {
    IMAGE_RESOLVED,    /* the manifest is known: layer_count */
    IMAGE_EXISTS,      /* this layer is here already */
    IMAGE_DOWNLOADING, /* bytes of total */
    IMAGE_UNPACKING,   /* bytes of total (compressed) */
    IMAGE_LAYER_DONE,
};

struct image_event {
    enum image_phase phase;
    size_t layer, layer_count;
    struct str digest; /* of the layer's content (diff id) */
    uint64_t bytes, total;
};

/* Called by several threads at once; must not block. */
struct image_progress {
    void (*report)(void *ctx, const struct image_event *event); /* NULL: not wanted */
    void *ctx;
};

/* -- getting images -- */

struct image_pull {
    struct str ref;                     /* any form that image_ref_parse() takes */
    const struct image_secret *secrets; /* tried in the order kubelet does; then without credentials */
    size_t secret_count;
    struct image_progress progress;
};

/* Always asks the registry; only what is missing is fetched, and once even if several pulls want it. The codes:
 * ERR_INVALID (bad name, damaged image), ERR_UNAUTHORIZED, ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_UNAVAILABLE (registry
 * not reached), ERR_TOO_MANY_REQUESTS, ERR_NO_SPACE, ERR_TOO_LARGE, ERR_NOT_SUPPORTED, ERR_CANCELLED. */
int image_store_pull(struct image_store *store, const struct image_pull *pull, struct image **ret_image,
                     struct err *err);

struct image_import {
    int fd;          /* docker archive or OCI layout as a tar, plain, gzip or zstd; a pipe will do; not closed */
    struct str name; /* instead of the names in the archive; only for an archive of one image */
    struct image_progress progress;
};

/* The images of an archive; give the list back with image_list_deinit(). */
struct image_list {
    struct image **items;
    size_t count;
};
void image_list_deinit(struct image_list *list);
int image_store_import(struct image_store *store, const struct image_import *import, struct image_list *ret_images,
                       struct err *err);

/* -- looking -- */

/* ref: a name in any form, "sha256:<id>", or at least 8 digits of an id. ERR_NOT_FOUND; ERR_INVALID when it is no name;
 * ERR_CONFLICT when a short id fits several. */
int image_store_find(struct image_store *store, struct str ref, struct image **ret_image, struct err *err);
int image_store_list(struct image_store *store, struct image_list *ret_images, struct err *err);
/* A container of it was started or has ended: image_store_gc() takes the longest unused first. Kept in memory and
 * written with the next change, or when the store is closed. */
void image_store_touch(struct image_store *store, const struct image *image);

struct image_usage {
    uint64_t used;                /* by images and their layers */
    uint64_t capacity, available; /* of the file system */
};
int image_store_usage(struct image_store *store, struct image_usage *ret_usage, struct err *err);

/* -- letting go -- */

/* By name: takes that name away, and the image with its last one. By id: the image with all its names. Layers that a
 * mounted root file system still uses stay until a later image_store_gc(). */
int image_store_remove(struct image_store *store, struct str ref, struct err *err);

struct image_gc {
    int high_percent, low_percent; /* starts above high, stops below low; 0: 85 and 80 */
    nsec_t min_age;                /* images younger than this stay; 0: 2 min; negative: none */
    nsec_t max_unused;             /* unused for so long: removed whatever the disk says; 0: never */
    bool (*in_use)(void *ctx, const struct image *image); /* must not block; NULL: none is */
    void *ctx;
};
struct image_gc_result {
    uint64_t wanted, freed; /* bytes */
    size_t removed;
};
/* ERR_NO_SPACE when it could not free what it wanted; *ret_result (may be NULL) is set in any case. */
int image_store_gc(struct image_store *store, const struct image_gc *gc, struct image_gc_result *ret_result,
                   struct err *err);
