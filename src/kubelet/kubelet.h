/* kubelet.h - the node agent: keeps the pods that the API gives to this node running, and says how they are.
 *
 * It keeps nothing that a restart cannot rebuild from the API and from the runtime's folders; starting again never
 * touches a running container. */
#pragma once

#include "base/executor.h"
#include "base/rng.h"
#include "client/client.h"
#include "kubelet/image/image_store.h"
#include "kubelet/runtime/runtime.h"
#include "net/tls.h"
#include "network/pod_network.h"

struct kubelet;

struct kubelet_options {
    const char *instance, *data_dir;
    struct str node_name, node_ip;
    struct client *client; /* all of these outlive the kubelet */
    struct executor *executor;
    struct clock *clock;
    struct rng *rng;
    struct runtime *runtime;
    struct image_store *images;
    const char *state_dir;    /* of the pod network */
    const char *cluster_cidr; /* NULL: the node's own range */
    const char *address;      /* where it serves logs; NULL: node_ip */
    int port;                 /* 0: any free one */
    struct tls_context *tls;
    int max_pods;                  /* 0: 110 */
    const struct str_pair *labels; /* added to the node's own */
    size_t label_count;
};

int kubelet_new(const struct kubelet_options *options, struct kubelet **ret_kubelet, struct err *err);
/* Registers the node, waits for its pod range, and begins to work. Blocks until the node is in the API. */
int kubelet_start(struct kubelet *kubelet, struct err *err);
/* Pods keep running. Pulls under way are cancelled: the image store can only be closed then. */
struct kubelet *kubelet_free(struct kubelet *kubelet);
DEFINE_AUTO(kubelet, kubelet_free)
