/* delete.c - DELETE: an object goes, at once or in steps.
 *
 * An object that has finalizers, a grace period (pods that run) or something of its own that holds it (namespaces) is
 * only marked: deletionTimestamp and deletionGracePeriodSeconds. It goes when a later deletion with no grace, or the
 * update that removes the last finalizer, finds nothing left to wait for. The propagation policy is a finalizer:
 * "orphan" or "foregroundDeletion", worked off by the garbage collector. */
#include "apiserver/decode.h"
#include "apiserver/registry.h"
#include "apiserver/server.h"
#include "apiserver/validate.h"
#include "apiserver/write.h"
#include "schema/time.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "object metadata");
}

static int check_preconditions(struct write *write, const struct json *meta, revision_t revision, struct err *err)
{
    const struct json *preconditions = json_member(write->options, "preconditions");
    struct str uid = json_str(json_member(preconditions, "uid"));
    struct str version = json_str(json_member(preconditions, "resourceVersion"));
    struct str present = json_str(json_member(meta, "uid"));
    uint64_t wanted = 0;

    write->strict = !str_empty(version);
    if (!str_empty(uid) && !str_eq(uid, present))
        return fail_conflict(write->request, write->name, err,
                             "the UID in the precondition (" STR_FMT ") does not match the UID in record (" STR_FMT
                             "). The object might have been deleted and then recreated",
                             STR_ARG(uid), STR_ARG(present));
    if (write->strict && (!str_to_u64(version, &wanted) || wanted != revision))
        return fail_conflict(write->request, write->name, err,
                             "the ResourceVersion in the precondition (" STR_FMT
                             ") does not match the ResourceVersion in record (%llu). The object might have been "
                             "modified",
                             STR_ARG(version), (unsigned long long)revision);
    return 0;
}

enum propagation { PROPAGATE_BACKGROUND, PROPAGATE_FOREGROUND, PROPAGATE_ORPHAN };

static bool has_finalizer(const struct json *finalizers, const char *name)
{
    for (uint32_t i = 0; json_is(finalizers, JSON_ARRAY) && i < finalizers->count; i++)
        if (str_is(json_str(&finalizers->items[i]), name))
            return true;
    return false;
}

/* What the caller says, else what the object's finalizers say already, else what the resource does. */
static enum propagation propagation_of(struct write *write, const struct json *finalizers)
{
    struct str policy = json_str(json_member(write->options, "propagationPolicy"));
    const struct json *orphan = json_member(write->options, "orphanDependents");

    if (json_is(orphan, JSON_BOOL))
        return orphan->boolean ? PROPAGATE_ORPHAN : PROPAGATE_BACKGROUND;
    if (str_is(policy, "Orphan"))
        return PROPAGATE_ORPHAN;
    if (str_is(policy, "Foreground"))
        return PROPAGATE_FOREGROUND;
    if (str_is(policy, "Background"))
        return PROPAGATE_BACKGROUND;
    if (has_finalizer(finalizers, "orphan"))
        return PROPAGATE_ORPHAN;
    if (has_finalizer(finalizers, "foregroundDeletion"))
        return PROPAGATE_FOREGROUND;
    return write->request->rules->flags & RULE_ORPHAN ? PROPAGATE_ORPHAN : PROPAGATE_BACKGROUND;
}

/* Brings the two policy finalizers into line. */
static int set_finalizers(struct write *write, struct json *meta, struct err *err)
{
    struct arena *arena = write->request->arena;
    const struct json *old = json_member(meta, "finalizers");
    enum propagation propagation = propagation_of(write, old);
    struct json *list = json_new(arena, JSON_ARRAY), *name;

    if (!list)
        return no_memory(err);
    for (uint32_t i = 0; json_is(old, JSON_ARRAY) && i < old->count; i++) {
        struct str s = json_str(&old->items[i]);

        if (!str_is(s, "orphan") && !str_is(s, "foregroundDeletion") && !json_append(arena, list, &old->items[i]))
            return no_memory(err);
    }
    if (propagation != PROPAGATE_BACKGROUND) {
        name = json_new_str(arena, propagation == PROPAGATE_ORPHAN ? STR("orphan") : STR("foregroundDeletion"));
        if (!name || !json_append(arena, list, name))
            return no_memory(err);
    }
    if (!list->count) {
        json_remove(meta, STR("finalizers"));
        return 0;
    }
    return json_set(arena, meta, STR("finalizers"), list) ? 0 : no_memory(err);
}

static int mark(struct write *write, struct json *object, nsec_t at, int64_t grace, bool first, struct err *err)
{
    struct request *request = write->request;
    struct arena *arena = request->arena;
    struct json *meta = json_member(object, "metadata");
    const struct json *generation = json_member(meta, "generation");
    char text[API_TIME_LEN];
    int64_t count = json_int(generation, 0);

    if (!json_set_str(arena, meta, STR("deletionTimestamp"), arena_str(arena, api_time_text(at, text))) ||
        !json_set_int(arena, meta, STR("deletionGracePeriodSeconds"), grace) ||
        (first && count > 0 && !json_set_int(arena, meta, STR("generation"), count + 1)))
        return no_memory(err);
    return first && request->rules->deleting ? request->rules->deleting(request, object, err) : 0;
}

/* The object's grace: -1 when its resource knows none. */
static int64_t grace_of(struct write *write, const struct json *object)
{
    int64_t wanted = json_int(json_member(write->options, "gracePeriodSeconds"), -1);
    const struct json *given = json_member(write->options, "gracePeriodSeconds");

    if (!write->request->rules->grace)
        return -1;
    if (json_is(given, JSON_NUMBER) && wanted < 0)
        wanted = 1;
    return write->request->rules->grace(object, wanted);
}

/* WRITE_DONE: the deletion is under way and nothing about it changes. */
static int mark_again(struct write *write, struct json *object, struct str text, bool *ret_go, struct err *err)
{
    const struct json *meta = json_member(object, "metadata");
    const struct json *given = json_member(write->options, "gracePeriodSeconds");
    int64_t old = json_int(json_member(meta, "deletionGracePeriodSeconds"), 0), grace;
    nsec_t at;

    *ret_go = old == 0;
    if (!write->request->rules->grace || old == 0)
        return 0;
    grace = json_is(given, JSON_NUMBER) ? MAX(json_int(given, 0), 0) : old;
    if (grace >= old) {
        reply_object_text(write->request, 200, text);
        return WRITE_DONE;
    }
    *ret_go = grace == 0;
    if (!api_time_parse(json_str(json_member(meta, "deletionTimestamp")), &at))
        at = clock_wall(write->request->server->options.clock);
    return mark(write, object, at + (grace - old) * NSEC_PER_SEC, grace, false, err);
}

static int mark_first(struct write *write, struct json *object, bool *ret_go, struct err *err)
{
    int64_t grace = grace_of(write, object), seconds = MAX(grace, 0);
    nsec_t now = clock_wall(write->request->server->options.clock);
    int code;

    *ret_go = grace <= 0;
    if (write->touch && (code = write->touch(write, object, err)) < 0)
        return code;
    return mark(write, object, now + MIN(seconds, INT32_MAX) * NSEC_PER_SEC, seconds, true, err);
}

static bool is_held(struct write *write, const struct json *object)
{
    const struct json *finalizers = json_at(object, "metadata.finalizers");

    return (json_is(finalizers, JSON_ARRAY) && finalizers->count) ||
           (write->request->rules->held && write->request->rules->held(object));
}

int delete_plan(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct json *object = NULL;
    revision_t revision = 0;
    struct str text;
    bool go = false, marked;
    int code;

    if ((code = write_read(write, request_key(request, write->ns, write->name), &object, &text, &revision, err)) < 0)
        return code;
    if (!object)
        return fail_not_found(request, write->name, err);
    if ((code = check_preconditions(write, json_member(object, "metadata"), revision, err)) < 0 ||
        (code = write_admit(write, NULL, object, err)) < 0)
        return code;
    if ((code = set_finalizers(write, json_member(object, "metadata"), err)) < 0)
        return code;
    marked = json_at(object, "metadata.deletionTimestamp") != NULL;
    if (marked)
        code = mark_again(write, object, text, &go, err);
    else if (!request->rules->grace && !is_held(write, object))
        go = true; /* nothing to wait for: it goes as it is */
    else
        code = mark_first(write, object, &go, err);
    if (code != 0)
        return code;
    write->removed = go && !is_held(write, object);
    write->shown = revision;
    if (write->removed && request->rules->transact && (code = request->rules->transact(write, NULL, object, err)) < 0)
        return code;
    if ((code = write_canonical(write, object, err)) < 0 ||
        (code = write_object(write, write->removed ? STORE_DELETE : STORE_PUT, object, revision, err)) < 0)
        return code;
    write->uid = json_str(json_at(object, "metadata.uid"));
    if (!write->removed && splice_equal(&write->text, text)) {
        reply_object_text(request, 200, text);
        return WRITE_DONE;
    }
    return 0;
}

static int delete_finish(struct write *write, struct err *err)
{
    struct request *request = write->request;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    const struct json *orphan = json_member(write->options, "orphanDependents");
    bool waits = json_is(orphan, JSON_BOOL) && !orphan->boolean;

    if (!write->removed || request->resource->delete_returns_object) {
        reply_object(request, !write->removed && waits ? 202 : 200, TAKE(write->txn.result.values[write->main_op]));
        return 0;
    }
    status_write_success(&buf, write->name, request->resource->group, request->resource->plural, write->uid);
    reply_buf(request, 200, NULL, &buf, err);
    return 0;
}

static int delete_conflict(struct write *write, struct err *err)
{
    return write->strict ? fail_modified(write->request, write->name, err) : 0;
}

int delete_new(struct request *request, struct str ns, struct str name, struct json *options, struct write **ret_write,
               struct err *err)
{
    struct write *write = write_new(request, delete_plan);

    if (!write)
        return err_set(err, ERR_NO_MEMORY, "write");
    write->ns = ns;
    write->name = name;
    write->options = options;
    write->finish = delete_finish;
    write->conflict = delete_conflict;
    *ret_write = write;
    return 0;
}
