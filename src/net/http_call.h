/* http_call.h - one transfer of the HTTP client. Private to net/.
 *
 * Made by any thread, then used by the client's thread alone but for the flags, which are under the client's lock. */
#pragma once

#include <curl/curl.h>

#include "base/list.h"
#include "net/head.h"
#include "net/http_client.h"

struct http_call {
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    char *url, *body;
    struct http_call_events events;
    char error[CURL_ERROR_SIZE];
    struct head head;
    int status;
    bool goes_on; /* the body of the request */
    bool follow, is_redirect, head_told, too_large, no_memory;
    bool dropped; /* no event may come any more */
    size_t received, max_body;

    struct list link; /* among the client's calls; its thread */

    /* Under the client's lock. */
    struct list command; /* in the client's commands */
    bool start, resume, cancel, over;
    struct buf outgoing; /* of a body that goes on */
    bool body_over;
};

int http_call_new(struct http_client *client, const struct http_client_request *request,
                  const struct http_call_events *events, struct http_call **ret_call, struct err *err);
void http_call_destroy(struct http_call *call);
/* The transfer ended: tells the head if that is still to be told, then done(). */
void http_call_finish(struct http_call *call, CURLcode code);
void http_call_fail(struct http_call *call, enum err_code code, const char *why);

/* Of a body that goes on: takes what waits to be sent, at most size bytes. False: it goes on no more. */
bool http_client_take(struct http_call *call, char *out, size_t size, size_t *ret_len);
void http_client_end_request(struct http_call *call);

/* What the client was made with, for a new handle. */
bool http_client_configure(struct http_client *client, CURL *easy);
