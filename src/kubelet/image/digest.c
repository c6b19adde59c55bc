#include "kubelet/image/digest.h"

#include <openssl/evp.h>

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] >= 'a' && s.data[i] <= 'f')))
            return false;
    return true;
}

int digest_parse(struct str text, struct digest *ret_digest, struct err *err)
{
    ssize_t colon = str_chr(text, ':');

    if (colon <= 0)
        return err_set(err, ERR_INVALID, "invalid digest \"" STR_FMT "\"", STR_ARG(str_first(text, 128)));
    if (!str_is(str_first(text, (size_t)colon), "sha256"))
        return err_set(err, ERR_NOT_SUPPORTED, "digest algorithm \"" STR_FMT "\" is not supported",
                       STR_ARG(str_first(text, MIN((size_t)colon, 32))));
    if (text.len != DIGEST_TEXT_LEN || !is_hex(str_skip(text, 7)))
        return err_set(err, ERR_INVALID, "invalid digest \"" STR_FMT "\"", STR_ARG(str_first(text, 128)));
    memcpy(ret_digest->text, text.data, DIGEST_TEXT_LEN);
    ret_digest->text[DIGEST_TEXT_LEN] = 0;
    return 0;
}

int hasher_restart(struct hasher *hasher, struct err *err)
{
    if (EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_INTERNAL, "SHA-256 is not available");
    return 0;
}

int hasher_init(struct hasher *hasher, struct err *err)
{
    hasher->context = EVP_MD_CTX_new();
    if (!hasher->context)
        return err_set(err, ERR_NO_MEMORY, "digest");
    return hasher_restart(hasher, err);
}

void hasher_deinit(struct hasher *hasher)
{
    EVP_MD_CTX_free(hasher->context);
    hasher->context = NULL;
}

int hasher_add(struct hasher *hasher, const void *data, size_t len, struct err *err)
{
    if (EVP_DigestUpdate(hasher->context, data, len) != 1)
        return err_set(err, ERR_INTERNAL, "digest failed");
    return 0;
}

int hasher_finish(struct hasher *hasher, struct digest *ret_digest, struct err *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_DigestFinal_ex(hasher->context, hash, &len) != 1 || len != 32)
        return err_set(err, ERR_INTERNAL, "digest failed");
    memcpy(ret_digest->text, "sha256:", 7);
    for (unsigned i = 0; i < len; i++) {
        ret_digest->text[7 + 2 * i] = digits[hash[i] >> 4];
        ret_digest->text[8 + 2 * i] = digits[hash[i] & 15];
    }
    ret_digest->text[DIGEST_TEXT_LEN] = 0;
    return 0;
}

int digest_of(struct str bytes, struct digest *ret_digest, struct err *err)
{
    AUTO_DEINIT(hasher, hasher) = { NULL };
    int r = hasher_init(&hasher, err);

    if (r == 0)
        r = hasher_add(&hasher, bytes.data, bytes.len, err);
    return r == 0 ? hasher_finish(&hasher, ret_digest, err) : r;
}
