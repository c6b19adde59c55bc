/* node_ipam.c - gives every node a range of pod addresses of its own out of the cluster's.
 *
 * Which ranges are taken is kept as one bit each, and for every node which one it holds. At the start the nodes say
 * what they have; only then are new ranges given out, by one worker. A range that was freed comes last in turn, so that
 * routes to its old node have time to go. */
#include <arpa/inet.h>
#include <stdio.h>

#include "api/core_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"

#define CIDR_TEXT 24

enum { NODES };

/* The range that a node holds. */
struct holding {
    uint32_t range;
    struct str node;
    char text[];
};

struct node_ipam {
    struct controller base;
    uint32_t net, count, next; /* of the cluster; how many ranges; where the search goes on */
    int bits;                  /* of a node's range: 24 */
    uint64_t *taken;
    struct map holdings; /* node -> struct holding */
    bool starving;       /* a node went without */
};

/* -- ranges -- */

/* "10.42.3.0/24". False when it is no IPv4 range in canonical form. */
static bool cidr_parse(struct str text, uint32_t *ret_net, int *ret_bits)
{
    ssize_t slash = str_chr(text, '/');
    struct in_addr address;
    char host[INET_ADDRSTRLEN];
    int64_t bits;

    if (slash <= 0 || slash >= (ssize_t)sizeof host || !str_to_i64(str_skip(text, (size_t)slash + 1), &bits) ||
        bits < 1 || bits > 32)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)slash, text.data);
    if (inet_pton(AF_INET, host, &address) != 1)
        return false;
    *ret_net = ntohl(address.s_addr) & (uint32_t)(~0ull << (32 - bits));
    *ret_bits = (int)bits;
    return true;
}

static void range_text(const struct node_ipam *ipam, uint32_t range, char text[CIDR_TEXT])
{
    uint32_t net = ipam->net + (range << (32 - ipam->bits));

    snprintf(text, CIDR_TEXT, "%u.%u.%u.%u/%d", net >> 24, net >> 16 & 255, net >> 8 & 255, net & 255, ipam->bits);
}

static bool is_taken(const struct node_ipam *ipam, uint32_t range)
{
    return ipam->taken[range / 64] >> range % 64 & 1;
}

static bool find_free(struct node_ipam *ipam, uint32_t *ret_range)
{
    for (uint32_t i = 0; i < ipam->count; i++) {
        uint32_t range = (ipam->next + i) % ipam->count;

        if (is_taken(ipam, range))
            continue;
        ipam->next = range + 1;
        *ret_range = range;
        return true;
    }
    return false;
}

static int hold(struct node_ipam *ipam, struct str node, uint32_t range, struct err *err)
{
    struct holding *holding = malloc(sizeof *holding + node.len + 1);

    if (!holding)
        return err_set(err, ERR_NO_MEMORY, "pod range");
    holding->range = range;
    memcpy(holding->text, node.data, node.len);
    holding->node = str_of(holding->text, node.len);
    if (map_put(&ipam->holdings, holding->node, holding, NULL) < 0) {
        free(holding);
        return err_set(err, ERR_NO_MEMORY, "pod range");
    }
    ipam->taken[range / 64] |= 1ull << range % 64;
    return 0;
}

static void release(struct node_ipam *ipam, struct str node)
{
    struct holding *holding = map_remove(&ipam->holdings, node);

    if (!holding)
        return;
    ipam->taken[holding->range / 64] &= ~(1ull << holding->range % 64);
    free(holding);
}

/* Whatever range of ours a node says it has is taken. Two nodes that claim one keep it both: only they can know. */
static int note_present(struct node_ipam *ipam, struct str node, struct str cidr, struct err *err)
{
    const struct holding *holding = map_get(&ipam->holdings, node);
    uint32_t net, range;
    int bits;

    if (!cidr_parse(cidr, &net, &bits) || bits != ipam->bits || net < ipam->net)
        return 0;
    range = (net - ipam->net) >> (32 - bits);
    if (range >= ipam->count || (holding && holding->range == range))
        return 0;
    release(ipam, node);
    return is_taken(ipam, range) ? 0 : hold(ipam, node, range, err);
}

/* -- the reconcile -- */

static int write_range(struct controller *self, const struct object *node, const char *cidr, struct arena *arena,
                       struct err *err)
{
    AUTO(object) written = NULL;
    struct str patch = arena_printf(arena,
                                    "{\"metadata\":{\"resourceVersion\":\"" STR_FMT "\"},\"spec\":{\"podCIDR\":\"%s\","
                                    "\"podCIDRs\":[\"%s\"]}}",
                                    STR_ARG(node->meta->resource_version), cidr, cidr);

    if (!patch.data)
        return err_set(err, ERR_NO_MEMORY, "pod range");
    int code = client_patch(self->client, &RESOURCE_NODES, STR_NULL, node->meta->name, STR_NULL, PATCH_MERGE, patch,
                            STR("node-ipam-controller: give pod range"), node->revision, &written, err);

    if (code == 0)
        controller_wrote(self, node->key, NODES, written->revision);
    return code;
}

static int give_range(struct node_ipam *ipam, const struct object *node, struct arena *arena, struct err *err)
{
    const struct holding *holding = map_get(&ipam->holdings, node->key);
    char cidr[CIDR_TEXT];
    uint32_t range;
    int code;

    if (!holding && !find_free(ipam, &range)) {
        ipam->starving = true;
        event_record(ipam->base.options->events, node, STR_NULL, "Normal", "CIDRNotAvailable",
                     "Node " STR_FMT " status is now: CIDRNotAvailable", STR_ARG(node->key));
        return 0;
    }
    if (!holding && (code = hold(ipam, node->key, range, err)) < 0)
        return code;
    range_text(ipam, holding ? holding->range : range, cidr);
    code = write_range(&ipam->base, node, cidr, arena, err);
    if (is_gone(code)) {
        release(ipam, node->key);
        return 0;
    }
    return code;
}

/* A range has become free. */
static void feed(struct node_ipam *ipam, struct arena *arena)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list nodes = { 0 };

    if (!ipam->starving || informer_list(ipam->base.informers[NODES], STR_NULL, arena, &nodes, NULL) < 0)
        return;
    ipam->starving = false;
    for (size_t i = 0; i < nodes.count; i++)
        if (!OBJECT_VIEW(nodes.items[i], node)->spec.pod_cidr.len)
            controller_add(&ipam->base, nodes.items[i]->key);
}

static int reconcile(struct controller *self, struct str key, struct arena *arena, struct err *err)
{
    struct node_ipam *ipam = container_of(self, struct node_ipam, base);
    AUTO(object) node = informer_get(self->informers[NODES], key);

    if (!node) {
        release(ipam, key);
        feed(ipam, arena);
        return 0;
    }
    struct str cidr = OBJECT_VIEW(node, node)->spec.pod_cidr;

    return cidr.len ? note_present(ipam, key, cidr, err) : give_range(ipam, node, arena, err);
}

/* Ranges in use are noted before any is given out. */
static void start(struct controller *self)
{
    struct node_ipam *ipam = container_of(self, struct node_ipam, base);
    AUTO(arena) arena = arena_new(0);
    __attribute__((cleanup(object_list_deinit))) struct object_list nodes = { 0 };

    if (!arena || informer_list(self->informers[NODES], STR_NULL, arena, &nodes, NULL) < 0)
        return;
    for (size_t i = 0; i < nodes.count; i++)
        note_present(ipam, nodes.items[i]->key, OBJECT_VIEW(nodes.items[i], node)->spec.pod_cidr, NULL);
}

static int init(struct controller *self, struct err *err)
{
    struct node_ipam *ipam = container_of(self, struct node_ipam, base);
    struct str cidr = self->options->cluster_cidr;
    int bits;

    ipam->bits = self->options->node_cidr_bits;
    if (!cidr_parse(cidr, &ipam->net, &bits))
        return err_set(err, ERR_NOT_SUPPORTED, "\"" STR_FMT "\" is not an IPv4 range", STR_ARG(cidr));
    if (ipam->bits < bits || ipam->bits > 30 || ipam->bits - bits > 20)
        return err_set(err, ERR_BAD_REQUEST, "ranges of /%d do not fit into " STR_FMT, ipam->bits, STR_ARG(cidr));
    ipam->count = 1u << (ipam->bits - bits);
    ipam->taken = calloc(ipam->count / 64 + 1, sizeof *ipam->taken);
    return ipam->taken ? 0 : err_set(err, ERR_NO_MEMORY, "pod ranges");
}

static void deinit(struct controller *self)
{
    struct node_ipam *ipam = container_of(self, struct node_ipam, base);

    for (struct map_entry *e = NULL; (e = map_next(&ipam->holdings, e));)
        free(e->value);
    map_deinit(&ipam->holdings);
    free(ipam->taken);
}

static const struct controller_watch watches[] = {
    [NODES] = { &RESOURCE_NODES, NULL, 0 },
};

const struct controller_class node_ipam_controller = {
    .name = "node-ipam-controller",
    .size = sizeof(struct node_ipam),
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .init = init,
    .deinit = deinit,
    .start = start,
    .reconcile = reconcile,
};
