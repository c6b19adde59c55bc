/* registry_fetch.c - one GET as registries want it: asked without, or with the last, authorization; if the answer is
 * 401, with what it asks for; and sent on to where the bytes lie. Redirects are followed here and not by the HTTP
 * client, as each new host must be allowed, may need another client, and must not see the registry's tokens. */
#include <stdio.h>

#include "codec/json.h"
#include "kubelet/image/registry_private.h"

#define REDIRECTS_MAX 5
#define AUTHORIZATIONS_MAX 2
#define ERROR_BODY_MAX (64u << 10)
#define RETRY_AFTER_MAX 60

struct state {
    struct repository *repository;
    const struct fetch *fetch;
    struct arena *arena;
    struct url url;
    int status;
    struct str location;
    struct challenge challenge;
    unsigned retry_after;
    struct buf error_body;
};

struct str registry_header(const struct http_client_response *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++)
        if (str_is(head->headers[i].name, name))
            return head->headers[i].value;
    return STR_NULL;
}

int registry_error(int status, struct str body, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    enum err_code code = err_from_status(status, STR_NULL);
    struct json *root;

    if (status >= 500)
        code = ERR_UNAVAILABLE;
    else if (status < 400)
        code = ERR_UNAVAILABLE;
    err_set(err, code, "%d %s", status, http_status_text(status));
    if (!err || !arena || json_parse(arena, body, NULL, &root, NULL) < 0)
        return -(int)code;
    const struct json *list = json_member(root, "errors");
    struct str details = json_str_at(root, "details"); /* token services */
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < MIN(list->count, 3); i++) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, "%s" STR_FMT ": " STR_FMT, i ? "; " : ": ",
                 STR_ARG(str_first(json_str_at(&list->items[i], "code"), 100)),
                 STR_ARG(str_first(json_str_at(&list->items[i], "message"), 300)));
    }
    if (!list && details.len) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": " STR_FMT, STR_ARG(str_first(details, 300)));
    }
    return -(int)code;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_answer(int status)
{
    return status == 200 || status == 206;
}

static int on_head(void *ctx, const struct http_client_response *head, struct err *err)
{
    struct state *state = ctx;
    uint64_t seconds;

    state->status = head->status;
    state->location = arena_str(state->arena, registry_header(head, "location"));
    if (str_to_u64(registry_header(head, "retry-after"), &seconds))
        state->retry_after = (unsigned)MIN(seconds, RETRY_AFTER_MAX);
    if (head->status == 401) {
        state->challenge = (struct challenge){ 0 };
        for (size_t i = 0; i < head->header_count; i++)
            if (str_is(head->headers[i].name, "www-authenticate"))
                challenge_parse(state->arena, head->headers[i].value, &state->challenge);
    }
    return is_answer(head->status) ? state->fetch->begin(state->fetch->ctx, head, err) : 0;
}

static int on_body(void *ctx, struct str bytes, struct err *err)
{
    struct state *state = ctx;

    if (is_answer(state->status))
        return state->fetch->bytes(state->fetch->ctx, bytes, err);
    buf_add_str(&state->error_body, str_first(bytes, ERROR_BODY_MAX - MIN(state->error_body.len, ERROR_BODY_MAX)));
    return 0;
}

/* The header value of now, in the arena; *ret_generation tells registry_authorize() which one was refused. */
static struct str current_authorization(struct state *state, unsigned *ret_generation)
{
    struct repository *repository = state->repository;
    LOCKED(&repository->lock);

    *ret_generation = repository->generation;
    return arena_str(state->arena, str_from(repository->authorization));
}

static int run_once(struct state *state, bool at_home, unsigned *ret_generation, struct err *err)
{
    struct http_header headers[3];
    size_t count = 0;
    struct registry_call call = { .url = state->url.text,
                                  .headers = headers,
                                  .cancel = state->repository->registry->cancel,
                                  .head = on_head,
                                  .body = on_body,
                                  .ctx = state };
    struct str authorization = current_authorization(state, ret_generation);
    int r = registry_check_url(state->repository->registry, &state->url, err);

    if (r < 0 || (r = registry_client(state->repository->registry, state->url.authority, &call.client, err)) < 0)
        return r;
    if (at_home && authorization.data)
        headers[count++] = (struct http_header){ STR("Authorization"), authorization };
    if (state->fetch->accept.data)
        headers[count++] = (struct http_header){ STR("Accept"), state->fetch->accept };
    if (state->fetch->range.data)
        headers[count++] = (struct http_header){ STR("Range"), state->fetch->range };
    call.header_count = count;
    state->status = 0;
    buf_clear(&state->error_body);
    return registry_call_run(&call, err);
}

static int fetch_with_state(struct state *state, struct err *err)
{
    struct url home, next;
    int redirects = 0, authorizations = 0;
    bool at_home = true;

    if (!url_parse(state->fetch->url, &home))
        return err_set(err, ERR_INVALID, "\"" STR_FMT "\" is no URL", STR_ARG(str_first(state->fetch->url, 256)));
    state->url = home;
    for (;;) {
        unsigned generation;
        int r = run_once(state, at_home, &generation, err);
        if (r < 0)
            return r;
        if (is_answer(state->status))
            return 0;
        if (is_redirect(state->status) && redirects++ < REDIRECTS_MAX) {
            if (!state->location.data || !url_resolve(state->arena, &state->url, state->location, &next))
                return err_set(err, ERR_UNAVAILABLE, "redirected to nowhere");
            at_home = at_home && url_same_origin(&next, &home);
            state->url = next;
            continue;
        }
        if (state->status == 401 && at_home && authorizations++ < AUTHORIZATIONS_MAX &&
            (state->challenge.bearer || (state->challenge.basic && state->repository->username.data))) {
            r = registry_authorize(state->repository, &state->challenge, generation, err);
            if (r < 0)
                return err_wrap(err, r, "authorization");
            continue;
        }
        return registry_error(state->status, buf_str(&state->error_body), err);
    }
}

int registry_fetch(struct repository *repository, const struct fetch *fetch, unsigned *ret_retry_after, struct err *err)
{
    AUTO(arena) arena = arena_new(4u << 20);
    struct state state = { .repository = repository, .fetch = fetch, .arena = arena, .error_body = BUF_INIT };
    int r = arena ? fetch_with_state(&state, err) : err_set(err, ERR_NO_MEMORY, "request to a registry");

    buf_deinit(&state.error_body);
    if (ret_retry_after)
        *ret_retry_after = state.retry_after;
    return r < 0 ? err_wrap(err, r, "GET " STR_FMT, STR_ARG(str_first(fetch->url, 300))) : 0;
}
