/* undo.c - POST /apis/caravel.io/v1/undo {"object": "/api/v1/namespaces/NS/pods/NAME"}: a deletion is taken back.
 *
 * The object and all that went with it (deleted.c) come back as they were before the deletion began, with their uids, in
 * one transaction (batch.c): so owners and owned know each other again, and controllers find nothing to do. They are
 * created as by the user, who must be allowed to, in a namespace that is there; a service claims its address and its node
 * ports again. A pod that had not ended loses its node and its status: it is scheduled and started anew. */
#include "apiserver/batch.h"
#include "apiserver/convert.h"
#include "apiserver/custom.h"
#include "apiserver/decode.h"
#include "apiserver/deleted.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"
#include "api/resources.h"
#include "client/rest.h"
#include "schema/time.h"

struct undo {
    struct request *request;
    struct str object; /* its path */
    struct deleted root;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "undo");
}

static int read_body(struct undo *undo, struct err *err)
{
    struct json *body;
    int code = decode_json(undo->request, &body, err);

    if (code < 0)
        return code;
    undo->object = json_str(json_member(body, "object"));
    if (!str_has_prefix(undo->object, STR("/")) || !json_is(body, JSON_OBJECT) || body->count != 1)
        return err_set(err, ERR_BAD_REQUEST, "the body is not {\"object\": \"/path/of/the/object\"}");
    return 0;
}

/* -- which resource -- */

static struct str next_part(struct str *rest)
{
    struct str part = STR_NULL;

    str_split(rest, '/', &part);
    return part;
}

/* "/registry/GROUP/PLURAL/..." */
static const struct resource *find_custom(struct apiserver *server, struct str key, struct custom **ret_custom)
{
    struct str rest = str_skip(key, strlen("/registry/"));
    struct str group = next_part(&rest), plural = next_part(&rest);

    return custom_find_any(server->customs, group, plural, true, ret_custom);
}

/* Of a key: the resource as it is stored, and its rules. */
static int find_resource(struct request *request, struct str key, struct err *err)
{
    struct map_entry *entry = NULL;

    while ((entry = map_next(&request->server->resources, entry))) {
        const struct resource_entry *row = entry->value;

        if (row->resource != row->resource->storage || !str_has_prefix(key, row->resource->store_prefix))
            continue;
        request->resource = row->resource;
        request->rules = row->rules;
        return 0;
    }
    request->rules = &custom_rules;
    request->resource = find_custom(request->server, key, &request->custom);
    return request->resource ? 0
                             : err_set(err, ERR_CONFLICT, "the kind of " STR_FMT " is no longer served",
                                       STR_ARG(str_first(key, 256)));
}

/* -- one object -- */

static bool has_ended(const struct json *pod)
{
    struct str phase = json_str_at(pod, "status.phase");

    return str_is(phase, "Succeeded") || str_is(phase, "Failed");
}

static int reset_pod(struct arena *arena, struct json *pod, struct err *err)
{
    struct json *status = json_new(arena, JSON_OBJECT), *spec = json_member(pod, "spec");
    struct str class = json_str_at(pod, "status.qosClass");

    if (json_is(spec, JSON_OBJECT))
        json_remove(spec, STR("nodeName"));
    if (!status || !json_set_str(arena, status, STR("phase"), STR("Pending")) ||
        (class.data && !json_set_str(arena, status, STR("qosClass"), class)) ||
        !json_set(arena, pod, STR("status"), status))
        return no_memory(err);
    return 0;
}

static int plan_object(struct write *write, struct err *err)
{
    struct request *request = write->request;
    const struct deleted *deleted = write->done_arg;
    struct json *object = deleted->object;
    int code;

    if ((code = write_check_namespace(write, err)) < 0 ||
        (code = convert_stored(request->arena, request_storage(request), object, err)) < 0)
        return code;
    if (request_storage(request) == &RESOURCE_PODS && !has_ended(object) &&
        (code = reset_pod(request->arena, object, err)) < 0)
        return code;
    if ((code = write_admit(write, object, NULL, err)) < 0 ||
        (request->rules->transact && (code = request->rules->transact(write, object, NULL, err)) < 0) ||
        (code = write_canonical(write, object, err)) < 0)
        return code;
    return write_object(write, STORE_PUT, object, STORE_ABSENT, err);
}

/* The name is taken; anything else that came first is looked at again. */
static int object_conflict(struct write *write, struct err *err)
{
    return write->txn.result.failed_op == write->main_op ? fail_already_exists(write->request, write->name, err) : 0;
}

static int set_info(struct request *request, const struct json *object, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    const struct resource *resource = request->resource;
    struct str ns = json_str_at(object, "metadata.namespace"), name = json_str_at(object, "metadata.name");

    rest_path(&path, resource, ns, name, STR_NULL);
    request->method = HTTP_POST_;
    request->info = (struct request_info){ .is_resource = true,
                                           .verb = VERB_CREATE,
                                           .path = arena_str(request->arena, buf_str(&path)),
                                           .group = resource->group,
                                           .version = resource->version,
                                           .plural = resource->plural };
    if (resource->namespaced)
        request->info.ns = ns;
    return buf_ok(&path) && request->info.path.data ? 0 : no_memory(err);
}

static int add_object(struct batch *batch, struct deleted *deleted, struct err *err)
{
    struct request *request;
    struct write *write;
    int code;

    if ((code = batch_request(batch, &request, err)) < 0 || (code = find_resource(request, deleted->key, err)) < 0 ||
        (code = set_info(request, deleted->object, err)) < 0 || (code = request_check(request, err)) < 0)
        return code;
    if (!(write = write_new(request, plan_object)))
        return no_memory(err);
    request->http = batch->request->http;
    request->user_agent = batch->request->user_agent;
    request->dry_run = batch->request->dry_run;
    write->name = request->info.name = json_str_at(deleted->object, "metadata.name");
    write->conflict = object_conflict;
    write->done_arg = deleted;
    return batch_add(batch, write, err);
}

/* -- the object that was named -- */

/* Its path, as a GET of it would be understood. */
static int resolve(struct undo *undo, struct request *probe, struct err *err)
{
    const struct http_request *from = undo->request->http;
    const struct http_request http = { .method = HTTP_GET_,
                                       .method_name = STR("GET"),
                                       .target = undo->object,
                                       .path = undo->object,
                                       .query = STR(""),
                                       .major = from->major,
                                       .peer = from->peer };
    int code = request_route(probe, &http, err);

    probe->http = NULL;
    if (code < 0)
        return code;
    if (!probe->resource || str_empty(probe->info.name) || probe->subresource)
        return err_set(err, ERR_BAD_REQUEST, STR_FMT " is not the path of an object",
                       STR_ARG(str_first(undo->object, 256)));
    return 0;
}

/* What is there cannot come back. */
static int check_absent(struct undo *undo, struct arena *arena, struct store_snapshot *snapshot, struct str key,
                        struct err *err)
{
    struct store_item item;
    struct json *object;
    int code = store_get(snapshot, key, &item, err);

    if (code == -ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    if (code < 0 || (code = json_parse(arena, item.value, NULL, &object, err)) < 0)
        return code;
    if (json_at(object, "metadata.deletionTimestamp"))
        return err_set(err, ERR_CONFLICT, STR_FMT " is still being deleted; it can come back when it is gone",
                       STR_ARG(undo->object));
    return err_set(err, ERR_ALREADY_EXISTS, STR_FMT " exists: it is not deleted", STR_ARG(undo->object));
}

static int find_root(struct undo *undo, struct batch *batch, struct store_snapshot *snapshot, struct str key,
                     struct err *err)
{
    struct store_change change;
    int code = check_absent(undo, &batch->arena, snapshot, key, err);

    if (code < 0)
        return code;
    code = store_change_at(snapshot, key, 0, &change, err);
    if (code == -ERR_NOT_FOUND) {
        if (store_compacted(undo->request->server->options.store) == 0)
            return err_set(err, ERR_NOT_FOUND, STR_FMT " was never there", STR_ARG(undo->object));
        return err_set(err, ERR_EXPIRED,
                       "no deletion of " STR_FMT " is retained: it was too long ago, or the object was never there",
                       STR_ARG(undo->object));
    }
    if (code < 0)
        return code;
    return deleted_read(&batch->arena, snapshot, key, 0, &undo->root, err);
}

static int plan(struct batch *batch, struct err *err)
{
    struct undo *undo = batch->arg;
    struct request *probe = arena_new_of(&batch->arena, struct request);
    AUTO(store_snapshot) snapshot = NULL;
    struct deleted *items = NULL;
    struct str key = STR_NULL;
    size_t count = 0;
    int code;

    if (!probe)
        return no_memory(err);
    request_init(probe, undo->request->server, &batch->arena);
    if ((code = resolve(undo, probe, err)) == 0)
        key = request_key(probe, probe->info.ns, probe->info.name);
    request_release(probe);
    if (code < 0)
        return code;
    if (!key.data || key.len > STORE_KEY_MAX)
        return err_set(err, ERR_BAD_REQUEST, "the name is too long");
    if ((code = store_snapshot_open(undo->request->server->options.store, 0, &snapshot, err)) < 0 ||
        (code = find_root(undo, batch, snapshot, key, err)) < 0 ||
        (code = deleted_with(&batch->arena, snapshot, &undo->root, batch->max - 1, &items, &count, err)) < 0)
        return code;
    batch->cause.trigger = undo->root.revision;
    code = add_object(batch, &undo->root, err);
    for (size_t i = 0; i < count && code == 0; i++)
        code = add_object(batch, &items[i], err);
    return code;
}

/* -- the answer -- */

static void write_revision(struct json_writer *w, const char *key, revision_t revision)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)revision);
    jw_key(w, str_from(key));
    jw_str(w, str_from(text));
}

static void write_object_name(struct json_writer *w, const struct write *write)
{
    const struct resource *resource = write->request->resource;
    const struct deleted *deleted = write->done_arg;

    jw_begin_object(w);
    jw_field_str(w, "path", write->request->info.path);
    jw_field_str(w, "group", resource->group);
    jw_field_str(w, "version", resource->version);
    jw_field_str(w, "kind", resource->kind);
    if (resource->namespaced)
        jw_field_str(w, "namespace", write->ns);
    jw_field_str(w, "name", write->name);
    jw_field_str(w, "uid", json_str_at(deleted->object, "metadata.uid"));
    jw_end_object(w);
}

static void write_deletion(struct json_writer *w, const struct deleted *root)
{
    char time[API_TIME_LEN];

    jw_key(w, STR("deletion"));
    jw_begin_object(w);
    write_revision(w, "resourceVersion", root->revision);
    jw_field_str(w, "actor", root->actor);
    if (root->time)
        jw_field_str(w, "time", api_time_text(root->time, time));
    jw_end_object(w);
}

static int answer(struct batch *batch, const struct undo *undo, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("UndoResult"));
    jw_field_str(&w, "apiVersion", STR("caravel.io/v1"));
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    write_revision(&w, "resourceVersion", batch->result.revision);
    jw_end_object(&w);
    write_deletion(&w, &undo->root);
    jw_key(&w, STR("restored"));
    jw_begin_array(&w);
    for (size_t i = 0; i < batch->count; i++)
        write_object_name(&w, batch->writes[i]);
    jw_end_array(&w);
    jw_end_object(&w);
    reply_buf(batch->request, 200, "application/json", &buf, err);
    return 0;
}

int undo_run(struct request *request, struct err *err)
{
    struct undo undo = { .request = request };
    AUTO_DEINIT(batch, batch);
    int code;

    batch_init(&batch, request, STORE_OPS_MAX, plan, &undo);
    batch.label = "restored";
    batch.cause.rule = STR("undo delete");
    if ((code = decode_dry_run(request, err)) < 0 || (code = read_body(&undo, err)) < 0)
        return code;
    code = batch_run(&batch, err);
    return code < 0 ? batch_fail(&batch, err) : answer(&batch, &undo, err);
}
