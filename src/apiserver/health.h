/* health.h - /livez, /readyz and /healthz: whether to restart the server, and whether to send it requests.
 *
 *   ?verbose         every check by name
 *   ?exclude=NAME    without this one (repeatable)
 *   /livez/NAME      one check alone
 *
 * A server whose etcd is out of reach lives, and its /livez?verbose says so; it is not ready. */
#pragma once

#include "apiserver/request.h"

int health_handle(struct request *request, struct err *err);
