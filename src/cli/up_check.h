/* up_check.h - what can go wrong before `caravel up` makes anything. Each names the option or the program that is to blame. */
#pragma once

#include <netinet/in.h>

#include "cli/cli.h"

#define NODE_NAME_MAX 63

/* Root, crun, conmon. */
int check_machine(struct err *err);
int check_listen_host(const struct listen_address *address, struct err *err);
int check_node(const char *name, const char *ip, struct err *err);
/* services NULL: the default one. */
int check_ranges(const char *pods, const char *services, struct err *err);
/* The first address of a range that check_ranges() has found good: that of the service default/kubernetes. services as there. */
const char *api_service_ip(const char *services, char out[INET_ADDRSTRLEN]);
/* That nobody listens there; the host must be good. */
int check_port(const struct listen_address *address, struct err *err);
