/* blob.h - immutable bytes shared by reference count: an object on its way from the store to every watcher.
 *
 * Any thread may ref and unref. The bytes never change once the blob is shared. */
#pragma once

#include "base/str.h"

struct blob {
    atomic_uint refs;
    size_t len;
    char data[];
};

struct blob *blob_new(size_t len); /* uninitialised bytes, one reference; NULL without memory */
struct blob *blob_copy(struct str s);
struct blob *blob_ref(struct blob *blob);
struct blob *blob_unref(struct blob *blob);
DEFINE_AUTO(blob, blob_unref)

static inline struct str blob_str(const struct blob *blob)
{
    return blob ? (struct str){ blob->data, blob->len } : STR_NULL;
}
