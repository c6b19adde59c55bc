/* registry_auth.c - Basic, or a token from the service that the registry names.
 *
 * Several layers may be refused at once when a token has run out: only the first asks for another one, the others find
 * that the authorization has changed since they used it. */
#include <stdio.h>

#include "base/buf.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "kubelet/image/registry_private.h"

#define TOKEN_ANSWER_MAX (1u << 20)
#define TOKEN_MAX (64u << 10)

struct token_answer {
    int status;
    struct buf text;
};

static int on_head(void *ctx, const struct http_client_response *head, struct err *err)
{
    struct token_answer *answer = ctx;

    answer->status = head->status;
    return 0;
}

static int on_body(void *ctx, struct str bytes, struct err *err)
{
    struct token_answer *answer = ctx;

    if (bytes.len > TOKEN_ANSWER_MAX - answer->text.len)
        return err_set(err, ERR_TOO_LARGE, "the token service's answer is too large");
    buf_add_str(&answer->text, bytes);
    return buf_ok(&answer->text) ? 0 : err_set(err, ERR_NO_MEMORY, "token");
}

static struct str basic_header(const struct repository *repository, struct arena *arena)
{
    AUTO_DEINIT(buf, encoded) = BUF_INIT;
    struct str pair =
        arena_printf(arena, STR_FMT ":" STR_FMT, STR_ARG(repository->username), STR_ARG(repository->password));

    if (!pair.data)
        return STR_NULL;
    base64_encode(&encoded, pair);
    return buf_ok(&encoded) ? arena_printf(arena, "Basic " STR_FMT, STR_ARG(buf_str(&encoded))) : STR_NULL;
}

static struct str token_url(const struct repository *repository, const struct challenge *challenge, struct arena *arena)
{
    AUTO_DEINIT(buf, url) = BUF_INIT;

    buf_add_str(&url, challenge->realm);
    buf_add_char(&url, str_chr(challenge->realm, '?') < 0 ? '?' : '&');
    buf_add_cstr(&url, "scope=");
    if (challenge->scope.len) {
        http_escape(&url, challenge->scope);
    } else {
        buf_add_cstr(&url, "repository%3A");
        http_escape(&url, repository->path);
        buf_add_cstr(&url, "%3Apull");
    }
    if (challenge->service.len) {
        buf_add_cstr(&url, "&service=");
        http_escape(&url, challenge->service);
    }
    if (repository->username.data) {
        buf_add_cstr(&url, "&account=");
        http_escape(&url, repository->username);
    }
    return buf_ok(&url) ? arena_str(arena, buf_str(&url)) : STR_NULL;
}

/* Into a header go only the characters of RFC 6750. */
static bool is_token(struct str token)
{
    if (token.len == 0 || token.len > TOKEN_MAX)
        return false;
    for (size_t i = 0; i < token.len; i++)
        if (token.data[i] <= ' ' || token.data[i] > '~')
            return false;
    return true;
}

static int read_token(struct arena *arena, struct str text, struct str *ret_header, struct err *err)
{
    struct json *root;
    int r = json_parse(arena, text, NULL, &root, err);

    if (r < 0)
        return r;
    struct str token = json_str_at(root, "token");
    if (!token.len)
        token = json_str_at(root, "access_token");
    if (!is_token(token))
        return err_set(err, ERR_UNAUTHORIZED, "the token service gave no token");
    *ret_header = arena_printf(arena, "Bearer " STR_FMT, STR_ARG(token));
    return ret_header->data ? 0 : err_set(err, ERR_NO_MEMORY, "token");
}

static int ask_for_token(struct repository *repository, const struct url *url, struct arena *arena,
                         struct token_answer *answer, struct err *err)
{
    struct registry *registry = repository->registry;
    struct registry_call call = {
        .url = url->text, .cancel = registry->cancel, .head = on_head, .body = on_body, .ctx = answer
    };
    struct http_header header = { STR("Authorization"), STR_NULL };
    int r;

    if ((r = registry_check_url(registry, url, err)) < 0 ||
        (r = registry_client(registry, url->authority, &call.client, err)) < 0)
        return r;
    if (repository->username.data) {
        header.value = basic_header(repository, arena);
        if (!header.value.data)
            return err_set(err, ERR_NO_MEMORY, "token");
        call.headers = &header;
        call.header_count = 1;
    }
    r = registry_call_run(&call, err);
    return r == 0 && answer->status != 200 ? registry_error(answer->status, buf_str(&answer->text), err) : r;
}

static int bearer_header(struct repository *repository, const struct challenge *challenge, struct arena *arena,
                         struct str *ret_header, struct err *err)
{
    struct token_answer answer = { 0, BUF_INIT };
    struct str text = token_url(repository, challenge, arena);
    struct url url;
    int r = 0;

    if (!text.data)
        return err_set(err, ERR_NO_MEMORY, "token");
    if (!url_parse(text, &url))
        r = err_set(err, ERR_UNAUTHORIZED, "the registry names a token service without a usable URL");
    if (r == 0)
        r = ask_for_token(repository, &url, arena, &answer, err);
    struct str copy = r == 0 ? arena_str(arena, buf_str(&answer.text)) : STR_NULL;
    buf_deinit(&answer.text);
    if (r == 0)
        r = copy.data ? read_token(arena, copy, ret_header, err) : err_set(err, ERR_NO_MEMORY, "token");
    return r < 0 ? err_wrap(err, r, "token service " STR_FMT, STR_ARG(str_first(challenge->realm, 200))) : 0;
}

static bool changed_since(struct repository *repository, unsigned generation)
{
    LOCKED(&repository->lock);

    return repository->generation != generation;
}

int registry_authorize(struct repository *repository, const struct challenge *challenge, unsigned generation,
                       struct err *err)
{
    AUTO(arena) arena = arena_new(4u << 20);
    struct str header = STR_NULL;
    int r = 0;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "authorization");
    if (changed_since(repository, generation))
        return 0;
    if (challenge->bearer)
        r = bearer_header(repository, challenge, arena, &header, err);
    else
        header = basic_header(repository, arena);
    if (r < 0)
        return r;
    char *copy = header.data ? str_dup(header) : NULL;
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "authorization");

    LOCKED(&repository->lock);
    free(repository->authorization);
    repository->authorization = copy;
    repository->generation++;
    return 0;
}
