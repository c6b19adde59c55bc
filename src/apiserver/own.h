/* own.h - what is under /apis/caravel.io/v1 beside Kubernetes' resources: a row for each path. */
#pragma once

#include "apiserver/path.h"

struct request;

struct own_path {
    const char *plural, *subresource; /* subresource NULL: none */
    bool named;                       /* PLURAL/NAME[/SUBRESOURCE], not PLURAL alone */
    uint32_t verbs;
    /* Only for system:masters and those whom an authorizer allows; else all that no authorizer denies. */
    bool restricted;
    bool newest; /* it must see all that was written before (newest.h) */
    bool quick; /* run() reads memory only, so that it may run on a network loop */
    /* Sets the reply; request->resource is NULL. */
    int (*run)(struct request *request, struct err *err);
};

/* NULL: the path is none of these. */
const struct own_path *own_find(const struct request_info *info);
