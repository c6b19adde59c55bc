/* store_index.h - the list of images as one file, images.json, and in memory.
 *
 * An index is a plain value: readers hold the store's mutex, writers build another one and swap it in. */
#pragma once

#include "base/clock.h"
#include "base/vec.h"
#include "kubelet/image/image.h"

struct index_entry {
    struct image *image;          /* one reference */
    nsec_t first_seen, last_used; /* wall time */
};

struct store_index {
    VEC(struct index_entry) entries;
};

/* The first after NULL; NULL after the last. Do not add or remove meanwhile. */
static inline struct index_entry *store_index_next(const struct store_index *index, struct index_entry *entry)
{
    struct index_entry *next = entry ? entry + 1 : index->entries.items;

    return next && next < index->entries.items + index->entries.count ? next : NULL;
}

void store_index_deinit(struct store_index *index);
/* A list of its own, with references of its own. */
int store_index_copy(const struct store_index *index, struct store_index *ret_copy, struct err *err);
struct index_entry *store_index_by_id(const struct store_index *index, struct str id);
/* By any form of name or id; *ret_by_id: it was not a name. Errors as image_store_find(). */
int store_index_find(const struct store_index *index, struct str ref, struct index_entry **ret_entry, bool *ret_by_id,
                     struct err *err);
/* Adds an image, or its names to the image that is there; a tag that another image had moves. */
int store_index_put(struct store_index *index, struct image *image, nsec_t now, struct err *err);
/* Takes one tag (or repo digest) away. */
int store_index_untag(struct store_index *index, struct index_entry *entry, struct str name, struct err *err);
void store_index_remove(struct store_index *index, struct index_entry *entry);

/* An image whose configuration is gone or damaged is left out. dir: of the store. */
int store_index_load(const char *dir, struct store_index *ret_index, struct err *err);
int store_index_save(const char *dir, const struct store_index *index, struct err *err);
