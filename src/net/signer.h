/* signer.h - an ECDSA key on P-256 that signs and verifies as JSON Web Signatures do (ES256). Counted by nobody: whoever
 * made it frees it. Any thread may sign and verify at the same time. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#define SIGNER_SIGNATURE 64 /* r and s, 32 bytes each, big endian */
#define SIGNER_COORDINATE 32
#define SIGNER_ID 32

struct signer;

/* A new private key, as PEM in the arena. */
int signer_make_key(struct arena *arena, struct str *ret_pem, struct err *err);
/* ERR_INVALID for what is no private key on P-256. */
int signer_new(struct str key_pem, struct signer **ret_signer, struct err *err);
struct signer *signer_free(struct signer *signer);
DEFINE_AUTO(signer, signer_free)

/* SHA-256 of the public key: by this a verifier finds it. */
void signer_id(const struct signer *signer, unsigned char ret_id[SIGNER_ID]);
/* The public point. */
void signer_point(const struct signer *signer, unsigned char ret_x[SIGNER_COORDINATE],
                  unsigned char ret_y[SIGNER_COORDINATE]);
int signer_sign(const struct signer *signer, struct str text, unsigned char ret_signature[SIGNER_SIGNATURE],
                struct err *err);
bool signer_verify(const struct signer *signer, struct str text, struct str signature);
