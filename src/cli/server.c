/* server.c - caravel server: store, API server, scheduler and controllers in one process. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "apiserver/apiserver.h"
#include "apiserver/hearsay.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/leading.h"
#include "cli/pki.h"
#include "cli/store_options.h"
#include "cli/upkeep.h"

#define EXECUTOR_THREADS 64

struct arguments {
    struct instance_options common;
    struct store_flags store;
    const char *listen, *advertise, *pod_cidr, *service_cidr, *backup_to;
    int ready_fd, loops;
    struct store_retention retention;
};

/* In order of construction; torn down in the opposite one. */
struct control_plane {
    struct instance instance;
    struct arena arena;
    struct executor *executor;
    struct store_place place;
    struct store *store;
    struct upkeep *upkeep;
    struct node_sessions *sessions;
    struct http_client *agents;
    struct tunnels *tunnels;
    struct apiserver *api;
    struct tls_context *tls;
    struct http_server *http;
    struct leading *leading;
    struct hearsay *hearsay;
    char name[STORE_LEADER_NAME_MAX], reached_at[STORE_LEADER_NAME_MAX]; /* as the other servers know it */
};

static int open_store(struct control_plane *plane, struct err *err)
{
    char path[INSTANCE_PATH_MAX];
    int code = store_place_folder(&plane->place, &plane->instance, path, err);
    const struct store_options options = { .path = path, .clock = clock_real(),
                                           .etcd = plane->place.shared ? &plane->place.etcd : NULL };

    if (code == 0 && plane->place.exposed)
        log_warn("store", "what goes to etcd and comes from there can be read and changed on its way: it is plain TCP; "
                          "see --etcd-cafile");
    if (code == 0)
        code = store_open(&options, &plane->store, err);
    if (code == 0 && plane->place.shared && !store_is_shared(plane->store))
        return err_set(err, ERR_NOT_SUPPORTED, "--store: this program cannot keep anything in etcd");
    return code;
}

static int make_agents_client(struct control_plane *plane, struct err *err)
{
    struct http_client_options options = { 0 };
    struct tls_pair pair;
    int code = pki_load_ca(&plane->arena, &plane->instance, &options.ca_pem, err);

    if (code == 0)
        code = pki_load(&plane->arena, &plane->instance, PKI_SERVER_CLIENT, &pair, err);
    if (code < 0)
        return code;
    options.cert_pem = pair.cert_pem;
    options.key_pem = pair.key_pem;
    code = http_client_new(&options, &plane->agents, err);
    if (code < 0)
        return code;
    return tunnels_new(&(struct tunnels_options){ .ca_pem = options.ca_pem, .cert_pem = options.cert_pem,
                                                  .key_pem = options.key_pem },
                       &plane->tunnels, err);
}

static int make_api(struct control_plane *plane, const struct arguments *arguments, struct err *err)
{
    char path[INSTANCE_PATH_MAX];
    bool new_key = access(instance_path(&plane->instance, "pki/sa.key", path), F_OK) < 0;
    struct str token_key;
    int code = pki_ensure_token_key(&plane->arena, &plane->instance, &token_key, err);

    if (code < 0)
        return code;
    if (new_key && plane->place.shared)
        log_warn("server", "tokens of service accounts are signed with a new key, %s: all servers of the cluster need "
                           "the same", path);
    const struct apiserver_options options = {
        .store = plane->store, .executor = plane->executor, .clock = clock_real(), .rng = rng_system(),
        .http_client = plane->agents, .tunnels = plane->tunnels, .sessions = plane->sessions,
        .service_cidr = str_from(arguments->service_cidr), .token_key_pem = token_key,
    };

    return apiserver_new(&options, &plane->api, err);
}

static int serve(struct control_plane *plane, const struct listen_address *address, int loops, struct err *err)
{
    struct tls_server_config tls = { 0 };
    struct tls_pair pair;
    int code = pki_load_ca(&plane->arena, &plane->instance, &tls.client_ca_pem, err);

    if (code == 0)
        code = pki_load(&plane->arena, &plane->instance, PKI_SERVER, &pair, err);
    if (code < 0)
        return code;
    tls.cert_pem = pair.cert_pem;
    tls.key_pem = pair.key_pem;
    if ((code = tls_server_new(&tls, &plane->tls, err)) < 0)
        return code;
    const struct http_server_options options = { .address = address->host, .port = address->port, .tls = plane->tls,
                                                 .loops = loops, .handler = apiserver_handler(plane->api) };

    return http_server_start(&options, &plane->http, err);
}

static int lead(struct control_plane *plane, const struct arguments *arguments, const struct listen_address *address,
                struct err *err)
{
    const char *host = arguments->advertise ? arguments->advertise : address->host;
    char self[HOST_NAME_MAX + 1] = "server";

    gethostname(self, sizeof self - 1);
    snprintf(plane->reached_at, sizeof plane->reached_at, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, address->port);
    snprintf(plane->name, sizeof plane->name, "%s %s", self, plane->reached_at);
    const struct leading_options options = {
        .store = plane->store, .api = plane->api, .executor = plane->executor, .sessions = plane->sessions,
        .instance = &plane->instance, .backup_to = arguments->backup_to, .pod_cidr = str_from(arguments->pod_cidr),
        .name = str_from(plane->name), .address = str_from(plane->reached_at),
    };

    return leading_start(&options, &plane->leading, err);
}

static int tell_leader(struct control_plane *plane, struct err *err)
{
    const struct hearsay_options options = { .store = plane->store, .executor = plane->executor, .clock = clock_real(),
                                             .sessions = plane->sessions, .http = plane->agents,
                                             .self = str_from(plane->reached_at) };

    return store_is_shared(plane->store) ? hearsay_new(&options, &plane->hearsay, err) : 0;
}

static int start(struct control_plane *plane, const struct arguments *arguments, const struct listen_address *address,
                 struct err *err)
{
    int code = executor_pool_new(clock_real(), "worker", EXECUTOR_THREADS, &plane->executor, err);

    if (code == 0)
        code = open_store(plane, err);
    if (code == 0)
        code = upkeep_new(plane->executor, plane->store, &arguments->retention, &plane->upkeep, err);
    if (code == 0)
        code = node_sessions_new(clock_real(), &plane->sessions, err);
    if (code == 0)
        code = make_agents_client(plane, err);
    if (code == 0)
        code = make_api(plane, arguments, err);
    if (code == 0)
        code = apiserver_bootstrap(plane->api, str_from(arguments->advertise), address->port, err);
    if (code == 0)
        code = serve(plane, address, arguments->loops, err);
    if (code == 0)
        code = lead(plane, arguments, address, err);
    return code == 0 ? tell_leader(plane, err) : code;
}

static void stop(struct control_plane *plane)
{
    if (plane->place.shared) /* another one leads at once */
        plane->leading = leading_end(plane->leading);
    http_server_stop(plane->http);
    hearsay_free(plane->hearsay);
    leading_end(plane->leading);
    apiserver_free(plane->api);
    tunnels_free(plane->tunnels);
    http_client_free(plane->agents);
    tls_context_free(plane->tls);
    upkeep_free(plane->upkeep);
    executor_free(plane->executor);
    node_sessions_free(plane->sessions);
    store_close(plane->store);
    arena_deinit(&plane->arena);
}

/* Whoever started us shows what follows the first word. */
static void tell_ready(struct control_plane *plane, int fd)
{
    char line[3 * STORE_LEADER_NAME_MAX] = "ready", leader[2 * STORE_LEADER_NAME_MAX];

    if (plane->place.shared && fd >= 0) {
        leading_describe(plane->leading, leader);
        snprintf(line, sizeof line, "ready etcd, %s", leader);
    }
    ready_notify(fd, line);
}

enum { OPT_ADVERTISE = 256, OPT_POD_CIDR, OPT_SERVICE_CIDR, OPT_READY_FD, OPT_LOOPS, OPT_HISTORY, OPT_HISTORY_SIZE,
       OPT_BACKUP_TO };

static const struct argp_option options[] = {
    { "listen", 'l', "ADDR:PORT", 0, "where the API is served (0.0.0.0:6443)", 0 },
    { "advertise", OPT_ADVERTISE, "ADDR", 0, "the address that pods and nodes use for the API", 0 },
    { "pod-cidr", OPT_POD_CIDR, "CIDR", 0, "range of pod addresses (10.42.0.0/16)", 0 },
    { "service-cidr", OPT_SERVICE_CIDR, "CIDR", 0, "range of service addresses (10.96.0.0/12)", 0 },
    { "loops", OPT_LOOPS, "N", 0, "network threads (one per processor, at most 4)", 0 },
    { "history", OPT_HISTORY, "TIME", 0, "how long old states are kept (24h); 0: without limit", 0 },
    { "history-size", OPT_HISTORY_SIZE, "BYTES", 0, "what old states may take (2GiB); 0: without limit", 0 },
    { "backup-to", OPT_BACKUP_TO, "DIR", 0,
      "keep a backup there that is a few seconds old: a folder, or s3://BUCKET/PREFIX (see caravel restore)", 0 },
    { "ready-fd", OPT_READY_FD, "FD", OPTION_HIDDEN, "write a line there when serving", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        state->child_inputs[1] = &arguments->store;
        return 0;
    case 'l': arguments->listen = value; return 0;
    case OPT_ADVERTISE: arguments->advertise = value; return 0;
    case OPT_POD_CIDR: arguments->pod_cidr = value; return 0;
    case OPT_SERVICE_CIDR: arguments->service_cidr = value; return 0;
    case OPT_READY_FD: arguments->ready_fd = option_number(state, "--ready-fd", value, 0, 1 << 20); return 0;
    case OPT_LOOPS: arguments->loops = option_number(state, "--loops", value, 1, 64); return 0;
    case OPT_BACKUP_TO: arguments->backup_to = value; return 0;
    case OPT_HISTORY: retention_parse_age(state, value, &arguments->retention); return 0;
    case OPT_HISTORY_SIZE: retention_parse_bytes(state, value, &arguments->retention); return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", value); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp server_argp = {
    options, parse, NULL,
    "Runs the control plane: store, API server, scheduler and controllers.\v"
    "Certificates are expected in DIR/pki, where `caravel up` makes them.", server_children, NULL, NULL,
};

int server_main(int argc, char **argv)
{
    struct arguments arguments = { .listen = "0.0.0.0:6443", .ready_fd = -1,
                                   .retention = { 24 * 3600 * NSEC_PER_SEC, 2ull << 30 } };
    struct control_plane plane = { 0 };
    struct listen_address address;
    struct err err = { 0 };

    if (cli_parse(&server_argp, argc, argv, &arguments) != 0)
        return 2;
    signals_block();
    process_raise_fd_limit();
    process_tune_memory();
    arena_init(&plane.arena, 0);
    int code = instance_resolve(&arguments.common, &plane.instance, &err);

    if (code == 0)
        code = store_place_parse(&plane.arena, &arguments.store, &plane.place, &err);
    if (code == 0)
        code = listen_parse(arguments.listen, &address, &err);
    if (code < 0) {
        cli_fail(&err);
        return 2;
    }
    code = instance_claim(&plane.instance, &err);
    if (code == 0)
        code = start(&plane, &arguments, &address, &err);
    if (code == 0) {
        tell_ready(&plane, arguments.ready_fd);
        log_info("server", "serving the API on %s:%d", address.host, address.port);
        log_info("server", "stopping: signal %d", signals_wait());
    }
    stop(&plane);
    return code < 0 ? cli_fail(&err) : 0;
}
