/* changes.h - GET /apis/caravel.io/v1/changes: what has happened, when, and who did it. */
#pragma once

#include "apiserver/request.h"

int changes_run(struct request *request, struct err *err);
