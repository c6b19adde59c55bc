/* pod_list.c - /pods: what the API has given to this node, as the agent sees it. */
#include "kubelet/pod_list.h"

#include "client/informer.h"

static int write_list(struct kubelet *kubelet, struct arena *arena, struct buf *out, struct err *err)
{
    struct object_list list;
    int code = informer_list(kubelet->pods, STR_NULL, arena, &list, err);

    if (code < 0)
        return code;
    buf_add_cstr(out, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
    for (size_t i = 0; i < list.count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_str(out, blob_str(list.items[i]->text));
    }
    buf_add_cstr(out, "]}");
    object_list_release(&list);
    return buf_ok(out) ? 0 : err_set(err, ERR_NO_MEMORY, "pods");
}

void pod_list_handle(struct kubelet *kubelet, struct http_exchange *exchange)
{
    AUTO_DEINIT(buf, out) = BUF_INIT;
    struct err err = { 0 };

    if (write_list(kubelet, http_exchange_arena(exchange), &out, &err) < 0)
        http_reply(exchange, err_http_status(err.code), "text/plain", str_from(err.message));
    else
        http_reply(exchange, 200, "application/json", buf_str(&out));
}
