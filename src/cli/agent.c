/* agent.c - caravel agent: the kubelet of one node. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/pki.h"
#include "client/kubeconfig.h"
#include "kubelet/kubelet.h"

#define EXECUTOR_THREADS 96

struct arguments {
    struct instance_options common;
    const char *server, *kubeconfig, *node_name, *node_ip;
    int port, max_pods, ready_fd;
};

/* In order of construction; torn down in the opposite one. */
struct node {
    struct instance instance;
    struct arena arena;
    struct executor *executor;
    struct client *client;
    struct runtime *runtime;
    struct image_store *images;
    struct tls_context *tls;
    struct kubelet *kubelet;
};

/* From a kubeconfig, or from the certificates that `up` has put into the data directory. */
static int connect_to_server(struct node *node, const struct arguments *arguments, struct err *err)
{
    struct client_config config = { .server = str_from(arguments->server) };
    struct tls_pair pair;
    int code;

    if (arguments->kubeconfig) {
        code = kubeconfig_load(&node->arena, arguments->kubeconfig, &config, err);
    } else {
        code = pki_load_ca(&node->arena, &node->instance, &config.ca_pem, err);
        if (code == 0)
            code = pki_load(&node->arena, &node->instance, PKI_NODE, &pair, err);
        if (code == 0) {
            config.cert_pem = pair.cert_pem;
            config.key_pem = pair.key_pem;
        }
    }
    config.user_agent = STR("caravel-agent/" CARAVEL_VERSION);
    return code == 0 ? client_http_new(&config, &node->client, err) : code;
}

static int open_runtime(struct node *node, struct err *err)
{
    const struct runtime_options options = { .instance = node->instance.name, .data_dir = node->instance.data_dir,
                                             .run_dir = node->instance.run_dir };
    char path[INSTANCE_PATH_MAX];
    const struct image_store_options images = { .dir = instance_path(&node->instance, "images", path) };
    int code = runtime_new(&options, &node->runtime, err);

    return code == 0 ? image_store_open(&images, &node->images, err) : code;
}

static int make_tls(struct node *node, struct err *err)
{
    struct tls_server_config config = { 0 };
    struct tls_pair pair;
    int code = pki_load_ca(&node->arena, &node->instance, &config.client_ca_pem, err);

    if (code == 0)
        code = pki_load(&node->arena, &node->instance, PKI_NODE_SERVER, &pair, err);
    if (code < 0)
        return code;
    config.cert_pem = pair.cert_pem;
    config.key_pem = pair.key_pem;
    return tls_server_new(&config, &node->tls, err);
}

static int start_kubelet(struct node *node, const struct arguments *arguments, struct err *err)
{
    char network[INSTANCE_PATH_MAX];
    const struct kubelet_options options = {
        .instance = node->instance.name,
        .data_dir = node->instance.data_dir,
        .node_name = str_from(arguments->node_name),
        .node_ip = str_from(arguments->node_ip),
        .client = node->client,
        .executor = node->executor,
        .clock = clock_real(),
        .rng = rng_system(),
        .runtime = node->runtime,
        .images = node->images,
        .state_dir = instance_path(&node->instance, "network", network),
        .port = arguments->port,
        .tls = node->tls,
        .max_pods = arguments->max_pods,
    };
    int code = kubelet_new(&options, &node->kubelet, err);

    return code == 0 ? kubelet_start(node->kubelet, err) : code;
}

static int start(struct node *node, const struct arguments *arguments, struct err *err)
{
    int code = executor_pool_new(clock_real(), "worker", EXECUTOR_THREADS, &node->executor, err);

    if (code == 0)
        code = connect_to_server(node, arguments, err);
    if (code == 0)
        code = open_runtime(node, err);
    if (code == 0)
        code = make_tls(node, err);
    return code == 0 ? start_kubelet(node, arguments, err) : code;
}

static void stop(struct node *node)
{
    kubelet_free(node->kubelet);
    tls_context_free(node->tls);
    image_store_close(node->images);
    runtime_free(node->runtime);
    client_free(node->client);
    executor_free(node->executor);
    arena_deinit(&node->arena);
}

enum { OPT_SERVER = 256, OPT_KUBECONFIG, OPT_NODE_NAME, OPT_NODE_IP, OPT_PORT, OPT_MAX_PODS, OPT_READY_FD };

static const struct argp_option options[] = {
    { "server", OPT_SERVER, "URL", 0, "the API server (https://127.0.0.1:6443)", 0 },
    { "kubeconfig", OPT_KUBECONFIG, "FILE", 0, "how to reach it, instead of --server and DIR/pki", 0 },
    { "node-name", OPT_NODE_NAME, "NAME", 0, "name of this node (the host name)", 0 },
    { "node-ip", OPT_NODE_IP, "ADDR", 0, "address of this node (127.0.0.1)", 0 },
    { "port", OPT_PORT, "PORT", 0, "where logs are served to the API server (any free one)", 0 },
    { "max-pods", OPT_MAX_PODS, "N", 0, "how many pods this node takes (110)", 0 },
    { "ready-fd", OPT_READY_FD, "FD", OPTION_HIDDEN, "write a line there when the node is registered", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common; return 0;
    case OPT_SERVER: arguments->server = value; return 0;
    case OPT_KUBECONFIG: arguments->kubeconfig = value; return 0;
    case OPT_NODE_NAME: arguments->node_name = value; return 0;
    case OPT_NODE_IP: arguments->node_ip = value; return 0;
    case OPT_PORT: arguments->port = option_number(state, "--port", value, 0, 65535); return 0;
    case OPT_MAX_PODS: arguments->max_pods = option_number(state, "--max-pods", value, 1, 100000); return 0;
    case OPT_READY_FD: arguments->ready_fd = option_number(state, "--ready-fd", value, 0, 1 << 20); return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", value); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp agent_argp = {
    options, parse, NULL, "Runs the pods that the control plane gives to this machine.\vNeeds root, crun and conmon.",
    instance_children, NULL, NULL,
};

int agent_main(int argc, char **argv)
{
    char host[65] = "localhost";
    struct arguments arguments = { .server = "https://127.0.0.1:6443", .node_ip = "127.0.0.1", .node_name = host,
                                   .ready_fd = -1 };
    struct node node = { 0 };
    struct err err = { 0 };

    gethostname(host, sizeof host - 1);
    if (cli_parse(&agent_argp, argc, argv, &arguments) != 0)
        return 2;
    signals_block();
    arena_init(&node.arena, 0);
    int code = instance_resolve(&arguments.common, &node.instance, &err);

    if (code == 0)
        code = instance_claim(&node.instance, &err);
    if (code == 0)
        code = start(&node, &arguments, &err);
    if (code == 0) {
        ready_notify(arguments.ready_fd, "ready");
        log_info("agent", "node %s is registered", arguments.node_name);
        log_info("agent", "stopping: signal %d; pods keep running", signals_wait());
    }
    stop(&node);
    return code < 0 ? cli_fail(&err) : 0;
}
