/* token.h - tokens of service accounts: JSON Web Tokens that this cluster signs and believes.
 *
 * A token names a ServiceAccount, whom it is for (audiences), until when, and perhaps an object that it is bound to. What
 * it names may be gone by now: that is for the reader to look up (token_user.h). Any thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"

#define TOKEN_MAX 16384 /* bytes; longer ones are not looked at */

struct tokens;

struct token_object {
    struct str name, uid; /* name unset: the token has none of these */
};

struct token_claims {
    struct str ns, id; /* id: of the token itself */
    struct token_object account, pod, secret, node;
    const struct json *audiences;          /* an array of strings */
    int64_t issued, expires, warn_after;   /* seconds of Unix time; warn_after 0: none */
};

/* key_pem: a private key on P-256. issuer: an URL, "https://...". Both are copied. */
int tokens_new(struct str key_pem, struct str issuer, struct tokens **ret_tokens, struct err *err);
struct tokens *tokens_free(struct tokens *tokens);
DEFINE_AUTO(tokens, tokens_free)

struct str tokens_issuer(const struct tokens *tokens);
int tokens_sign(const struct tokens *tokens, struct arena *arena, const struct token_claims *claims,
                struct str *ret_token, struct err *err);
/* Signature, issuer, form and times are right: 0, with slices in the arena. ERR_UNAUTHORIZED else. now: seconds. */
int tokens_read(const struct tokens *tokens, struct arena *arena, struct str token, int64_t now,
                struct token_claims *ret_claims, struct err *err);
/* What others need to verify tokens: the key as a JSON Web Key Set, and the OpenID provider's description. */
void tokens_write_keys(const struct tokens *tokens, struct buf *buf);
void tokens_write_provider(const struct tokens *tokens, struct buf *buf);
