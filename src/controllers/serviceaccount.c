/* serviceaccount.c - a ServiceAccount "default" in every namespace that is not on its way out. */
#include "api/core_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"

enum { NAMESPACES, ACCOUNTS };

static void account_changed(struct controller *self, struct object *old, struct object *new)
{
    if (old && !new)
        controller_add(self, old->meta->namespace);
}

static int reconcile(struct controller *self, struct str name, struct arena *arena, struct err *err)
{
    AUTO(object) ns = informer_get(self->informers[NAMESPACES], name);
    struct str key = arena_printf(arena, STR_FMT "/default", STR_ARG(name));

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "service account");
    if (!ns || ns->meta->deletion_timestamp.set)
        return 0;
    AUTO(object) present = informer_get(self->informers[ACCOUNTS], key);
    const struct service_account account = { .metadata = { .name = STR("default"), .namespace = name } };

    if (present)
        return 0;
    int code = client_create(self->client, &RESOURCE_SERVICEACCOUNTS, name, &account,
                             STR("serviceaccount-controller: create default account"), ns->revision, NULL, err);

    return code == -ERR_ALREADY_EXISTS || code == -ERR_NOT_FOUND || code == -ERR_FORBIDDEN ? 0 : code;
}

static const struct controller_watch watches[] = {
    [NAMESPACES] = { &RESOURCE_NAMESPACES, NULL, 0 },
    [ACCOUNTS] = { &RESOURCE_SERVICEACCOUNTS, account_changed, 0 },
};

const struct controller_class serviceaccount_controller = {
    .name = "serviceaccount-controller",
    .size = sizeof(struct controller),
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .reconcile = reconcile,
};
