/* server.c - what a store does beside the others on an etcd: it follows, campaigns, and loses its way there. */
#include "client.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"

#define PEM_MAX 65536

static int read_pem(const char *folder, const char *name, struct buf *buf, struct str *ret_pem, struct err *err)
{
    char path[512];
    int code;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if ((code = file_read(path, PEM_MAX, buf, err)) == 0)
        *ret_pem = buf_str(buf);
    return code;
}

static int open_shared(struct server *server, struct store_options *options, struct err *err)
{
    const struct etcd *etcd = server->run->plan->etcd;
    struct store_etcd_options shared = { .prefix = str_from(server->run->prefix) };
    struct buf ca = { 0 }, cert = { 0 }, key = { 0 };
    int code = 0;

    shared.endpoints = proxy_endpoints(server->run->proxy, server->number);
    if (etcd->folder) {
        code = read_pem(etcd->folder, "ca.crt", &ca, &shared.ca_pem, err);
        if (code == 0)
            code = read_pem(etcd->folder, "client.crt", &cert, &shared.cert_pem, err);
        if (code == 0)
            code = read_pem(etcd->folder, "client.key", &key, &shared.key_pem, err);
    }
    options->etcd = &shared;
    if (code == 0)
        code = store_open(options, &server->store, err);
    buf_deinit(&ca);
    buf_deinit(&cert);
    buf_deinit(&key);
    return code;
}

int server_open(struct server *server, struct err *err)
{
    const struct plan *plan = server->run->plan;
    struct store_options options = {
        .path = server->path,
        .clock = &server->run->clock,
        .map_size = plan->map_size,
        .synchronous = plan->synchronous,
        .event_window = plan->event_window,
    };

    return plan->etcd ? open_shared(server, &options, err) : store_open(&options, &server->store, err);
}

/* -- leading -- */

static void term_changed(void *arg, revision_t term)
{
    struct server *server = arg;
    uint64_t moment = run_moment(server->run);

    if (server->led.term) {
        server->led.completed = moment;
        INVARIANT(vec_push(&server->rows, server->led) == 0);
    }
    server->led = (struct row){ .kind = ROW_LED, .client = -1, .phase = server->run->phase, .store = server->number,
                                .invoked = moment, .term = term };
    if (term)
        atomic_store(&server->term, term);
}

int server_campaign(struct server *server, struct err *err)
{
    char name[16];
    struct store_campaign_options options = { .address = STR("127.0.0.1:6443"), .changed = term_changed, .arg = server };

    snprintf(name, sizeof name, "server-%d", server->number);
    options.name = str_from(name);
    LOCKED(&server->lock);
    return server->campaign ? 0 : store_campaign_start(server->store, &options, &server->campaign, err);
}

void server_resign(struct server *server)
{
    LOCKED(&server->lock);
    server->campaign = store_campaign_end(server->campaign);
}

/* -- catching up, and what is done to the way -- */

int client_sync(struct client *client)
{
    struct row row = client_row(client, ROW_SYNC);

    row.code = store_sync(client_store(client), NULL);
    row.completed = run_moment(client->run);
    client_note(client, &row);
    return row.code;
}

static void bounce(struct run *run, int member)
{
    char command[600];

    snprintf(command, sizeof command, "%s %d >/dev/null 2>&1", run->plan->etcd->bounce,
             1 + member % proxy_members(run->proxy));
    LOCKED(&run->bouncing);
    if (system(command) != 0)
        fprintf(stderr, "failed: %s\n", command);
}

void client_fault(struct client *client, const struct net_fault *fault)
{
    if (fault->kind == NET_MEMBER)
        bounce(client->run, fault->member);
    else
        proxy_fault(client->run->proxy, fault);
}
