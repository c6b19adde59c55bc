#include "net/http_server.h"

#include "base/process.h"
#include "net/socket.h"
#include "net/tls_session.h"

#define SPARE_DESCRIPTORS 512

struct http_server {
    struct server_shared shared;
    struct loop_thread **threads;
    size_t count;
    int port;
};

static void free_server(struct http_server *server)
{
    bool free_all = true;

    for (size_t i = 0; i < server->count; i++)
        loop_thread_ask_stop(server->threads[i]);
    for (size_t i = 0; i < server->count; i++)
        free_all = loop_thread_join(server->threads[i]) && free_all;
    tls_context_free(server->shared.options.tls);
    free(server->threads);
    if (free_all) /* else for late replies */
        free(server);
}

static int make_threads(struct http_server *server, struct err *err)
{
    size_t count = (size_t)server->shared.options.loops;
    int code;

    server->threads = calloc(count, sizeof(struct loop_thread *));
    if (!server->threads)
        return err_set(err, ERR_NO_MEMORY, "HTTP server");
    for (; server->count < count; server->count++)
        if ((code = loop_thread_new(&server->shared, &server->threads[server->count], err)) < 0)
            return code;
    return 0;
}

static int start_threads(struct http_server *server, struct err *err)
{
    int code;

    for (size_t i = 0; i < server->count; i++)
        if ((code = loop_thread_start(server->threads[i], err)) < 0)
            return code;
    return 0;
}

/* No more connections than there are descriptors for, some left over for all else. */
static void fit_descriptors(struct http_server_options *options)
{
    int most = process_fd_limit();

    options->max_connections = MIN(options->max_connections, MAX(most - SPARE_DESCRIPTORS, most / 2));
}

int http_server_start(const struct http_server_options *options, struct http_server **ret_server, struct err *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    struct acceptor *acceptor = NULL;
    int code;

    if (!server)
        return err_set(err, ERR_NO_MEMORY, "HTTP server");
    server_shared_init(&server->shared, options);
    fit_descriptors(&server->shared.options);
    if (options->tls)
        tls_context_ref(options->tls);
    if ((code = make_threads(server, err)) < 0 ||
        (code = acceptor_new(options->address, options->port, &acceptor, err)) < 0) {
        free_server(server);
        return err_wrap(err, code, "HTTP server");
    }
    server->port = acceptor_port(acceptor);
    if ((code = acceptor_start(acceptor, server->threads, server->count, err)) < 0 ||
        (code = start_threads(server, err)) < 0) {
        free_server(server);
        return err_wrap(err, code, "HTTP server");
    }
    *ret_server = server;
    return 0;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

struct http_server *http_server_stop(struct http_server *server)
{
    if (server)
        free_server(server);
    return NULL;
}
