/* servers.h - which servers of a cluster live, as the one that leads hears from them (hearsay.h), and the endpoints of
 * the service default/kubernetes, which are these. */
#pragma once

#include "apiserver/apiserver.h"
#include "base/sync.h"

#define SERVERS_MAX 32
#define SERVER_ADDRESS_MAX 256

/* "host:port" and when it was heard of. In the API server, under its own lock. */
struct peers {
    struct mutex lock;
    struct peer {
        char address[SERVER_ADDRESS_MAX];
        nsec_t heard;
    } items[SERVERS_MAX];
    size_t count;
};
/* More than SERVERS_MAX: those longest not heard of make room. */
void peers_heard(struct peers *peers, struct str address, nsec_t now);

/* Of one server for each: IP and port. What is no IP address and port is left out. Replaces whatever endpoints were
 * there; client: whoever may. */
int servers_write(struct client *client, const struct str *addresses, size_t count, struct err *err);

struct servers;
/* Keeps the endpoints in line with the servers that live, this one (self) among them, for as long as it exists: made by
 * the server that leads, with a client of that term. Begins after some seconds, when the others have been heard of. */
int servers_new(struct apiserver *api, struct client *client, struct str self, struct servers **ret_servers,
                struct err *err);
struct servers *servers_free(struct servers *servers); /* waits for a round under way */
