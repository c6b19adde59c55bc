#include "kubelet/image/registry.h"

struct registry {
    const struct image_store_options *options;
};

int registry_new(const struct image_store_options *options, struct registry **ret_registry, struct err *err)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (!registry)
        return err_set(err, ERR_NO_MEMORY, "registry");
    registry->options = options;
    *ret_registry = registry;
    return 0;
}

struct registry *registry_free(struct registry *registry)
{
    free(registry);
    return NULL;
}
