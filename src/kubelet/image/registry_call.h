/* registry_call.h - one HTTP request whose answer is taken by the thread that asked, piece by piece. */
#pragma once

#include "net/http_client.h"

struct registry_call {
    struct http_client *client;
    struct str url;
    const struct http_header *headers;
    size_t header_count;
    const atomic_bool *cancel;
    /* The head is there; an error ends the call. */
    int (*head)(void *ctx, const struct http_client_response *head, struct err *err);
    /* Bytes of the body. */
    int (*body)(void *ctx, struct str bytes, struct err *err);
    void *ctx;
};

/* Blocks until the answer has ended. ERR_UNAVAILABLE when the connection failed or broke, ERR_CANCELLED, or what head
 * or body returned. */
int registry_call_run(const struct registry_call *call, struct err *err);
