#include "kubelet/action.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kubelet/probe.h"

#define OUTPUT_SHOWN 1024
#define BODY_MAX (10u << 10)
#define HOOK_TIMEOUT (600 * NSEC_PER_SEC)

/* -- the actions -- */

static int run_exec(const struct exec_action *exec, const struct action_target *target, struct err *err)
{
    struct process_result result = { 0 };
    const struct container_exec options = { .args = { exec->command.items, exec->command.count },
                                            .timeout = target->timeout,
                                            .max_output = OUTPUT_SHOWN };
    int code = container_exec(target->kubelet->options.runtime, target->container_id, &options, &result, err);

    if (code < 0)
        return code;
    if (result.timed_out)
        code = err_set(err, ERR_INVALID, "command timed out after %lld s", (long long)(target->timeout / NSEC_PER_SEC));
    else if (result.exit_code != 0) {
        struct str out = buf_str(result.err.len ? &result.err : &result.out);

        code = err_set(err, ERR_INVALID, STR_FMT, STR_ARG(str_trim(str_first(out, OUTPUT_SHOWN))));
        if (err && !err->message[0])
            err_set(err, ERR_INVALID, "command exited with %d", result.exit_code);
    }
    process_result_deinit(&result);
    return code;
}

static int port_number(const struct int_or_string *port, const struct container_port_array *ports, int *ret_port,
                       struct err *err)
{
    if (!port->is_string) {
        *ret_port = port->int_value;
        return 0;
    }
    for (size_t i = 0; i < ports->count; i++) {
        if (!str_eq(ports->items[i].name, port->string))
            continue;
        *ret_port = ports->items[i].container_port;
        return 0;
    }
    int64_t number;

    if (str_to_i64(port->string, &number) && number > 0 && number < 65536) {
        *ret_port = (int)number;
        return 0;
    }
    return err_set(err, ERR_INVALID, "the container has no port named " STR_FMT, STR_ARG(port->string));
}

static int run_http(const struct http_get_action *get, const struct action_target *target, struct err *err)
{
    AUTO(arena) arena = arena_new(1 << 20);
    struct http_header *headers = arena ? arena_array_of(arena, get->http_headers.count + 2, struct http_header) : NULL;
    struct str host = get->host.len ? get->host : target->host;
    struct http_client_response response;
    size_t count = 0;
    int port, code = port_number(&get->port, target->ports, &port, err);

    if (code < 0)
        return code;
    if (!headers)
        return err_set(err, ERR_NO_MEMORY, "HTTP probe");
    headers[count++] = (struct http_header){ STR("User-Agent"), STR("kube-probe/1.33") };
    headers[count++] = (struct http_header){ STR("Accept"), STR("*/*") };
    for (size_t i = 0; i < get->http_headers.count; i++)
        headers[count++] = (struct http_header){ get->http_headers.items[i].name, get->http_headers.items[i].value };
    struct str path = get->path.len ? get->path : STR("/");
    const struct http_client_request request = {
        .method = "GET",
        .url = arena_printf(arena, "%s://" STR_FMT ":%d%s" STR_FMT, str_is(get->scheme, "HTTPS") ? "https" : "http",
                            STR_ARG(host), port, path.data[0] == '/' ? "" : "/", STR_ARG(path)),
        .headers = headers,
        .header_count = count,
        .timeout = target->timeout,
        .connect_timeout = target->timeout,
        .max_body = BODY_MAX,
    };

    code = http_client_do(target->http, &request, arena, &response, err);
    if (code == -ERR_TOO_LARGE)
        return 0; /* it answered */
    if (code < 0)
        return err_set(err, ERR_INVALID, "Get \"" STR_FMT "\": %s", STR_ARG(request.url), err ? err->message : "");
    if (response.status < 200 || response.status >= 400)
        return err_set(err, ERR_INVALID, "HTTP probe failed with statuscode: %d", response.status);
    return 0;
}

static int run_tcp(const struct tcp_socket_action *tcp, const struct action_target *target, struct err *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    char host[64];
    int port, code = port_number(&tcp->port, target->ports, &port, err);
    socklen_t size = sizeof code;

    if (code < 0)
        return code;
    snprintf(host, sizeof host, STR_FMT, STR_ARG(tcp->host.len ? tcp->host : target->host));
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return err_set(err, ERR_INVALID, "%s is not an IPv4 address", host);
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, errno, "socket");
    int error = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    struct pollfd wait = { fd, POLLOUT, 0 };

    if (error == EINPROGRESS) {
        error = poll(&wait, 1, (int)(target->timeout / NSEC_PER_MSEC)) == 1 ? 0 : ETIMEDOUT;
        if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
    }
    return error == 0 ? 0 : err_set(err, ERR_INVALID, "dial tcp %s:%d: %s", host, port, strerror(error));
}

/* Ends early when the kubelet does. */
static int run_sleep(struct kubelet *kubelet, const struct sleep_action *sleep_for, nsec_t most)
{
    nsec_t end = clock_now(kubelet->options.clock) + MIN(MAX(sleep_for->seconds, 0) * NSEC_PER_SEC, most), left;

    LOCKED(&kubelet->lock);
    while (!kubelet->stopping && (left = end - clock_now(kubelet->options.clock)) > 0)
        cond_wait_for(&kubelet->background_done, &kubelet->lock, left);
    return 0;
}

int action_run(const struct action *action, const struct action_target *target, struct err *err)
{
    if (action->exec)
        return run_exec(action->exec, target, err);
    if (action->http_get)
        return run_http(action->http_get, target, err);
    if (action->tcp_socket)
        return run_tcp(action->tcp_socket, target, err);
    if (action->sleep)
        return run_sleep(target->kubelet, action->sleep, target->timeout);
    return err_set(err, ERR_NOT_SUPPORTED, "%s",
                   action->grpc ? "gRPC probes are not supported on this node"
                                : "an action without exec, httpGet or tcpSocket");
}

/* -- hooks -- */

struct hook {
    atomic_uint refs;
    _Atomic enum hook_state state;
    struct kubelet *kubelet;
    struct object *pod;
    const struct container *container;
    const struct lifecycle_handler *handler;
    char id[CONTAINER_ID_LEN + 1], ip[64];
    nsec_t timeout;
    int signal; /* sent afterwards; 0: postStart */
};

struct hook *hook_unref(struct hook *hook)
{
    if (hook && atomic_fetch_sub(&hook->refs, 1) == 1) {
        object_unref(hook->pod);
        free(hook);
    }
    return NULL;
}

enum hook_state hook_state(const struct hook *hook, struct str container_id)
{
    return hook && str_is(container_id, hook->id) ? atomic_load(&hook->state) : HOOK_NONE;
}

static void hook_run(void *arg)
{
    struct hook *hook = arg;
    struct kubelet *kubelet = hook->kubelet;
    const struct action action = { hook->handler->exec, hook->handler->http_get, hook->handler->tcp_socket, NULL,
                                   hook->handler->sleep };
    const struct action_target target = {
        .kubelet = kubelet,
        .http = prober_http(kubelet->prober),
        .container_id = str_from(hook->id),
        .host = str_from(hook->ip),
        .ports = &hook->container->ports,
        .timeout = hook->timeout,
    };
    struct err err = { 0 };
    int code = action_run(&action, &target, &err);

    if (code < 0)
        event_record(kubelet->events, hook->pod, STR_NULL, "Warning",
                     hook->signal ? "FailedPreStopHook" : "FailedPostStartHook", "%s failed: %s",
                     hook->signal ? "PreStopHook" : "PostStartHook", err.message);
    if (hook->signal)
        container_signal(kubelet->options.runtime, target.container_id, hook->signal, NULL);
    atomic_store(&hook->state, code < 0 ? HOOK_FAILED : HOOK_DONE);
    if (!hook->signal)
        pod_wake(kubelet, hook->pod->key);
    hook_unref(hook);
    kubelet_background(kubelet, -1);
}

static struct hook *hook_new(struct pod_sync *sync, struct container_slot *slot, struct str id)
{
    struct hook *hook = calloc(1, sizeof *hook);

    if (!hook)
        return NULL;
    atomic_init(&hook->refs, 1);
    atomic_init(&hook->state, HOOK_RUNNING);
    hook->kubelet = sync->kubelet;
    hook->pod = object_ref(sync->object);
    hook->container = slot->spec;
    snprintf(hook->id, sizeof hook->id, STR_FMT, STR_ARG(id));
    snprintf(hook->ip, sizeof hook->ip, "%s", sync->state->ip);
    return hook;
}

/* Takes the reference that the running hook will give back. */
static int hook_start(struct hook *hook)
{
    kubelet_background(hook->kubelet, 1);
    atomic_fetch_add(&hook->refs, 1);
    int code = executor_post(hook->kubelet->options.executor, hook_run, hook, NULL);

    if (code < 0) {
        hook_unref(hook);
        kubelet_background(hook->kubelet, -1);
    }
    return code;
}

int hook_start_pre_stop(struct pod_sync *sync, struct container_slot *slot, nsec_t grace, int signal)
{
    struct hook *hook = hook_new(sync, slot, slot->current->id);

    if (!hook)
        return -ERR_NO_MEMORY;
    hook->handler = slot->spec->lifecycle->pre_stop;
    hook->timeout = grace;
    hook->signal = signal;
    int code = hook_start(hook);

    hook_unref(hook);
    return code;
}

int hook_start_post_start(struct pod_sync *sync, struct container_slot *slot, const char *id)
{
    struct hook *hook = hook_new(sync, slot, str_from(id));

    if (!hook)
        return -ERR_NO_MEMORY;
    hook->handler = slot->spec->lifecycle->post_start;
    hook->timeout = HOOK_TIMEOUT;
    int code = hook_start(hook);

    if (code < 0) {
        hook_unref(hook);
        return code;
    }
    hook_unref(slot->memory->post_start);
    slot->memory->post_start = hook;
    return 0;
}
