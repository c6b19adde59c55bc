/* logs.c - caravel logs: what containers have printed.
 *
 * One log after the other is copied as it comes. Followed logs of several containers come at the same time: each has a thread
 * that prints whole lines. */
#include <stdio.h>

#include "base/sync.h"
#include "cli/duration.h"
#include "cli/pods.h"

#define FOLLOWED_MAX 20
#define SELECTED_TAIL 10 /* lines of each when pods are selected by labels, unless --tail says else */

struct source {
    struct logs *logs;
    struct str pod, container;
    struct session_stream *stream;
    struct thread thread;
};

struct logs {
    struct session_options session_options;
    char **words;
    size_t word_count;
    struct str container, label_selector;
    const char *since_time, *limit_bytes;
    nsec_t since;
    int tail; /* -1: all; -2: not said */
    bool follow, all_containers, previous, timestamps, prefix;

    struct session session;
    struct resources resources;
    VEC(struct source) sources;
    struct str pod; /* whose containers are being added */
    struct mutex lock; /* of the output */
    bool failed;
};

enum { OPT_ALL_CONTAINERS = 256, OPT_TAIL, OPT_SINCE, OPT_SINCE_TIME, OPT_TIMESTAMPS, OPT_LIMIT_BYTES, OPT_PREFIX };

static const struct argp_option options[] = {
    { "follow", 'f', NULL, 0, "go on as more comes", 0 },
    { "container", 'c', "CONTAINER", 0, "of this container (the first, or as the pod's annotation says)", 0 },
    { "all-containers", OPT_ALL_CONTAINERS, NULL, 0, "of all containers of the pod", 0 },
    { "selector", 'l', "LABELS", 0, "of the pods with these labels", 0 },
    { "previous", 'p', NULL, 0, "of the container's run before this one", 0 },
    { "tail", OPT_TAIL, "LINES", 0, "only the last lines (all; with -l the last 10)", 0 },
    { "since", OPT_SINCE, "DURATION", 0, "only what is newer, for example 5m", 0 },
    { "since-time", OPT_SINCE_TIME, "TIME", 0, "only what came after 2026-01-02T15:04:05Z", 0 },
    { "timestamps", OPT_TIMESTAMPS, NULL, 0, "each line with its time", 0 },
    { "limit-bytes", OPT_LIMIT_BYTES, "BYTES", 0, "no more than this", 0 },
    { "prefix", OPT_PREFIX, NULL, 0, "each line with its pod and container", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct logs *logs = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &logs->session_options; return 0;
    case 'f': logs->follow = true; return 0;
    case 'c': logs->container = str_from(value); return 0;
    case OPT_ALL_CONTAINERS: logs->all_containers = true; return 0;
    case 'l': logs->label_selector = str_from(value); return 0;
    case 'p': logs->previous = true; return 0;
    case OPT_TAIL: logs->tail = option_number(state, "--tail", value, -1, INT32_MAX); return 0;
    case OPT_SINCE:
        if (!duration_parse(str_from(value), &logs->since) || logs->since == 0)
            argp_error(state, "--since %s: expected a time such as 30s or 2m", value);
        return 0;
    case OPT_SINCE_TIME: logs->since_time = value; return 0;
    case OPT_TIMESTAMPS: logs->timestamps = true; return 0;
    case OPT_LIMIT_BYTES:
        option_number(state, "--limit-bytes", value, 1, INT32_MAX);
        logs->limit_bytes = value;
        return 0;
    case OPT_PREFIX: logs->prefix = true; return 0;
    case ARGP_KEY_ARGS:
        logs->words = state->argv + state->next;
        logs->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp logs_argp = {
    options, parse, "POD [CONTAINER]\nTYPE/NAME [CONTAINER]\n-l LABELS",
    "Prints the logs of containers.\v"
    "Of a deployment, service or other thing that has pods, the log of one of its pods is shown.\n\n"
    "Examples:\n"
    "  caravel logs web --tail 20\n"
    "  caravel logs deployment/web -f\n"
    "  caravel logs -l app=web --all-containers --prefix",
    children, NULL, NULL,
};

/* -- which logs -- */

static int add_source(void *arg, struct str container)
{
    struct logs *logs = arg;

    return vec_push(&logs->sources, ((struct source){ .logs = logs, .pod = logs->pod, .container = container })) < 0
               ? -ERR_NO_MEMORY
               : 0;
}

static int add_pod(struct logs *logs, const struct json *pod, struct err *err)
{
    struct str container;
    int code = 0;

    logs->pod = json_str_at(pod, "metadata.name");
    if (logs->all_containers) {
        code = pod_each_container(pod, add_source, logs);
    } else {
        code = pod_container(pod, logs->container, &container, err);
        if (code < 0)
            return code;
        code = add_source(logs, container);
    }
    return code < 0 ? err_set(err, ERR_NO_MEMORY, "logs") : 0;
}

static int find_sources(struct logs *logs, struct err *err)
{
    const struct json *pod;
    struct pod_list pods;
    int code;

    if (!logs->label_selector.len) {
        code = pods_find(&logs->resources, logs->words[0], &pod, err);
        return code == 0 ? add_pod(logs, pod, err) : code;
    }
    code = pods_select(&logs->session, logs->label_selector, &pods, err);
    for (size_t i = 0; code == 0 && i < pods.count; i++)
        code = add_pod(logs, &pods.items[i], err);
    if (code == 0 && !pods.count)
        fprintf(stderr, "No resources found in " STR_FMT " namespace.\n", STR_ARG(logs->session.ns));
    if (code == 0 && logs->follow && logs->sources.count > FOLLOWED_MAX)
        code = err_set(err, ERR_BAD_REQUEST, "%zu logs are too many to follow at once (%d at most); select fewer",
                       logs->sources.count, FOLLOWED_MAX);
    return code;
}

/* -- reading -- */

static int open_source(struct logs *logs, struct source *source, struct err *err)
{
    int tail = logs->tail == -2 && logs->label_selector.len ? SELECTED_TAIL : logs->tail;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '?', number[24];

    buf_add_cstr(&path, "/api/v1/namespaces/");
    http_escape(&path, logs->session.ns);
    buf_add_cstr(&path, "/pods/");
    http_escape(&path, source->pod);
    buf_add_cstr(&path, "/log");
    rest_param(&path, &separator, "container", source->container);
    rest_param(&path, &separator, "follow", logs->follow ? STR("true") : STR_NULL);
    rest_param(&path, &separator, "previous", logs->previous ? STR("true") : STR_NULL);
    rest_param(&path, &separator, "timestamps", logs->timestamps ? STR("true") : STR_NULL);
    rest_param(&path, &separator, "sinceTime", str_from(logs->since_time));
    rest_param(&path, &separator, "limitBytes", str_from(logs->limit_bytes));
    if (logs->since) {
        snprintf(number, sizeof number, "%lld", (long long)((logs->since + NSEC_PER_SEC - 1) / NSEC_PER_SEC));
        rest_param(&path, &separator, "sinceSeconds", str_from(number));
    }
    if (tail >= 0) {
        snprintf(number, sizeof number, "%d", tail);
        rest_param(&path, &separator, "tailLines", str_from(number));
    }
    const struct session_request request = { .path = buf_str(&path), .accept = "*/*" };

    return buf_ok(&path) ? session_stream_open(&logs->session, &request, &source->stream, err)
                         : err_set(err, ERR_NO_MEMORY, "request");
}

static int copy_lines(struct source *source, struct err *err)
{
    struct logs *logs = source->logs;
    struct str line;
    int code;

    while ((code = session_stream_line(source->stream, 0, &line, err)) > 0) {
        LOCKED(&logs->lock);
        if (logs->prefix)
            printf("[pod/" STR_FMT "/" STR_FMT "] ", STR_ARG(source->pod), STR_ARG(source->container));
        fwrite(line.data, 1, line.len, stdout);
        fputc('\n', stdout);
        if (logs->follow)
            fflush(stdout);
    }
    return code;
}

static int copy_bytes(struct source *source, struct err *err)
{
    AUTO_DEINIT(buf, bytes) = BUF_INIT;
    int code;

    while ((code = session_stream_read(source->stream, 0, &bytes, err)) > 0) {
        fwrite(bytes.data, 1, bytes.len, stdout);
        fflush(stdout);
        buf_clear(&bytes);
    }
    return code;
}

static void copy(void *arg)
{
    struct source *source = arg;
    struct logs *logs = source->logs;
    struct err err = { 0 };
    bool by_lines = logs->prefix || (logs->follow && logs->sources.count > 1);
    int code = by_lines ? copy_lines(source, &err) : copy_bytes(source, &err);

    LOCKED(&logs->lock);
    if (code < 0) {
        cli_fail(&err);
        logs->failed = true;
    }
}

static int copy_one_by_one(struct logs *logs, struct err *err)
{
    for (size_t i = 0; i < logs->sources.count; i++) {
        struct source *source = &logs->sources.items[i];
        int code = open_source(logs, source, err);

        if (code < 0)
            return code;
        copy(source);
        source->stream = session_stream_free(source->stream);
    }
    return 0;
}

static int copy_together(struct logs *logs, struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < logs->sources.count; i++)
        code = open_source(logs, &logs->sources.items[i], err);
    for (size_t i = 0; code == 0 && i < logs->sources.count; i++)
        code = thread_start(&logs->sources.items[i].thread, "log", copy, &logs->sources.items[i], err);
    vec_each (&logs->sources, source)
        thread_join(&source->thread);
    vec_each (&logs->sources, source)
        session_stream_free(source->stream);
    return code;
}

static int run(struct logs *logs, struct err *err)
{
    int code = session_open(&logs->session, &logs->session_options, err);

    resources_init(&logs->resources, &logs->session);
    if (code == 0)
        code = find_sources(logs, err);
    if (code == 0)
        code = logs->follow && logs->sources.count > 1 ? copy_together(logs, err) : copy_one_by_one(logs, err);
    vec_deinit(&logs->sources);
    resources_deinit(&logs->resources);
    session_close(&logs->session);
    return code;
}

int logs_main(int argc, char **argv)
{
    struct logs logs = { .tail = -2 };
    struct err err = { 0 };

    if (cli_parse(&logs_argp, argc, argv, &logs) != 0)
        return 2;
    if (!logs.word_count == !logs.label_selector.len)
        return cli_usage_error("logs", logs.word_count ? "a name and -l exclude one another"
                                                       : "say whose logs: POD, TYPE/NAME or -l LABELS");
    if (logs.word_count > 2)
        return cli_usage_error("logs", "unexpected argument \"%s\"", logs.words[2]);
    if (logs.word_count == 2)
        logs.container = str_from(logs.words[1]);
    if (logs.all_containers && logs.container.len)
        return cli_usage_error("logs", "--all-containers and a container exclude one another");
    mutex_init(&logs.lock);
    int code = run(&logs, &err);

    mutex_deinit(&logs.lock);
    return code < 0 ? cli_fail(&err) : logs.failed;
}
