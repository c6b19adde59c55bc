#include "net/tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "net/tls_session.h"

static X509 *parse_cert(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static struct tls_pair make_ca(struct arena *arena)
{
    struct tls_pair ca;
    struct err err;

    assert_int_equal(tls_make_ca(arena, STR("test-ca"), 10, &ca, &err), 0);
    return ca;
}

static struct tls_pair make_server(struct arena *arena, const struct tls_pair *ca)
{
    const struct str dns[] = { STR_INIT("localhost"), STR_INIT("*.example.org") };
    const struct str ips[] = { STR_INIT("127.0.0.1"), STR_INIT("fd00::1") };
    struct tls_pair pair;
    struct err err;

    assert_int_equal(tls_make_cert(arena, ca, &(struct tls_subject){
        .common_name = STR("server"), .dns_names = dns, .dns_name_count = 2, .ip_addresses = ips,
        .ip_address_count = 2, .server = true, .days = 3 }, &pair, &err), 0);
    return pair;
}

static struct tls_pair make_client(struct arena *arena, const struct tls_pair *ca, bool for_client)
{
    const struct str organizations[] = { STR_INIT("system:masters"), STR_INIT("devs, inc") };
    struct tls_pair pair;
    struct err err;

    assert_int_equal(tls_make_cert(arena, ca, &(struct tls_subject){
        .common_name = STR("admin"), .organizations = organizations, .organization_count = 2, .client = for_client,
        .server = !for_client, .days = 3 }, &pair, &err), 0);
    return pair;
}

static bool verifies(X509 *cert, X509 *ca, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();

    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(context, store, cert, NULL);
    X509_STORE_CTX_set_purpose(context, purpose);
    bool ok = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    ERR_clear_error();
    return ok;
}

static void test_certificates(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct tls_pair ca_pair = make_ca(arena), other_pair = make_ca(arena), pair = make_server(arena, &ca_pair);
    X509 *ca = parse_cert(ca_pair.cert_pem), *other = parse_cert(other_pair.cert_pem);
    X509 *cert = parse_cert(pair.cert_pem);
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);

    assert_true(X509_check_ca(ca));
    assert_false(X509_check_ca(cert));
    assert_true(verifies(cert, ca, X509_PURPOSE_SSL_SERVER));
    assert_false(verifies(cert, ca, X509_PURPOSE_SSL_CLIENT));
    assert_false(verifies(cert, other, X509_PURPOSE_SSL_SERVER));
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "a.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "example.com", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "fd00::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.2", 0), 0);
    assert_true(BN_num_bits(serial) >= 120);
    assert_true(X509_cmp_current_time(X509_get0_notBefore(cert)) < 0);
    assert_true(X509_cmp_current_time(X509_get0_notAfter(cert)) > 0);
    BN_free(serial);
    X509_free(ca);
    X509_free(other);
    X509_free(cert);
}

static void test_refused_subjects(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct tls_pair ca = make_ca(arena), server = make_server(arena, &ca), out;
    const struct tls_pair mixed = { ca.cert_pem, server.key_pem }, none = { STR(""), STR("") };
    const struct str bad_ip = STR("127.0.0.256");
    char long_name[300];
    struct err err;

    memset(long_name, 'a', sizeof long_name);
    const struct str bad_dns = str_of(long_name, sizeof long_name);
    const struct tls_subject good = { .common_name = STR("x"), .days = 1 };
    const struct tls_subject bad[] = {
        { .common_name = STR("x"), .days = 0 },
        { .common_name = STR("x"), .days = 1, .ip_addresses = &bad_ip, .ip_address_count = 1 },
        { .common_name = STR("x"), .days = 1, .dns_names = &bad_dns, .dns_name_count = 1 },
        { .common_name = bad_dns, .days = 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(tls_make_cert(arena, &ca, &bad[i], &out, &err) < 0);
    assert_true(tls_make_cert(arena, &mixed, &good, &out, &err) < 0);
    assert_true(tls_make_cert(arena, &none, &good, &out, &err) < 0);
    assert_int_equal(tls_make_cert(arena, &ca, &good, &out, &err), 0);
}

static void test_bad_configs(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct tls_pair ca = make_ca(arena), server = make_server(arena, &ca), other = make_server(arena, &ca);
    const struct tls_server_config configs[] = {
        { STR(""), STR(""), STR_NULL },
        { STR_NULL, STR_NULL, STR_NULL },
        { server.cert_pem, other.key_pem, STR_NULL },
        { server.cert_pem, STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), STR_NULL },
        { server.cert_pem, server.key_pem, STR("no certificate") },
    };
    struct tls_context *context = NULL;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        assert_true(tls_server_new(&configs[i], &context, &err) < 0);
        assert_null(context);
        assert_true(strlen(err.message) > 0);
    }
}

/* -- handshakes in memory, against OpenSSL's client -- */

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    SSL_SESSION *ticket;
};

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct client *client = SSL_get_app_data(ssl);

    SSL_SESSION_free(client->ticket);
    client->ticket = session;
    return 1;
}

static void client_init(struct client *client, const struct tls_pair *pair, const char *alpn, int version,
                        SSL_SESSION *resume)
{
    memset(client, 0, sizeof *client);
    client->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->ctx, on_ticket);
    SSL_CTX_set_max_proto_version(client->ctx, version);
    SSL_CTX_set_security_level(client->ctx, 0);
    SSL_CTX_set_min_proto_version(client->ctx, MIN(version, TLS1_2_VERSION));
    if (pair) {
        BIO *key = BIO_new_mem_buf(pair->key_pem.data, (int)pair->key_pem.len);
        EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
        X509 *cert = parse_cert(pair->cert_pem);
        SSL_CTX_use_certificate(client->ctx, cert);
        SSL_CTX_use_PrivateKey(client->ctx, pkey);
        X509_free(cert);
        EVP_PKEY_free(pkey);
        BIO_free(key);
    }
    client->ssl = SSL_new(client->ctx);
    SSL_set_app_data(client->ssl, client);
    if (alpn)
        SSL_set_alpn_protos(client->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    if (resume)
        SSL_set_session(client->ssl, resume);
    client->in = BIO_new(BIO_s_mem());
    client->out = BIO_new(BIO_s_mem());
    SSL_set_bio(client->ssl, client->in, client->out);
    SSL_set_connect_state(client->ssl);
}

static void client_deinit(struct client *client)
{
    SSL_SESSION_free(client->ticket);
    SSL_set_shutdown(client->ssl, SSL_SENT_SHUTDOWN); /* else its session would count as bad */
    SSL_free(client->ssl);
    SSL_CTX_free(client->ctx);
    ERR_clear_error();
}

/* Until nobody has more to say. What arrives at the server is appended to received. Returns the server's last
 * result. */
static int converse(struct client *client, struct tls_session *server, struct buf *to_client, struct buf *received)
{
    char data[4096];
    int last = TLS_AGAIN;

    for (int round = 0; round < 20; round++) {
        int n = SSL_read(client->ssl, data, sizeof data);
        ERR_clear_error();
        while (last == TLS_AGAIN && (n = BIO_read(client->out, data, sizeof data)) > 0) {
            char plain[4096];
            tls_session_input(server, str_of(data, (size_t)n));
            while ((last = tls_session_read(server, plain, sizeof plain)) > 0)
                buf_add(received, plain, (size_t)last);
        }
        BIO_write(client->in, to_client->data, (int)to_client->len);
        buf_clear(to_client);
    }
    return last;
}

static void test_handshakes(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct tls_pair ca = make_ca(arena), other_ca = make_ca(arena), server_pair = make_server(arena, &ca);
    struct tls_pair good = make_client(arena, &ca, true), foreign = make_client(arena, &other_ca, true);
    struct tls_pair wrong_use = make_client(arena, &ca, false);
    const struct {
        const char *name;
        const struct tls_pair *pair;
        const char *alpn;
        int version;
        bool ok, h2, known;
    } cases[] = {
        { "anonymous", NULL, NULL, TLS1_3_VERSION, true, false, false },
        { "certificate", &good, NULL, TLS1_3_VERSION, true, false, true },
        { "certificate, 1.2", &good, "\x02h2", TLS1_2_VERSION, true, true, true },
        { "another authority", &foreign, NULL, TLS1_3_VERSION, false, false, false },
        { "another authority, 1.2", &foreign, NULL, TLS1_2_VERSION, false, false, false },
        { "not for clients", &wrong_use, NULL, TLS1_3_VERSION, false, false, false },
        { "h2 is preferred", NULL, "\x08http/1.1\x02h2", TLS1_3_VERSION, true, true, false },
        { "http/1.1", NULL, "\x08http/1.1", TLS1_3_VERSION, true, false, false },
        { "neither", NULL, "\x03" "foo", TLS1_3_VERSION, false, false, false },
        { "1.1 is too old", NULL, NULL, TLS1_1_VERSION, false, false, false },
    };
    AUTO(tls_context) context = NULL;
    struct err err;

    const struct tls_server_config config = { server_pair.cert_pem, server_pair.key_pem, ca.cert_pem };
    assert_int_equal(tls_server_new(&config, &context, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, to_client) = BUF_INIT;
        AUTO_DEINIT(buf, received) = BUF_INIT;
        struct tls_session *session = tls_session_new(context, &to_client);
        struct tls_identity identity;
        struct client client;

        client_init(&client, cases[i].pair, cases[i].alpn, cases[i].version, NULL);
        int last = converse(&client, session, &to_client, &received);
        bool ok = last == TLS_AGAIN && tls_session_ready(session);
        if (ok != cases[i].ok)
            fail_msg("%s: %d", cases[i].name, last);
        if (ok) {
            assert_int_equal(tls_session_is_h2(session), cases[i].h2);
            assert_true(tls_session_identity(session, arena, &identity));
            assert_true(str_is(identity.common_name, cases[i].known ? "admin" : ""));
            assert_int_equal(identity.organization_count, cases[i].known ? 2 : 0);
            assert_true(!cases[i].known || str_is(identity.organizations[1], "devs, inc"));
            assert_int_equal(SSL_write(client.ssl, "hello", 5), 5);
            converse(&client, session, &to_client, &received);
            assert_true(str_is(buf_str(&received), "hello"));
        }
        client_deinit(&client);
        tls_session_free(session);
    }
}

/* A resumed session still knows who the client is. */
static void test_resumption(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct tls_pair ca = make_ca(arena), server_pair = make_server(arena, &ca), pair = make_client(arena, &ca, true);
    AUTO(tls_context) context = NULL;
    SSL_SESSION *ticket = NULL;
    struct err err;

    const struct tls_server_config config = { server_pair.cert_pem, server_pair.key_pem, ca.cert_pem };
    assert_int_equal(tls_server_new(&config, &context, &err), 0);
    for (int round = 0; round < 2; round++) {
        AUTO_DEINIT(buf, to_client) = BUF_INIT;
        AUTO_DEINIT(buf, received) = BUF_INIT;
        struct tls_session *session = tls_session_new(context, &to_client);
        struct tls_identity identity;
        struct client client;

        client_init(&client, &pair, NULL, TLS1_3_VERSION, ticket);
        assert_int_equal(converse(&client, session, &to_client, &received), TLS_AGAIN);
        assert_int_equal(SSL_session_reused(client.ssl), round);
        assert_true(tls_session_identity(session, arena, &identity));
        assert_true(str_is(identity.common_name, "admin"));
        SSL_SESSION_free(ticket);
        ticket = client.ticket;
        client.ticket = NULL;
        assert_non_null(ticket);
        client_deinit(&client);
        tls_session_free(session);
    }
    SSL_SESSION_free(ticket);
}

static void test_garbage(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct tls_pair ca = make_ca(arena), server_pair = make_server(arena, &ca);
    AUTO(tls_context) context = NULL;
    AUTO_DEINIT(buf, out) = BUF_INIT;
    struct tls_session *session;
    char plain[64];
    struct err err;

    assert_int_equal(tls_server_new(&(struct tls_server_config){ server_pair.cert_pem, server_pair.key_pem, STR_NULL },
                                    &context, &err), 0);
    session = tls_session_new(context, &out);
    tls_session_input(session, STR("GET / HTTP/1.1\r\n\r\n"));
    assert_int_equal(tls_session_read(session, plain, sizeof plain), TLS_FAILED);
    assert_int_equal(tls_session_read(session, plain, sizeof plain), TLS_FAILED);
    assert_false(tls_session_write(session, STR("x")));
    tls_session_shutdown(session);
    tls_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates), cmocka_unit_test(test_refused_subjects),
        cmocka_unit_test(test_bad_configs),  cmocka_unit_test(test_handshakes),
        cmocka_unit_test(test_resumption),   cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
