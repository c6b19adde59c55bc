/* service_alloc.h - cluster IPs and node ports: each is a key of the store, put in the service's own transaction. So
 * two services never get the same one, whoever writes when, and nothing leaks when a write fails. */
#pragma once

#include "apiserver/write.h"

/* rules.transact of services. */
int service_transact(struct write *write, struct json *service, const struct json *old, struct err *err);
