/* nat.c - one nft table per instance.
 *
 * Host ports are elements of maps, not rules: a packet costs one look-up however many there are, and adding or
 * removing one does not touch the others. The table is rewritten as a whole when the agent starts, in one
 * transaction; connections go on meanwhile.
 *
 * A host port is also reachable at 127.0.0.1 on the node: the packet is sent on to the pod (route_localnet) and
 * masqueraded. What would come from a pod to 127.0.0.0/8 because of that is dropped at once. A pod that reaches itself
 * through a host port would answer itself; "hairpin" masquerades just those. */
#include "network/nat.h"

#include <arpa/inet.h>
#include <nftables/libnftables.h>

#include "base/buf.h"

struct nat {
    struct nft_ctx *ctx;
};

static const char *const protocols[] = { [PORT_TCP] = "tcp", [PORT_UDP] = "udp", [PORT_SCTP] = "sctp" };

int nat_new(struct nat **ret_nat, struct err *err)
{
    AUTO(nat) nat = calloc(1, sizeof *nat);

    if (!nat)
        return err_set(err, ERR_NO_MEMORY, "nftables");
    nat->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!nat->ctx || nft_ctx_buffer_error(nat->ctx) != 0 || nft_ctx_buffer_output(nat->ctx) != 0)
        return err_set(err, ERR_NO_MEMORY, "nftables");
    *ret_nat = TAKE(nat);
    return 0;
}

struct nat *nat_free(struct nat *nat)
{
    if (nat && nat->ctx)
        nft_ctx_free(nat->ctx);
    free(nat);
    return NULL;
}

/* The first line of what nft says; the lines after it point into the command. */
static int run(struct nat *nat, struct buf *commands, struct err *err)
{
    struct str text, line = STR_NULL;

    buf_add_char(commands, 0);
    if (!buf_ok(commands))
        return err_set(err, ERR_NO_MEMORY, "nft commands");
    if (nft_run_cmd_from_buffer(nat->ctx, commands->data) == 0)
        return 0;
    text = str_from(nft_ctx_get_error_buffer(nat->ctx));
    str_split(&text, '\n', &line);
    enum err_code code = str_find(line, STR("File exists")) >= 0           ? ERR_CONFLICT
                         : str_find(line, STR("No such file or dir")) >= 0 ? ERR_NOT_FOUND
                                                                           : ERR_IO;
    return err_set(err, code, "nftables: " STR_FMT, STR_ARG(str_first(line, 500)));
}

static void ip_text(struct in_addr ip, char out[INET_ADDRSTRLEN])
{
    inet_ntop(AF_INET, &ip, out, INET_ADDRSTRLEN);
}

static bool is_by_address(const struct port_mapping *port)
{
    return port->host_ip.s_addr != INADDR_ANY;
}

/* "tcp . 8080" or "192.0.2.1 . tcp . 8080" */
static void add_key(struct buf *buf, const struct port_mapping *port)
{
    char ip[INET_ADDRSTRLEN];

    ip_text(port->host_ip, ip);
    if (is_by_address(port))
        buf_printf(buf, "%s . ", ip);
    buf_printf(buf, "%s . %u", protocols[port->protocol], port->host_port);
}

static void add_value(struct buf *buf, const struct port_mapping *port, struct in_addr pod)
{
    char ip[INET_ADDRSTRLEN];

    ip_text(pod, ip);
    buf_printf(buf, " : %s . %u", ip, port->container_port);
}

static void add_elements(struct buf *buf, const struct address_pool *pool, bool by_address)
{
    bool any = false;

    for (uint32_t i = 0; i < pool->size; i++) {
        const struct address_lease *lease = pool->leases[i];

        for (size_t p = 0; lease && p < lease->port_count; p++) {
            if (is_by_address(&lease->ports[p]) != by_address)
                continue;
            buf_add_cstr(buf, any ? ", " : " elements = { ");
            add_key(buf, &lease->ports[p]);
            add_value(buf, &lease->ports[p], lease->ip);
            any = true;
        }
    }
    buf_add_cstr(buf, any ? " }" : "");
}

static void add_hairpins(struct buf *buf, const struct address_pool *pool)
{
    char ip[INET_ADDRSTRLEN];
    bool any = false;

    for (uint32_t i = 0; i < pool->size; i++) {
        if (!pool->leases[i] || pool->leases[i]->port_count == 0)
            continue;
        ip_text(pool->leases[i]->ip, ip);
        buf_printf(buf, "%s%s . %s", any ? ", " : " elements = { ", ip, ip);
        any = true;
    }
    buf_add_cstr(buf, any ? " }" : "");
}

static void add_dnat_rules(struct buf *buf)
{
    buf_add_cstr(buf, "dnat ip to ip daddr . meta l4proto . th dport map @hostports_by_address\n"
                      "fib daddr type local dnat ip to meta l4proto . th dport map @hostports\n}\n");
}

static void write_table(struct buf *buf, const struct nat_options *o, const struct address_pool *pool)
{
    buf_printf(buf, "table ip %s\ndelete table ip %s\ntable ip %s {\n", o->table, o->table, o->table);
    buf_add_cstr(buf, "map hostports { type inet_proto . inet_service : ipv4_addr . inet_service;");
    add_elements(buf, pool, false);
    buf_add_cstr(buf, " }\nmap hostports_by_address { type ipv4_addr . inet_proto . inet_service : "
                      "ipv4_addr . inet_service;");
    add_elements(buf, pool, true);
    buf_add_cstr(buf, " }\nset hairpin { type ipv4_addr . ipv4_addr;");
    add_hairpins(buf, pool);
    buf_printf(buf,
               " }\nchain guard {\ntype filter hook prerouting priority raw;\n"
               "iifgroup %u ip daddr 127.0.0.0/8 drop\n}\n",
               o->group);
    buf_add_cstr(buf, "chain prerouting {\ntype nat hook prerouting priority dstnat;\n");
    add_dnat_rules(buf);
    buf_add_cstr(buf, "chain output {\ntype nat hook output priority -100;\n");
    add_dnat_rules(buf);
    buf_printf(buf,
               "chain postrouting {\ntype nat hook postrouting priority srcnat;\n"
               "ip saddr . ip daddr @hairpin masquerade\n"
               "ip saddr 127.0.0.0/8 oifgroup %u masquerade\n",
               o->group);
    if (o->masquerade)
        buf_printf(buf, "ip saddr %s ip daddr != { %s, 224.0.0.0/4 } oifgroup != %u masquerade\n", o->pod_cidr,
                   o->cluster_cidr, o->group);
    buf_add_cstr(buf, "}\n}\n");
}

int nat_set_up(struct nat *nat, const struct nat_options *options, const struct address_pool *pool, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    write_table(&buf, options, pool);
    return run(nat, &buf, err);
}

static void change_ports(struct buf *buf, const char *verb, const char *table, const struct address_lease *lease)
{
    char ip[INET_ADDRSTRLEN];

    for (size_t i = 0; i < lease->port_count; i++) {
        const struct port_mapping *port = &lease->ports[i];

        buf_printf(buf, "%s element ip %s %s { ", verb, table,
                   is_by_address(port) ? "hostports_by_address" : "hostports");
        add_key(buf, port);
        add_value(buf, port, lease->ip);
        buf_add_cstr(buf, " }\n");
    }
    ip_text(lease->ip, ip);
    buf_printf(buf, "%s element ip %s hairpin { %s . %s }\n", verb, table, ip, ip);
}

int nat_add_ports(struct nat *nat, const char *table, const struct address_lease *lease, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    if (lease->port_count == 0)
        return 0;
    change_ports(&buf, "add", table, lease);
    return run(nat, &buf, err);
}

int nat_remove_ports(struct nat *nat, const char *table, const struct address_lease *lease, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    if (lease->port_count == 0)
        return 0;
    change_ports(&buf, "delete", table, lease);
    int r = run(nat, &buf, err);
    return r == -ERR_NOT_FOUND ? 0 : r;
}

int nat_remove_table(struct nat *nat, const char *table, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    /* "delete" alone would fail where it is absent. */
    buf_printf(&buf, "table ip %s\ndelete table ip %s\n", table, table);
    return run(nat, &buf, err);
}
