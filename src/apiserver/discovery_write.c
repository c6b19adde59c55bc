/* discovery_write.c - the texts of discovery, in both forms. */
#include "apiserver/discovery_write.h"

#include "codec/json.h"

/* The resources to write about, in order; those of a group-version and of a group lie together or apart. */
struct catalog {
    const struct resource *const *items;
    size_t count;
};

/* -- walking the catalog: the first resource of each group, and of each version of a group -- */

static bool group_begins(const struct catalog *catalog, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq(catalog->items[i]->group, catalog->items[at]->group))
            return false;
    return true;
}

static bool same_version(const struct resource *a, const struct resource *b)
{
    return str_eq(a->group, b->group) && str_eq(a->version, b->version);
}

static bool version_begins(const struct catalog *catalog, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (same_version(catalog->items[i], catalog->items[at]))
            return false;
    return true;
}

static bool is_core(const struct resource *resource)
{
    return str_empty(resource->group);
}

/* -- writing -- */

static void write_strings(struct json_writer *w, struct str key, const struct str *strings, size_t count)
{
    if (!count)
        return;
    jw_key(w, key);
    jw_begin_array(w);
    for (size_t i = 0; i < count; i++)
        jw_str(w, strings[i]);
    jw_end_array(w);
}

static void write_verbs(struct json_writer *w, uint32_t verbs)
{
    static const struct {
        struct str name;
        uint32_t bit;
    } rows[] = {
        /* by name */
        { STR_INIT("create"), VERB_CREATE },
        { STR_INIT("delete"), VERB_DELETE },
        { STR_INIT("deletecollection"), VERB_DELETE_COLLECTION },
        { STR_INIT("get"), VERB_GET },
        { STR_INIT("list"), VERB_LIST },
        { STR_INIT("patch"), VERB_PATCH },
        { STR_INIT("update"), VERB_UPDATE },
        { STR_INIT("watch"), VERB_WATCH },
    };

    jw_key(w, STR("verbs"));
    jw_begin_array(w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (verbs & rows[i].bit)
            jw_str(w, rows[i].name);
    jw_end_array(w);
}

static void write_group_version(struct json_writer *w, struct str group, struct str version)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    if (!str_empty(group)) {
        buf_add_str(&text, group);
        buf_add_char(&text, '/');
    }
    buf_add_str(&text, version);
    jw_str(w, buf_str(&text));
    w->buf->failed = w->buf->failed || !buf_ok(&text);
}

static void write_version(struct json_writer *w, const struct resource *resource)
{
    jw_begin_object(w);
    jw_key(w, STR("groupVersion"));
    write_group_version(w, resource->group, resource->version);
    jw_field_str(w, "version", resource->version);
    jw_end_object(w);
}

/* The members of an APIGroup; first: the first resource of the group. */
static void write_group(struct json_writer *w, const struct catalog *catalog, size_t first)
{
    jw_field_str(w, "name", catalog->items[first]->group);
    jw_key(w, STR("versions"));
    jw_begin_array(w);
    for (size_t i = first; i < catalog->count; i++)
        if (str_eq(catalog->items[i]->group, catalog->items[first]->group) && version_begins(catalog, i))
            write_version(w, catalog->items[i]);
    jw_end_array(w);
    jw_key(w, STR("preferredVersion"));
    write_version(w, catalog->items[first]);
}

static void write_subresource(struct json_writer *w, const struct resource *resource, const struct subresource *sub)
{
    jw_begin_object(w);
    AUTO_DEINIT(buf, name) = BUF_INIT;
    buf_add_str(&name, resource->plural);
    buf_add_char(&name, '/');
    buf_add_str(&name, sub->name);
    jw_field_str(w, "name", buf_str(&name));
    w->buf->failed = w->buf->failed || !buf_ok(&name);
    jw_field_str(w, "singularName", STR(""));
    jw_field_bool(w, "namespaced", resource->namespaced);
    if (!str_eq(sub->group, resource->group) || !str_eq(sub->version, resource->version)) {
        if (!str_empty(sub->group))
            jw_field_str(w, "group", sub->group);
        jw_field_str(w, "version", sub->version);
    }
    jw_field_str(w, "kind", sub->kind);
    write_verbs(w, sub->verbs);
    jw_end_object(w);
}

static void write_resource(struct json_writer *w, const struct resource *resource)
{
    jw_begin_object(w);
    jw_field_str(w, "name", resource->plural);
    jw_field_str(w, "singularName", resource->singular);
    jw_field_bool(w, "namespaced", resource->namespaced);
    jw_field_str(w, "kind", resource->kind);
    write_verbs(w, resource->verbs);
    write_strings(w, STR("shortNames"), resource->short_names, resource->short_name_count);
    write_strings(w, STR("categories"), resource->categories, resource->category_count);
    jw_end_object(w);
    for (size_t i = 0; i < resource->subresource_count; i++)
        write_subresource(w, resource, &resource->subresources[i]);
}

static int add_resource_list(const struct discovery_writer *writer, const struct catalog *catalog, size_t first,
                             struct err *err)
{
    const struct resource *of = catalog->items[first];
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct json_writer w = json_writer(&text);

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("APIResourceList"));
    if (!is_core(of))
        jw_field_str(&w, "apiVersion", STR("v1"));
    jw_key(&w, STR("groupVersion"));
    write_group_version(&w, of->group, of->version);
    jw_key(&w, STR("resources"));
    jw_begin_array(&w);
    for (size_t i = first; i < catalog->count; i++)
        if (same_version(catalog->items[i], of))
            write_resource(&w, catalog->items[i]);
    jw_end_array(&w);
    jw_end_object(&w);
    buf_printf(&path, is_core(of) ? "/api%s" STR_FMT "/" STR_FMT : "/apis%s" STR_FMT "/" STR_FMT,
               is_core(of) ? "" : "/", STR_ARG(of->group), STR_ARG(of->version));
    if (!buf_ok(&path))
        return err_set(err, ERR_NO_MEMORY, "discovery");
    return writer->add(writer->ctx, buf_str(&path), &text, err);
}

static int add_group(const struct discovery_writer *writer, const struct catalog *catalog, size_t first,
                     struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct json_writer w = json_writer(&text);

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("APIGroup"));
    jw_field_str(&w, "apiVersion", STR("v1"));
    write_group(&w, catalog, first);
    jw_end_object(&w);
    buf_printf(&path, "/apis/" STR_FMT, STR_ARG(catalog->items[first]->group));
    if (!buf_ok(&path))
        return err_set(err, ERR_NO_MEMORY, "discovery");
    return writer->add(writer->ctx, buf_str(&path), &text, err);
}

static int add_group_list(const struct discovery_writer *writer, const struct catalog *catalog, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json_writer w = json_writer(&text);

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("APIGroupList"));
    jw_field_str(&w, "apiVersion", STR("v1"));
    jw_key(&w, STR("groups"));
    jw_begin_array(&w);
    for (size_t i = 0; i < catalog->count; i++) {
        if (is_core(catalog->items[i]) || !group_begins(catalog, i))
            continue;
        jw_begin_object(&w);
        write_group(&w, catalog, i);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    return writer->add(writer->ctx, STR("/apis"), &text, err);
}

static int add_versions(const struct discovery_writer *writer, const struct catalog *catalog, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json_writer w = json_writer(&text);

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("APIVersions"));
    jw_key(&w, STR("versions"));
    jw_begin_array(&w);
    for (size_t i = 0; i < catalog->count; i++)
        if (is_core(catalog->items[i]) && version_begins(catalog, i))
            jw_str(&w, catalog->items[i]->version);
    jw_end_array(&w);
    jw_key(&w, STR("serverAddressByClientCIDRs"));
    jw_begin_array(&w);
    jw_end_array(&w);
    jw_end_object(&w);
    return writer->add(writer->ctx, STR("/api"), &text, err);
}

/* -- the aggregated form -- */

static void write_kind(struct json_writer *w, struct str group, struct str version, struct str kind)
{
    jw_key(w, STR("responseKind"));
    jw_begin_object(w);
    jw_field_str(w, "group", group);
    jw_field_str(w, "version", version);
    jw_field_str(w, "kind", kind);
    jw_end_object(w);
}

static void write_resource_discovery(struct json_writer *w, const struct resource *resource)
{
    jw_begin_object(w);
    jw_field_str(w, "resource", resource->plural);
    write_kind(w, resource->group, resource->version, resource->kind);
    jw_field_str(w, "scope", resource->namespaced ? STR("Namespaced") : STR("Cluster"));
    jw_field_str(w, "singularResource", resource->singular);
    write_verbs(w, resource->verbs);
    write_strings(w, STR("shortNames"), resource->short_names, resource->short_name_count);
    write_strings(w, STR("categories"), resource->categories, resource->category_count);
    if (resource->subresource_count) {
        jw_key(w, STR("subresources"));
        jw_begin_array(w);
        for (size_t i = 0; i < resource->subresource_count; i++) {
            const struct subresource *sub = &resource->subresources[i];

            jw_begin_object(w);
            jw_field_str(w, "subresource", sub->name);
            write_kind(w, sub->group, sub->version, sub->kind);
            write_verbs(w, sub->verbs);
            jw_end_object(w);
        }
        jw_end_array(w);
    }
    jw_end_object(w);
}

static void write_version_discovery(struct json_writer *w, const struct catalog *catalog, size_t first)
{
    jw_begin_object(w);
    jw_field_str(w, "version", catalog->items[first]->version);
    jw_key(w, STR("resources"));
    jw_begin_array(w);
    for (size_t i = first; i < catalog->count; i++)
        if (same_version(catalog->items[i], catalog->items[first]))
            write_resource_discovery(w, catalog->items[i]);
    jw_end_array(w);
    jw_field_str(w, "freshness", STR("Current"));
    jw_end_object(w);
}

static void write_group_discovery(struct json_writer *w, const struct catalog *catalog, size_t first)
{
    struct str group = catalog->items[first]->group;

    jw_begin_object(w);
    jw_key(w, STR("metadata"));
    jw_begin_object(w);
    if (!str_empty(group))
        jw_field_str(w, "name", group);
    jw_key(w, STR("creationTimestamp"));
    jw_null(w);
    jw_end_object(w);
    jw_key(w, STR("versions"));
    jw_begin_array(w);
    for (size_t i = first; i < catalog->count; i++)
        if (str_eq(catalog->items[i]->group, group) && version_begins(catalog, i))
            write_version_discovery(w, catalog, i);
    jw_end_array(w);
    jw_end_object(w);
}

/* version: of apidiscovery.k8s.io; the two differ in nothing else. */
static int add_aggregated(const struct discovery_writer *writer, const struct catalog *catalog, bool core,
                          struct str version, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json_writer w = json_writer(&text);
    char path[32];

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("APIGroupDiscoveryList"));
    jw_key(&w, STR("apiVersion"));
    write_group_version(&w, STR("apidiscovery.k8s.io"), version);
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_end_object(&w);
    jw_key(&w, STR("items"));
    jw_begin_array(&w);
    for (size_t i = 0; i < catalog->count; i++)
        if (is_core(catalog->items[i]) == core && group_begins(catalog, i))
            write_group_discovery(&w, catalog, i);
    jw_end_array(&w);
    jw_end_object(&w);
    snprintf(path, sizeof path, "%s " STR_FMT, core ? "/api" : "/apis", STR_ARG(version));
    return writer->add(writer->ctx, str_from(path), &text, err);
}

int discovery_write(const struct discovery_writer *writer, const struct resource *const *resources, size_t count,
                    struct err *err)
{
    const struct catalog all = { resources, count }, *catalog = &all;
    static const struct str versions[] = { STR_INIT("v2"), STR_INIT("v2beta1") };
    int code = add_versions(writer, catalog, err);

    if (code == 0)
        code = add_group_list(writer, catalog, err);
    for (size_t i = 0; code == 0 && i < ARRAY_LEN(versions); i++) {
        code = add_aggregated(writer, catalog, true, versions[i], err);
        if (code == 0)
            code = add_aggregated(writer, catalog, false, versions[i], err);
    }
    for (size_t i = 0; code == 0 && i < catalog->count; i++) {
        if (version_begins(catalog, i))
            code = add_resource_list(writer, catalog, i, err);
        if (code == 0 && !is_core(catalog->items[i]) && group_begins(catalog, i))
            code = add_group(writer, catalog, i, err);
    }
    return code;
}
