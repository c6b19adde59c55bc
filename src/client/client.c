/* client.c - conveniences that every transport shares. */
#include "client/client.h"

#include "api/meta_v1.h"
#include "schema/view.h"

/* A call whose answer is one object; ret_object may be NULL. */
static int call_for_object(struct client *client, const struct client_call *call, struct object **ret_object,
                           struct err *err)
{
    AUTO(blob) body = NULL;
    int code = client->ops->call(client, call, NULL, NULL, NULL, &body, err);

    if (code < 0 || !ret_object)
        return code;
    if (!body)
        return err_set(err, ERR_INTERNAL, "empty answer for " STR_FMT " " STR_FMT, STR_ARG(call->resource->plural),
                       STR_ARG(call->name));
    return object_new(call->resource, body, ret_object, err);
}

int client_get(struct client *client, const struct resource *resource, struct str ns, struct str name,
               struct object **ret_object, struct err *err)
{
    const struct client_call call = { .verb = CLIENT_GET, .resource = resource, .ns = ns, .name = name };

    return call_for_object(client, &call, ret_object, err);
}

static const struct object_meta *view_meta(const struct resource *resource, const void *view)
{
    const struct field *metadata = type_field(resource->type, STR("metadata"));

    INVARIANT(metadata);
    return (const struct object_meta *)((const char *)view + metadata->offset);
}

static int call_with_view(struct client *client, struct client_call *call, const void *view,
                          struct object **ret_object, struct err *err)
{
    struct buf text = BUF_INIT;
    int code = view_write(&text, call->resource->type, view, err);

    if (code == 0) {
        call->body = buf_str(&text);
        code = call_for_object(client, call, ret_object, err);
    }
    buf_deinit(&text);
    return code;
}

int client_create(struct client *client, const struct resource *resource, struct str ns, const void *view,
                  struct str rule, uint64_t trigger, struct object **ret_object, struct err *err)
{
    struct client_call call = { .verb = CLIENT_CREATE, .resource = resource, .ns = ns, .rule = rule, .trigger = trigger };

    return call_with_view(client, &call, view, ret_object, err);
}

int client_update(struct client *client, const struct resource *resource, struct str subresource, const void *view,
                  struct str rule, uint64_t trigger, struct object **ret_object, struct err *err)
{
    const struct object_meta *meta = view_meta(resource, view);
    struct client_call call = { .verb = CLIENT_UPDATE, .resource = resource, .ns = meta->namespace,
                                .name = meta->name, .subresource = subresource, .rule = rule, .trigger = trigger };

    return call_with_view(client, &call, view, ret_object, err);
}

int client_patch(struct client *client, const struct resource *resource, struct str ns, struct str name,
                 struct str subresource, enum patch_kind kind, struct str patch, struct str rule, uint64_t trigger,
                 struct object **ret_object, struct err *err)
{
    const struct client_call call = { .verb = CLIENT_PATCH, .resource = resource, .ns = ns, .name = name,
                                      .subresource = subresource, .patch_kind = kind, .body = patch, .rule = rule,
                                      .trigger = trigger };

    return call_for_object(client, &call, ret_object, err);
}

static void write_delete_options(struct buf *buf, const struct client_delete_options *options)
{
    struct json_writer w = json_writer(buf);

    jw_begin_object(&w);
    jw_field_str(&w, "apiVersion", STR("v1"));
    if (options->grace_seconds >= 0)
        jw_field_int(&w, "gracePeriodSeconds", options->grace_seconds);
    jw_field_str(&w, "kind", STR("DeleteOptions"));
    if (!str_empty(options->uid)) {
        jw_key(&w, STR("preconditions"));
        jw_begin_object(&w);
        jw_field_str(&w, "uid", options->uid);
        jw_end_object(&w);
    }
    if (!str_empty(options->propagation_policy))
        jw_field_str(&w, "propagationPolicy", options->propagation_policy);
    jw_end_object(&w);
}

int client_delete_object(struct client *client, const struct resource *resource, struct str ns, struct str name,
                         const struct client_delete_options *options, struct str rule, uint64_t trigger,
                         struct object **ret_object, struct err *err)
{
    struct client_call call = { .verb = CLIENT_DELETE, .resource = resource, .ns = ns, .name = name, .rule = rule,
                                .trigger = trigger };
    struct buf text = BUF_INIT;

    if (options)
        write_delete_options(&text, options);
    int code = buf_ok(&text) ? 0 : err_set(err, ERR_NO_MEMORY, "delete options");

    if (code == 0) {
        call.body = text.len ? buf_str(&text) : STR_NULL;
        code = call_for_object(client, &call, resource->delete_returns_object ? ret_object : NULL, err);
    }
    buf_deinit(&text);
    return code;
}

int client_delete(struct client *client, const struct resource *resource, struct str ns, struct str name,
                  const struct client_delete_options *options, struct str rule, uint64_t trigger, struct err *err)
{
    return client_delete_object(client, resource, ns, name, options, rule, trigger, NULL, err);
}
