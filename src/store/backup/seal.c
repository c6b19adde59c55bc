#include "store/backup/seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define KEY_LEN 32
#define NONCE_LEN 12
#define MEMORY_MAX (1ull << 30)

const struct seal_cost seal_cost_default = { 16, 8, 1 }; /* 64 MiB, a fifth of a second */

struct seal {
    uint8_t key[KEY_LEN];
    EVP_CIPHER_CTX *cipher;
};

static int make_key(struct str passphrase, const uint8_t *salt, const struct seal_cost *cost, uint8_t *out,
                    struct err *err)
{
    uint64_t n = cost->log_n < 32 ? 1ull << cost->log_n : 0, memory = MEMORY_MAX;
    uint32_t r = cost->r, p = cost->p;

    if (n < 2 || r == 0 || p == 0 || r > 64 || p > 16 || n * r * 128 > MEMORY_MAX / 2)
        return err_set(err, ERR_NOT_SUPPORTED, "the key of the backup would cost too much memory");
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)passphrase.data, passphrase.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, SEAL_SALT),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool made = context && EVP_KDF_derive(context, out, KEY_LEN, params) == 1;

    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return made ? 0 : err_set(err, ERR_INTERNAL, "making a key of the passphrase");
}

int seal_new(struct str passphrase, const uint8_t salt[SEAL_SALT], const struct seal_cost *cost, struct seal **ret_seal,
             struct err *err)
{
    AUTO(seal) seal = calloc(1, sizeof *seal);

    if (!seal || !(seal->cipher = EVP_CIPHER_CTX_new()))
        return err_set(err, ERR_NO_MEMORY, "encryption");
    int code = make_key(passphrase, salt, cost, seal->key, err);
    if (code < 0)
        return code;
    *ret_seal = TAKE(seal);
    return 0;
}

struct seal *seal_free(struct seal *seal)
{
    if (!seal)
        return NULL;
    EVP_CIPHER_CTX_free(seal->cipher);
    OPENSSL_cleanse(seal->key, sizeof seal->key);
    free(seal);
    return NULL;
}

/* encrypt: 1 or 0, as OpenSSL has it. */
static bool begin(struct seal *seal, uint64_t number, struct str with, int encrypt)
{
    uint8_t nonce[NONCE_LEN] = { 0 };
    int len;

    memcpy(nonce, &number, sizeof number);
    return EVP_CipherInit_ex(seal->cipher, EVP_aes_256_gcm(), NULL, seal->key, nonce, encrypt) == 1 &&
           EVP_CipherUpdate(seal->cipher, NULL, &len, (const uint8_t *)with.data, (int)with.len) == 1;
}

int seal_close(struct seal *seal, uint64_t number, struct str with, char *data, size_t len, struct err *err)
{
    uint8_t *bytes = (uint8_t *)data;
    int done;

    if (!begin(seal, number, with, 1) || EVP_CipherUpdate(seal->cipher, bytes, &done, bytes, (int)len) != 1 ||
        EVP_CipherFinal_ex(seal->cipher, bytes + len, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, bytes + len) != 1)
        return err_set(err, ERR_INTERNAL, "encrypting the backup");
    return 0;
}

int seal_open(struct seal *seal, uint64_t number, struct str with, char *data, size_t len, struct err *err)
{
    uint8_t *bytes = (uint8_t *)data;
    int done;

    if (len < SEAL_TAG || !begin(seal, number, with, 0) ||
        EVP_CipherUpdate(seal->cipher, bytes, &done, bytes, (int)(len - SEAL_TAG)) != 1 ||
        EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, bytes + len - SEAL_TAG) != 1 ||
        EVP_CipherFinal_ex(seal->cipher, bytes + len - SEAL_TAG, &done) != 1)
        return err_set(err, ERR_UNAUTHORIZED, "the passphrase is not that of the backup");
    return 0;
}
