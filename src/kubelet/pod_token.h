/* pod_token.h - tokens of a pod's service account, for its projected volumes. */
#pragma once

#include "kubelet/internal.h"

struct pod_token;

/* One that is fresh enough: asked for, bound to the pod, and kept in the pod's state until four fifths of its time (at
 * most a day) are over. One that cannot be renewed is given as long as it is good. In the look's arena. */
int pod_token_get(struct pod_sync *sync, const struct service_account_token_projection *wanted, struct str *ret_token,
                  struct err *err);
void pod_token_free(struct pod_token *token);
