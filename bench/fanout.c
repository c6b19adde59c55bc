/* fanout.c - what watches cost: many watchers, one writer, and how long each change takes to reach those who wait.
 *
 *   fanout --server ... --watchers 5000 --watch '/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dnode-%d' \
 *          --patch /api/v1/namespaces/default/pods/p-%d --rate 500 --seconds 10
 *
 * Each watcher has a connection; "%d" in its path is its number. The writer patches one object after the other ("%d": a
 * running number modulo --objects), --rate times a second at most, and puts the time into an annotation; the latency of
 * a delivery is from there to the watcher's receipt of the event. Answers of the writer are measured as well. */
#include <stdio.h>
#include <sys/resource.h>

#include "bench/peer.h"

#define MAX_WATCHERS 20000
#define MAX_SECONDS 3600
#define DRAIN (2 * NSEC_PER_SEC) /* for events under way when the writer stops */
#define MARK "\"bench.caravel.io/sent\":\""
#define STAMP 20 /* digits of the time */

struct options {
    struct peer_options peer;
    const char *watch, *patch;
    int watchers, seconds, rate, objects;
};

/* What a watcher saw last: a mark may be cut in two. */
struct watcher {
    char tail[sizeof MARK + STAMP];
    size_t tail_len;
};

struct fanout {
    struct options options;
    struct peer peer;
    struct link *links; /* the watchers, then the writer */
    struct watcher *watchers;
    struct buf line;
    bool writing;
    uint64_t sent, bad_status;
    nsec_t start, end, next_write;
    struct histogram deliveries, writes;
};

static bool is_writer(const struct fanout *fanout, const struct link *link)
{
    return link == &fanout->links[fanout->options.watchers];
}

/* -- the writer -- */

static bool write_one(struct fanout *fanout, struct link *link)
{
    const struct template path = { str_from(fanout->options.patch), 1 };
    AUTO_DEINIT(buf, body) = BUF_INIT;

    buf_clear(&fanout->line);
    template_add(&fanout->line, &path, fanout->sent++ % (uint64_t)fanout->options.objects);
    buf_printf(&body, "{\"metadata\":{\"annotations\":{" MARK "%0*lld\"}}}", STAMP,
               (long long)clock_now(fanout->peer.clock));
    peer_begin_request(&fanout->peer, &link->request, "PATCH", buf_str(&fanout->line), "application/json");
    buf_printf(&link->request, "Content-Type: application/merge-patch+json\r\nContent-Length: %zu\r\n\r\n", body.len);
    buf_add_str(&link->request, buf_str(&body));
    fanout->next_write = MAX(fanout->next_write + NSEC_PER_SEC / fanout->options.rate,
                             clock_now(fanout->peer.clock) - NSEC_PER_SEC);
    return link_send(&fanout->peer, link);
}

static bool write_when_due(struct fanout *fanout)
{
    struct link *writer = &fanout->links[fanout->options.watchers];
    nsec_t now = clock_now(fanout->peer.clock);

    if (!fanout->writing || writer->state != LINK_READY || now >= fanout->end || now < fanout->next_write)
        return true;
    return write_one(fanout, writer);
}

/* -- what comes -- */

static bool on_ready(void *ctx, struct link *link)
{
    struct fanout *fanout = ctx;
    const struct template path = { str_from(fanout->options.watch), 1 };

    if (is_writer(fanout, link))
        return true;
    buf_clear(&fanout->line);
    template_add(&fanout->line, &path, (uint64_t)(link - fanout->links));
    peer_begin_request(&fanout->peer, &link->request, "GET", buf_str(&fanout->line), "application/json");
    buf_add_cstr(&link->request, "\r\n");
    return link_send(&fanout->peer, link);
}

static void note_deliveries(struct fanout *fanout, struct str text)
{
    static const struct str mark = STR_INIT(MARK);
    nsec_t now = clock_now(fanout->peer.clock);
    ssize_t at;
    int64_t sent;

    while ((at = str_find(text, mark)) >= 0) {
        text = str_skip(text, (size_t)at + mark.len);
        if (text.len < STAMP)
            return;
        if (str_to_i64(str_first(text, STAMP), &sent) && sent >= fanout->start)
            histogram_add(&fanout->deliveries, now - sent);
    }
}

static bool on_bytes(void *ctx, struct link *link, struct str bytes)
{
    struct fanout *fanout = ctx;
    struct watcher *watcher = link->arg;
    char seam[2 * sizeof watcher->tail];
    size_t head = MIN(bytes.len, sizeof MARK - 1 + STAMP - 1);

    if (is_writer(fanout, link) || !fanout->writing)
        return true;
    /* The seam between two pieces holds a mark that neither has whole. */
    memcpy(seam, watcher->tail, watcher->tail_len);
    memcpy(seam + watcher->tail_len, bytes.data, head);
    note_deliveries(fanout, str_of(seam, watcher->tail_len + head));
    note_deliveries(fanout, bytes);
    struct str joined = bytes.len > head ? bytes : str_of(seam, watcher->tail_len + head);
    watcher->tail_len = MIN(joined.len, sizeof MARK - 1 + STAMP - 1);
    memcpy(watcher->tail, joined.data + joined.len - watcher->tail_len, watcher->tail_len);
    return true;
}

static bool on_answer(void *ctx, struct link *link)
{
    struct fanout *fanout = ctx;

    if (!is_writer(fanout, link)) {
        fanout->bad_status += link->status >= 400;
        return link->status < 400; /* a watch that ended is opened again */
    }
    fanout->bad_status += link->status >= 400;
    histogram_add(&fanout->writes, clock_now(fanout->peer.clock) - link->began);
    return true;
}

/* -- the run -- */

static bool wait_until(struct fanout *fanout, nsec_t until)
{
    while (clock_now(fanout->peer.clock) < until)
        if (!write_when_due(fanout) || !peer_turn(&fanout->peer, 1))
            return false;
    return true;
}

static bool run(struct fanout *fanout)
{
    struct clock *clock = fanout->peer.clock;

    peer_sample_memory(&fanout->peer);
    if (!peer_connect(&fanout->peer, fanout->links, fanout->options.watchers + 1) ||
        !wait_until(fanout, clock_now(clock) + NSEC_PER_SEC)) /* for what the watches begin with */
        return false;
    peer_sample_memory(&fanout->peer);
    fanout->writing = true;
    fanout->start = fanout->next_write = clock_now(clock);
    fanout->end = fanout->start + fanout->options.seconds * NSEC_PER_SEC;
    if (!wait_until(fanout, fanout->end))
        return false;
    peer_sample_memory(&fanout->peer);
    return wait_until(fanout, fanout->end + DRAIN);
}

static void print_result(const struct fanout *fanout)
{
    double seconds = (double)(fanout->end - fanout->start) / 1e9;

    printf("%d watchers: %.1f writes/s (p50 %.3f ms, p99 %.3f ms), %.0f deliveries/s, p50 %.3f ms, p99 %.3f ms, "
           "max %.3f ms, %llu bad status, %llu errors",
           fanout->options.watchers, (double)fanout->writes.count / seconds, histogram_ms(&fanout->writes, 0.5),
           histogram_ms(&fanout->writes, 0.99), (double)fanout->deliveries.count / seconds,
           histogram_ms(&fanout->deliveries, 0.5), histogram_ms(&fanout->deliveries, 0.99),
           (double)fanout->deliveries.max / 1e6, (unsigned long long)fanout->bad_status,
           (unsigned long long)fanout->peer.errors);
    if (fanout->options.peer.pid)
        printf(", memory added %.1f MiB", (double)(fanout->peer.memory_peak - fanout->peer.memory_before) / (1 << 20));
    putchar('\n');
}

/* -- setting up -- */

static const struct peer_events events = { on_ready, on_bytes, on_answer };

static const char *prepare(struct fanout *fanout)
{
    size_t count = (size_t)fanout->options.watchers + 1;
    struct rlimit limit = { count + 64, count + 64 };

    fanout->peer.options = fanout->options.peer;
    fanout->links = calloc(count, sizeof *fanout->links);
    fanout->watchers = calloc(count, sizeof *fanout->watchers);
    if (!fanout->links || !fanout->watchers)
        return "no memory";
    for (size_t i = 0; i < count; i++) {
        fanout->links[i].fd = -1;
        fanout->links[i].arg = &fanout->watchers[i];
    }
    if (count > 900 && setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return "not allowed to open that many files";
    return peer_init(&fanout->peer, &events, fanout);
}

static void fanout_deinit(struct fanout *fanout)
{
    for (int i = 0; fanout->links && i <= fanout->options.watchers; i++) {
        link_close(&fanout->links[i]);
        buf_deinit(&fanout->links[i].request);
    }
    peer_deinit(&fanout->peer);
    buf_deinit(&fanout->line);
    free(fanout->links);
    free(fanout->watchers);
}

/* -- command line -- */

static const struct argp_option argp_options[] = {
    { "watchers", 'w', "N", 0, "Watching connections (1000)", 0 },
    { "watch", 'W', "PATH", 0, "What they ask; %d is the watcher's number", 0 },
    { "patch", 'p', "PATH", 0, "What the writer patches; %d is a number below --objects", 0 },
    { "objects", 'o', "N", 0, "How many objects it goes round (1000)", 0 },
    { "rate", 'r', "N", 0, "Writes a second at most (500)", 0 },
    { "seconds", 'd', "N", 0, "Duration (5)", 0 },
    { 0 },
};

static int number_arg(struct argp_state *state, const char *text, int max)
{
    int64_t value;

    if (!str_to_i64(str_from(text), &value) || value < 1 || value > max)
        argp_error(state, "\"%s\" is not a number from 1 to %d", text, max);
    return (int)value;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'w': options->watchers = number_arg(state, arg, MAX_WATCHERS); break;
    case 'W': options->watch = arg; break;
    case 'p': options->patch = arg; break;
    case 'o': options->objects = number_arg(state, arg, 10000000); break;
    case 'r': options->rate = number_arg(state, arg, 1000000); break;
    case 'd': options->seconds = number_arg(state, arg, MAX_SECONDS); break;
    case ARGP_KEY_INIT: state->child_inputs[0] = &options->peer; break;
    case ARGP_KEY_END:
        if (!options->watch || !options->patch)
            argp_error(state, "--watch and --patch are needed");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = { { &peer_argp, 0, NULL, 0 }, { 0 } };
    static const struct argp argp = {
        argp_options, parse_option, NULL, "Measures what watches cost.", children, NULL, NULL,
    };
    static struct fanout fanout = {
        .options = { .watchers = 1000, .seconds = 5, .rate = 500, .objects = 1000 },
        .peer = { .epoll = -1 },
    };
    const char *problem;
    int code = 0;

    argp_parse(&argp, argc, argv, 0, NULL, &fanout.options);
    if ((problem = prepare(&fanout))) {
        fprintf(stderr, "fanout: %s\n", problem);
        code = 1;
    } else if (!run(&fanout)) {
        fprintf(stderr, "fanout: the server cannot be reached or does not answer (%d of %d connections, %llu errors)\n",
                fanout.peer.up, fanout.options.watchers + 1, (unsigned long long)fanout.peer.errors);
        code = 1;
    } else {
        print_result(&fanout);
    }
    fanout_deinit(&fanout);
    return code;
}
