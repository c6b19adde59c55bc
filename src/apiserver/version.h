/* version.h - which Kubernetes this server speaks: /version. */
#pragma once

#include "apiserver/request.h"

/* As clients parse it: a semantic version; what is behind '+' is ours. */
#define API_GIT_VERSION "v1.33.0+caravel"

int version_handle(struct request *request, struct err *err);
