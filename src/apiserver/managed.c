/* managed.c - entries of managedFields are kept as JSON; sets of fields and all arithmetic on them are schema/fields.h's. */
#include "apiserver/managed.h"

#include "apiserver/server.h"
#include "schema/fields.h"
#include "schema/time.h"

#define MANAGER_MAX 128
#define UPDATERS_MAX 10 /* entries of updates; the oldest are put together beyond that */
#define ANCIENT "ancient-changes"
#define BEFORE_FIRST_APPLY "before-first-apply"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "managedFields");
}

/* -- who -- */

/* What ?fieldManager= says; else the program's name in the user agent, else the user. */
static struct str manager_of(const struct request *request)
{
    struct str named = request_param(request, "fieldManager"), agent = request->user_agent;
    ssize_t slash = str_chr(agent, '/');

    if (!str_empty(named))
        return named;
    if (str_empty(agent))
        return request->user.name;
    return str_first(slash > 0 ? str_first(agent, (size_t)slash) : agent, MANAGER_MAX);
}

static struct str subresource_of(const struct request *request)
{
    return request->subresource ? request->subresource->name : STR("");
}

static bool is_entry(const struct json *entry, struct str manager, const char *operation, struct str subresource)
{
    struct str has = json_str(json_member(entry, "subresource"));

    return str_eq(json_str(json_member(entry, "manager")), manager) &&
           str_is(json_str(json_member(entry, "operation")), operation) && str_eq(has.data ? has : STR(""), subresource);
}

/* -- what nobody owns -- */

static struct json *unowned(struct arena *arena)
{
    static const struct str text = STR_INIT("{\"f:apiVersion\":{},\"f:kind\":{},\"f:metadata\":{\".\":{},\"f:name\":{},\"f:namespace\":{},"
                               "\"f:creationTimestamp\":{},\"f:selfLink\":{},\"f:uid\":{},\"f:generation\":{},"
                               "\"f:managedFields\":{},\"f:resourceVersion\":{}}}");
    struct json *set = NULL;

    json_parse(arena, text, NULL, &set, NULL);
    return set;
}

static bool is_status(const struct request *request)
{
    return request->subresource && str_is(request->subresource->name, "status");
}

/* A write of status owns nothing else, another one (where status is a subresource) no status. */
static struct json *own_half(const struct request *request, struct json *fields)
{
    const struct json *status = json_member(fields, "f:status");

    if (!fields || !resource_subresource(request->resource->storage, STR("status")))
        return fields;
    if (!is_status(request)) {
        json_remove(fields, STR("f:status"));
        return fields->count ? fields : NULL;
    }
    struct json *half = json_new(request->arena, JSON_OBJECT);

    if (!half || !status || !json_set(request->arena, half, STR("f:status"), status))
        return NULL;
    return half;
}

static struct json *owned_by_config(struct request *request, const struct json *config)
{
    struct arena *arena = request->arena;
    struct json *fields = fields_of(arena, request_storage(request)->type, config);

    return own_half(request, json_copy(arena, fields_difference(arena, fields, unowned(arena))));
}

/* -- entries -- */

static const struct json *list_of(const struct json *object)
{
    const struct json *list = json_member(json_member(object, "metadata"), "managedFields");

    return json_is(list, JSON_ARRAY) ? list : NULL;
}

static struct json *entries_of(struct arena *arena, const struct json *object)
{
    const struct json *list = list_of(object);

    return list ? json_copy(arena, list) : json_new(arena, JSON_ARRAY);
}

static bool is_sound(const struct json *entry)
{
    struct str operation = json_str(json_member(entry, "operation"));

    return (str_is(operation, "Apply") || str_is(operation, "Update")) &&
           str_is(json_str(json_member(entry, "fieldsType")), "FieldsV1") &&
           fields_is_sound(json_member(entry, "fieldsV1")) &&
           !str_empty(json_str(json_member(entry, "apiVersion")));
}

/* A client may edit the entries, and takes them all away with one empty entry. Clients that know nothing of them send
 * none, or what they have read: then they stay. Subresources change other fields only. */
static struct json *entries_after(const struct request *request, const struct json *object, const struct json *old)
{
    const struct json *list = list_of(object);

    if (request->subresource || !list || list->count == 0)
        return entries_of(request->arena, old);
    if (list->count == 1 && json_is(&list->items[0], JSON_OBJECT) && list->items[0].count == 0)
        return json_new(request->arena, JSON_ARRAY);
    for (uint32_t i = 0; i < list->count; i++)
        if (!is_sound(&list->items[i]))
            return entries_of(request->arena, old);
    return json_copy(request->arena, list);
}

static struct json *entry_fields(const struct json *entry)
{
    struct json *fields = json_member(entry, "fieldsV1");

    return fields_is_sound(fields) && fields->count ? fields : NULL;
}

static struct json *find_entry(struct json *entries, struct str manager, const char *operation, struct str subresource)
{
    for (uint32_t i = 0; i < entries->count; i++)
        if (is_entry(&entries->items[i], manager, operation, subresource))
            return &entries->items[i];
    return NULL;
}

static struct json *add_entry(struct request *request, struct json *entries, struct str manager, const char *operation)
{
    struct arena *arena = request->arena;
    const struct resource *storage = request_storage(request);
    struct json *entry = json_new(arena, JSON_OBJECT);
    struct str version = str_empty(storage->group) ? storage->version
                                                   : arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(storage->group),
                                                                  STR_ARG(storage->version));

    if (!entry || !json_set_str(arena, entry, STR("apiVersion"), version) ||
        !json_set_str(arena, entry, STR("fieldsType"), STR("FieldsV1")) ||
        !json_set_str(arena, entry, STR("manager"), manager) ||
        !json_set_str(arena, entry, STR("operation"), str_from(operation)) ||
        (request->subresource && !json_set_str(arena, entry, STR("subresource"), request->subresource->name)))
        return NULL;
    return json_append(arena, entries, entry);
}

/* The time moves only when the set does, so that a write that changes nothing is none. */
static int set_fields(struct request *request, struct json *entry, const struct json *fields, struct err *err)
{
    char text[API_TIME_LEN];
    struct str now = api_time_text(clock_wall(request->server->options.clock), text);

    if (fields_equal(json_member(entry, "fieldsV1"), fields))
        return 0;
    now = arena_str(request->arena, now);
    if (!now.data || !json_set(request->arena, entry, STR("fieldsV1"), fields) ||
        !json_set_str(request->arena, entry, STR("time"), now))
        return no_memory(err);
    return 0;
}

/* Takes a set away from every entry but one; entries that own nothing any more go. */
static int take_from_others(struct request *request, struct json *entries, const struct json *but,
                            const struct json *fields, struct err *err)
{
    for (uint32_t i = entries->count; fields && i-- > 0;) {
        struct json *entry = &entries->items[i], *rest;

        if (entry == but)
            continue;
        rest = fields_difference(request->arena, entry_fields(entry), fields);
        if (arena_failed(request->arena))
            return no_memory(err);
        if (!rest)
            json_remove_at(entries, i);
        else if (!fields_equal(rest, entry_fields(entry)) && !json_set(request->arena, entry, STR("fieldsV1"), rest))
            return no_memory(err);
    }
    return 0;
}

/* The oldest updates become one entry when there are too many. */
static int cap_updaters(struct request *request, struct json *entries, struct err *err)
{
    uint32_t updaters = 0;

    for (uint32_t i = 0; i < entries->count; i++)
        updaters += str_is(json_str(json_member(&entries->items[i], "operation")), "Update");
    for (uint32_t i = 0; updaters > UPDATERS_MAX && i < entries->count;) {
        struct json *ancient = find_entry(entries, STR(ANCIENT), "Update", STR(""));
        struct json *entry = &entries->items[i];

        if (entry == ancient || !str_is(json_str(json_member(entry, "operation")), "Update")) {
            i++;
            continue;
        }
        if (!ancient) { /* it takes the place of the first */
            if (!json_set_str(request->arena, entry, STR("manager"), STR(ANCIENT)))
                return no_memory(err);
            json_remove(entry, STR("subresource"));
            continue;
        }
        struct json *both = fields_union(request->arena, entry_fields(ancient), entry_fields(entry));

        if (!both || !json_set(request->arena, ancient, STR("fieldsV1"), both))
            return no_memory(err);
        json_remove_at(entries, i);
        updaters--;
    }
    return 0;
}

static int put_entries(struct request *request, struct json *object, const struct json *entries, struct err *err)
{
    struct json *meta = json_ensure(request->arena, object, STR("metadata"), JSON_OBJECT);

    if (!meta)
        return no_memory(err);
    if (entries->count == 0) {
        json_remove(meta, STR("managedFields"));
        return 0;
    }
    return json_set(request->arena, meta, STR("managedFields"), entries) ? 0 : no_memory(err);
}

/* -- updates -- */

static int own_changes(struct request *request, struct json *entries, struct json *changed, struct err *err)
{
    struct str manager = manager_of(request), subresource = subresource_of(request);
    struct json *own = find_entry(entries, manager, "Update", subresource);

    if (!changed)
        return 0;
    if (!own && !(own = add_entry(request, entries, manager, "Update")))
        return no_memory(err);
    struct json *all = fields_union(request->arena, entry_fields(own), changed);

    if (!all)
        return no_memory(err);
    int code = set_fields(request, own, all, err);

    /* An apply by the same manager keeps its own set: two entries may share fields only when the values agree. */
    return code == 0 ? take_from_others(request, entries, own, changed, err) : code;
}

int managed_update(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    struct arena *arena = request->arena;
    struct json *changed = NULL, *removed = NULL, *entries;
    int code;

    if (write->managed)
        return put_entries(request, object, write->managed, err);
    if (!(entries = entries_after(request, object, old)))
        return no_memory(err);
    /* Whose entries were taken away belongs to nobody until somebody applies. */
    if (old && entries->count == 0)
        return put_entries(request, object, entries, err);
    fields_compare(arena, request_storage(request)->type, old ? old : json_new(arena, JSON_OBJECT), object, &changed,
                   &removed);
    changed = own_half(request, json_copy(arena, fields_difference(arena, changed, unowned(arena))));
    if (arena_failed(arena))
        return no_memory(err);
    if ((code = own_changes(request, entries, changed, err)) < 0 ||
        (code = take_from_others(request, entries, NULL, fields_difference(arena, removed, unowned(arena)), err)) < 0 ||
        (code = cap_updaters(request, entries, err)) < 0)
        return code;
    return put_entries(request, object, entries, err);
}

/* -- apply -- */

struct conflicts {
    struct request *request;
    struct buf text;
    const char *manager; /* `"kubectl" using apps/v1` */
    size_t count;
};

static int add_conflict(void *arg, struct str path)
{
    struct conflicts *conflicts = arg;

    causes_add(&conflicts->request->failure.causes, CAUSE_FIELD_MANAGER_CONFLICT, path, "conflict with %s",
               conflicts->manager);
    buf_printf(&conflicts->text, "%s" STR_FMT, conflicts->text.len ? "\n- " : "- ", STR_ARG(path));
    conflicts->count++;
    return 0;
}

static int refuse(struct conflicts *conflicts, struct err *err)
{
    struct causes *causes = &conflicts->request->failure.causes;
    struct str first = causes->count ? causes->items[0].field : STR("");

    if (conflicts->count == 1)
        return err_set(err, ERR_CONFLICT, "Apply failed with 1 conflict: " STR_FMT ": " STR_FMT,
                       STR_ARG(causes->items[0].message), STR_ARG(first));
    return err_set(err, ERR_CONFLICT, "Apply failed with %zu conflicts: conflicts with %s:\n" STR_FMT, conflicts->count,
                   conflicts->manager, STR_ARG(buf_str(&conflicts->text)));
}

/* Fields that the config would change and another manager owns. */
static int check_conflicts(struct request *request, const struct json *entries, const struct json *own,
                           const struct json *changed, struct err *err)
{
    struct conflicts conflicts = { .request = request, .text = BUF_INIT };

    for (uint32_t i = 0; i < entries->count; i++) {
        const struct json *entry = &entries->items[i];
        struct json *both = entry == own ? NULL : fields_intersection(request->arena, entry_fields(entry), changed);
        struct str subresource = json_str(json_member(entry, "subresource"));

        if (!both)
            continue;
        struct str manager = arena_printf(
            request->arena, "\"" STR_FMT "\"%s" STR_FMT "%s using " STR_FMT, STR_ARG(json_str(json_member(entry, "manager"))),
            subresource.len ? " with subresource \"" : "", STR_ARG(subresource), subresource.len ? "\"" : "",
            STR_ARG(json_str(json_member(entry, "apiVersion"))));

        if (!manager.data)
            return no_memory(err);
        conflicts.manager = manager.data;
        fields_each(both, add_conflict, &conflicts);
    }
    int code = conflicts.count ? refuse(&conflicts, err) : 0;

    buf_deinit(&conflicts.text);
    return code;
}

/* What this manager said before, does not say now, and nobody else owns. */
static void drop_abandoned(struct request *request, struct json *object, const struct json *entries,
                           const struct json *own, const struct json *before, const struct json *now)
{
    struct json *others = NULL, *abandoned;

    for (uint32_t i = 0; i < entries->count; i++)
        if (&entries->items[i] != own)
            others = fields_union(request->arena, others, entry_fields(&entries->items[i]));
    abandoned = fields_difference(request->arena, fields_difference(request->arena, before, now), others);
    fields_prune(request->arena, request_storage(request)->type, object, abandoned,
                 fields_union(request->arena, others, now));
}

/* -- objects that kubectl has applied by itself -- */

#define KUBECTL "kubectl"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define LAST_APPLIED_MAX (256u << 10)

static struct str last_applied(const struct json *object)
{
    return json_str(json_get(json_member(json_member(object, "metadata"), "annotations"), STR(LAST_APPLIED)));
}

/* What the annotation says and the object still has is kubectl's own, whatever name that apply went by. */
static struct json *applied_from_client(struct request *request, const struct json *live)
{
    struct arena *arena = request->arena;
    const struct type *type = request_storage(request)->type;
    struct json *applied = NULL, *changed, *removed;

    if (str_empty(last_applied(live)) || json_parse(arena, last_applied(live), NULL, &applied, NULL) < 0 ||
        !json_is(applied, JSON_OBJECT) || object_normalize(arena, type, applied, NULL, NULL) < 0)
        return NULL;
    fields_compare(arena, type, applied, live, &changed, &removed);
    return fields_difference(arena, fields_difference(arena, fields_of(arena, type, applied), changed), removed);
}

/* An annotation that is there goes on saying what kubectl wants, so that its own way of applying still works. */
static int note_applied(struct request *request, struct json *object, const struct json *config, struct err *err)
{
    struct json *annotations = json_member(json_member(object, "metadata"), "annotations");
    struct str text;

    if (str_empty(last_applied(object)))
        return 0;
    text = arena_printf(request->arena, STR_FMT "\n", STR_ARG(json_text(request->arena, config)));
    if (text.len > LAST_APPLIED_MAX)
        return 0;
    return text.data && json_set_str(request->arena, annotations, STR(LAST_APPLIED), text) ? 0 : no_memory(err);
}

/* Before anybody has applied, all that is there counts as one update. */
static int add_unmanaged(struct request *request, struct json *entries, const struct json *live, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *all, *removed, *entry, *nothing = json_new(arena, JSON_OBJECT);

    if (!live || entries->count)
        return 0;
    fields_compare(arena, request_storage(request)->type, nothing, live, &all, &removed);
    all = own_half(request, json_copy(arena, fields_difference(arena, all, unowned(arena))));
    if (!all)
        return arena_failed(arena) ? no_memory(err) : 0;
    entry = add_entry(request, entries, STR(BEFORE_FIRST_APPLY), "Update");
    return entry ? set_fields(request, entry, all, err) : no_memory(err);
}

int managed_apply(struct write *write, const struct json *live, struct json *config, bool force,
                  struct json **ret_object, struct err *err)
{
    struct request *request = write->request;
    struct arena *arena = request->arena;
    const struct type *type = request_storage(request)->type;
    struct json *entries = entries_of(arena, live), *now = owned_by_config(request, config), *changed = NULL, *removed;
    struct str manager = request_param(request, "fieldManager");
    bool kubectl = str_is(manager, KUBECTL);
    int code;

    if (!entries || arena_failed(arena))
        return no_memory(err);
    if ((code = add_unmanaged(request, entries, live, err)) < 0)
        return code;
    struct json *own = find_entry(entries, manager, "Apply", subresource_of(request));
    struct json *before = own ? entry_fields(own) : NULL;
    struct json *object = live ? fields_merge(arena, type, live, config) : json_copy(arena, config);

    if (!object)
        return no_memory(err);
    if (live)
        fields_compare(arena, type, live, object, &changed, &removed);
    changed = fields_intersection(arena, changed, now);
    if (!force) {
        struct json *mine = kubectl && live ? applied_from_client(request, live) : NULL;

        if ((code = check_conflicts(request, entries, own, fields_difference(arena, changed, mine), err)) < 0)
            return code;
    }
    if (!own && !(own = add_entry(request, entries, manager, "Apply")))
        return no_memory(err);
    drop_abandoned(request, object, entries, own, before, now);
    /* One that owns nothing has nothing to say: take_from_others() takes empty entries out. */
    if ((code = set_fields(request, own, now ? now : json_new(arena, JSON_OBJECT), err)) < 0 ||
        (code = take_from_others(request, entries, now ? own : NULL, changed ? changed : unowned(arena), err)) < 0)
        return code;
    if (kubectl && live && (code = note_applied(request, object, config, err)) < 0)
        return code;
    if (arena_failed(arena))
        return no_memory(err);
    write->managed = entries;
    *ret_object = object;
    return 0;
}
