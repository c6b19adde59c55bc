/* load.c - a load generator for API servers: many connections, one request in flight on each, as fast as they come.
 *
 *   load --server https://127.0.0.1:6443 --cacert ca.pem --cert admin.pem --key admin.key \
 *        --connections 64 --seconds 5 --method POST --path /api/v1/namespaces/default/configmaps --body-file cm.json
 *
 * "%d" in the path and in the file becomes a running number, "%m" that number modulo --modulo. Latency is from the
 * write of a request to the last byte of its answer; the clock starts when all connections are up. With --follow the
 * pages of a list are fetched one after the other, and a list counts when its last page is there. */
#include <stdio.h>

#include "base/file.h"
#include "bench/peer.h"

#define MAX_FILE (16u << 20)
#define MAX_CONNECTIONS 10000
#define MAX_SECONDS 3600
#define MAX_COUNT 10000000
#define MAX_PAGE (64u << 20)
#define SAMPLE_INTERVAL (20 * NSEC_PER_MSEC)

struct options {
    struct peer_options peer;
    const char *method, *path, *body_file, *accept, *content_type;
    int connections, seconds, count, modulo, first;
    bool json, follow;
};

/* What a connection is at. */
struct worker {
    struct buf page; /* --follow: the body so far */
    nsec_t began;
};

struct load {
    struct options options;
    struct peer peer;
    struct link *links;
    struct worker *workers;
    struct template path, body;
    struct buf file, line, text;
    uint64_t sent;
    bool running;
    nsec_t start, end;
    uint64_t bad_status;
    struct histogram times;
};

/* -- requests -- */

static bool send_request(struct load *load, struct link *link, struct str token)
{
    const struct options *options = &load->options;
    uint64_t number = (uint64_t)options->first + load->sent;

    buf_clear(&load->line);
    buf_clear(&load->text);
    template_add(&load->line, &load->path, number);
    if (token.data) {
        buf_add_cstr(&load->line, "&continue=");
        buf_add_str(&load->line, token);
    }
    peer_begin_request(&load->peer, &link->request, options->method, buf_str(&load->line), options->accept);
    if (options->body_file) {
        template_add(&load->text, &load->body, number);
        buf_add_cstr(&link->request, "Content-Type: ");
        buf_add_cstr(&link->request, options->content_type);
        buf_add_cstr(&link->request, "\r\nContent-Length: ");
        buf_add_u64(&link->request, load->text.len);
        buf_add_cstr(&link->request, "\r\n");
    }
    buf_add_cstr(&link->request, "\r\n");
    buf_add_str(&link->request, buf_str(&load->text));
    if (!buf_ok(&load->line) || !buf_ok(&load->text))
        link->request.failed = true;
    return link_send(&load->peer, link);
}

static bool send_next(struct load *load, struct link *link)
{
    struct worker *worker = link->arg;

    if (load->options.count && load->sent >= (uint64_t)load->options.count)
        return true;
    bool sent = send_request(load, link, STR_NULL);
    load->sent++;
    worker->began = link->began;
    return sent;
}

/* -- answers -- */

static bool on_ready(void *ctx, struct link *link)
{
    struct load *load = ctx;

    return !load->running || send_next(load, link);
}

static bool on_bytes(void *ctx, struct link *link, struct str bytes)
{
    struct load *load = ctx;
    struct worker *worker = link->arg;

    if (load->options.follow)
        buf_add_str(&worker->page, bytes);
    return buf_ok(&worker->page);
}

/* The token of the next page, in the page; unset: there is none. */
static struct str continue_token(const struct worker *worker)
{
    static const struct str mark = STR_INIT("\"continue\":\"");
    struct str page = buf_str(&worker->page);
    ssize_t start = str_find(page, mark);

    if (start < 0)
        return STR_NULL;
    struct str token = str_skip(page, (size_t)start + mark.len);
    ssize_t end = str_chr(token, '"');
    return end > 0 ? str_first(token, (size_t)end) : STR_NULL;
}

static bool on_answer(void *ctx, struct link *link)
{
    struct load *load = ctx;
    struct worker *worker = link->arg;
    nsec_t now = clock_now(load->peer.clock);

    load->bad_status += link->status >= 400;
    if (load->options.follow) {
        struct str token = continue_token(worker);
        bool sent = !token.data || send_request(load, link, token);

        buf_clear(&worker->page);
        if (token.data)
            return sent;
    }
    histogram_add(&load->times, now - worker->began);
    return now >= load->end || send_next(load, link);
}

/* -- the run -- */

static bool is_over(struct load *load)
{
    return clock_now(load->peer.clock) >= load->end ||
           (load->options.count && load->times.count >= (uint64_t)load->options.count);
}

static bool run(struct load *load)
{
    nsec_t sampled = 0;

    if (!peer_connect(&load->peer, load->links, load->options.connections))
        return false;
    peer_sample_memory(&load->peer);
    load->running = true;
    load->peer.bytes = 0;
    load->start = clock_now(load->peer.clock);
    load->end = load->start + load->options.seconds * NSEC_PER_SEC;
    for (int i = 0; i < load->options.connections; i++)
        if (!send_next(load, &load->links[i]))
            return false;
    while (!is_over(load)) {
        if (!peer_turn(&load->peer, 10))
            return false;
        if (load->options.peer.pid && clock_now(load->peer.clock) - sampled > SAMPLE_INTERVAL) {
            peer_sample_memory(&load->peer);
            sampled = clock_now(load->peer.clock);
        }
    }
    load->end = clock_now(load->peer.clock);
    return true;
}

static void print_result(const struct load *load)
{
    double seconds = (double)(load->end - load->start) / 1e9;
    double memory = (double)(load->peer.memory_peak - load->peer.memory_before) / (1 << 20);
    const char *format = load->options.json
        ? "{\"requestsPerSecond\":%.1f,\"p50ms\":%.3f,\"p90ms\":%.3f,\"p99ms\":%.3f,\"maxMs\":%.3f,\"requests\":%llu,"
          "\"badStatus\":%llu,\"errors\":%llu,\"megabytesPerSecond\":%.1f,\"memoryAddedMiB\":%.1f}\n"
        : load->options.peer.pid
            ? "%.1f/s, p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, max %.3f ms, %llu requests, %llu bad status, "
              "%llu errors, %.1f MB/s, memory added %.1f MiB\n"
            : "%.1f/s, p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, max %.3f ms, %llu requests, %llu bad status, "
              "%llu errors, %.1f MB/s\n";

    printf(format, (double)load->times.count / seconds, histogram_ms(&load->times, 0.5),
           histogram_ms(&load->times, 0.9), histogram_ms(&load->times, 0.99), (double)load->times.max / 1e6,
           (unsigned long long)load->times.count, (unsigned long long)load->bad_status,
           (unsigned long long)load->peer.errors, (double)load->peer.bytes / seconds / 1e6, memory);
}

/* -- setting up -- */

static const struct peer_events events = { on_ready, on_bytes, on_answer };

static const char *prepare(struct load *load)
{
    const struct options *options = &load->options;

    load->peer.options = options->peer;
    load->links = calloc((size_t)options->connections, sizeof *load->links);
    load->workers = calloc((size_t)options->connections, sizeof *load->workers);
    if (!load->links || !load->workers)
        return "no memory";
    for (int i = 0; i < options->connections; i++) {
        load->links[i].fd = -1;
        load->links[i].arg = &load->workers[i];
        buf_init(&load->workers[i].page, MAX_PAGE);
    }
    if (options->body_file && file_read(options->body_file, MAX_FILE, &load->file, NULL) < 0)
        return "the body file cannot be read";
    load->path = (struct template){ str_from(options->path), (uint64_t)options->modulo };
    load->body = (struct template){ buf_str(&load->file), (uint64_t)options->modulo };
    return peer_init(&load->peer, &events, load);
}

static void load_deinit(struct load *load)
{
    for (int i = 0; load->links && load->workers && i < load->options.connections; i++) {
        link_close(&load->links[i]);
        buf_deinit(&load->links[i].request);
        buf_deinit(&load->workers[i].page);
    }
    peer_deinit(&load->peer);
    buf_deinit(&load->file);
    buf_deinit(&load->line);
    buf_deinit(&load->text);
    free(load->links);
    free(load->workers);
}

/* -- command line -- */

static const struct argp_option argp_options[] = {
    { "connections", 'c', "N", 0, "Connections (64)", 0 },
    { "seconds", 'd', "N", 0, "Duration (5)", 0 },
    { "count", 'n', "N", 0, "Stop after so many requests, if that comes first", 0 },
    { "method", 'm', "METHOD", 0, "GET, POST, PUT, PATCH or DELETE (GET)", 0 },
    { "path", 'p', "PATH", 0, "Path and query; %d is a running number, %m that modulo --modulo", 0 },
    { "modulo", 'M', "N", 0, "See --path (1000)", 0 },
    { "first", 'F', "N", 0, "The first running number (0)", 0 },
    { "body-file", 'b', "FILE", 0, "The body, with numbers as in the path", 0 },
    { "content-type", 'T', "TYPE", 0, "Of the body (application/json)", 0 },
    { "accept", 'A', "TYPES", 0, "What answers are asked for (application/json)", 0 },
    { "follow", 'f', NULL, 0, "Fetch all pages of a list (give ?limit= in the path)", 0 },
    { "json", 'j', NULL, 0, "Print JSON", 0 },
    { 0 },
};

static int number_arg(struct argp_state *state, const char *text, int min, int max)
{
    int64_t value;

    if (!str_to_i64(str_from(text), &value) || value < min || value > max)
        argp_error(state, "\"%s\" is not a number from %d to %d", text, min, max);
    return (int)value;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'c': options->connections = number_arg(state, arg, 1, MAX_CONNECTIONS); break;
    case 'd': options->seconds = number_arg(state, arg, 1, MAX_SECONDS); break;
    case 'n': options->count = number_arg(state, arg, 1, MAX_COUNT); break;
    case 'm': options->method = arg; break;
    case 'p': options->path = arg; break;
    case 'M': options->modulo = number_arg(state, arg, 1, MAX_COUNT); break;
    case 'F': options->first = number_arg(state, arg, 0, INT32_MAX); break;
    case 'b': options->body_file = arg; break;
    case 'T': options->content_type = arg; break;
    case 'A': options->accept = arg; break;
    case 'f': options->follow = true; break;
    case 'j': options->json = true; break;
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->peer; break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = { { &peer_argp, 0, NULL, 0 }, { 0 } };
    static const struct argp argp = {
        argp_options, parse_option, NULL, "Loads an API server and prints what it bears.", children, NULL, NULL,
    };
    static struct load load = {
        .options = { .method = "GET", .path = "/", .connections = 64, .seconds = 5, .modulo = 1000,
                     .accept = "application/json", .content_type = "application/json" },
        .peer = { .epoll = -1 },
    };
    const char *problem;
    int code = 0;

    argp_parse(&argp, argc, argv, 0, NULL, &load.options);
    if ((problem = prepare(&load))) {
        fprintf(stderr, "load: %s\n", problem);
        code = 1;
    } else if (!run(&load)) {
        fprintf(stderr, "load: the server cannot be reached or does not answer (%d of %d connections, %llu errors)\n",
                load.peer.up, load.options.connections, (unsigned long long)load.peer.errors);
        code = 1;
    } else {
        print_result(&load);
    }
    load_deinit(&load);
    return code;
}
