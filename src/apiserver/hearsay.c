/* hearsay.c - what other servers have heard of nodes.
 *
 * A round tells what was heard since the last one that arrived, as ages, so that clocks need not agree. To a new leader
 * it tells all that is not old, as that may never have heard of those nodes. A node of which the leader knows that it
 * was deleted is forgotten here, so that its next heartbeat is answered with 404 and its agent registers it again. */
#include "apiserver/hearsay.h"

#include "api/resources.h"
#include "apiserver/server.h"
#include "base/log.h"
#include "codec/json.h"

#define INTERVAL (NSEC_PER_SEC / 2)
#define TIMEOUT NSEC_PER_SEC
#define OLD (10 * NSEC_PER_SEC) /* heard of longer ago than this is not worth telling */
#define ANSWER_MAX (4u << 20)

struct hearsay {
    struct hearsay_options options;
    revision_t term; /* of the leader that was told last; the rounds' own, as all up to the lock */
    nsec_t told;     /* what was heard before this is known to it */
    bool troubled;   /* the last round failed, and it was said */
    struct mutex lock; /* of timer and stopping */
    struct executor_timer *timer;
    bool stopping;
};

/* -- telling -- */

struct telling {
    struct json_writer w;
    nsec_t now, since;
};

static void tell_node(void *arg, const struct node_session *session)
{
    struct telling *telling = arg;

    if (session->seen <= telling->since)
        return;
    jw_begin_array(&telling->w);
    jw_str(&telling->w, session->node);
    jw_int(&telling->w, MAX(telling->now - session->seen, 0) / NSEC_PER_MSEC);
    jw_int(&telling->w, (int64_t)session->applied);
    jw_end_array(&telling->w);
}

static void write_nodes(struct hearsay *hearsay, nsec_t now, nsec_t since, struct buf *body)
{
    struct telling telling = { json_writer(body), now, since };

    jw_begin_object(&telling.w);
    jw_field_str(&telling.w, "server", hearsay->options.self);
    jw_key(&telling.w, STR("nodes"));
    jw_begin_array(&telling.w);
    node_sessions_each(hearsay->options.sessions, tell_node, &telling);
    jw_end_array(&telling.w);
    jw_end_object(&telling.w);
}

static int post(struct hearsay *hearsay, const struct store_leader *leader, struct str body, struct arena *arena,
                struct http_client_response *ret_answer, struct err *err)
{
    const struct http_header headers[] = { { STR("content-type"), STR("application/json") },
                                           { STR("user-agent"), STR("caravel-server") } };
    const struct http_client_request request = {
        .method = "POST",
        .url = arena_printf(arena, "https://%s/apis/caravel.io/v1/heartbeats", leader->address),
        .headers = headers,
        .header_count = ARRAY_LEN(headers),
        .body = body,
        .timeout = TIMEOUT,
        .connect_timeout = TIMEOUT,
        .max_body = ANSWER_MAX,
    };
    int code = request.url.data ? http_client_do(hearsay->options.http, &request, arena, ret_answer, err)
                                : err_set(err, ERR_NO_MEMORY, "heartbeats");

    if (code == 0 && ret_answer->status != 200)
        return err_set(err, ERR_UNAVAILABLE, "it answers with status %d", ret_answer->status);
    return code;
}

static void forget_unknown(struct hearsay *hearsay, struct arena *arena, struct str answer)
{
    struct json *json;

    if (json_parse(arena, answer, NULL, &json, NULL) < 0)
        return;
    const struct json *unknown = json_member(json, "unknown");

    for (uint32_t i = 0; json_is(unknown, JSON_ARRAY) && i < unknown->count; i++)
        node_sessions_forget(hearsay->options.sessions, json_str(&unknown->items[i]));
}

static int tell(struct hearsay *hearsay, const struct store_leader *leader, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, body) = BUF_INIT;
    struct http_client_response answer;
    nsec_t now = clock_now(hearsay->options.clock);
    int code;

    if (leader->term != hearsay->term)
        hearsay->told = now - OLD;
    hearsay->term = leader->term;
    write_nodes(hearsay, now, hearsay->told, &body);
    if (!arena || !buf_ok(&body))
        return err_set(err, ERR_NO_MEMORY, "heartbeats");
    if ((code = post(hearsay, leader, buf_str(&body), arena, &answer, err)) < 0)
        return code;
    hearsay->told = now;
    forget_unknown(hearsay, arena, answer.body);
    return 0;
}

static void run_round(struct hearsay *hearsay)
{
    struct store_leader leader;
    struct err err = { 0 };

    store_leader(hearsay->options.store, &leader);
    if (!leader.term || leader.self || !leader.address[0]) {
        hearsay->term = 0;
        return;
    }
    bool failed = tell(hearsay, &leader, &err) < 0;

    if (failed && !hearsay->troubled)
        log_warn("server", "the leader, %s, does not hear of our nodes: %s", leader.name, err.message);
    if (!failed && hearsay->troubled)
        log_info("server", "the leader, %s, hears of our nodes again", leader.name);
    hearsay->troubled = failed;
}

/* -- rounds -- */

static void round_due(void *arg);

static int plan_round(struct hearsay *hearsay, struct err *err)
{
    LOCKED(&hearsay->lock);
    struct executor_timer *before = hearsay->timer;

    hearsay->timer = NULL;
    executor_cancel(hearsay->options.executor, before); /* it has run: this frees the handle */
    if (hearsay->stopping)
        return 0;
    return executor_post_after(hearsay->options.executor, INTERVAL, round_due, hearsay, &hearsay->timer, err);
}

static void round_due(void *arg)
{
    struct hearsay *hearsay = arg;
    struct err err = { 0 };

    run_round(hearsay);
    if (plan_round(hearsay, &err) < 0)
        log_error("server", "the leader no longer hears of our nodes: %s", err.message);
}

int hearsay_new(const struct hearsay_options *options, struct hearsay **ret_hearsay, struct err *err)
{
    struct hearsay *hearsay = calloc(1, sizeof *hearsay);

    if (!hearsay)
        return err_set(err, ERR_NO_MEMORY, "heartbeats");
    hearsay->options = *options;
    mutex_init(&hearsay->lock);
    int code = plan_round(hearsay, err);

    if (code < 0) {
        hearsay_free(hearsay);
        return code;
    }
    *ret_hearsay = hearsay;
    return 0;
}

struct hearsay *hearsay_free(struct hearsay *hearsay)
{
    struct executor_timer *timer;

    if (!hearsay)
        return NULL;
    do { /* a round that was running has set the next one, or seen that there is to be none */
        mutex_lock(&hearsay->lock);
        hearsay->stopping = true;
        timer = hearsay->timer;
        hearsay->timer = NULL;
        mutex_unlock(&hearsay->lock);
        executor_cancel_wait(hearsay->options.executor, timer);
    } while (timer);
    mutex_deinit(&hearsay->lock);
    free(hearsay);
    return NULL;
}

/* -- being told -- */

static int is_there(struct request *request, struct store_snapshot *snapshot, struct str name, bool *ret_there,
                    struct err *err)
{
    char key[STORE_KEY_MAX];
    struct node_session session;
    struct store_item item;

    if (node_sessions_get(request->server->options.sessions, name, &session)) {
        *ret_there = true;
        return 0;
    }
    int len = snprintf(key, sizeof key, STR_FMT STR_FMT, STR_ARG(RESOURCE_NODES.store_prefix), STR_ARG(name));
    int code = len > 0 && (size_t)len < sizeof key ? store_get(snapshot, str_of(key, (size_t)len), &item, err)
                                                   : -ERR_NOT_FOUND;

    *ret_there = code == 0;
    if (code == -ERR_NOT_FOUND)
        err_clear(err);
    return code == -ERR_NOT_FOUND ? 0 : code;
}

static int hear_node(struct request *request, struct store_snapshot *snapshot, const struct json *node,
                     struct json_writer *unknown, struct err *err)
{
    bool shaped = json_is(node, JSON_ARRAY) && node->count == 3 && json_is(&node->items[0], JSON_STRING);
    int64_t age = shaped ? json_int(&node->items[1], -1) : -1, applied = shaped ? json_int(&node->items[2], 0) : 0;
    bool there = false;
    int code;

    if (age < 0)
        return err_set(err, ERR_BAD_REQUEST, "heartbeats: expected [name, age in ms, applied]");
    struct str name = json_str(&node->items[0]);

    if ((code = is_there(request, snapshot, name, &there, err)) < 0)
        return code;
    if (there)
        return node_sessions_note(request->server->options.sessions, name, MIN(age, INT32_MAX) * NSEC_PER_MSEC,
                                  (uint64_t)MAX(applied, 0), err);
    jw_str(unknown, name);
    return 0;
}

int hearsay_run(struct request *request, struct err *err)
{
    struct store *store = request->server->options.store;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    AUTO(store_snapshot) snapshot = NULL;
    struct json_writer w = json_writer(&buf);
    struct store_leader leader;
    struct json *body;
    int code;

    if (!request->server->options.sessions)
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    store_leader(store, &leader);
    if (store_is_shared(store) && !leader.self)
        return err_set(err, ERR_UNAVAILABLE, "this server does not lead");
    if ((code = json_parse(request->arena, request->body, NULL, &body, err)) < 0 ||
        (code = store_snapshot_open(store, 0, &snapshot, err)) < 0)
        return code;
    const struct json *nodes = json_member(body, "nodes");

    if (!json_is(nodes, JSON_ARRAY) || nodes->count > NODE_SESSIONS_MAX)
        return err_set(err, ERR_BAD_REQUEST, "heartbeats: expected at most %d nodes", NODE_SESSIONS_MAX);
    jw_begin_object(&w);
    jw_key(&w, STR("unknown"));
    jw_begin_array(&w);
    for (uint32_t i = 0; i < nodes->count; i++)
        if ((code = hear_node(request, snapshot, &nodes->items[i], &w, err)) < 0)
            return code;
    jw_end_array(&w);
    jw_end_object(&w);
    peers_heard(&request->server->peers, json_str(json_member(body, "server")),
                clock_now(request->server->options.clock));
    reply_buf(request, 200, "application/json", &buf, err);
    return 0;
}
