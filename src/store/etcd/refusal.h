/* refusal.h - what etcd's refusals mean to those who called. */
#pragma once

#include "store/etcd/grpc.h"

enum refusal_then {
    THEN_FAIL,  /* the caller is told */
    THEN_MOVE,  /* this member is of no use now: the next one, and the call again when it was unseen */
    THEN_LOGIN, /* the token is no longer good: log in again, then the call again */
};

struct refusal {
    enum err_code code; /* for a call that writes: ERR_TIMEOUT when it may have been done, ERR_UNAVAILABLE when not */
    enum refusal_then then;
    bool unseen; /* certainly not done */
};

struct refusal refusal_of(const struct grpc_status *status);
/* By the text alone, e.g. the reason why a watch was cancelled. */
struct refusal refusal_of_text(struct str text);
