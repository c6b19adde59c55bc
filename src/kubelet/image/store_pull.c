#include "kubelet/image/store_private.h"

int image_store_pull(struct image_store *store, const struct image_pull *pull, struct image **ret_image,
                     struct err *err)
{
    return err_set(err, ERR_NOT_SUPPORTED, "pulling " STR_FMT ": registries are not built in", STR_ARG(pull->ref));
}
