/* get.c - one object: the stored bytes, straight from the store's map when nothing else was asked for. */
#include "apiserver/server.h"

int get_run(struct request *request, struct err *err)
{
    const struct request_info *info = &request->info;
    AUTO(store_snapshot) snapshot = NULL;
    struct store_item item;
    struct str key = request_key(request, info->ns, info->name);
    int code;

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "store key");
    if (key.len > STORE_KEY_MAX)
        return fail_not_found(request, info->name, err);
    if ((code = store_snapshot_open(request->server->options.store, request->as_of, &snapshot, err)) < 0)
        return code;
    code = store_get(snapshot, key, &item, err);
    if (code == -ERR_NOT_FOUND)
        return fail_not_found(request, info->name, err);
    if (code < 0)
        return code;
    reply_object_text(request, 200, item.value);
    request->snapshot = TAKE(snapshot);
    return 0;
}
