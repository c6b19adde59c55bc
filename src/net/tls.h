/* tls.h - keys, certificates and TLS settings, on OpenSSL 3. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* -- making certificates (ECDSA P-256) -- */

struct tls_pair {
    struct str cert_pem, key_pem; /* in the arena */
};
struct tls_subject {
    struct str common_name;
    const struct str *organizations;
    size_t organization_count;
    const struct str *dns_names, *ip_addresses; /* subject alternative names */
    size_t dns_name_count, ip_address_count;
    bool server, client; /* extended key usage */
    int days;
};
int tls_make_ca(struct arena *arena, struct str common_name, int days, struct tls_pair *ret_pair, struct err *err);
int tls_make_cert(struct arena *arena, const struct tls_pair *ca, const struct tls_subject *subject,
                  struct tls_pair *ret_pair, struct err *err);

/* -- contexts: counted, any thread -- */

struct tls_server_config {
    struct str cert_pem, key_pem;
    struct str client_ca_pem; /* clients may show a certificate of this authority; unset: never asked */
};
struct tls_context; /* SSL_CTX and ALPN for h2 and http/1.1; TLS 1.2 and 1.3 only */
int tls_server_new(const struct tls_server_config *config, struct tls_context **ret_context, struct err *err);
/* Of a client that speaks h2 only; servers must be of the authorities given, for the host that is asked for. */
struct tls_client_config {
    struct str ca_pem;
    struct str cert_pem, key_pem; /* unset: none */
};
int tls_client_new(const struct tls_client_config *config, struct tls_context **ret_context, struct err *err);
struct tls_context *tls_context_free(struct tls_context *context);
DEFINE_AUTO(tls_context, tls_context_free)

/* Who the peer proved to be; empty without a certificate. Slices live as long as the connection. */
struct tls_identity {
    struct str common_name;
    const struct str *organizations;
    size_t organization_count;
};
