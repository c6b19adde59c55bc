/* registry.h - the OCI distribution protocol, the pulling half.
 *
 * One struct registry for all registries of a store; any thread. One struct repository for one pull from one of them
 * with one credential; any thread, freed by its owner. What is slow blocks the caller, and ends with ERR_CANCELLED soon
 * after the store begins to close. */
#pragma once

#include "kubelet/image/credentials.h"
#include "kubelet/image/image_ref.h"
#include "kubelet/image/image_store.h"
#include "kubelet/image/manifest.h"

struct registry;
struct repository;

/* options and cancel must outlive it. */
int registry_new(const struct image_store_options *options, const atomic_bool *cancel, struct registry **ret_registry,
                 struct err *err);
struct registry *registry_free(struct registry *registry);

/* ref and credential (NULL: none) are copied. mirror: ask the registry's mirror; ERR_NOT_FOUND when it has none. */
int repository_open(struct registry *registry, const struct image_ref *ref, const struct credential *credential,
                    bool mirror, struct repository **ret_repository, struct err *err);
struct repository *repository_free(struct repository *repository);
DEFINE_AUTO(repository, repository_free)

struct fetched_manifest {
    struct str text, media_type; /* in the arena */
    struct digest digest;
};
/* reference: a tag, or a digest, which is then verified. */
int repository_manifest(struct repository *repository, struct str reference, struct arena *arena,
                        struct fetched_manifest *ret_manifest, struct err *err);
/* A small blob into memory, verified. */
int repository_load_blob(struct repository *repository, const struct descriptor *descriptor, size_t max,
                         struct arena *arena, struct str *ret_bytes, struct err *err);

struct blob_download {
    const struct descriptor *descriptor;
    const char *path; /* what is there already is kept, verified at the end, and stays when this fails */
    void (*progress)(void *ctx, uint64_t bytes); /* NULL: not wanted */
    void *ctx;
};
/* A blob into a file, going on where a broken connection left it. */
int repository_download(struct repository *repository, const struct blob_download *download, struct err *err);
