/* http_api.h - the API over HTTPS from inside: for the files of this folder only. */
#pragma once

#include "client/client.h"
#include "net/http_client.h"

struct http_api {
    struct client client;
    struct http_client *http;
    struct arena arena; /* owns the texts below */
    struct str server, authorization, user_agent;
};

#define HEADERS_MAX 6

void http_api_url(struct buf *url, const struct http_api *api, const struct client_call *call, bool watch,
                  uint64_t after);
/* Those that every request has; returns how many. */
size_t http_api_headers(const struct http_api *api, const char *content_type, struct http_header headers[HEADERS_MAX]);

/* client_ops.talk */
int http_api_talk(struct client *client, const struct client_call *call, struct client_talk **ret_talk,
                  struct err *err);
