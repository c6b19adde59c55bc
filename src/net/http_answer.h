/* http_answer.h - reads one HTTP/1.1 answer out of bytes as they come, for those who move the bytes themselves.
 *
 * Heads of interim answers (1xx) are left out, but for 101: after that one all bytes go to data() as they are. */
#pragma once

#include "base/err.h"
#include "net/http.h"

struct http_answer;

struct http_answer_events {
    void *ctx;
    void (*head)(void *ctx, int status, const struct http_header *headers, size_t count); /* names are lower case */
    void (*data)(void *ctx, struct str bytes); /* of the body, without its framing */
};

enum http_answer_state { HTTP_ANSWER_MORE, HTTP_ANSWER_DONE, HTTP_ANSWER_BROKEN };

/* method: of the request. NULL without memory. */
struct http_answer *http_answer_new(enum http_method method, const struct http_answer_events *events);
struct http_answer *http_answer_free(struct http_answer *answer);
DEFINE_AUTO(http_answer, http_answer_free)

/* Not from an event. What follows a finished answer is dropped. */
enum http_answer_state http_answer_input(struct http_answer *answer, struct str bytes);
/* No more bytes will come: HTTP_ANSWER_DONE, or _BROKEN when something is missing. */
enum http_answer_state http_answer_eof(struct http_answer *answer);
