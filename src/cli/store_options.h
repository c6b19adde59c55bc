/* store_options.h - --store and the options around it: where a server keeps what it knows. Of `caravel up`, which hands
 * them down, and `caravel server`. */
#pragma once

#include "base/arena.h"
#include "cli/cli.h"
#include "store/store.h"

/* As on the command line; each NULL when it is absent. */
struct store_flags {
    const char *store, *ca_file, *cert_file, *key_file, *user, *password_file;
};

/* Child parsers for argp: input 0 is struct instance_options, input 1 struct store_flags. */
extern const struct argp_child server_children[];

/* The flags that are there, name by name, in a fixed order. */
void store_flags_each(const struct store_flags *flags, void (*fn)(void *arg, const char *name, const char *value),
                      void *arg);

struct store_place {
    bool shared; /* etcd, by what follows; else the data directory itself */
    bool exposed; /* plain TCP to another machine */
    struct store_etcd_options etcd; /* slices of the flags and of the arena */
};
/* What the flags mean; reads the files that they name. Errors name the flag. */
int store_place_parse(struct arena *arena, const struct store_flags *flags, struct store_place *ret_place,
                      struct err *err);

/* The folder for the store or, of a shared one, for the cache that follows it. ERR_CONFLICT: the data directory has
 * been used with the other kind. */
int store_place_folder(const struct store_place *place, const struct instance *instance, char out[INSTANCE_PATH_MAX],
                       struct err *err);
/* The one that there is: the cache where the store is etcd, else the store's, there or not. */
const char *store_folder(const struct instance *instance, char out[INSTANCE_PATH_MAX]);
bool store_is_in_etcd(const struct instance *instance);
