/* proxy_target.h - what a request to a proxy subresource means: which address, through which node's agent. */
#pragma once

#include "apiserver/request.h"

struct proxy_target {
    struct str agent_host; /* an address */
    int agent_port;
    bool dial; /* through the agent to the address below; else the agent itself is meant */
    bool tls;
    struct str host; /* an address */
    int port;
};

/* All in the request's arena. */
int proxy_target_find(struct request *request, struct proxy_target *ret_target, struct err *err);

/* "scheme:name:port", "name:port" or "name"; parts that are missing are empty. False: none of these. */
bool proxy_name_split(struct str id, struct str *ret_scheme, struct str *ret_name, struct str *ret_port);
/* Picks an address and a port out of an Endpoints object or an EndpointSlice, or says that there is none. port_name: of
 * the service's port. random: chooses among them. */
bool proxy_pick_endpoint(const struct json *endpoints, struct str port_name, uint64_t random, struct str *ret_host,
                         int *ret_port, struct str *ret_node);
bool proxy_pick_slice(const struct json *slice, struct str port_name, uint64_t random, struct str *ret_host, int *ret_port,
                      struct str *ret_node);
