/* status.h - metav1.Status: every answer that is not an object, and the ways to fail that Kubernetes' clients know. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"
#include "schema/object.h"
#include "schema/type.h"

struct request;

/* What a Status says beside code, reason and message. */
struct failure {
    struct str name, group, kind, uid; /* details; kind unset: no details (unless there are causes) */
    struct causes causes;              /* validation findings */
    struct str cause_reason, cause_message,
        cause_field;   /* one more cause, with a reason of its own (NamespaceTerminating) */
    int retry_after;   /* seconds; 0: none */
    int status;        /* HTTP status instead of the error code's; 0: that one */
    struct str reason; /* instead of the error code's */
    struct str origin, origin_message; /* of a transaction: which of its writes ("writes[3]"), and what it was */
    struct str continue_token; /* of a list that may go on all the same; unset: none */
};

/* {"kind":"Status",...,"status":"Failure"} for err with failure's details. */
void status_write(struct buf *buf, const struct err *err, const struct failure *failure);
/* {"kind":"Status",...,"status":"Success"} with details of what was done to (deletions). */
void status_write_success(struct buf *buf, struct str name, struct str group, struct str kind, struct str uid);
int status_code(const struct err *err, const struct failure *failure);

/* These set err and the request's failure, and return the negative code. name: of the object. */
int fail_not_found(struct request *request, struct str name, struct err *err);
int fail_already_exists(struct request *request, struct str name, struct err *err);
int fail_conflict(struct request *request, struct str name, struct err *err, const char *fmt, ...) PRINTF(4, 5);
int fail_modified(struct request *request, struct str name, struct err *err); /* "the object has been modified; ..." */
int fail_forbidden(struct request *request, struct str name, struct err *err, const char *fmt, ...) PRINTF(4, 5);
int fail_bad_request(struct request *request, struct err *err, const char *fmt, ...) PRINTF(3, 4);
int fail_method(struct request *request, struct err *err);
int fail_not_supported(struct request *request, struct err *err, const char *what);
/* From request->failure.causes: 422 with all of them. */
int fail_invalid(struct request *request, struct str name, struct err *err);
/* "pods", "deployments.apps"; "Pod", "Deployment.apps". */
struct str qualified_resource(struct request *request);
struct str qualified_kind(struct request *request);
