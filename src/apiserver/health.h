/* health.h - /livez, /readyz and /healthz: whether to restart the server, and whether to send it requests.
 *
 *   ?verbose         every check by name
 *   ?exclude=NAME    without this one (repeatable)
 *   /livez/NAME      one check alone */
#pragma once

#include "apiserver/request.h"

int health_handle(struct request *request, struct err *err);
