/* claim.c - adoption and release, as patches that name the uid so that they never hit a namesake.
 *
 * Before the first adoption the owner is read afresh: one that is being deleted, or is another object of that name,
 * adopts nothing. Losing a race is no failure: the object is left out and its next event comes back here. */
#include "controllers/claim.h"

#include "api/meta_v1.h"

int owner_reference_to(const struct object *owner, struct arena *arena, struct owner_reference *ret_reference,
                       struct err *err)
{
    struct str api_version = resource_api_version(arena, owner->resource);

    if (!api_version.data)
        return err_set(err, ERR_NO_MEMORY, "owner reference");
    *ret_reference = (struct owner_reference){
        .api_version = api_version,
        .kind = owner->resource->kind,
        .name = owner->meta->name,
        .uid = owner->meta->uid,
        .controller = { true, true },
        .block_owner_deletion = { true, true },
    };
    return 0;
}

static struct str adopt_patch(const struct claim *claim, const struct object *object, struct arena *arena)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);

    jw_begin_object(&w);
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_key(&w, STR("ownerReferences"));
    jw_begin_array(&w);
    jw_begin_object(&w);
    jw_field_str(&w, "apiVersion", resource_api_version(arena, claim->owner->resource));
    jw_field_bool(&w, "blockOwnerDeletion", true);
    jw_field_bool(&w, "controller", true);
    jw_field_str(&w, "kind", claim->owner->resource->kind);
    jw_field_str(&w, "name", claim->owner->meta->name);
    jw_field_str(&w, "uid", claim->owner->meta->uid);
    jw_end_object(&w);
    jw_end_array(&w);
    jw_field_str(&w, "uid", object->meta->uid);
    jw_end_object(&w);
    jw_end_object(&w);
    return buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;
}

static struct str release_patch(const struct claim *claim, const struct object *object, struct arena *arena)
{
    return arena_printf(arena,
                        "{\"metadata\":{\"ownerReferences\":[{\"$patch\":\"delete\",\"uid\":\"" STR_FMT
                        "\"}],\"uid\":\"" STR_FMT "\"}}",
                        STR_ARG(claim->owner->meta->uid), STR_ARG(object->meta->uid));
}

static bool lost_race(int code)
{
    return code == -ERR_NOT_FOUND || code == -ERR_CONFLICT || code == -ERR_INVALID;
}

static int patch_owner(const struct claim *claim, const struct object *object, const char *verb, struct str patch,
                       struct arena *arena, struct object **ret_object, struct err *err)
{
    const struct object_meta *meta = object->meta;
    struct str rule = arena_printf(arena, "%s: %s " STR_FMT " " STR_FMT, claim->controller->class->name, verb,
                                   STR_ARG(claim->resource->singular), STR_ARG(meta->name));

    if (!patch.data || !rule.data)
        return err_set(err, ERR_NO_MEMORY, "claiming");
    int code = client_patch(claim->controller->client, claim->resource, meta->namespace, meta->name, STR_NULL,
                            PATCH_STRATEGIC, patch, rule, claim->owner->revision, ret_object, err);

    if (code == 0)
        controller_wrote(claim->controller, claim->key, claim->row, (*ret_object)->revision);
    return code;
}

static int release(const struct claim *claim, const struct object *object, struct arena *arena, struct err *err)
{
    AUTO(object) released = NULL;
    int code = patch_owner(claim, object, "release", release_patch(claim, object, arena), arena, &released, err);

    return lost_race(code) ? 0 : code;
}

static int may_adopt(const struct claim *claim, struct err *err)
{
    const struct object_meta *meta = claim->owner->meta;
    AUTO(object) live = NULL;
    int code = client_get(claim->controller->client, claim->owner->resource, meta->namespace, meta->name, &live, err);

    if (code < 0)
        return code;
    if (!str_eq(live->meta->uid, meta->uid) || live->meta->deletion_timestamp.set)
        return err_set(err, ERR_NOT_FOUND, STR_FMT " is being deleted", STR_ARG(meta->name));
    return 0;
}

static int adopt(const struct claim *claim, const struct object *object, struct arena *arena,
                 struct object **ret_object, struct err *err)
{
    return patch_owner(claim, object, "adopt", adopt_patch(claim, object, arena), arena, ret_object, err);
}

/* Keeps those of list that are still chosen, in place. */
static int sift_owned(const struct claim *claim, struct object_list *list, struct arena *arena, struct err *err)
{
    bool leaving = claim->owner->meta->deletion_timestamp.set;
    size_t kept = 0;
    int code = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct object *object = list->items[i];
        bool chosen = leaving || selector_matches(claim->selector, object->meta->labels);

        if (!chosen && code == 0)
            code = release(claim, object, arena, err);
        if (chosen)
            list->items[kept++] = object;
        else
            object_unref(object);
    }
    list->count = kept;
    return code;
}

static bool is_adoptable(const struct claim *claim, const struct object *object)
{
    return !object->meta->deletion_timestamp.set && selector_matches(claim->selector, object->meta->labels);
}

/* Adds what could be adopted of orphans to list, which has room. */
static int adopt_orphans(const struct claim *claim, const struct object_list *orphans, struct arena *arena,
                         struct object_list *list, struct err *err)
{
    bool allowed = false;

    for (size_t i = 0; i < orphans->count; i++) {
        struct object *adopted = NULL;
        int code = 0;

        if (!is_adoptable(claim, orphans->items[i]))
            continue;
        if (!allowed && (code = may_adopt(claim, err)) < 0)
            return is_gone(code) ? 0 : code;
        allowed = true;
        code = adopt(claim, orphans->items[i], arena, &adopted, err);
        if (lost_race(code))
            continue;
        if (code < 0)
            return code;
        list->items[list->count++] = adopted;
    }
    return 0;
}

int claim_objects(const struct claim *claim, struct arena *arena, struct object_list *ret_list, struct err *err)
{
    struct informer *informer = claim->controller->informers[claim->row];
    __attribute__((cleanup(object_list_deinit))) struct object_list owned = { 0 }, orphans = { 0 };
    struct object_list all = { 0 };
    int code = informer_by_index(informer, BY_CONTROLLER, claim->owner->meta->uid, arena, &owned, err);

    if (code == 0 && !claim->owner->meta->deletion_timestamp.set)
        code = informer_by_index(informer, BY_ORPHAN, claim->owner->meta->namespace, arena, &orphans, err);
    if (code == 0)
        code = sift_owned(claim, &owned, arena, err);
    if (code < 0)
        return code;
    all.items = arena_array_of(arena, owned.count + orphans.count + 1, struct object *);
    if (!all.items)
        return err_set(err, ERR_NO_MEMORY, "claiming");
    memcpy(all.items, owned.items, owned.count * sizeof *owned.items);
    all.count = owned.count;
    owned.count = 0;
    code = adopt_orphans(claim, &orphans, arena, &all, err);
    if (code < 0) {
        object_list_release(&all);
        return code;
    }
    *ret_list = all;
    return 0;
}
