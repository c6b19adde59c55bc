/* metrics.c - counters of requests, and figures of the store and the process.
 *
 * A row for every resource that is served, one for what is made at run time and one for paths that are no resources; in
 * it a column for every verb, in that a count for every status that is known by name (others share one) and a
 * histogram. The table is sparse: pages that are never counted in are never touched. A row is found by the resource's
 * address in a small hash table that is never changed after it is made. */
#include "apiserver/metrics.h"

#include <dirent.h>
#include <unistd.h>

#include "apiserver/server.h"
#include "apiserver/version.h"
#include "base/file.h"

static const int statuses[] = { 200, 201, 202, 304, 400, 401, 403, 404, 405, 406, 409,
                                410, 413, 415, 422, 429, 500, 501, 503, 504, 507, 0 /* all others */ };
#define STATUS_COUNT ARRAY_LEN(statuses)

/* In the order of enum verb_bit, then what is none of them. */
static const char *const verbs[] = { "GET",     "LIST", "WATCH", "POST", "PUT", "PATCH", "DELETE", "DELETECOLLECTION",
                                     "CONNECT", "OTHER" };
#define VERB_COUNT ARRAY_LEN(verbs)

/* Upper bounds; the last bucket has none. */
static const struct {
    nsec_t below;
    const char *text;
} buckets[] = {
    { 100 * NSEC_PER_USEC, "0.0001" }, { 250 * NSEC_PER_USEC, "0.00025" }, { 500 * NSEC_PER_USEC, "0.0005" },
    { 1 * NSEC_PER_MSEC, "0.001" },    { 2500 * NSEC_PER_USEC, "0.0025" }, { 5 * NSEC_PER_MSEC, "0.005" },
    { 10 * NSEC_PER_MSEC, "0.01" },    { 25 * NSEC_PER_MSEC, "0.025" },    { 50 * NSEC_PER_MSEC, "0.05" },
    { 100 * NSEC_PER_MSEC, "0.1" },    { 250 * NSEC_PER_MSEC, "0.25" },    { 500 * NSEC_PER_MSEC, "0.5" },
    { 1 * NSEC_PER_SEC, "1" },         { 5 * NSEC_PER_SEC, "5" },          { 10 * NSEC_PER_SEC, "10" },
    { 30 * NSEC_PER_SEC, "30" },       { 60 * NSEC_PER_SEC, "60" },        { INT64_MAX, "+Inf" },
};
#define BUCKET_COUNT ARRAY_LEN(buckets)

typedef atomic_uint_fast64_t counter;

struct cell {
    counter by_status[STATUS_COUNT];
    counter by_time[BUCKET_COUNT];
    counter nsec;
};

struct row {
    struct cell cells[VERB_COUNT];
    atomic_long streams; /* long answers under way */
};

enum { ROW_NO_RESOURCE, ROW_CUSTOM, ROW_FIRST };

struct metrics {
    counter waits, waits_failed, waits_nsec; /* for the newest state */
    size_t row_count, slot_mask;
    struct row *rows;
    struct metrics_slot {
        const struct resource *resource;
        size_t row;
    } * slots; /* open addressing; at most half full */
};

static size_t slot_of(const struct metrics *metrics, const struct resource *resource)
{
    return (((uintptr_t)resource >> 4) * 0x9E3779B97F4A7C15ull >> 32) & metrics->slot_mask;
}

static size_t row_of(const struct metrics *metrics, const struct resource *resource)
{
    if (!resource)
        return ROW_NO_RESOURCE;
    for (size_t i = slot_of(metrics, resource); metrics->slots[i].resource; i = (i + 1) & metrics->slot_mask)
        if (metrics->slots[i].resource == resource)
            return metrics->slots[i].row;
    return ROW_CUSTOM;
}

int metrics_new(struct metrics **ret_metrics, struct err *err)
{
    AUTO(metrics) metrics = calloc(1, sizeof *metrics);
    size_t slots = 64;

    if (!metrics)
        return err_set(err, ERR_NO_MEMORY, "metrics");
    while (slots < 2 * api_resource_count)
        slots *= 2;
    metrics->slot_mask = slots - 1;
    metrics->row_count = ROW_FIRST + api_resource_count;
    metrics->rows = calloc(metrics->row_count, sizeof *metrics->rows);
    metrics->slots = calloc(slots, sizeof *metrics->slots);
    if (!metrics->rows || !metrics->slots)
        return err_set(err, ERR_NO_MEMORY, "metrics");
    for (size_t i = 0; i < api_resource_count; i++) {
        size_t at = slot_of(metrics, api_resources[i]);

        while (metrics->slots[at].resource)
            at = (at + 1) & metrics->slot_mask;
        metrics->slots[at] = (struct metrics_slot){ api_resources[i], ROW_FIRST + i };
    }
    *ret_metrics = TAKE(metrics);
    return 0;
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return NULL;
    free(metrics->rows);
    free(metrics->slots);
    free(metrics);
    return NULL;
}

static size_t verb_of(const struct request *request)
{
    static const uint32_t by_method[] = {
        [HTTP_GET_] = VERB_GET,    [HTTP_HEAD_] = VERB_GET,    [HTTP_POST_] = VERB_CREATE,
        [HTTP_PUT_] = VERB_UPDATE, [HTTP_PATCH_] = VERB_PATCH, [HTTP_DELETE_] = VERB_DELETE
    };
    uint32_t verb = request->info.is_resource ? request->info.verb : 0;

    if (!verb && (size_t)request->method < ARRAY_LEN(by_method))
        verb = by_method[request->method];
    if (request->subresource && request->subresource->verbs & VERB_CONNECT)
        verb = VERB_CONNECT;
    return verb ? (size_t)__builtin_ctz(verb) : VERB_COUNT - 1;
}

static void add(counter *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void metrics_request_done(const struct request *request)
{
    struct metrics *metrics = request->server->metrics;
    struct cell *cell = &metrics->rows[row_of(metrics, request->resource)].cells[verb_of(request)];
    int http_status = request->reply.status ? request->reply.status : 200;
    size_t status = 0, bucket = 0;
    nsec_t took;

    while (statuses[status] != http_status && status < STATUS_COUNT - 1)
        status++;
    add(&cell->by_status[status], 1);
    if (!request->begun)
        return;
    took = MAX(clock_now(request->server->options.clock) - request->begun, 0);
    while (took > buckets[bucket].below)
        bucket++;
    add(&cell->by_time[bucket], 1);
    add(&cell->nsec, (uint64_t)took);
}

void metrics_stream_begun(const struct request *request)
{
    struct metrics *metrics = request->server->metrics;

    atomic_fetch_add_explicit(&metrics->rows[row_of(metrics, request->resource)].streams, 1, memory_order_relaxed);
}

void metrics_stream_ended(const struct request *request)
{
    struct metrics *metrics = request->server->metrics;

    atomic_fetch_sub_explicit(&metrics->rows[row_of(metrics, request->resource)].streams, 1, memory_order_relaxed);
}

void metrics_waited(struct metrics *metrics, nsec_t took, int code)
{
    add(&metrics->waits, 1);
    add(&metrics->waits_nsec, (uint64_t)MAX(took, 0));
    if (code < 0)
        add(&metrics->waits_failed, 1);
}

/* -- writing -- */

static uint64_t value_of(counter *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void write_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_figure(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    write_head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* verb="GET",group="apps",version="v1",resource="deployments" */
static void write_labels(struct buf *out, size_t row, size_t verb)
{
    static const struct resource none = { .group = STR_INIT(""), .plural = STR_INIT("") };
    static const struct resource custom = { .group = STR_INIT(""), .plural = STR_INIT("custom") };
    const struct resource *resource = row == ROW_NO_RESOURCE ? &none
                                      : row == ROW_CUSTOM    ? &custom
                                                             : api_resources[row - ROW_FIRST];

    if (verb < VERB_COUNT)
        buf_printf(out, "verb=\"%s\",", verbs[verb]);
    buf_printf(out, "group=\"" STR_FMT "\",version=\"" STR_FMT "\",resource=\"" STR_FMT "\"", STR_ARG(resource->group),
               STR_ARG(resource->version), STR_ARG(resource->plural));
}

static void write_counts(struct metrics *metrics, struct buf *out)
{
    write_head(out, "apiserver_request_total", "counter", "Requests by verb, resource and status.");
    for (size_t row = 0; row < metrics->row_count; row++)
        for (size_t verb = 0; verb < VERB_COUNT; verb++)
            for (size_t i = 0; i < STATUS_COUNT; i++) {
                uint64_t n = value_of(&metrics->rows[row].cells[verb].by_status[i]);

                if (!n)
                    continue;
                buf_add_cstr(out, "apiserver_request_total{");
                write_labels(out, row, verb);
                buf_printf(out, ",code=\"%.0d%s\"} %llu\n", statuses[i], statuses[i] ? "" : "other",
                           (unsigned long long)n);
            }
}

static void write_histogram(struct cell *cell, size_t row, size_t verb, struct buf *out)
{
    static const char name[] = "apiserver_request_duration_seconds";
    uint64_t counts[BUCKET_COUNT], total = 0, nsec = value_of(&cell->nsec);

    for (size_t i = 0; i < BUCKET_COUNT; i++)
        total += counts[i] = value_of(&cell->by_time[i]);
    if (!total)
        return;
    total = 0;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        buf_printf(out, "%s_bucket{", name);
        write_labels(out, row, verb);
        buf_printf(out, ",le=\"%s\"} %llu\n", buckets[i].text, (unsigned long long)(total += counts[i]));
    }
    buf_printf(out, "%s_sum{", name);
    write_labels(out, row, verb);
    buf_printf(out, "} %llu.%09llu\n%s_count{", (unsigned long long)(nsec / NSEC_PER_SEC),
               (unsigned long long)(nsec % NSEC_PER_SEC), name);
    write_labels(out, row, verb);
    buf_printf(out, "} %llu\n", (unsigned long long)total);
}

static void write_histograms(struct metrics *metrics, struct buf *out)
{
    write_head(out, "apiserver_request_duration_seconds", "histogram",
               "Time from a request's arrival to its reply; watches and logs are not in it.");
    for (size_t row = 0; row < metrics->row_count; row++)
        for (size_t verb = 0; verb < VERB_COUNT; verb++)
            write_histogram(&metrics->rows[row].cells[verb], row, verb, out);
}

static void write_streams(struct metrics *metrics, struct buf *out)
{
    write_head(out, "apiserver_longrunning_requests", "gauge", "Watches and logs under way, by resource.");
    for (size_t row = 0; row < metrics->row_count; row++) {
        long n = atomic_load_explicit(&metrics->rows[row].streams, memory_order_relaxed);

        if (n <= 0)
            continue;
        buf_add_cstr(out, "apiserver_longrunning_requests{");
        write_labels(out, row, VERB_COUNT);
        buf_printf(out, "} %ld\n", n);
    }
}

static void write_store(struct store *store, struct buf *out)
{
    enum store_condition condition;
    struct store_stats stats = { 0 };

    store_stats(store, &stats);
    store_ready(store, &condition, NULL);
    write_figure(out, "caravel_store_condition", "gauge",
                 "0: writes are taken; 1: full, only deletions; 2: the disk is read-only; 3: the disk fails; 4: etcd is "
                 "out of reach.",
                 condition);
    write_figure(out, "caravel_store_refused_total", "counter", "Group commits of which puts found no room.",
                 stats.refused);
    write_figure(out, "caravel_store_failures_total", "counter", "Group commits that the disk failed.", stats.failures);
    write_figure(out, "caravel_store_reopened_total", "counter", "Times that the store was opened anew after that.",
                 stats.reopened);
    if (stats.disk_free != UINT64_MAX)
        write_figure(out, "caravel_store_disk_free_bytes", "gauge", "Bytes left on the disk of the store.",
                     stats.disk_free);
    write_figure(out, "caravel_store_keys", "gauge", "Objects that exist.", stats.keys);
    write_figure(out, "caravel_store_log_records", "gauge", "Records of the log that are retained.", stats.log_records);
    write_figure(out, "caravel_store_bytes_used", "gauge", "Bytes of the store's file in use.", stats.bytes_used);
    write_figure(out, "caravel_store_bytes_max", "gauge", "Bytes that the store's file may have.", stats.map_size);
    write_figure(out, "caravel_store_commits_total", "counter", "Group commits since the start.", stats.commits);
    write_figure(out, "caravel_store_transactions_total", "counter", "Transactions since the start.",
                 stats.transactions);
    write_figure(out, "caravel_store_revision", "gauge", "The newest revision.", store_revision(store));
    write_figure(out, "caravel_store_compacted_revision", "gauge", "Revisions up to this one are forgotten.",
                 store_compacted(store));
}

/* Of a store that several servers share. */
static void write_sharing(struct metrics *metrics, struct store *store, struct buf *out)
{
    struct store_leader leader;
    uint64_t nsec = value_of(&metrics->waits_nsec);

    store_leader(store, &leader);
    write_figure(out, "caravel_leader", "gauge", "1: this server leads.", leader.self);
    write_figure(out, "caravel_leader_term", "gauge", "The term of whoever leads; 0: nobody does, or it is not known.",
                 leader.term);
    if (!store_is_shared(store))
        return;
    write_figure(out, "caravel_sync_waits_total", "counter", "Requests that waited for the newest state.",
                 value_of(&metrics->waits));
    write_figure(out, "caravel_sync_failures_total", "counter", "Those of them that did not get it.",
                 value_of(&metrics->waits_failed));
    write_head(out, "caravel_sync_wait_seconds_total", "counter", "How long they waited together.");
    buf_printf(out, "caravel_sync_wait_seconds_total %llu.%09llu\n", (unsigned long long)(nsec / NSEC_PER_SEC),
               (unsigned long long)(nsec % NSEC_PER_SEC));
}

/* The n-th number (from 0) behind the name in /proc/self/stat, whose name may hold blanks and brackets. */
static uint64_t stat_number(struct str stat, int n)
{
    ssize_t end = str_rchr(stat, ')');
    struct str rest = str_trim(str_skip(stat, end < 0 ? stat.len : (size_t)end + 1)), part;
    uint64_t value = 0;

    for (int i = 0; str_split(&rest, ' ', &part); i++)
        if (i == n)
            return str_to_u64(part, &value) ? value : 0;
    return 0;
}

static uint64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and this one */
}

static void write_process(struct buf *out)
{
    uint64_t ticks_per_sec = (uint64_t)MAX(sysconf(_SC_CLK_TCK), 1), page = (uint64_t)sysconf(_SC_PAGESIZE), ticks;
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct str stat;

    if (file_read("/proc/self/stat", 4096, &text, NULL) < 0)
        return;
    stat = buf_str(&text);
    ticks = stat_number(stat, 11) + stat_number(stat, 12);
    write_head(out, "process_cpu_seconds_total", "counter", "Processor time used, user and system.");
    buf_printf(out, "process_cpu_seconds_total %llu.%02llu\n", (unsigned long long)(ticks / ticks_per_sec),
               (unsigned long long)(ticks % ticks_per_sec * 100 / ticks_per_sec));
    write_figure(out, "process_resident_memory_bytes", "gauge", "Memory in use.", stat_number(stat, 21) * page);
    write_figure(out, "process_virtual_memory_bytes", "gauge", "Address space in use.", stat_number(stat, 20));
    write_figure(out, "process_threads", "gauge", "Threads.", stat_number(stat, 17));
    write_figure(out, "process_open_fds", "gauge", "Open file descriptors.", count_fds());
}

int metrics_handle(struct request *request, struct err *err)
{
    struct metrics *metrics = request->server->metrics;
    AUTO_DEINIT(buf, out) = BUF_INIT;

    if (request->method != HTTP_GET_ && request->method != HTTP_HEAD_)
        return fail_method(request, err);
    write_head(&out, "kubernetes_build_info", "gauge", "The version of the API that is served.");
    buf_add_cstr(&out, "kubernetes_build_info{major=\"1\",minor=\"33\",git_version=\"" API_GIT_VERSION "\"} 1\n");
    write_counts(metrics, &out);
    write_histograms(metrics, &out);
    write_streams(metrics, &out);
    write_store(request->server->options.store, &out);
    write_sharing(metrics, request->server->options.store, &out);
    write_process(&out);
    reply_buf(request, 200, "text/plain; version=0.0.4; charset=utf-8", &out, err);
    return 0;
}
