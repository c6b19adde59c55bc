#include "base/blob.h"

struct blob *blob_new(size_t len)
{
    struct blob *blob = len <= SIZE_MAX - sizeof *blob ? malloc(sizeof *blob + len) : NULL;

    if (!blob)
        return NULL;
    atomic_init(&blob->refs, 1);
    blob->len = len;
    return blob;
}

struct blob *blob_copy(struct str s)
{
    struct blob *blob = blob_new(s.len);

    if (blob && s.len)
        memcpy(blob->data, s.data, s.len);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob)
        atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    return blob;
}

struct blob *blob_unref(struct blob *blob)
{
    if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1)
        free(blob);
    return NULL;
}
