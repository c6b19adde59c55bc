/* events.h - Kubernetes Events ("FailedScheduling", "Pulled") written in the background: similar ones are counted up
 * (count, lastTimestamp) instead of repeated, and a storm is dropped beyond a cap. Any thread; never blocks. */
#pragma once

#include "base/executor.h"
#include "base/rng.h"
#include "client/client.h"

struct event_recorder;
int event_recorder_new(struct client *client, struct executor *executor, struct rng *rng, struct str component,
                       struct str host, struct event_recorder **ret_recorder, struct err *err);
struct event_recorder *event_recorder_free(struct event_recorder *recorder);
DEFINE_AUTO(event_recorder, event_recorder_free)
/* type: "Normal" or "Warning". field_path: "spec.containers{web}" or unset. */
void event_record(struct event_recorder *recorder, const struct object *about, struct str field_path, const char *type,
                  const char *reason, const char *fmt, ...) PRINTF(6, 7);
