#include "kubelet/source.h"

#include "api/resources.h"

struct source {
    struct source *next;
    enum source_kind kind;
    struct str name;
    struct object *object; /* NULL: it is absent */
};

static const struct {
    const struct resource *resource;
    const char *noun;
} kinds[] = {
    [SOURCE_CONFIG_MAP] = { &RESOURCE_CONFIGMAPS, "configmap" },
    [SOURCE_SECRET] = { &RESOURCE_SECRETS, "secret" },
};

static int read_source(struct pod_sync *sync, enum source_kind kind, struct str name, struct source **ret_source,
                       struct err *err)
{
    struct source *source = arena_new_of(sync->arena, struct source);
    int code = source ? client_get(sync->kubelet->options.client, kinds[kind].resource, sync->object->meta->namespace,
                                   name, &source->object, err)
                      : err_set(err, ERR_NO_MEMORY, "%s", kinds[kind].noun);

    if (code < 0 && code != -ERR_NOT_FOUND)
        return code;
    source->kind = kind;
    source->name = name;
    source->next = sync->sources;
    sync->sources = *ret_source = source;
    return 0;
}

int source_get(struct pod_sync *sync, enum source_kind kind, struct str name, bool optional,
               const struct object **ret_object, struct err *err)
{
    struct source *source = sync->sources;

    while (source && (source->kind != kind || !str_eq(source->name, name)))
        source = source->next;
    int code = source ? 0 : read_source(sync, kind, name, &source, err);

    if (code < 0)
        return code;
    if (!source->object && !optional)
        return err_set(err, ERR_NOT_FOUND, "%s \"" STR_FMT "\" not found", kinds[kind].noun, STR_ARG(name));
    *ret_object = source->object;
    return 0;
}

const struct str_map *source_data(const struct object *object)
{
    return object->resource == &RESOURCE_SECRETS ? &OBJECT_VIEW(object, secret)->data
                                                 : &OBJECT_VIEW(object, config_map)->data;
}

const struct str_map *source_binary_data(const struct object *object)
{
    static const struct str_map none = { 0 };

    return object->resource == &RESOURCE_SECRETS ? &none : &OBJECT_VIEW(object, config_map)->binary_data;
}

void sources_release(struct pod_sync *sync)
{
    for (struct source *source = sync->sources; source; source = source->next)
        source->object = object_unref(source->object);
    sync->sources = NULL;
}
