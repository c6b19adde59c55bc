/* token.c - HEADER.CLAIMS.SIGNATURE, each in base64url.
 *
 * The header of every token of ours is the same text, made once: a token with another header is not ours, so there is no
 * algorithm to be talked into. */
#include "apiserver/token.h"

#include <stdlib.h>

#include "codec/base64.h"
#include "net/signer.h"

#define LEEWAY 60 /* seconds that clocks may differ by */
#define SUBJECT "system:serviceaccount:"

struct tokens {
    struct arena arena;
    struct signer *signer;
    struct str issuer, id, header; /* header: encoded */
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "token");
}

static struct str encoded(struct arena *arena, const void *bytes, size_t len)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    base64url_encode(&buf, str_of(bytes, len));
    return buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;
}

int tokens_new(struct str key_pem, struct str issuer, struct tokens **ret_tokens, struct err *err)
{
    AUTO(tokens) tokens = calloc(1, sizeof *tokens);
    unsigned char id[SIGNER_ID];
    struct str header;
    int code;

    if (!tokens)
        return no_memory(err);
    arena_init(&tokens->arena, 0);
    if ((code = signer_new(key_pem, &tokens->signer, err)) < 0)
        return code;
    signer_id(tokens->signer, id);
    tokens->issuer = arena_str(&tokens->arena, issuer);
    tokens->id = encoded(&tokens->arena, id, sizeof id);
    header = arena_printf(&tokens->arena, "{\"alg\":\"ES256\",\"kid\":\"" STR_FMT "\"}", STR_ARG(tokens->id));
    tokens->header = encoded(&tokens->arena, header.data, header.len);
    if (arena_failed(&tokens->arena) || !tokens->header.data)
        return no_memory(err);
    *ret_tokens = TAKE(tokens);
    return 0;
}

struct tokens *tokens_free(struct tokens *tokens)
{
    if (!tokens)
        return NULL;
    signer_free(tokens->signer);
    arena_deinit(&tokens->arena);
    free(tokens);
    return NULL;
}

struct str tokens_issuer(const struct tokens *tokens)
{
    return tokens->issuer;
}

/* -- writing -- */

static void write_object(struct json_writer *w, struct str key, const struct token_object *object)
{
    if (!object->name.data)
        return;
    jw_key(w, key);
    jw_begin_object(w);
    jw_field_str(w, "name", object->name);
    if (!str_empty(object->uid))
        jw_field_str(w, "uid", object->uid);
    jw_end_object(w);
}

static void write_claims(const struct tokens *tokens, const struct token_claims *claims, struct str subject,
                         struct buf *buf)
{
    struct json_writer w = json_writer(buf);

    jw_begin_object(&w);
    jw_key(&w, STR("aud"));
    jw_json(&w, claims->audiences);
    jw_field_int(&w, "exp", claims->expires);
    jw_field_int(&w, "iat", claims->issued);
    jw_field_str(&w, "iss", tokens->issuer);
    jw_field_str(&w, "jti", claims->id);
    jw_key(&w, STR("kubernetes.io"));
    jw_begin_object(&w);
    jw_field_str(&w, "namespace", claims->ns);
    write_object(&w, STR("node"), &claims->node);
    write_object(&w, STR("pod"), &claims->pod);
    write_object(&w, STR("secret"), &claims->secret);
    write_object(&w, STR("serviceaccount"), &claims->account);
    if (claims->warn_after)
        jw_field_int(&w, "warnafter", claims->warn_after);
    jw_end_object(&w);
    jw_field_int(&w, "nbf", claims->issued);
    jw_field_str(&w, "sub", subject);
    jw_end_object(&w);
}

int tokens_sign(const struct tokens *tokens, struct arena *arena, const struct token_claims *claims,
                struct str *ret_token, struct err *err)
{
    AUTO_DEINIT(buf, json) = BUF_INIT;
    AUTO_DEINIT(buf, token) = BUF_INIT;
    unsigned char signature[SIGNER_SIGNATURE];
    struct str subject = arena_concat(arena, STR(SUBJECT), claims->ns, STR(":"), claims->account.name);
    int code;

    if (!subject.data)
        return no_memory(err);
    write_claims(tokens, claims, subject, &json);
    buf_add_str(&token, tokens->header);
    buf_add_char(&token, '.');
    base64url_encode(&token, buf_str(&json));
    if (!buf_ok(&json) || !buf_ok(&token))
        return no_memory(err);
    if ((code = signer_sign(tokens->signer, buf_str(&token), signature, err)) < 0)
        return code;
    buf_add_char(&token, '.');
    base64url_encode(&token, str_of(signature, sizeof signature));
    *ret_token = buf_ok(&token) ? arena_str(arena, buf_str(&token)) : STR_NULL;
    return ret_token->data ? 0 : no_memory(err);
}

/* -- reading -- */

static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_UNAUTHORIZED, "invalid bearer token: %s", why);
}

static struct token_object object_of(const struct json *own, const char *kind)
{
    const struct json *object = json_get(own, str_from(kind));

    return (struct token_object){ json_str(json_member(object, "name")), json_str(json_member(object, "uid")) };
}

/* One audience may stand without brackets. */
static const struct json *audiences_of(struct arena *arena, const struct json *claims)
{
    struct json *aud = json_member(claims, "aud"), *list;

    if (!json_is(aud, JSON_STRING))
        return json_is(aud, JSON_ARRAY) ? aud : NULL;
    list = json_new(arena, JSON_ARRAY);
    return list && json_append(arena, list, aud) ? list : NULL;
}

/* Ours, signed by us: what follows is only what time does to it, and what a change of the format would. */
static int check_claims(const struct tokens *tokens, const struct token_claims *claims, const struct json *json,
                        int64_t now, struct err *err)
{
    if (!str_eq(json_str(json_member(json, "iss")), tokens->issuer))
        return refuse(err, "another issuer");
    if (str_empty(claims->ns) || str_empty(claims->account.name) || str_empty(claims->account.uid) ||
        !claims->audiences)
        return refuse(err, "claims are missing");
    if (now > claims->expires)
        return refuse(err, "service account token has expired");
    if (now + LEEWAY < json_int(json_member(json, "nbf"), 0))
        return refuse(err, "service account token is not valid yet");
    return 0;
}

int tokens_read(const struct tokens *tokens, struct arena *arena, struct str token, int64_t now,
                struct token_claims *ret_claims, struct err *err)
{
    ssize_t first = str_chr(token, '.'), last = str_rchr(token, '.');
    struct str signature, text;
    struct json *json;
    struct token_claims claims;
    int code;

    if (token.len > TOKEN_MAX || first < 0 || first == last)
        return refuse(err, "it is no token of this cluster");
    if (!str_eq(str_first(token, (size_t)first), tokens->header) ||
        !base64url_decode(arena, str_skip(token, (size_t)last + 1), &signature) ||
        !signer_verify(tokens->signer, str_first(token, (size_t)last), signature))
        return refuse(err, "it is not signed by this cluster");
    if (!base64url_decode(arena, str_of(token.data + first + 1, (size_t)(last - first) - 1), &text) ||
        json_parse(arena, text, NULL, &json, err) < 0)
        return refuse(err, "its claims cannot be read");
    const struct json *own = json_member(json, "kubernetes.io");

    claims = (struct token_claims){
        .ns = json_str(json_member(own, "namespace")),
        .id = json_str(json_member(json, "jti")),
        .account = object_of(own, "serviceaccount"),
        .pod = object_of(own, "pod"),
        .secret = object_of(own, "secret"),
        .node = object_of(own, "node"),
        .audiences = audiences_of(arena, json),
        .issued = json_int(json_member(json, "iat"), 0),
        .expires = json_int(json_member(json, "exp"), 0),
        .warn_after = json_int(json_member(own, "warnafter"), 0),
    };
    if ((code = check_claims(tokens, &claims, json, now, err)) < 0)
        return code;
    *ret_claims = claims;
    return 0;
}

/* -- for others -- */

static void write_coordinate(struct json_writer *w, struct str key, const unsigned char bytes[SIGNER_COORDINATE])
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    base64url_encode(&text, str_of(bytes, SIGNER_COORDINATE));
    jw_key(w, key);
    jw_str(w, buf_str(&text));
}

void tokens_write_keys(const struct tokens *tokens, struct buf *buf)
{
    struct json_writer w = json_writer(buf);
    unsigned char x[SIGNER_COORDINATE], y[SIGNER_COORDINATE];

    signer_point(tokens->signer, x, y);
    jw_begin_object(&w);
    jw_key(&w, STR("keys"));
    jw_begin_array(&w);
    jw_begin_object(&w);
    jw_field_str(&w, "use", STR("sig"));
    jw_field_str(&w, "kty", STR("EC"));
    jw_field_str(&w, "kid", tokens->id);
    jw_field_str(&w, "crv", STR("P-256"));
    jw_field_str(&w, "alg", STR("ES256"));
    write_coordinate(&w, STR("x"), x);
    write_coordinate(&w, STR("y"), y);
    jw_end_object(&w);
    jw_end_array(&w);
    jw_end_object(&w);
}

static void write_list(struct json_writer *w, struct str key, struct str only)
{
    jw_key(w, key);
    jw_begin_array(w);
    jw_str(w, only);
    jw_end_array(w);
}

void tokens_write_provider(const struct tokens *tokens, struct buf *buf)
{
    struct json_writer w = json_writer(buf);
    AUTO_DEINIT(buf, keys) = BUF_INIT;

    buf_printf(&keys, STR_FMT "/openid/v1/jwks", STR_ARG(tokens->issuer));
    jw_begin_object(&w);
    jw_field_str(&w, "issuer", tokens->issuer);
    jw_field_str(&w, "jwks_uri", buf_str(&keys));
    write_list(&w, STR("response_types_supported"), STR("id_token"));
    write_list(&w, STR("subject_types_supported"), STR("public"));
    write_list(&w, STR("id_token_signing_alg_values_supported"), STR("ES256"));
    jw_end_object(&w);
}
