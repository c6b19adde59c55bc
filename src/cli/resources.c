/* resources.c - first the tables that this program carries, then the server's discovery.
 *
 * A word that the tables know costs no request. A category ("all") always asks, as custom resources may belong to it. */
#include "cli/resources.h"

#include "codec/json.h"

#define ACCEPT_DISCOVERY "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

void resources_init(struct resources *resources, struct session *session)
{
    *resources = (struct resources){ .session = session };
}

void resources_deinit(struct resources *resources)
{
    vec_deinit(&resources->known);
}

/* -- discovery -- */

static uint32_t verb_bits(const struct json *verbs)
{
    static const struct {
        struct str name;
        uint32_t bit;
    } rows[] = {
        { STR_INIT("get"), VERB_GET },       { STR_INIT("list"), VERB_LIST },
        { STR_INIT("watch"), VERB_WATCH },   { STR_INIT("create"), VERB_CREATE },
        { STR_INIT("update"), VERB_UPDATE }, { STR_INIT("patch"), VERB_PATCH },
        { STR_INIT("delete"), VERB_DELETE }, { STR_INIT("deletecollection"), VERB_DELETE_COLLECTION },
    };
    uint32_t bits = 0;

    for (uint32_t i = 0; json_is(verbs, JSON_ARRAY) && i < verbs->count; i++)
        for (size_t j = 0; j < ARRAY_LEN(rows); j++)
            if (str_eq(json_str(&verbs->items[i]), rows[j].name))
                bits |= rows[j].bit;
    return bits;
}

static const struct str *read_strings(struct arena *arena, const struct json *array, uint8_t *ret_count)
{
    size_t count = json_is(array, JSON_ARRAY) ? MIN(array->count, (uint32_t)UINT8_MAX) : 0;
    struct str *strings = count ? arena_array_of(arena, count, struct str) : NULL;

    for (size_t i = 0; strings && i < count; i++)
        strings[i] = json_str(&array->items[i]);
    *ret_count = strings ? (uint8_t)count : 0;
    return strings;
}

static int add_resource(struct resources *resources, struct arena *arena, struct str group, struct str version,
                        const struct json *json, struct err *err)
{
    struct resource *resource = arena_new_of(arena, struct resource);

    if (!resource)
        return err_set(err, ERR_NO_MEMORY, "discovery");
    resource->group = group;
    resource->version = version;
    resource->plural = json_str_at(json, "resource");
    resource->singular = json_str_at(json, "singularResource");
    resource->kind = json_str_at(json, "responseKind.kind");
    resource->namespaced = str_is(json_str_at(json, "scope"), "Namespaced");
    resource->served = true;
    resource->verbs = verb_bits(json_member(json, "verbs"));
    resource->short_names = read_strings(arena, json_member(json, "shortNames"), &resource->short_name_count);
    resource->categories = read_strings(arena, json_member(json, "categories"), &resource->category_count);
    if (!resource->plural.len || !resource->kind.len)
        return 0;
    return vec_push(&resources->known, resource) < 0 ? err_set(err, ERR_NO_MEMORY, "discovery") : 0;
}

int resources_add(struct resources *resources, struct arena *arena, const struct json *list, struct err *err)
{
    const struct json *groups = json_member(list, "items");
    int code = 0;

    for (uint32_t g = 0; json_is(groups, JSON_ARRAY) && g < groups->count; g++) {
        struct str group = json_str_at(&groups->items[g], "metadata.name");
        const struct json *versions = json_member(&groups->items[g], "versions");

        for (uint32_t v = 0; json_is(versions, JSON_ARRAY) && v < versions->count; v++) {
            const struct json *items = json_member(&versions->items[v], "resources");
            struct str version = json_str_at(&versions->items[v], "version");

            for (uint32_t i = 0; code == 0 && json_is(items, JSON_ARRAY) && i < items->count; i++)
                code = add_resource(resources, arena, group, version, &items->items[i], err);
        }
    }
    return code;
}

int resources_discover(struct resources *resources, struct err *err)
{
    static const struct str paths[] = { STR_INIT("/api"), STR_INIT("/apis") };
    struct arena *arena = &resources->session->arena;
    int code = 0;

    for (size_t i = 0; !resources->asked && code == 0 && i < ARRAY_LEN(paths); i++) {
        const struct session_request request = { .path = paths[i], .accept = ACCEPT_DISCOVERY };
        struct json *list;

        code = session_json(resources->session, &request, arena, NULL, &list, err);
        if (code == 0 && !json_is(json_member(list, "items"), JSON_ARRAY))
            code = err_set(err, ERR_NOT_SUPPORTED, "the server has no aggregated discovery; it is older than "
                           "Kubernetes 1.26");
        if (code == 0)
            code = resources_add(resources, arena, list, err);
    }
    if (code < 0)
        return err_wrap(err, code, "asking the server for its resources");
    resources->asked = true;
    return 0;
}

void resources_forget(struct resources *resources)
{
    vec_clear(&resources->known);
    resources->asked = false;
}

/* -- names -- */

/* What stands behind the first dot: a group, "version.group", or a version of the core group; or the beginning of a group,
 * up to one of its dots. */
static bool rest_matches(const struct resource *resource, struct str rest)
{
    ssize_t dot = str_chr(rest, '.');

    if (str_eq(rest, resource->group) ||
        (str_has_prefix(resource->group, rest) && resource->group.data[rest.len] == '.'))
        return true;
    return str_eq(dot < 0 ? rest : str_first(rest, (size_t)dot), resource->version) &&
           str_eq(dot < 0 ? STR("") : str_skip(rest, (size_t)dot + 1), resource->group);
}

static bool word_matches(const struct resource *resource, struct str word)
{
    ssize_t dot = str_chr(word, '.');
    struct str head = dot < 0 ? word : str_first(word, (size_t)dot);

    if (dot >= 0 && !rest_matches(resource, str_skip(word, (size_t)dot + 1)))
        return false;
    if (str_eq_nocase(head, resource->plural) || str_eq_nocase(head, resource->singular) ||
        str_eq_nocase(head, resource->kind))
        return true;
    for (size_t i = 0; i < resource->short_name_count; i++)
        if (str_eq_nocase(head, resource->short_names[i]))
            return true;
    return false;
}

static const struct resource *find_word(const struct resource *const *items, size_t count, struct str word)
{
    for (size_t i = 0; i < count; i++)
        if (items[i]->served && word_matches(items[i], word))
            return items[i];
    return NULL;
}

int resources_find(struct resources *resources, struct str word, const struct resource **ret_resource, struct err *err)
{
    const struct resource *found = word.len ? find_word(api_resources, api_resource_count, word) : NULL;
    int code = 0;

    if (!found && word.len && (code = resources_discover(resources, err)) == 0)
        found = find_word(resources->known.items, resources->known.count, word);
    if (code < 0)
        return code;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the server has no resource type \"" STR_FMT
                       "\"; `caravel api-resources` lists those it has", STR_ARG(word));
    *ret_resource = found;
    return 0;
}

static const struct resource *find_kind(const struct resource *const *items, size_t count, struct str group,
                                        struct str version, struct str kind)
{
    for (size_t i = 0; i < count; i++)
        if (items[i]->served && str_eq(items[i]->kind, kind) && str_eq(items[i]->version, version) &&
            str_eq(items[i]->group, group))
            return items[i];
    return NULL;
}

int resources_find_kind(struct resources *resources, struct str api_version, struct str kind,
                        const struct resource **ret_resource, struct err *err)
{
    ssize_t slash = str_chr(api_version, '/');
    struct str group = slash < 0 ? STR("") : str_first(api_version, (size_t)slash);
    struct str version = slash < 0 ? api_version : str_skip(api_version, (size_t)slash + 1);
    const struct resource *found = find_kind(api_resources, api_resource_count, group, version, kind);
    int code = 0;

    if (!found && (code = resources_discover(resources, err)) == 0)
        found = find_kind(resources->known.items, resources->known.count, group, version, kind);
    if (code < 0)
        return code;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the server knows no kind \"" STR_FMT "\" in \"" STR_FMT
                       "\"; create its CustomResourceDefinition first", STR_ARG(kind), STR_ARG(api_version));
    *ret_resource = found;
    return 0;
}

/* -- lists and categories -- */

static int add_once(struct arena *arena, struct resource_list *list, const struct resource *resource, struct err *err)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == resource ||
            (str_eq(list->items[i]->group, resource->group) && str_eq(list->items[i]->plural, resource->plural)))
            return 0;
    list->items = arena_grow(arena, list->items, list->count * sizeof *list->items,
                             (list->count + 1) * sizeof *list->items);
    if (!list->items)
        return err_set(err, ERR_NO_MEMORY, "resources");
    list->items[list->count++] = resource;
    return 0;
}

static bool in_category(const struct resource *resource, struct str category)
{
    for (size_t i = 0; i < resource->category_count; i++)
        if (str_eq(resource->categories[i], category))
            return true;
    return false;
}

static int add_category(struct resources *resources, struct str word, struct resource_list *list, struct err *err)
{
    size_t before = list->count;
    int code = resources_discover(resources, err);

    for (size_t i = 0; code == 0 && i < resources->known.count; i++)
        if ((resources->known.items[i]->verbs & VERB_LIST) && in_category(resources->known.items[i], word))
            code = add_once(&resources->session->arena, list, resources->known.items[i], err);
    return code < 0 ? code : list->count > before;
}

int resources_expand(struct resources *resources, struct str words, struct resource_list *ret_list, struct err *err)
{
    struct resource_list list = { 0 };
    struct str word;

    while (str_split(&words, ',', &word)) {
        const struct resource *resource = find_word(api_resources, api_resource_count, word);
        int code = word.len && !resource ? add_category(resources, word, &list, err) : 0;

        if (code == 0 && (resource || (code = resources_find(resources, word, &resource, err)) == 0))
            code = add_once(&resources->session->arena, &list, resource, err);
        if (code < 0)
            return code;
    }
    *ret_list = list;
    return 0;
}

/* -- in words -- */

static struct str with_group(struct arena *arena, struct str name, struct str group)
{
    return group.len ? arena_printf(arena, STR_FMT "." STR_FMT, STR_ARG(name), STR_ARG(group)) : name;
}

struct str resource_full_name(struct arena *arena, const struct resource *resource)
{
    return with_group(arena, resource->plural, resource->group);
}

struct str resource_type_name(struct arena *arena, const struct resource *resource)
{
    char *kind = arena_cstr(arena, resource->kind);

    for (char *c = kind; c && *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    return with_group(arena, str_from(kind), resource->group);
}

struct str resource_group_version(struct arena *arena, const struct resource *resource)
{
    return resource->group.len
               ? arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(resource->group), STR_ARG(resource->version))
               : resource->version;
}

/* -- command lines -- */

static int add_target(struct arena *arena, struct targets *targets, const struct resource *resource, struct str name,
                      struct err *err)
{
    targets->items = arena_grow(arena, targets->items, targets->count * sizeof *targets->items,
                                (targets->count + 1) * sizeof *targets->items);
    if (!targets->items)
        return err_set(err, ERR_NO_MEMORY, "arguments");
    targets->items[targets->count++] = (struct target){ resource, name, STR_NULL };
    return 0;
}

/* "pod/a svc/b" */
static int parse_pairs(struct resources *resources, char *const *words, size_t count, struct targets *targets,
                       struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct str word = str_from(words[i]);
        ssize_t slash = str_chr(word, '/');
        const struct resource *resource;

        if (slash <= 0 || (size_t)slash + 1 == word.len || str_chr(str_skip(word, (size_t)slash + 1), '/') >= 0)
            return err_set(err, ERR_BAD_REQUEST, "\"%s\": after TYPE/NAME, every argument must be TYPE/NAME", words[i]);
        int code = resources_find(resources, str_first(word, (size_t)slash), &resource, err);

        if (code == 0)
            code = add_target(&resources->session->arena, targets, resource, str_skip(word, (size_t)slash + 1), err);
        if (code < 0)
            return code;
    }
    targets->single_type = count == 1;
    return 0;
}

int targets_parse(struct resources *resources, char *const *words, size_t count, struct targets *ret_targets,
                  struct err *err)
{
    struct arena *arena = &resources->session->arena;
    struct targets targets = { 0 };
    struct resource_list types;
    int code = 0;

    if (count && strchr(words[0], '/')) {
        code = parse_pairs(resources, words, count, &targets, err);
        if (code == 0)
            *ret_targets = targets;
        return code;
    }
    if (count)
        code = resources_expand(resources, str_from(words[0]), &types, err);
    else
        types = (struct resource_list){ 0 };
    for (size_t t = 0; code == 0 && t < types.count; t++) {
        for (size_t i = 1; code == 0 && i < count; i++)
            code = strchr(words[i], '/')
                       ? err_set(err, ERR_BAD_REQUEST, "\"%s\": names after a type cannot have a '/'", words[i])
                       : add_target(arena, &targets, types.items[t], str_from(words[i]), err);
        if (code == 0 && count == 1)
            code = add_target(arena, &targets, types.items[t], STR_NULL, err);
    }
    if (code < 0)
        return code;
    targets.single_type = types.count == 1;
    *ret_targets = targets;
    return 0;
}
