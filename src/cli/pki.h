/* pki.h - the certificates of a one-machine cluster: one authority, kept; leaves, made anew at every start of `up`. */
#pragma once

#include "base/arena.h"
#include "cli/cli.h"
#include "net/tls.h"

enum pki_leaf {
    PKI_SERVER,         /* the API server's own */
    PKI_ADMIN,          /* kubernetes-admin, system:masters */
    PKI_SERVER_CLIENT,  /* the API server towards agents */
    PKI_NODE,           /* the agent towards the API server: system:node:<name> */
    PKI_NODE_SERVER,    /* the agent's own endpoint */
    PKI_LEAVES,
};

struct pki_hosts {
    const char *node_name, *node_ip, *listen_host;
    const char *service_ip; /* of default/kubernetes; NULL: 10.96.0.1 */
    const char *const *fronts; /* names and addresses of a balancer before this and other servers */
    size_t fronts_count;       /* at most PKI_FRONTS_MAX */
};
#define PKI_FRONTS_MAX 16

/* Makes the authority if there is none (servers that share a store need the same: ca.crt and ca.key are copied into that
 * folder of the others before they start; ERR_CONFLICT: only one of them is there), and all leaves; files in <data_dir>/pki, keys mode 0600. */
int pki_prepare(const struct instance *instance, const struct pki_hosts *hosts, struct err *err);
/* The key that signs tokens of service accounts, <data_dir>/pki/sa.key; made when it is not there. */
int pki_ensure_token_key(struct arena *arena, const struct instance *instance, struct str *ret_pem, struct err *err);
int pki_load_ca(struct arena *arena, const struct instance *instance, struct str *ret_pem, struct err *err);
int pki_load(struct arena *arena, const struct instance *instance, enum pki_leaf leaf, struct tls_pair *ret_pair,
             struct err *err);
