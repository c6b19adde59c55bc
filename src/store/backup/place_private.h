/* place_private.h - the two kinds of places, for place.c. */
#pragma once

#include "store/backup/place.h"

struct place_kind {
    int (*put)(struct place *place, const char *name, const struct place_data *data, struct err *err);
    int (*get)(struct place *place, const char *name, int fd, struct err *err);
    int (*list)(struct place *place, struct place_names *names, struct err *err);
    void (*free)(struct place *place);
};

struct place {
    const struct place_kind *kind;
    atomic_bool *stop;
};

static inline bool place_stopped(const struct place *place)
{
    return place->stop && atomic_load(place->stop);
}

int place_dir_new(const char *path, struct place **ret_place, struct err *err);
int place_s3_new(const char *url, struct place **ret_place, struct err *err);
int place_names_add(struct place_names *names, struct str name, struct err *err);
/* All of it, whatever write(2) takes at once. */
int place_write(int fd, struct str data);
