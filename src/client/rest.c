#include "client/rest.h"

#include "codec/json.h"
#include "net/http.h"

#define BODY_SHOWN 200

static void add_segment(struct buf *url, struct str segment)
{
    if (!segment.len)
        return;
    buf_add_char(url, '/');
    http_escape(url, segment);
}

void rest_path(struct buf *url, const struct resource *resource, struct str ns, struct str name,
               struct str subresource)
{
    buf_add_cstr(url, resource->group.len ? "/apis" : "/api");
    add_segment(url, resource->group);
    add_segment(url, resource->version);
    if (resource->namespaced && ns.len) {
        buf_add_cstr(url, "/namespaces");
        add_segment(url, ns);
    }
    add_segment(url, resource->plural);
    add_segment(url, name);
    add_segment(url, subresource);
}

void rest_param(struct buf *url, char *separator, const char *name, struct str value)
{
    if (!value.len)
        return;
    buf_add_char(url, *separator);
    buf_add_cstr(url, name);
    buf_add_char(url, '=');
    http_escape(url, value);
    *separator = '&';
}

int rest_error(struct arena *arena, int status, struct str body, struct err *err)
{
    struct json *json = NULL;

    json_parse(arena, body, NULL, &json, NULL);
    struct str message = json_str_at(json, "message"), reason = json_str_at(json, "reason");

    if (!message.data)
        message = str_first(str_trim(body), BODY_SHOWN);
    if (!message.len)
        message = str_from(http_status_text(status));
    return err_set(err, err_from_status(status, reason), "" STR_FMT, STR_ARG(message));
}
