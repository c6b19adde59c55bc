#include "kubelet/field_ref.h"

#include <stdio.h>
#include <unistd.h>

#include "kubelet/resources.h"
#include "schema/quantity.h"

static struct str map_value(const struct str_map *map, struct str key)
{
    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->items[i].key, key))
            return map->items[i].value;
    return STR("");
}

/* All of a map as files show it: key="escaped value", a line each. */
static struct str map_text(struct arena *arena, const struct str_map *map)
{
    struct buf buf = BUF_INIT;

    for (size_t i = 0; i < map->count; i++) {
        buf_printf(&buf, "%s" STR_FMT "=\"", i ? "\n" : "", STR_ARG(map->items[i].key));
        for (size_t c = 0; c < map->items[i].value.len; c++) {
            char byte = map->items[i].value.data[c];

            if (byte == '"' || byte == '\\')
                buf_add_char(&buf, '\\');
            if (byte == '\n')
                buf_add_cstr(&buf, "\\n");
            else
                buf_add_char(&buf, byte);
        }
        buf_add_char(&buf, '"');
    }
    struct str text = buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;

    buf_deinit(&buf);
    return text;
}

/* "metadata.labels['key']" -> key */
static bool subscript(struct str path, const char *field, struct str *ret_key)
{
    struct str prefix = str_from(field);

    if (!str_has_prefix(path, prefix) || !str_has_prefix(str_skip(path, prefix.len), STR("['")) ||
        !str_has_suffix(path, STR("']")))
        return false;
    *ret_key = str_chop(str_skip(path, prefix.len + 2), 2);
    return true;
}

int field_ref_value(struct pod_sync *sync, struct str path, struct str *ret_value, struct err *err)
{
    const struct object_meta *meta = sync->object->meta;
    struct str node_ip = sync->kubelet->options.node_ip, pod_ip = str_from(sync->state->ip), key;
    const struct {
        const char *path;
        struct str value;
    } fields[] = {
        { "metadata.name", meta->name },
        { "metadata.namespace", meta->namespace },
        { "metadata.uid", meta->uid },
        { "spec.nodeName", sync->pod->spec.node_name },
        { "spec.serviceAccountName", sync->pod->spec.service_account_name },
        { "status.hostIP", node_ip },
        { "status.hostIPs", node_ip },
        { "status.podIP", pod_ip },
        { "status.podIPs", pod_ip },
    };
    struct str value = STR_NULL;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (str_is(path, fields[i].path))
            value = fields[i].value.data ? fields[i].value : STR("");
    if (subscript(path, "metadata.labels", &key))
        value = map_value(&meta->labels, key);
    else if (subscript(path, "metadata.annotations", &key))
        value = map_value(&meta->annotations, key);
    else if (str_is(path, "metadata.labels"))
        value = map_text(sync->arena, &meta->labels);
    else if (str_is(path, "metadata.annotations"))
        value = map_text(sync->arena, &meta->annotations);
    if (!value.data)
        return err_set(err, ERR_INVALID, "fieldPath " STR_FMT " is not supported", STR_ARG(path));
    *ret_value = value;
    return 0;
}

static const struct container *find_container(const struct pod *pod, struct str name)
{
    const struct container_array *lists[] = { &pod->spec.containers, &pod->spec.init_containers };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (str_eq(lists[l]->items[i].name, name))
                return &lists[l]->items[i];
    return NULL;
}

static __int128 node_capacity(struct str resource)
{
    if (str_is(resource, "cpu"))
        return (__int128)sysconf(_SC_NPROCESSORS_ONLN) * 1000000000;
    if (str_is(resource, "memory"))
        return (__int128)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) * 1000000000;
    return 0;
}

int resource_ref_value(struct pod_sync *sync, const struct container *own, const struct resource_field_selector *ref,
                       struct str *ret_value, struct err *err)
{
    const struct container *container = ref->container_name.len ? find_container(sync->pod, ref->container_name) : own;
    bool limit = str_has_prefix(ref->resource, STR("limits."));
    struct str name = str_skip(ref->resource, limit ? 7 : 9);
    struct quantity divisor, value;

    if (!container)
        return err_set(err, ERR_INVALID, "container " STR_FMT " not found", STR_ARG(ref->container_name));
    if (!limit && !str_has_prefix(ref->resource, STR("requests.")))
        return err_set(err, ERR_INVALID, "resource " STR_FMT " is not supported", STR_ARG(ref->resource));
    struct str text = STR_NULL;
    const struct str_map *map = limit ? &container->resources.limits : &container->resources.requests;

    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->items[i].key, name))
            text = map->items[i].value;
    if (!quantity_parse(text, &value))
        value.nano = limit ? node_capacity(name) : 0;
    if (!quantity_parse(ref->divisor, &divisor) || divisor.nano <= 0)
        divisor.nano = 1000000000;
    __int128 quotient = (value.nano + divisor.nano - 1) / divisor.nano;

    *ret_value = arena_printf(sync->arena, "%lld", (long long)quotient);
    return ret_value->data ? 0 : err_set(err, ERR_NO_MEMORY, "resource field");
}
