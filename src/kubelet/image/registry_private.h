/* registry_private.h - what the files of the registry client share. */
#pragma once

#include "base/sync.h"
#include "kubelet/image/challenge.h"
#include "kubelet/image/registry.h"
#include "kubelet/image/registry_call.h"
#include "kubelet/image/url.h"

struct registry {
    const struct image_store_options *options;
    const atomic_bool *cancel;
    struct mutex lock;         /* of the clients */
    struct http_client *usual; /* the system's authorities */
    struct http_client **own;  /* one per options->hosts[], where it needs one */
};

struct repository {
    struct registry *registry;
    struct arena arena;            /* what is set when it is opened */
    struct str base;               /* "https://registry.example:5000" */
    struct str path;               /* "library/nginx" */
    struct str username, password; /* unset: none */
    struct mutex lock;
    char *authorization; /* header value, malloc'd; NULL: none yet */
    unsigned generation; /* counts its changes */
};

/* How an authority is reached: the settings of its host (NULL: none) and the client for them. */
const struct registry_host *registry_host_of(const struct registry *registry, struct str authority);
int registry_client(struct registry *registry, struct str authority, struct http_client **ret_client, struct err *err);
/* ERR_FORBIDDEN for plain HTTP where it is not allowed. */
int registry_check_url(const struct registry *registry, const struct url *url, struct err *err);
/* Blocks; ERR_CANCELLED when the store begins to close. */
int registry_sleep(struct registry *registry, nsec_t delay, struct err *err);

/* Who takes the answer of registry_fetch(). */
struct fetch {
    struct str url;
    struct str accept, range; /* header values; unset: none */
    /* The status is 200 or 206. */
    int (*begin)(void *ctx, const struct http_client_response *head, struct err *err);
    int (*bytes)(void *ctx, struct str bytes, struct err *err);
    void *ctx;
};
/* GET with authorization and redirects. Statuses of failure become errors with the registry's own words.
 * *ret_retry_after (may be NULL): seconds the registry asked to wait, 0 if it did not say. */
int registry_fetch(struct repository *repository, const struct fetch *fetch, unsigned *ret_retry_after,
                   struct err *err);
/* Finds out what a 401 asks for, and sets repository->authorization. generation: of the one that was refused. */
int registry_authorize(struct repository *repository, const struct challenge *challenge, unsigned generation,
                       struct err *err);
struct str registry_header(const struct http_client_response *head, const char *name);
/* "404 Not Found: MANIFEST_UNKNOWN: manifest unknown" */
int registry_error(int status, struct str body, struct err *err);
