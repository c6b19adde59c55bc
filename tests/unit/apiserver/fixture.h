/* fixture.h - an API server over a temporary, synchronous store, under a virtual clock and a seeded generator. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/resources.h"
#include "apiserver/apiserver.h"
#include "apiserver/request.h"
#include "apiserver/server.h"
#include "base/file.h"
#include "net/signer.h"

struct fixture {
    char path[64];
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct executor *executor;
    struct store *store;
    struct node_sessions *sessions;
    struct apiserver *server;
    struct client *client;
    struct arena *arena;
};

/* Writes 'like this' as JSON: ' becomes ". */
static inline struct str quoted(struct arena *arena, const char *text)
{
    char *out = arena_cstr(arena, str_from(text));

    for (char *p = out; *p; p++)
        if (*p == '\'')
            *p = '"';
    return str_from(out);
}

static inline void fixture_init(struct fixture *f)
{
    struct err err = { 0 };
    struct str key;

    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/caravel-apiserver-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    virtual_clock_init(&f->clock, 1767366245LL * NSEC_PER_SEC);
    seeded_rng_init(&f->rng, 7);
    f->arena = arena_new(0);
    assert_int_equal(executor_virtual_new(&f->clock, &f->executor, &err), 0);
    assert_int_equal(store_open(
                         &(struct store_options){
                             .path = f->path, .clock = &f->clock.clock, .synchronous = true, .map_size = 64u << 20 },
                         &f->store, &err),
                     0);
    assert_int_equal(node_sessions_new(&f->clock.clock, &f->sessions, &err), 0);
    assert_int_equal(signer_make_key(f->arena, &key, &err), 0);
    assert_int_equal(apiserver_new(&(struct apiserver_options){ .store = f->store,
                                                                .executor = f->executor,
                                                                .clock = &f->clock.clock,
                                                                .rng = &f->rng.rng,
                                                                .sessions = f->sessions,
                                                                .token_key_pem = key },
                                   &f->server, &err),
                     0);
    assert_int_equal(apiserver_local_client(f->server, STR("tester"), &f->client, &err), 0);
    assert_int_equal(apiserver_bootstrap(f->server, STR_NULL, 6443, &err), 0);
}

static inline void fixture_deinit(struct fixture *f)
{
    client_free(f->client);
    apiserver_free(f->server);
    node_sessions_free(f->sessions);
    store_close(f->store);
    executor_free(f->executor);
    file_remove_tree(f->path, NULL);
    arena_free(f->arena);
}

/* -- raw requests: what an HTTP client would send -- */

struct answer {
    int status;
    const char *text; /* in the fixture's arena */
    struct str bytes; /* the same */
    struct json *json;
    size_t warnings;
    const char *warning;
    const char *content_type;
};

struct raw {
    const char *method, *target, *body, *content_type, *accept;
    const char *user_agent;
    const char *token; /* the Authorization header; NULL: none */
    const char *user; /* NULL: an administrator; "": no certificate */
};

static inline struct answer send_raw(struct fixture *f, const struct raw *raw)
{
    static const struct str masters[] = { STR_INIT("system:masters") };
    struct str target = str_from(raw->target);
    ssize_t mark = str_chr(target, '?');
    struct http_header headers[4];
    struct tls_identity peer = { .common_name = str_from(raw->user ? raw->user : "admin") };
    struct http_request http = { .method = http_method_from(str_from(raw->method)),
                                 .method_name = str_from(raw->method),
                                 .target = target,
                                 .headers = headers,
                                 .major = 1,
                                 .path = mark < 0 ? target : str_first(target, (size_t)mark),
                                 .query = mark < 0 ? STR("") : str_skip(target, (size_t)mark + 1),
                                 .peer = &peer };
    struct request *request = arena_new_of(f->arena, struct request);
    struct answer answer = { 0 };
    struct err err = { 0 };

    if (!raw->user) {
        peer.organizations = masters;
        peer.organization_count = 1;
    }
    if (raw->body)
        http.body = quoted(f->arena, raw->body);
    headers[http.header_count++] =
        (struct http_header){ STR("content-type"),
                              str_from(raw->content_type ? raw->content_type : "application/json") };
    if (raw->accept)
        headers[http.header_count++] = (struct http_header){ STR("accept"), str_from(raw->accept) };
    if (raw->user_agent)
        headers[http.header_count++] = (struct http_header){ STR("user-agent"), str_from(raw->user_agent) };
    if (raw->token)
        headers[http.header_count++] = (struct http_header){ STR("authorization"), str_from(raw->token) };
    request_init(request, f->server, f->arena);
    if (request_route(request, &http, &err) < 0)
        reply_error(request, &err);
    else
        request_run(request);
    if (request->list || request->watch || request->log) {
        answer.status = 200;
        if (request->list) {
            extern int list_whole(struct request * request, struct err * err);
            if (list_whole(request, &err) < 0)
                reply_error(request, &err);
        }
        if (request->watch) {
            extern struct watch *watch_close(struct watch * watch);
            watch_close(request->watch);
            return answer;
        }
        if (request->log)
            return answer;
    }
    reply_finish(request);
    answer.status = request->reply.status;
    answer.bytes = arena_str(f->arena, request->reply.text);
    answer.text = answer.bytes.data;
    answer.content_type = request->reply.content_type;
    answer.warnings = request->reply.warning_count;
    answer.warning = answer.warnings ? arena_cstr(f->arena, request->reply.warnings[0]) : "";
    if (json_parse(f->arena, str_from(answer.text), NULL, &answer.json, NULL) < 0)
        answer.json = NULL;
    request_release(request);
    return answer;
}

static inline struct answer send(struct fixture *f, const char *method, const char *target, const char *body)
{
    return send_raw(f, &(struct raw){ .method = method, .target = target, .body = body });
}

static inline struct answer must(struct fixture *f, int status, const char *method, const char *target,
                                 const char *body)
{
    struct answer answer = send(f, method, target, body);

    if (answer.status != status)
        fail_msg("%s %s: %d, not %d: %s", method, target, answer.status, status, answer.text);
    return answer;
}

static inline const char *at(struct fixture *f, struct answer answer, const char *path)
{
    return arena_cstr(f->arena, json_str_at(answer.json, path).data ? json_str_at(answer.json, path) : STR(""));
}

#define PODS "/api/v1/namespaces/default/pods"
#define POD(name)                                               \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name \
    "'},'spec':{'containers':[{'name':'c','image':'busybox'}]}}"
#define POD_ON(name, node) \
    "{'metadata':{'name':'" name "'},'spec':{'nodeName':'" node "','containers':[{'name':'c','image':'busybox'}]}}"
