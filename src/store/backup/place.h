/* place.h - where backups are kept side by side: a folder, or a bucket of an S3-compatible object store.
 *
 * Names are letters, digits, '-' and '.'. What is put is there whole or not at all. One thread at a time. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

#define PLACE_NAME_MAX 128

struct place_names {
    struct arena *arena; /* the caller's: for the names */
    VEC(struct str) items;
};
void place_names_deinit(struct place_names *names); /* not the arena */

struct place;
/* A path, or s3://BUCKET[/PREFIX][?endpoint=http(s)://HOST:PORT&region=REGION], with credentials from the environment
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN). Nothing is looked at yet. stop (may be NULL): calls end
 * with ERR_CANCELLED soon after it is true. */
int place_new(const char *where, atomic_bool *stop, struct place **ret_place, struct err *err);
struct place *place_free(struct place *place);
DEFINE_AUTO(place, place_free)
bool place_is_remote(const char *where);

struct place_data {
    int fd; /* a file, read from its beginning */
    uint64_t size;
    char sha256[65]; /* hexadecimal */
};
int place_put(struct place *place, const char *name, const struct place_data *data, struct err *err);
/* Appends it to what is at the descriptor. */
int place_get(struct place *place, const char *name, int fd, struct err *err);
/* All names, in byte order. A folder that is not there has none. */
int place_list(struct place *place, struct place_names *names, struct err *err);
