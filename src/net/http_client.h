/* http_client.h - requests to other processes, on libcurl: one thread moves the bytes of all of them.
 *
 * Connections are kept and shared. A streamed answer is paused while its reader is behind. */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/http.h"

struct http_client;

struct http_client_options {
    struct str ca_pem, cert_pem, key_pem; /* unset ca: the system's authorities */
    bool insecure;                        /* do not verify; only where a user asked for it */
};

int http_client_new(const struct http_client_options *options, struct http_client **ret_client, struct err *err);
/* What is under way ends with ERR_CANCELLED; calls must still be freed. Not from a callback. */
struct http_client *http_client_free(struct http_client *client);
DEFINE_AUTO(http_client, http_client_free)

struct http_client_request {
    const char *method;
    struct str url;
    const struct http_header *headers;
    size_t header_count;
    struct str body;        /* data == NULL: none */
    bool body_goes_on;      /* http_call_write() adds to it for as long as the call lasts */
    nsec_t timeout;         /* of the whole; 0: none */
    nsec_t connect_timeout; /* 0: 10 s */
    nsec_t stall_timeout;   /* no byte for so long; 0: none */
    size_t max_body;        /* beyond: ERR_TOO_LARGE. 0: 256 MiB for http_client_do(), no limit for a stream */
    bool follow_redirects;  /* at most 10; Authorization is not taken along to another host */
};

struct http_client_response {
    int status;
    struct str body;
    const struct http_header *headers; /* lower case names */
    size_t header_count;
};

/* Blocks; any thread. The response is in the arena. An HTTP error status is not an error here. */
int http_client_do(struct http_client *client, const struct http_client_request *request, struct arena *arena,
                   struct http_client_response *ret_response, struct err *err);

/* Streams. All callbacks come on the client's thread and must not block. */
struct http_call;
struct http_call_events {
    void *ctx;
    void (*head)(void *ctx, const struct http_client_response *head);
    bool (*data)(void *ctx, struct str bytes); /* false: pause until http_call_resume(); the bytes come again then */
    void (*done)(void *ctx, int code, const struct err *err); /* last; code 0 or negative */
};
/* request and what it points to are copied. */
int http_call_start(struct http_client *client, const struct http_client_request *request,
                    const struct http_call_events *events, struct http_call **ret_call, struct err *err);
void http_call_resume(struct http_call *call);
/* More of a body that goes on; copied. ERR_TOO_LARGE: so much waits for the other side already. */
int http_call_write(struct http_call *call, struct str bytes, struct err *err);
/* Cancels without done(). After it returns no callback is running or will; frees the call (required also after
 * done). Not from a callback. */
struct http_call *http_call_free(struct http_call *call);
DEFINE_AUTO(http_call, http_call_free)
