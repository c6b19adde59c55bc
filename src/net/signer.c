/* signer.c - OpenSSL writes signatures as DER; JSON Web Signatures want the two numbers side by side. What does not
 * change (id, coordinates) is found when the key is read. */
#include "net/signer.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#define HALF (SIGNER_SIGNATURE / 2)
#define DER_MAX 80 /* two numbers of 33 bytes and their heads */

struct signer {
    EVP_PKEY *key;
    unsigned char id[SIGNER_ID], x[SIGNER_COORDINATE], y[SIGNER_COORDINATE];
};

static int key_error(struct err *err, enum err_code code, const char *what)
{
    ERR_clear_error();
    return err_set(err, code, "signing key: %s", what);
}

int signer_make_key(struct arena *arena, struct str *ret_pem, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    struct str pem = STR_NULL;

    if (key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        long len = BIO_get_mem_data(bio, &data);

        if (len > 0)
            pem = arena_str(arena, str_of(data, (size_t)len));
    }
    BIO_free(bio);
    EVP_PKEY_free(key);
    if (!pem.data)
        return key_error(err, ERR_INTERNAL, "it could not be made");
    *ret_pem = pem;
    return 0;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32];

    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

static bool read_coordinate(const EVP_PKEY *key, const char *name, unsigned char out[SIGNER_COORDINATE])
{
    BIGNUM *number = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
              BN_bn2binpad(number, out, SIGNER_COORDINATE) == SIGNER_COORDINATE;

    BN_free(number);
    return ok;
}

static bool read_id(EVP_PKEY *key, unsigned char out[SIGNER_ID])
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    bool ok = len > 0 && SHA256(der, (size_t)len, out);

    OPENSSL_free(der);
    return ok;
}

int signer_new(struct str key_pem, struct signer **ret_signer, struct err *err)
{
    AUTO(signer) signer = calloc(1, sizeof *signer);
    BIO *bio = key_pem.len && key_pem.len <= INT32_MAX ? BIO_new_mem_buf(key_pem.data, (int)key_pem.len) : NULL;

    if (signer && bio)
        signer->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!signer)
        return err_set(err, ERR_NO_MEMORY, "signing key");
    if (!signer->key || !is_p256(signer->key))
        return key_error(err, ERR_INVALID, "it is no private key on the curve P-256");
    if (!read_coordinate(signer->key, OSSL_PKEY_PARAM_EC_PUB_X, signer->x) ||
        !read_coordinate(signer->key, OSSL_PKEY_PARAM_EC_PUB_Y, signer->y) || !read_id(signer->key, signer->id))
        return key_error(err, ERR_INVALID, "its public half cannot be read");
    *ret_signer = TAKE(signer);
    return 0;
}

struct signer *signer_free(struct signer *signer)
{
    if (signer)
        EVP_PKEY_free(signer->key);
    free(signer);
    return NULL;
}

void signer_id(const struct signer *signer, unsigned char ret_id[SIGNER_ID])
{
    memcpy(ret_id, signer->id, SIGNER_ID);
}

void signer_point(const struct signer *signer, unsigned char ret_x[SIGNER_COORDINATE],
                  unsigned char ret_y[SIGNER_COORDINATE])
{
    memcpy(ret_x, signer->x, SIGNER_COORDINATE);
    memcpy(ret_y, signer->y, SIGNER_COORDINATE);
}

static bool numbers_of(const unsigned char *der, size_t len, unsigned char out[SIGNER_SIGNATURE])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    const BIGNUM *r = NULL, *s = NULL;
    bool ok;

    if (!sig)
        return false;
    ECDSA_SIG_get0(sig, &r, &s);
    ok = BN_bn2binpad(r, out, HALF) == HALF && BN_bn2binpad(s, out + HALF, HALF) == HALF;
    ECDSA_SIG_free(sig);
    return ok;
}

int signer_sign(const struct signer *signer, struct str text, unsigned char ret_signature[SIGNER_SIGNATURE],
                struct err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[DER_MAX];
    size_t len = sizeof der;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer->key) == 1 &&
              EVP_DigestSign(ctx, der, &len, (const unsigned char *)text.data, text.len) == 1 &&
              numbers_of(der, len, ret_signature);

    EVP_MD_CTX_free(ctx);
    return ok ? 0 : key_error(err, ERR_INTERNAL, "it does not sign");
}

/* The length of the DER in out; 0: these are no numbers. */
static size_t der_of(struct str signature, unsigned char out[DER_MAX])
{
    const unsigned char *bytes = (const unsigned char *)signature.data;
    BIGNUM *r = BN_bin2bn(bytes, HALF, NULL), *s = BN_bin2bn(bytes + HALF, HALF, NULL);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    int len = 0;

    if (r && s && sig && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(sig, NULL);
        len = len > 0 && len <= DER_MAX ? i2d_ECDSA_SIG(sig, &out) : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

bool signer_verify(const struct signer *signer, struct str text, struct str signature)
{
    EVP_MD_CTX *ctx;
    unsigned char der[DER_MAX];
    size_t len;
    bool ok;

    if (signature.len != SIGNER_SIGNATURE || (len = der_of(signature, der)) == 0)
        return false;
    ctx = EVP_MD_CTX_new();
    ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, signer->key) == 1 &&
         EVP_DigestVerify(ctx, der, len, (const unsigned char *)text.data, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}
