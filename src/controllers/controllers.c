/* controllers.c - makes all controllers, starts them when the caches are there, frees them. */
#include "controllers/controllers.h"

#include "controllers/classes.h"

static const struct controller_class *const classes[] = {
    &deployment_controller,     &replicaset_controller, &replicationcontroller_controller,
    &garbage_collector,         &namespace_controller,  &serviceaccount_controller,
    &node_lifecycle_controller, &node_ipam_controller,  &pod_gc_controller,
    &disruption_controller,
};

struct controllers {
    struct controllers_options options;
    struct arena arena;
    struct controller *items[ARRAY_LEN(classes)];
};

static void start(void *arg)
{
    struct controllers *controllers = arg;

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        controller_start(controllers->items[i]);
}

int controllers_new(const struct controllers_options *options, struct controllers **ret_controllers, struct err *err)
{
    AUTO(controllers) controllers = calloc(1, sizeof *controllers);
    int code;

    if (!controllers)
        return err_set(err, ERR_NO_MEMORY, "controllers");
    arena_init(&controllers->arena, 0);
    controllers->options = *options;
    controllers->options.cluster_cidr =
        arena_str(&controllers->arena, options->cluster_cidr.len ? options->cluster_cidr : STR("10.42.0.0/16"));
    if (!options->node_cidr_bits)
        controllers->options.node_cidr_bits = 24;
    if (arena_failed(&controllers->arena))
        return err_set(err, ERR_NO_MEMORY, "controllers");
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if ((code = controller_new(classes[i], &controllers->options, &controllers->items[i], err)) < 0)
            return code;
    if ((code = informers_when_synced(options->informers, start, controllers, err)) < 0)
        return code;
    *ret_controllers = TAKE(controllers);
    return 0;
}

struct controllers *controllers_free(struct controllers *controllers)
{
    if (!controllers)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        controller_free(controllers->items[i]);
    arena_deinit(&controllers->arena);
    free(controllers);
    return NULL;
}
