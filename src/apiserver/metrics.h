/* metrics.h - what the server counts about itself, as Prometheus reads it: /metrics.
 *
 * Counting is a relaxed atomic addition into a table that is laid out when the server is made: no lock, no allocation,
 * no string on a request's way. */
#pragma once

#include "apiserver/request.h"

struct metrics;

int metrics_new(struct metrics **ret_metrics, struct err *err);
struct metrics *metrics_free(struct metrics *metrics);
DEFINE_AUTO(metrics, metrics_free)

/* At the end of a request, once its reply is known (long answers: when they end): counts it by verb, resource and
 * status, and, when request->begun is set, its time. Any thread. */
void metrics_request_done(const struct request *request);
/* A long answer that has begun and will end. */
void metrics_stream_begun(const struct request *request);
void metrics_stream_ended(const struct request *request);

/* A request has waited for the newest state; code: how that ended. Any thread. */
void metrics_waited(struct metrics *metrics, nsec_t took, int code);

int metrics_handle(struct request *request, struct err *err);
