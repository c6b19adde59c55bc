/* session.h - one command's conversation with the API: where the server is, who we are, calls and streams.
 *
 * Everything lives in the session's arena and on one kept-alive connection. One thread. */
#pragma once

#include "cli/cli.h"
#include "client/kubeconfig.h"
#include "client/rest.h"
#include "net/http_client.h"

/* --kubeconfig, --context, --instance and -n, which every command that talks to the API takes: a child parser for argp,
 * whose input is this. */
struct session_options {
    const char *kubeconfig, *context, *instance, *ns;
};
extern const struct argp session_argp;

struct session {
    struct arena arena;
    struct client_config config;
    struct str ns; /* -n, else the context's, else "default" */
    struct http_client *http;
    struct http_header headers[8]; /* of the request under way */
    struct str authorization;
};

/* Finds the server as kubectl does; connects with the first call. */
int session_open(struct session *session, const struct session_options *options, struct err *err);
void session_close(struct session *session);
/* The names of the contexts that could be chosen. */
int session_contexts(struct session *session, const struct session_options *options, struct str_array *ret_names,
                     struct err *err);

struct session_request {
    const char *method; /* NULL: GET */
    struct str path;    /* with its query */
    const char *accept, *content_type; /* NULL: JSON; none */
    struct str body;
    nsec_t timeout; /* 0: a minute */
};

/* An error status is an error, with the server's own words. ret_status and ret_body may be NULL; the body lives in arena. */
int session_call(struct session *session, const struct session_request *request, struct arena *arena, int *ret_status,
                 struct str *ret_body, struct err *err);
/* The same, answer parsed. */
int session_json(struct session *session, const struct session_request *request, struct arena *arena, int *ret_status,
                 struct json **ret_json, struct err *err);

#define ACCEPT_TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
#define ACCEPT_PARTIAL "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
#define ACCEPT_PARTIAL_LIST "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"

/* -- answers that come bit by bit: watches and logs -- */

struct session_stream;
/* Waits for nothing. The session outlives the stream. */
int session_stream_open(struct session *session, const struct session_request *request, struct session_stream **ret_stream,
                        struct err *err);
struct session_stream *session_stream_free(struct session_stream *stream);
DEFINE_AUTO(session_stream, session_stream_free)
/* Blocks. 1: bytes were appended to buf; 0: the end; ERR_TIMEOUT when none came in time (0: no limit), the stream goes on. */
int session_stream_read(struct session_stream *stream, nsec_t timeout, struct buf *buf, struct err *err);
/* The same by lines, without their end; the last one may have none. Valid until the next call. */
int session_stream_line(struct session_stream *stream, nsec_t timeout, struct str *ret_line, struct err *err);
