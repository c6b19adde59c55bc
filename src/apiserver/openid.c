#include "apiserver/openid.h"

#include "apiserver/document.h"
#include "apiserver/server.h"
#include "apiserver/token.h"

static int answer(struct request *request, void (*write)(const struct tokens *tokens, struct buf *buf),
                  const char *content_type, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    int code = request_only_read(request, err);

    if (code < 0)
        return code;
    if (!request->server->tokens)
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    write(request->server->tokens, &buf);
    if ((code = reply_header(request, "cache-control", STR("public, max-age=3600"), err)) < 0)
        return code;
    reply_buf(request, 200, content_type, &buf, err);
    return 0;
}

int openid_provider_handle(struct request *request, struct err *err)
{
    return answer(request, tokens_write_provider, "application/json", err);
}

int openid_keys_handle(struct request *request, struct err *err)
{
    return answer(request, tokens_write_keys, "application/jwk-set+json", err);
}
