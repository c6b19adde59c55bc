/* garbage_collector.c - objects go when all their owners have gone.
 *
 * A graph of owner references is kept from what the caches see. A key of the queue is one object, "row ns/name". An
 * object is looked at when it or its references change, when an owner of it goes, and when a dependent of it goes.
 * Then:
 *
 *  - deleted with "foregroundDeletion": its dependents are looked at (they see that their owner waits, and go); once
 * none is left that blocks it, the finalizer is removed.
 *  - deleted with "orphan": its dependents lose their reference to it, then the finalizer is removed.
 *  - otherwise its owners are sorted: there; there but waiting for dependents; gone. When none is simply there, it is
 * deleted; when some are, references to the others are removed.
 *
 * That an owner is gone is never believed from a cache: it is read through the API, and another uid counts as gone.
 *
 * Custom kinds have rows behind the built-in ones. A key "+name" stands for a definition that has come, changed or gone.
 * Objects with an owner of a kind that nobody has defined are left alone, and looked at again when a kind is new. */
#include <stdio.h>

#include "api/resources.h"
#include "base/log.h"
#include "client/metadata.h"
#include "controllers/classes.h"
#include "controllers/custom_kinds.h"
#include "controllers/owner_graph.h"

#define KEY_MAX 700
#define FOREGROUND "foregroundDeletion"
#define ORPHAN "orphan"
#define UNSEEN_OWNER_DELAY (2 * NSEC_PER_SEC)

struct collector {
    struct controller base;
    struct owner_graph *graph;
    struct custom_kinds *kinds;
    struct mutex lock;
    struct map puzzling; /* keys of objects with an owner of a kind that is not known; copies */
};

static void changed(struct controller *self, struct object *old, struct object *new);
static void definition_changed(struct controller *self, struct object *old, struct object *new);

enum { DEFINITIONS };

/* All that is kept; events, which come and go by the thousand, own nothing and are owned by nobody. */
static const struct controller_watch watches[] = {
    [DEFINITIONS] = { &RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS, definition_changed, 0 },
    { &RESOURCE_PODS, changed, 0 },
    { &RESOURCE_APPS_REPLICASETS, changed, 0 },
    { &RESOURCE_APPS_DEPLOYMENTS, changed, 0 },
    { &RESOURCE_APPS_STATEFULSETS, changed, 0 },
    { &RESOURCE_APPS_DAEMONSETS, changed, 0 },
    { &RESOURCE_APPS_CONTROLLERREVISIONS, changed, 0 },
    { &RESOURCE_REPLICATIONCONTROLLERS, changed, 0 },
    { &RESOURCE_BATCH_JOBS, changed, 0 },
    { &RESOURCE_BATCH_CRONJOBS, changed, 0 },
    { &RESOURCE_CONFIGMAPS, changed, 0 },
    { &RESOURCE_SECRETS, changed, 0 },
    { &RESOURCE_SERVICES, changed, 0 },
    { &RESOURCE_SERVICEACCOUNTS, changed, 0 },
    { &RESOURCE_ENDPOINTS, changed, 0 },
    { &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES, changed, 0 },
    { &RESOURCE_PERSISTENTVOLUMECLAIMS, changed, 0 },
    { &RESOURCE_COORDINATION_K8S_IO_LEASES, changed, 0 },
    { &RESOURCE_AUTOSCALING_V2_HORIZONTALPODAUTOSCALERS, changed, 0 },
    { &RESOURCE_POLICY_PODDISRUPTIONBUDGETS, changed, 0 },
    { &RESOURCE_NETWORKING_K8S_IO_INGRESSES, changed, 0 },
    { &RESOURCE_NETWORKING_K8S_IO_NETWORKPOLICIES, changed, 0 },
    { &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_ROLES, changed, 0 },
    { &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_ROLEBINDINGS, changed, 0 },
    { &RESOURCE_NODES, changed, 0 },
    { &RESOURCE_NAMESPACES, changed, 0 },
    { &RESOURCE_PODTEMPLATES, changed, 0 },
    { &RESOURCE_LIMITRANGES, changed, 0 },
    { &RESOURCE_RESOURCEQUOTAS, changed, 0 },
    { &RESOURCE_PERSISTENTVOLUMES, changed, 0 },
    { &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_CLUSTERROLES, changed, 0 },
    { &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_CLUSTERROLEBINDINGS, changed, 0 },
    { &RESOURCE_NETWORKING_K8S_IO_INGRESSCLASSES, changed, 0 },
    { &RESOURCE_NETWORKING_K8S_IO_IPADDRESSES, changed, 0 },
    { &RESOURCE_NETWORKING_K8S_IO_SERVICECIDRS, changed, 0 },
    { &RESOURCE_STORAGE_K8S_IO_STORAGECLASSES, changed, 0 },
    { &RESOURCE_STORAGE_K8S_IO_CSIDRIVERS, changed, 0 },
    { &RESOURCE_STORAGE_K8S_IO_CSINODES, changed, 0 },
    { &RESOURCE_STORAGE_K8S_IO_CSISTORAGECAPACITIES, changed, 0 },
    { &RESOURCE_STORAGE_K8S_IO_VOLUMEATTACHMENTS, changed, 0 },
    { &RESOURCE_SCHEDULING_K8S_IO_PRIORITYCLASSES, changed, 0 },
    { &RESOURCE_NODE_K8S_IO_RUNTIMECLASSES, changed, 0 },
    { &RESOURCE_CERTIFICATES_K8S_IO_CERTIFICATESIGNINGREQUESTS, changed, 0 },
    { &RESOURCE_APIREGISTRATION_K8S_IO_APISERVICES, changed, 0 },
    { &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_MUTATINGWEBHOOKCONFIGURATIONS, changed, 0 },
    { &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_VALIDATINGWEBHOOKCONFIGURATIONS, changed, 0 },
    { &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_VALIDATINGADMISSIONPOLICIES, changed, 0 },
    { &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_VALIDATINGADMISSIONPOLICYBINDINGS, changed, 0 },
};

/* -- keys -- */

static struct collector *collector_of(struct controller *self)
{
    return container_of(self, struct collector, base);
}

static int row_of(struct controller *self, const struct resource *resource)
{
    for (size_t row = 0; row < ARRAY_LEN(watches); row++)
        if (watches[row].resource == resource)
            return (int)row;
    int row = custom_kinds_row(collector_of(self)->kinds, resource);

    return row < 0 ? -1 : (int)ARRAY_LEN(watches) + row;
}

static struct str write_key(char out[KEY_MAX], int row, struct str ns, struct str name)
{
    int len = snprintf(out, KEY_MAX, "%d " STR_FMT "%s" STR_FMT, row, STR_ARG(ns), ns.len ? "/" : "", STR_ARG(name));

    return len > 0 && len < KEY_MAX ? str_of(out, (size_t)len) : STR_NULL;
}

static struct str key_of(struct controller *self, const struct object *object, char out[KEY_MAX])
{
    return write_key(out, row_of(self, object->resource), object->meta->namespace, object->meta->name);
}

static struct object *find_object(struct controller *self, struct str key)
{
    ssize_t space = str_chr(key, ' ');
    int64_t row;

    if (space < 0 || !str_to_i64(str_first(key, (size_t)space), &row) || row < 0 || row > INT32_MAX)
        return NULL;
    key = str_skip(key, (size_t)space + 1);
    if (row < (int64_t)ARRAY_LEN(watches))
        return informer_get(self->informers[row], key);
    return custom_kinds_get(collector_of(self)->kinds, (int)(row - (int64_t)ARRAY_LEN(watches)), key);
}

/* -- what a change concerns -- */

static bool has_finalizer(const struct object *object, const char *name)
{
    for (size_t i = 0; i < object->meta->finalizers.count; i++)
        if (str_is(object->meta->finalizers.items[i], name))
            return true;
    return false;
}

static bool is_leaving(const struct object *object, const char *finalizer)
{
    return object->meta->deletion_timestamp.set && has_finalizer(object, finalizer);
}

static const struct resource *owner_resource(struct controller *self, const struct owner_reference *owner)
{
    for (size_t i = 0; i < api_resource_count; i++)
        if (api_resources[i]->storage == api_resources[i] && (api_resources[i]->verbs & VERB_GET) &&
            owner_is(owner, api_resources[i]))
            return api_resources[i];
    return custom_kinds_owner(collector_of(self)->kinds, owner);
}

/* An owner that waits for its dependents may be waiting for this one. */
static void add_owners(struct controller *self, const struct object *object)
{
    char key[KEY_MAX];

    for (size_t i = 0; i < object->meta->owner_references.count; i++) {
        const struct owner_reference *owner = &object->meta->owner_references.items[i];
        const struct resource *resource = owner_resource(self, owner);
        int row = resource ? row_of(self, resource) : -1;
        struct str text;

        if (row < 0)
            continue;
        text = write_key(key, row, resource->namespaced ? object->meta->namespace : STR(""), owner->name);
        if (text.data)
            controller_add(self, text);
    }
}

static void add_dependents(struct collector *collector, struct str uid)
{
    AUTO(arena) arena = arena_new(0);
    struct str_array keys;

    if (!arena || owner_graph_dependents(collector->graph, uid, arena, &keys, NULL) < 0)
        return;
    for (size_t i = 0; i < keys.count; i++)
        controller_add(&collector->base, keys.items[i]);
}

static bool same_owners(const struct object *a, const struct object *b)
{
    const struct owner_reference_array *left = &a->meta->owner_references, *right = &b->meta->owner_references;

    if (left->count != right->count)
        return false;
    for (size_t i = 0; i < left->count; i++)
        if (!str_eq(left->items[i].uid, right->items[i].uid) ||
            opt_or(left->items[i].block_owner_deletion, false) != opt_or(right->items[i].block_owner_deletion, false))
            return false;
    return true;
}

/* Its dependents will go because of this. */
static void note_gone(struct controller *self, const struct object *object)
{
    int row = row_of(self, object->resource);

    if (row >= 0 && row < (int)ARRAY_LEN(watches))
        owner_graph_note_gone(collector_of(self)->graph, object->meta->uid, informer_revision(self->informers[row]));
}

static void changed(struct controller *self, struct object *old, struct object *new)
{
    struct collector *collector = collector_of(self);
    const struct object *any = new ? new : old;
    bool replaced = old && new && !str_eq(old->meta->uid, new->meta->uid);
    char text[KEY_MAX];
    struct str key = key_of(self, any, text);

    if (!key.data)
        return;
    if (!old || !new || !same_owners(old, new)) {
        owner_graph_change(collector->graph, key, old ? &old->meta->owner_references : NULL,
                           new ? &new->meta->owner_references : NULL);
        if (old)
            add_owners(self, old);
        if (new &&new->meta->owner_references.count)
            controller_add(self, key);
    }
    if (new &&new->meta->deletion_timestamp.set && (has_finalizer(new, FOREGROUND) || has_finalizer(new, ORPHAN)))
        controller_add(self, key);
    if (old && (!new || replaced)) {
        note_gone(self, old);
        add_dependents(collector, old->meta->uid);
    }
}

static void custom_changed(void *ctx, struct object *old, struct object *new)
{
    changed(ctx, old, new);
}

static void definition_changed(struct controller *self, struct object *old, struct object *new)
{
    const struct object *any = new ? new : old;
    char text[KEY_MAX];
    int len = snprintf(text, sizeof text, "+" STR_FMT, STR_ARG(any->meta->name));

    changed(self, old, new);
    if (len > 0 && len < (int)sizeof text)
        controller_add(self, str_of(text, (size_t)len));
}

/* -- owners of kinds that are not known -- */

static void note_puzzling(struct collector *collector, struct str key)
{
    LOCKED(&collector->lock);
    char *copy = map_get(&collector->puzzling, key) ? NULL : str_dup(key);

    if (copy && map_put(&collector->puzzling, str_of(copy, key.len), copy, NULL) < 0)
        free(copy);
}

/* The queue is told without the lock's being needed by anybody meanwhile: it only notes keys. */
static void look_at_puzzling(struct collector *collector)
{
    LOCKED(&collector->lock);
    for (struct map_entry *e = NULL; (e = map_next(&collector->puzzling, e));) {
        controller_add(&collector->base, e->key);
        free(e->value);
    }
    map_deinit(&collector->puzzling);
    collector->puzzling = (struct map)MAP_INIT;
}

static int sync_definition(struct collector *collector, struct str name, struct err *err)
{
    AUTO(object) definition = informer_get(collector->base.informers[DEFINITIONS], name);
    bool is_new = false;
    int code = custom_kinds_sync(collector->kinds, name, definition, &is_new, err);

    if (is_new)
        look_at_puzzling(collector);
    return code;
}

/* -- writing -- */

/* Custom objects know no strategic merge: all that stay are said, at the version that was seen. */
static struct str remaining_references_patch(const struct object *object, const struct str *uids, size_t count,
                                             struct arena *arena)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);

    jw_begin_object(&w);
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_key(&w, STR("ownerReferences"));
    jw_begin_array(&w);
    for (size_t i = 0; i < object->meta->owner_references.count; i++) {
        const struct owner_reference *owner = &object->meta->owner_references.items[i];
        bool goes = false;

        for (size_t k = 0; k < count; k++)
            goes = goes || str_eq(uids[k], owner->uid);
        if (goes)
            continue;
        jw_begin_object(&w);
        jw_field_str(&w, "apiVersion", owner->api_version);
        if (owner->block_owner_deletion.set)
            jw_field_bool(&w, "blockOwnerDeletion", owner->block_owner_deletion.value);
        if (owner->controller.set)
            jw_field_bool(&w, "controller", owner->controller.value);
        jw_field_str(&w, "kind", owner->kind);
        jw_field_str(&w, "name", owner->name);
        jw_field_str(&w, "uid", owner->uid);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_field_str(&w, "resourceVersion", object->meta->resource_version);
    jw_field_str(&w, "uid", object->meta->uid);
    jw_end_object(&w);
    jw_end_object(&w);
    return buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;
}

static struct str remove_references_patch(const struct object *object, const struct str *uids, size_t count,
                                          struct arena *arena)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    buf_add_cstr(&buf, "{\"metadata\":{\"ownerReferences\":[");
    for (size_t i = 0; i < count; i++)
        buf_printf(&buf, "%s{\"$patch\":\"delete\",\"uid\":\"" STR_FMT "\"}", i ? "," : "", STR_ARG(uids[i]));
    buf_printf(&buf, "],\"uid\":\"" STR_FMT "\"}}", STR_ARG(object->meta->uid));
    return buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;
}

static int remove_references(struct controller *self, const struct object *object, const struct str *uids, size_t count,
                             struct str rule, uint64_t trigger, struct arena *arena, struct err *err)
{
    bool custom = resource_is_metadata_only(object->resource);
    struct str patch = custom ? remaining_references_patch(object, uids, count, arena)
                              : remove_references_patch(object, uids, count, arena);

    if (!patch.data)
        return err_set(err, ERR_NO_MEMORY, "owner references");
    int code = client_patch(self->client, object->resource, object->meta->namespace, object->meta->name, STR_NULL,
                            custom ? PATCH_MERGE : PATCH_STRATEGIC, patch, rule, trigger, NULL, err);

    return is_gone(code) ? 0 : code;
}

static int remove_finalizer(struct controller *self, const struct object *object, const char *name, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);

    jw_begin_object(&w);
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_key(&w, STR("finalizers"));
    jw_begin_array(&w);
    for (size_t i = 0; i < object->meta->finalizers.count; i++)
        if (!str_is(object->meta->finalizers.items[i], name))
            jw_str(&w, object->meta->finalizers.items[i]);
    jw_end_array(&w);
    jw_field_str(&w, "resourceVersion", object->meta->resource_version);
    jw_field_str(&w, "uid", object->meta->uid);
    jw_end_object(&w);
    jw_end_object(&w);
    if (!buf_ok(&buf))
        return err_set(err, ERR_NO_MEMORY, "finalizers");
    int code =
        client_patch(self->client, object->resource, object->meta->namespace, object->meta->name, STR_NULL, PATCH_MERGE,
                     buf_str(&buf), STR("garbage-collector: remove finalizer"), object->revision, NULL, err);

    return is_gone(code) ? 0 : code;
}

/* -- deleted, with dependents to see to -- */

static bool blocks(const struct object *dependent, struct str owner_uid)
{
    for (size_t i = 0; i < dependent->meta->owner_references.count; i++) {
        const struct owner_reference *owner = &dependent->meta->owner_references.items[i];

        if (str_eq(owner->uid, owner_uid) && opt_or(owner->block_owner_deletion, false))
            return true;
    }
    return false;
}

static int delete_in_foreground(struct collector *collector, const struct object *object, struct arena *arena,
                                struct err *err)
{
    struct str_array keys;
    bool blocked = false;
    int code = owner_graph_dependents(collector->graph, object->meta->uid, arena, &keys, err);

    for (size_t i = 0; code == 0 && i < keys.count; i++) {
        AUTO(object) dependent = find_object(&collector->base, keys.items[i]);

        if (!dependent)
            continue;
        blocked = blocked || blocks(dependent, object->meta->uid);
        if (!dependent->meta->deletion_timestamp.set)
            controller_add(&collector->base, keys.items[i]);
    }
    if (code < 0 || blocked)
        return code;
    return remove_finalizer(&collector->base, object, FOREGROUND, err);
}

static int orphan_dependents(struct collector *collector, const struct object *object, struct arena *arena,
                             struct err *err)
{
    struct str_array keys;
    int code = owner_graph_dependents(collector->graph, object->meta->uid, arena, &keys, err);

    for (size_t i = 0; code == 0 && i < keys.count; i++) {
        AUTO(object) dependent = find_object(&collector->base, keys.items[i]);

        if (dependent)
            code = remove_references(&collector->base, dependent, &object->meta->uid, 1,
                                     STR("garbage-collector: orphan"), object->revision, arena, err);
    }
    return code == 0 ? remove_finalizer(&collector->base, object, ORPHAN, err) : code;
}

/* -- sorting owners -- */

enum owner_state { OWNER_THERE, OWNER_WAITING, OWNER_GONE };

static enum owner_state state_of(const struct object *owner, const struct owner_reference *reference)
{
    if (!str_eq(owner->meta->uid, reference->uid))
        return OWNER_GONE;
    return is_leaving(owner, FOREGROUND) ? OWNER_WAITING : OWNER_THERE;
}

/* The API knows an owner that no cache has yet, as while a kind is being learned of. Should it go before that is done,
 * nobody would tell: so the object is looked at again until a cache has its owner, or it has none. */
static void look_again(struct controller *self, const struct object *object)
{
    char text[KEY_MAX];
    struct str key = key_of(self, object, text);

    if (key.data)
        controller_add_after(self, key, UNSEEN_OWNER_DELAY);
}

/* ret_since: the revision that made it so, of an owner that is not simply there; 0: not known. */
static int look_up_owner(struct controller *self, const struct object *object, const struct owner_reference *reference,
                         enum owner_state *ret_state, uint64_t *ret_since, struct err *err)
{
    const struct resource *resource = owner_resource(self, reference);
    struct str ns = resource && resource->namespaced ? object->meta->namespace : STR("");
    char text[KEY_MAX];

    *ret_state = OWNER_THERE;
    *ret_since = owner_graph_gone_at(collector_of(self)->graph, reference->uid);
    if (!resource) {
        struct str key = key_of(self, object, text);

        if (key.data)
            note_puzzling(collector_of(self), key);
    }
    /* A kind that is not ours to know, or an owner in no namespace where there must be one: hands off. */
    if (!resource || (resource->namespaced && !ns.len))
        return 0;
    AUTO(object) cached = find_object(self, write_key(text, row_of(self, resource), ns, reference->name));

    if (cached && (*ret_state = state_of(cached, reference)) != OWNER_GONE) {
        *ret_since = cached->revision;
        return 0;
    }
    AUTO(object) live = NULL;
    int code = client_get(self->client, resource, ns, reference->name, &live, err);

    if (code < 0 && !is_gone(code))
        return code;
    *ret_state = code < 0 ? OWNER_GONE : state_of(live, reference);
    if (*ret_state != OWNER_GONE) {
        *ret_since = live->revision;
        if (row_of(self, resource) >= 0)
            look_again(self, object);
    }
    err_clear(err);
    return 0;
}

static struct str deletion_policy(struct collector *collector, const struct object *object, bool owner_waits)
{
    if (has_finalizer(object, ORPHAN))
        return STR("Orphan");
    if (has_finalizer(object, FOREGROUND) ||
        (owner_waits && owner_graph_has_dependents(collector->graph, object->meta->uid)))
        return STR("Foreground");
    return STR("Background");
}

static int collect(struct collector *collector, const struct object *object, bool owner_waits, uint64_t trigger,
                   struct err *err)
{
    const struct client_delete_options options = { .uid = object->meta->uid,
                                                   .grace_seconds = -1,
                                                   .propagation_policy =
                                                       deletion_policy(collector, object, owner_waits) };
    int code = client_delete(
        collector->base.client, object->resource, object->meta->namespace, object->meta->name, &options,
        owner_waits ? STR("garbage-collector: delete in foreground") : STR("garbage-collector: owner is gone"), trigger,
        err);

    return code == -ERR_NOT_FOUND || code == -ERR_CONFLICT ? 0 : code;
}

static int check_owners(struct collector *collector, const struct object *object, struct arena *arena, struct err *err)
{
    const struct owner_reference_array *owners = &object->meta->owner_references;
    struct str *others = arena_array_of(arena, owners->count + 1, struct str);
    size_t there = 0, other_count = 0;
    uint64_t since, trigger = 0; /* the last of its owners to go is why it goes */
    bool owner_waits = false;

    if (!others)
        return err_set(err, ERR_NO_MEMORY, "owners");
    for (size_t i = 0; i < owners->count; i++) {
        enum owner_state state;
        int code = look_up_owner(&collector->base, object, &owners->items[i], &state, &since, err);

        if (code < 0)
            return code;
        owner_waits = owner_waits || state == OWNER_WAITING;
        if (state == OWNER_THERE)
            there++;
        else
            others[other_count++] = owners->items[i].uid;
        if (state != OWNER_THERE)
            trigger = MAX(trigger, since);
    }
    trigger = trigger ? trigger : object->revision;
    if (other_count == 0)
        return 0;
    if (there > 0)
        return remove_references(&collector->base, object, others, other_count,
                                 STR("garbage-collector: remove references to owners that are gone"), trigger, arena, err);
    return collect(collector, object, owner_waits, trigger, err);
}

/* -- the reconcile -- */

static int reconcile(struct controller *self, struct str key, struct arena *arena, struct err *err)
{
    struct collector *collector = collector_of(self);

    if (str_has_prefix(key, STR("+")))
        return sync_definition(collector, str_skip(key, 1), err);
    AUTO(object) object = find_object(self, key);

    if (!object)
        return 0;
    if (is_leaving(object, ORPHAN))
        return orphan_dependents(collector, object, arena, err);
    if (is_leaving(object, FOREGROUND))
        return delete_in_foreground(collector, object, arena, err);
    if (object->meta->deletion_timestamp.set || object->meta->owner_references.count == 0)
        return 0;
    return check_owners(collector, object, arena, err);
}

static int init(struct controller *self, struct err *err)
{
    struct collector *collector = collector_of(self);
    const struct custom_kinds_options options = { .client = self->client,
                                                  .executor = self->options->executor,
                                                  .rng = self->options->rng,
                                                  .changed = custom_changed,
                                                  .ctx = self };
    int code = owner_graph_new(&collector->graph, err);

    mutex_init(&collector->lock);
    return code == 0 ? custom_kinds_new(&options, &collector->kinds, err) : code;
}

/* All kinds are known before anybody asks for owners of them. */
static void start(struct controller *self)
{
    AUTO(arena) arena = arena_new(0);
    struct object_list list = { 0 };
    struct err err = { 0 };
    int code = arena ? informer_list(self->informers[DEFINITIONS], STR_NULL, arena, &list, &err) : -ERR_NO_MEMORY;

    for (size_t i = 0; code == 0 && i < list.count; i++)
        code = sync_definition(collector_of(self), list.items[i]->key, &err);
    object_list_release(&list);
    if (code < 0)
        log_error("garbage-collector", "custom kinds: %s", err.message);
}

static void stop(struct controller *self)
{
    custom_kinds_stop(collector_of(self)->kinds);
}

static void deinit(struct controller *self)
{
    struct collector *collector = collector_of(self);

    custom_kinds_free(collector->kinds);
    owner_graph_free(collector->graph);
    for (struct map_entry *e = NULL; (e = map_next(&collector->puzzling, e));)
        free(e->value);
    map_deinit(&collector->puzzling);
    mutex_deinit(&collector->lock);
}

const struct controller_class garbage_collector = {
    .name = "garbage-collector",
    .size = sizeof(struct collector),
    .workers = 8,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .init = init,
    .start = start,
    .stop = stop,
    .deinit = deinit,
    .reconcile = reconcile,
};
