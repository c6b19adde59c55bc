/* fake_registry.h - a registry that can be told how to misbehave, on net/http_server.h. Include it after
 * cmocka.h. */
#pragma once

#include "base/sync.h"
#include "codec/base64.h"
#include "net/http_server.h"
#include "tests/unit/image/images.h"

enum fake_auth { FAKE_OPEN, FAKE_BASIC, FAKE_BEARER };

struct fake_registry {
    struct http_server *server;
    int port;
    /* how it behaves */
    enum fake_auth auth;
    const char *user, *password; /* Bearer: NULL gives tokens to everybody */
    struct fake_registry *cdn;   /* blobs are redirected there */
    size_t break_after;          /* a blob's connection breaks after so many bytes; 0: never */
    int breaks;                  /* how often */
    bool ignore_range, wrong_range, corrupt;
    int fail_with, fails; /* status for the next so many requests */
    bool tokens_expire;   /* every token is good for one request */
    bool stall;           /* blobs begin and never end */
    /* what it has */
    struct str manifests[8]; /* name (tag or digest), text, name, text, ... */
    struct str blobs[16];
    size_t manifest_count, blob_count;
    /* what it saw */
    struct mutex lock;
    struct cond stalling; /* signalled with each of: */
    struct http_exchange *stalled[8];
    size_t stalled_count;
    int manifest_requests, blob_requests, ranges, tokens, leaked; /* leaked: Authorization on the CDN */
    unsigned token;                                               /* the one of now */
};

static inline bool fake_basic_ok(const struct fake_registry *fake, struct str header)
{
    AUTO_DEINIT(buf, want) = BUF_INIT;
    char pair[128];

    if (!fake->user)
        return true;
    snprintf(pair, sizeof pair, "%s:%s", fake->user, fake->password);
    buf_add_cstr(&want, "Basic ");
    base64_encode(&want, str_from(pair));
    return str_eq(header, buf_str(&want));
}

static inline bool fake_authorized(struct fake_registry *fake, struct str header)
{
    char want[32];

    if (fake->auth == FAKE_OPEN)
        return true;
    if (fake->auth == FAKE_BASIC)
        return fake_basic_ok(fake, header);
    snprintf(want, sizeof want, "Bearer token-%u", fake->token);
    if (!str_is(header, want))
        return false;
    fake->token += fake->tokens_expire;
    return true;
}

static inline void fake_refuse(struct fake_registry *fake, struct http_exchange *exchange)
{
    char challenge[256];

    snprintf(challenge, sizeof challenge,
             fake->auth == FAKE_BASIC ? "Basic realm=\"test\""
                                      : "Bearer realm=\"http://127.0.0.1:%d/token\",service=\"fake\",scope="
                                        "\"repository:app:pull\"",
             fake->port);
    http_reply_header(exchange, "www-authenticate", str_from(challenge));
    http_reply(exchange, 401, "application/json",
               STR("{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}"));
}

static inline void fake_token(struct fake_registry *fake, struct http_exchange *exchange, struct str authorization)
{
    char text[64];

    fake->tokens++;
    if (!fake_basic_ok(fake, authorization)) {
        http_reply(exchange, 401, "application/json", STR("{\"details\":\"incorrect username or password\"}"));
        return;
    }
    snprintf(text, sizeof text, "{\"token\":\"token-%u\"}", fake->token);
    http_reply(exchange, 200, "application/json", str_from(text));
}

static inline void fake_send_blob(struct fake_registry *fake, struct http_exchange *exchange, struct str bytes)
{
    struct str range = http_request_header(http_exchange_request(exchange), STR("range"));
    uint64_t start = 0;
    char header[64];
    bool partial = range.data && !fake->ignore_range;

    fake->ranges += range.data != NULL;
    if (partial) {
        assert_true(str_to_u64(str_chop(str_skip(range, 6), 1), &start));
        snprintf(header, sizeof header, "bytes %zu-%zu/%zu", (size_t)start + fake->wrong_range, bytes.len - 1,
                 bytes.len);
        http_reply_header(exchange, "content-range", str_from(header));
        bytes = str_skip(bytes, start);
    }
    if (fake->stall && fake->stalled_count < ARRAY_LEN(fake->stalled)) {
        const struct http_part part = { str_first(bytes, 1), NULL };
        http_reply_begin(exchange, 200, "application/octet-stream");
        http_reply_write(exchange, &part, 1);
        fake->stalled[fake->stalled_count++] = exchange;
        cond_signal(&fake->stalling);
        return;
    }
    if (fake->break_after && bytes.len > fake->break_after && fake->breaks > 0) {
        const struct http_part part = { str_first(bytes, fake->break_after), NULL };
        fake->breaks--;
        http_reply_begin(exchange, partial ? 206 : 200, "application/octet-stream");
        http_reply_write(exchange, &part, 1);
        http_exchange_abort(exchange);
        return;
    }
    http_reply(exchange, partial ? 206 : 200, "application/octet-stream", bytes);
}

static inline void fake_blob(struct fake_registry *fake, struct http_exchange *exchange, struct str digest)
{
    char location[256];

    fake->blob_requests++;
    if (fake->cdn) {
        snprintf(location, sizeof location, "http://127.0.0.1:%d/v2/app/blobs/%.*s", fake->cdn->port, STR_ARG(digest));
        http_reply_header(exchange, "location", str_from(location));
        http_reply(exchange, 307, "text/plain", STR("over there"));
        return;
    }
    for (size_t i = 0; i < fake->blob_count; i++) {
        struct digest have = digest_for(fake->blobs[i]);
        if (!str_eq(digest_str(&have), digest))
            continue;
        if (!fake->corrupt) {
            fake_send_blob(fake, exchange, fake->blobs[i]);
            return;
        }
        AUTO_FREE char *copy = str_dup(fake->blobs[i]);
        copy[fake->blobs[i].len / 2] ^= 1;
        fake_send_blob(fake, exchange, str_of(copy, fake->blobs[i].len));
        return;
    }
    http_reply(exchange, 404, "application/json",
               STR("{\"errors\":[{\"code\":\"BLOB_UNKNOWN\",\"message\":\"blob unknown to registry\"}]}"));
}

static inline void fake_manifest(struct fake_registry *fake, struct http_exchange *exchange, struct str name)
{
    fake->manifest_requests++;
    for (size_t i = 0; i < fake->manifest_count; i += 2)
        if (str_eq(fake->manifests[i], name)) {
            http_reply(exchange, 200, "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
                       fake->manifests[i + 1]);
            return;
        }
    http_reply(exchange, 404, "application/json",
               STR("{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}"));
}

static inline void fake_handle(void *ctx, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct str authorization = http_request_header(request, STR("authorization"));
    struct fake_registry *fake = ctx;
    LOCKED(&fake->lock);

    fake->leaked += authorization.data && fake->auth == FAKE_OPEN;
    if (fake->fails > 0) {
        fake->fails--;
        http_reply_header(exchange, "retry-after", STR("0"));
        http_reply(exchange, fake->fail_with, "text/plain", STR("not now"));
    } else if (str_is(request->path, "/token")) {
        fake_token(fake, exchange, authorization);
    } else if (!fake_authorized(fake, authorization)) {
        fake_refuse(fake, exchange);
    } else if (str_has_prefix(request->path, STR("/v2/app/manifests/"))) {
        fake_manifest(fake, exchange, str_skip(request->path, 18));
    } else if (str_has_prefix(request->path, STR("/v2/app/blobs/"))) {
        fake_blob(fake, exchange, str_skip(request->path, 14));
    } else {
        http_reply(exchange, str_is(request->path, "/v2/") ? 200 : 404, "application/json", STR("{}"));
    }
}

static inline void fake_start(struct fake_registry *fake)
{
    const struct http_server_options options = { .address = "127.0.0.1",
                                                 .loops = 1,
                                                 .handler = { fake, NULL, fake_handle } };
    struct err err = { 0 };

    mutex_init(&fake->lock);
    cond_init(&fake->stalling);
    if (http_server_start(&options, &fake->server, &err) < 0)
        fail_msg("%s", err.message);
    fake->port = http_server_port(fake->server);
}

static inline void fake_stop(struct fake_registry *fake)
{
    for (size_t i = 0; i < fake->stalled_count; i++)
        http_reply_end(fake->stalled[i]);
    http_server_stop(fake->server);
    cond_deinit(&fake->stalling);
    mutex_deinit(&fake->lock);
}

static inline void fake_add_manifest(struct fake_registry *fake, struct str name, struct str text)
{
    fake->manifests[fake->manifest_count++] = name;
    fake->manifests[fake->manifest_count++] = text;
}
