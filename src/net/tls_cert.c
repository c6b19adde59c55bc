/* tls_cert.c - making certificates: an authority of our own and the certificates that it signs.
 *
 * ECDSA on P-256 with SHA-256: small, quick to sign with on every handshake, and understood everywhere. Serials are 127
 * random bits. Validity begins a minute in the past, so that a peer whose clock lags a little accepts a fresh one. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define BACKDATE_SECONDS (-60)
#define SECONDS_PER_DAY (24 * 60 * 60)
#define MAX_DAYS 36500
#define SERIAL_BYTES 16
#define MAX_NAME 64 /* ub-common-name of X.520 is what OpenSSL holds names to */

/* What one call has in hand; freed together. */
struct work {
    X509 *cert, *issuer;
    EVP_PKEY *key, *issuer_key;
};

static void work_deinit(struct work *work)
{
    X509_free(work->cert);
    X509_free(work->issuer);
    EVP_PKEY_free(work->key);
    EVP_PKEY_free(work->issuer_key);
    ERR_clear_error();
}

static int cert_error(struct err *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    return err_set(err, ERR_INTERNAL, "certificate: %s: %s", what, reason ? reason : "refused");
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and always of the same length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok;
}

static bool set_validity(X509 *cert, int days)
{
    return days > 0 && days <= MAX_DAYS && X509_gmtime_adj(X509_getm_notBefore(cert), BACKDATE_SECONDS) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL);
}

static bool add_name(X509_NAME *name, const char *field, struct str value)
{
    return value.len <= MAX_NAME * 16 &&
           X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value.data, (int)value.len, -1,
                                      0) == 1;
}

static bool add_extension(struct work *work, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, work->issuer ? work->issuer : work->cert, work->cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(work->cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool push_name(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();

    if (!name || !value || len > 255 || ASN1_STRING_set(value, data, (int)len) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static bool push_ip(GENERAL_NAMES *names, struct str text)
{
    char cstr[INET6_ADDRSTRLEN];
    unsigned char bytes[16];

    if (text.len >= sizeof cstr)
        return false;
    memcpy(cstr, text.data, text.len);
    cstr[text.len] = '\0';
    if (inet_pton(AF_INET, cstr, bytes) == 1)
        return push_name(names, GEN_IPADD, bytes, 4);
    if (inet_pton(AF_INET6, cstr, bytes) == 1)
        return push_name(names, GEN_IPADD, bytes, 16);
    return false;
}

/* Built as data, not as configuration text: a name with a comma in it cannot smuggle in another. */
static bool add_alt_names(X509 *cert, const struct tls_subject *subject)
{
    GENERAL_NAMES *names;
    bool ok = true;

    if (subject->dns_name_count + subject->ip_address_count == 0)
        return true;
    names = GENERAL_NAMES_new();
    for (size_t i = 0; names && ok && i < subject->dns_name_count; i++)
        ok = push_name(names, GEN_DNS, subject->dns_names[i].data, subject->dns_names[i].len);
    for (size_t i = 0; names && ok && i < subject->ip_address_count; i++)
        ok = push_ip(names, subject->ip_addresses[i]);
    ok = names && ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static bool to_pem(struct arena *arena, BIO *bio, struct str *ret)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    if (len <= 0)
        return false;
    *ret = arena_str(arena, str_of(data, (size_t)len));
    return ret->data != NULL;
}

static int write_pair(struct work *work, struct arena *arena, struct tls_pair *ret_pair, struct err *err)
{
    BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
    struct tls_pair pair;
    bool ok = cert && key && PEM_write_bio_X509(cert, work->cert) == 1 &&
              PEM_write_bio_PrivateKey(key, work->key, NULL, NULL, 0, NULL, NULL) == 1 &&
              to_pem(arena, cert, &pair.cert_pem) && to_pem(arena, key, &pair.key_pem);

    BIO_free(cert);
    BIO_free(key);
    if (!ok)
        return err_set(err, ERR_NO_MEMORY, "certificate: writing it");
    *ret_pair = pair;
    return 0;
}

/* Key, serial, validity and names; extensions and the signature follow. */
static int begin(struct work *work, struct str common_name, const struct str *organizations, size_t organization_count,
                 int days, struct err *err)
{
    X509_NAME *name;

    work->key = EVP_EC_gen("P-256");
    work->cert = X509_new();
    if (!work->key || !work->cert || X509_set_version(work->cert, X509_VERSION_3) != 1 || !set_serial(work->cert) ||
        X509_set_pubkey(work->cert, work->key) != 1)
        return cert_error(err, "making a key");
    if (!set_validity(work->cert, days))
        return err_set(err, ERR_INVALID, "certificate: %d days of validity", days);
    name = X509_get_subject_name(work->cert);
    for (size_t i = 0; i < organization_count; i++)
        if (!add_name(name, "O", organizations[i]))
            return cert_error(err, "organization");
    if (!str_empty(common_name) && !add_name(name, "CN", common_name))
        return cert_error(err, "common name");
    return 0;
}

int tls_make_ca(struct arena *arena, struct str common_name, int days, struct tls_pair *ret_pair, struct err *err)
{
    AUTO_DEINIT(work, work) = { NULL };
    int code = begin(&work, common_name, NULL, 0, days, err);

    if (code < 0)
        return code;
    if (X509_set_issuer_name(work.cert, X509_get_subject_name(work.cert)) != 1 ||
        !add_extension(&work, NID_basic_constraints, "critical,CA:TRUE") ||
        !add_extension(&work, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") ||
        !add_extension(&work, NID_subject_key_identifier, "hash"))
        return cert_error(err, "extensions");
    if (X509_sign(work.cert, work.key, EVP_sha256()) <= 0)
        return cert_error(err, "signing");
    return write_pair(&work, arena, ret_pair, err);
}

static int read_ca(struct work *work, const struct tls_pair *ca, struct err *err)
{
    BIO *cert = ca->cert_pem.len <= INT32_MAX ? BIO_new_mem_buf(ca->cert_pem.data, (int)ca->cert_pem.len) : NULL;
    BIO *key = ca->key_pem.len <= INT32_MAX ? BIO_new_mem_buf(ca->key_pem.data, (int)ca->key_pem.len) : NULL;

    work->issuer = cert ? PEM_read_bio_X509(cert, NULL, NULL, NULL) : NULL;
    work->issuer_key = key ? PEM_read_bio_PrivateKey(key, NULL, NULL, NULL) : NULL;
    BIO_free(cert);
    BIO_free(key);
    if (!work->issuer || !work->issuer_key || X509_check_private_key(work->issuer, work->issuer_key) != 1)
        return cert_error(err, "reading the authority");
    return 0;
}

static const char *key_usage(const struct tls_subject *subject)
{
    if (subject->server && subject->client)
        return "serverAuth,clientAuth";
    return subject->server ? "serverAuth" : "clientAuth";
}

int tls_make_cert(struct arena *arena, const struct tls_pair *ca, const struct tls_subject *subject,
                  struct tls_pair *ret_pair, struct err *err)
{
    AUTO_DEINIT(work, work) = { NULL };
    int code = begin(&work, subject->common_name, subject->organizations, subject->organization_count, subject->days,
                     err);

    if (code < 0 || (code = read_ca(&work, ca, err)) < 0)
        return code;
    if (X509_set_issuer_name(work.cert, X509_get_subject_name(work.issuer)) != 1 ||
        !add_extension(&work, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(&work, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(&work, NID_authority_key_identifier, "keyid"))
        return cert_error(err, "extensions");
    if ((subject->server || subject->client) && !add_extension(&work, NID_ext_key_usage, key_usage(subject)))
        return cert_error(err, "extended key usage");
    if (!add_alt_names(work.cert, subject))
        return cert_error(err, "alternative names");
    if (X509_sign(work.cert, work.issuer_key, EVP_sha256()) <= 0)
        return cert_error(err, "signing");
    return write_pair(&work, arena, ret_pair, err);
}
