/* tls.c - TLS contexts and sessions on OpenSSL 3.
 *
 * A session never sees a socket. Its BIO is one of our own kind: reading takes from the slice that the caller put in
 * with tls_session_input(), writing appends to the caller's buffer. That avoids the copies and the growth of memory
 * BIOs, and lets a whole turn of the loop end in one write to the kernel.
 *
 * OpenSSL frees the buffers of a record after every one (SSL_MODE_RELEASE_BUFFERS), but while the caller says that more
 * are about to come. They are only freed between two records.
 *
 * TLS 1.2 and 1.3 only, ECDHE with AEAD ciphers only (what HTTP/2 demands of 1.2), no renegotiation. Sessions resume by
 * stateless tickets. A ticket carries the client's certificate, so its validity is checked again on resumption. */
#include "net/tls_session.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/ip.h"

#define TICKET_SECONDS 3600
#define MAX_ORGANIZATIONS 64

struct tls_context {
    atomic_uint refs;
    SSL_CTX *ctx;
    BIO_METHOD *bio;
};

struct tls_session {
    SSL *ssl;
    struct tls_context *context;
    struct str in;
    struct buf *out;
    bool whole; /* the last read ended with a record: no part of another lies in the buffers */
    bool failed;
    unsigned long reason; /* OpenSSL's, of the failure; 0: not known */
};

static int tls_error(struct err *err, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return err_set(err, ERR_BAD_REQUEST, "%s: %s", what, reason ? reason : "refused by the TLS library");
}

/* -- the BIO between a session and its buffers -- */

static int bio_read(BIO *bio, char *data, size_t size, size_t *ret_read)
{
    struct tls_session *session = BIO_get_data(bio);
    size_t n = MIN(size, session->in.len);

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(data, session->in.data, n);
    session->in = str_skip(session->in, n);
    *ret_read = n;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *ret_written)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    buf_add(session->out, data, size);
    if (!buf_ok(session->out))
        return 0;
    *ret_written = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO_METHOD *bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "buffers");

    if (!method || !BIO_meth_set_read_ex(method, bio_read) || !BIO_meth_set_write_ex(method, bio_write) ||
        !BIO_meth_set_ctrl(method, bio_ctrl)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* -- contexts -- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static BIO *pem_reader(struct str pem)
{
    return pem.data && pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
}

static int use_certificates(SSL_CTX *ctx, const char *whose, struct str pem, struct err *err)
{
    BIO *bio = pem_reader(pem);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    int result = 0;

    if (!cert || SSL_CTX_use_certificate(ctx, cert) != 1)
        result = err_wrap(err, tls_error(err, "certificate"), "%s", whose);
    X509_free(cert);
    while (result == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
            X509_free(cert);
            result = err_wrap(err, tls_error(err, "certificate chain"), "%s", whose);
        }
    }
    ERR_clear_error(); /* the end of the file is reported as an error */
    BIO_free(bio);
    return result;
}

static int use_key(SSL_CTX *ctx, const char *whose, struct str pem, struct err *err)
{
    BIO *bio = pem_reader(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    int result = 0;

    if (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        result = err_wrap(err, tls_error(err, "key"), "%s", whose);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return result;
}

/* The authorities that the peer's certificate may be of. A server also names them to the client, so that it can choose
 * the right one. */
static int use_authorities(SSL_CTX *ctx, const char *what, bool name_them, struct str pem, struct err *err)
{
    BIO *bio = pem_reader(pem);
    int count = 0, result = 0;
    X509 *cert;

    while (bio && result == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 ||
            (name_them && SSL_CTX_add_client_CA(ctx, cert) != 1))
            result = tls_error(err, what);
        X509_free(cert);
        count++;
    }
    BIO_free(bio);
    if (result == 0 && count == 0)
        result = tls_error(err, what);
    ERR_clear_error();
    if (result == 0)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return result;
}

static bool set_policy(SSL_CTX *ctx)
{
    static const unsigned char session_context[] = "caravel";

    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TICKET_SECONDS);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                         "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1) == 1;
}

static int context_new(const SSL_METHOD *method, struct tls_context **ret_context, struct err *err)
{
    AUTO(tls_context) context = calloc(1, sizeof *context);

    if (!context)
        return err_set(err, ERR_NO_MEMORY, "TLS context");
    atomic_init(&context->refs, 1);
    context->bio = bio_method_new();
    context->ctx = SSL_CTX_new(method);
    if (!context->bio || !context->ctx || !set_policy(context->ctx))
        return tls_error(err, "TLS context");
    *ret_context = TAKE(context);
    return 0;
}

int tls_server_new(const struct tls_server_config *config, struct tls_context **ret_context, struct err *err)
{
    AUTO(tls_context) context = NULL;
    int code = context_new(TLS_server_method(), &context, err);

    if (code < 0 || (code = use_certificates(context->ctx, "server", config->cert_pem, err)) < 0 ||
        (code = use_key(context->ctx, "server", config->key_pem, err)) < 0)
        return code;
    if (config->client_ca_pem.data &&
        (code = use_authorities(context->ctx, "client certificate authority", true, config->client_ca_pem, err)) < 0)
        return code;
    *ret_context = TAKE(context);
    return 0;
}

int tls_client_new(const struct tls_client_config *config, struct tls_context **ret_context, struct err *err)
{
    static const unsigned char h2[] = "\x02h2";
    AUTO(tls_context) context = NULL;
    int code = context_new(TLS_client_method(), &context, err);

    if (code < 0 || (code = use_authorities(context->ctx, "certificate authority", false, config->ca_pem, err)) < 0)
        return code;
    if (SSL_CTX_set_alpn_protos(context->ctx, h2, sizeof h2 - 1) != 0)
        return tls_error(err, "TLS context");
    if (config->cert_pem.data &&
        ((code = use_certificates(context->ctx, "client", config->cert_pem, err)) < 0 ||
         (code = use_key(context->ctx, "client", config->key_pem, err)) < 0))
        return code;
    *ret_context = TAKE(context);
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->bio);
    free(context);
    return NULL;
}

/* -- sessions -- */

static struct tls_session *session_new(struct tls_context *context, struct buf *out)
{
    struct tls_session *session = calloc(1, sizeof *session);
    BIO *bio;

    if (!session)
        return NULL;
    session->context = tls_context_ref(context);
    session->out = out;
    session->ssl = SSL_new(context->ctx);
    bio = session->ssl ? BIO_new(context->bio) : NULL;
    if (!bio) {
        ERR_clear_error();
        return tls_session_free(session);
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_read_ahead(session->ssl, 1);
    return session;
}

struct tls_session *tls_session_new(struct tls_context *context, struct buf *out)
{
    struct tls_session *session = session_new(context, out);

    if (session)
        SSL_set_accept_state(session->ssl);
    return session;
}

/* Names go into the greeting too (SNI); addresses may not. */
static bool expect_host(SSL *ssl, const char *host)
{
    struct ip ip;

    if (ip_parse(str_from(host), &ip))
        return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), ip.bytes, ip.v6 ? 16 : 4) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls_session *tls_session_connect(struct tls_context *context, const char *host, struct buf *out)
{
    struct tls_session *session = session_new(context, out);

    if (!session)
        return NULL;
    if (!expect_host(session->ssl, host)) {
        ERR_clear_error();
        return tls_session_free(session);
    }
    SSL_set_connect_state(session->ssl);
    return session;
}

struct tls_session *tls_session_free(struct tls_session *session)
{
    if (!session)
        return NULL;
    SSL_free(session->ssl);
    tls_context_free(session->context);
    free(session);
    return NULL;
}

void tls_session_input(struct tls_session *session, struct str bytes)
{
    session->in = bytes;
}

bool tls_session_is_drained(const struct tls_session *session)
{
    return session->in.len == 0 && !SSL_has_pending(session->ssl);
}

int tls_session_read(struct tls_session *session, char *data, size_t size)
{
    int n;

    if (session->failed)
        return TLS_FAILED;
    n = SSL_read(session->ssl, data, (int)MIN(size, (size_t)INT32_MAX));
    session->whole = n > 0 && tls_session_is_drained(session);
    if (n > 0)
        return n;
    switch (SSL_get_error(session->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TLS_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        session->reason = ERR_peek_error();
        ERR_clear_error();
        session->failed = true;
        return TLS_FAILED;
    }
}

void tls_session_keep_buffers(struct tls_session *session, bool keep)
{
    if (keep) {
        SSL_clear_mode(session->ssl, SSL_MODE_RELEASE_BUFFERS);
        return;
    }
    SSL_set_mode(session->ssl, SSL_MODE_RELEASE_BUFFERS);
    if (session->whole)
        SSL_free_buffers(session->ssl);
}

bool tls_session_write(struct tls_session *session, struct str bytes)
{
    size_t written;

    if (session->failed)
        return false;
    while (bytes.len > 0) {
        if (SSL_write_ex(session->ssl, bytes.data, bytes.len, &written) != 1) {
            ERR_clear_error();
            session->failed = true;
            return false;
        }
        bytes = str_skip(bytes, written);
    }
    return true;
}

void tls_session_shutdown(struct tls_session *session)
{
    if (session->failed || !SSL_is_init_finished(session->ssl))
        return;
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}

const char *tls_session_trouble(const struct tls_session *session, char *text, size_t size)
{
    const char *reason = session->reason ? ERR_reason_error_string(session->reason) : NULL;
    long verified = SSL_get_verify_result(session->ssl);

    if (verified == X509_V_OK)
        snprintf(text, size, "%s", reason ? reason : "broken off");
    else
        snprintf(text, size, "%s: %s", reason ? reason : "broken off", X509_verify_cert_error_string(verified));
    return text;
}

bool tls_session_ready(const struct tls_session *session)
{
    return SSL_is_init_finished(session->ssl);
}

bool tls_session_is_h2(const struct tls_session *session)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(session->ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0;
}

/* -- the client's certificate -- */

/* Names with a NUL inside are a trick on whoever handles them as C strings: refused. */
static bool copy_name(X509_NAME *subject, int index, struct arena *arena, struct str *ret)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
    bool ok = len >= 0 && !memchr(utf8, 0, (size_t)len);

    if (ok) {
        *ret = arena_str(arena, str_of(utf8, (size_t)len));
        ok = ret->data != NULL;
    }
    OPENSSL_free(utf8);
    return ok;
}

static bool copy_organizations(X509_NAME *subject, struct arena *arena, struct tls_identity *identity)
{
    struct str *names = arena_array_of(arena, MAX_ORGANIZATIONS, struct str);

    if (!names)
        return false;
    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_organizationName, i)) >= 0;)
        if (identity->organization_count == MAX_ORGANIZATIONS ||
            !copy_name(subject, i, arena, &names[identity->organization_count++]))
            return false;
    identity->organizations = names;
    return true;
}

bool tls_session_identity(const struct tls_session *session, struct arena *arena, struct tls_identity *ret_identity)
{
    struct tls_identity identity = { .common_name = STR("") };
    X509 *cert = SSL_get0_peer_certificate(session->ssl);
    X509_NAME *subject;
    int index;

    if (!cert) {
        *ret_identity = identity;
        return true;
    }
    if (SSL_get_verify_result(session->ssl) != X509_V_OK || X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
        return false;
    subject = X509_get_subject_name(cert);
    index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (index >= 0 && !copy_name(subject, index, arena, &identity.common_name))
        return false;
    if (!copy_organizations(subject, arena, &identity))
        return false;
    *ret_identity = identity;
    return true;
}
