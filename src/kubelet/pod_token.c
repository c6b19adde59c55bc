#include "kubelet/pod_token.h"

#include <stdlib.h>

#include "api/resources.h"
#include "base/log.h"
#include "codec/json.h"
#include "schema/time.h"

#define SECONDS_USUAL 3600
#define RENEW_AT_LEAST (24 * 3600 * NSEC_PER_SEC)

struct pod_token {
    struct str audience, text; /* owned */
    int64_t seconds;
    nsec_t renew_at, expires; /* Unix time */
};

void pod_token_free(struct pod_token *token)
{
    if (!token)
        return;
    free((char *)token->audience.data);
    free((char *)token->text.data);
    free(token);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "service account token");
}

static struct pod_token *find(struct pod_state *state, struct str audience, int64_t seconds)
{
    vec_each (&state->tokens, token)
        if (str_eq((*token)->audience, audience) && (*token)->seconds == seconds)
            return *token;
    struct pod_token *token = calloc(1, sizeof *token);

    if (!token)
        return NULL;
    token->audience = str_of(str_dup(audience), audience.len);
    token->seconds = seconds;
    if (token->audience.data && vec_push(&state->tokens, token) == 0)
        return token;
    pod_token_free(token);
    return NULL;
}

static void write_request(struct pod_sync *sync, const struct pod_token *token, struct buf *buf)
{
    struct json_writer w = json_writer(buf);

    jw_begin_object(&w);
    jw_field_str(&w, "apiVersion", STR("authentication.k8s.io/v1"));
    jw_field_str(&w, "kind", STR("TokenRequest"));
    jw_key(&w, STR("spec"));
    jw_begin_object(&w);
    jw_key(&w, STR("audiences"));
    jw_begin_array(&w);
    if (token->audience.len)
        jw_str(&w, token->audience);
    jw_end_array(&w);
    jw_field_int(&w, "expirationSeconds", token->seconds);
    jw_key(&w, STR("boundObjectRef"));
    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("Pod"));
    jw_field_str(&w, "apiVersion", STR("v1"));
    jw_field_str(&w, "name", sync->object->meta->name);
    jw_field_str(&w, "uid", sync->object->meta->uid);
    jw_end_object(&w);
    jw_end_object(&w);
    jw_end_object(&w);
}

static int take_answer(struct pod_token *token, struct str text, nsec_t now, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct json *answer;
    struct str got;
    nsec_t expires;
    char *copy;

    if (!arena)
        return no_memory(err);
    if (json_parse(arena, text, NULL, &answer, err) < 0)
        return err_wrap(err, -ERR_BAD_REQUEST, "service account token");
    got = json_str_at(answer, "status.token");
    if (str_empty(got) || !api_time_parse(json_str_at(answer, "status.expirationTimestamp"), &expires))
        return err_set(err, ERR_INTERNAL, "service account token: the answer has none");
    copy = str_dup(got);
    if (!copy)
        return no_memory(err);
    free((char *)token->text.data);
    token->text = str_of(copy, got.len);
    token->expires = expires;
    token->renew_at = now + MIN((expires - now) / 5 * 4, RENEW_AT_LEAST);
    return 0;
}

static int request_token(struct pod_sync *sync, struct pod_token *token, nsec_t now, struct err *err)
{
    struct client *client = sync->kubelet->options.client;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    AUTO(blob) answer = NULL;
    int code;

    write_request(sync, token, &body);
    if (!buf_ok(&body))
        return no_memory(err);
    const struct client_call call = { .verb = CLIENT_CREATE,
                                      .resource = &RESOURCE_SERVICEACCOUNTS,
                                      .ns = sync->object->meta->namespace,
                                      .name = sync->pod->spec.service_account_name,
                                      .subresource = STR("token"),
                                      .body = buf_str(&body),
                                      .rule = STR("kubelet: token for a volume") };

    if ((code = client->ops->call(client, &call, NULL, NULL, NULL, &answer, err)) < 0)
        return err_wrap(err, code, "failed to fetch token");
    return take_answer(token, answer ? blob_str(answer) : STR(""), now, err);
}

int pod_token_get(struct pod_sync *sync, const struct service_account_token_projection *wanted, struct str *ret_token,
                  struct err *err)
{
    nsec_t now = clock_wall(sync->kubelet->options.clock);
    struct pod_token *token =
        find(sync->state, wanted->audience, opt_or(wanted->expiration_seconds, SECONDS_USUAL));
    struct err why = { 0 };
    int code = 0;

    if (!token)
        return no_memory(err);
    if (!token->text.data || now >= token->renew_at)
        code = request_token(sync, token, now, &why);
    if (code < 0 && (!token->text.data || now >= token->expires)) {
        if (err)
            *err = why;
        return code;
    }
    if (code < 0)
        log_warn("kubelet", "pod " STR_FMT ": %s; the present token is kept", STR_ARG(sync->state->key), why.message);
    *ret_token = arena_str(sync->arena, token->text);
    return ret_token->data ? 0 : no_memory(err);
}
