/* err.h - what went wrong, for people and for callers.
 *
 * Functions that can fail return 0 or a negative code; the message travels in struct err (NULL: not wanted) and
 * is wrapped on the way up: "pulling image x: reading manifest: 404 Not Found". Libraries never log it. */
#pragma once

#include <stdarg.h>

#include "base/str.h"

/* code, HTTP status, Kubernetes reason (metav1.StatusReason) */
#define ERR_CODES(X)                                                                                                   \
    X(BAD_REQUEST, 400, "BadRequest")                                                                                  \
    X(UNAUTHORIZED, 401, "Unauthorized")                                                                               \
    X(FORBIDDEN, 403, "Forbidden")                                                                                     \
    X(NOT_FOUND, 404, "NotFound")                                                                                      \
    X(METHOD_NOT_ALLOWED, 405, "MethodNotAllowed")                                                                     \
    X(NOT_ACCEPTABLE, 406, "NotAcceptable")                                                                            \
    X(ALREADY_EXISTS, 409, "AlreadyExists")                                                                            \
    X(CONFLICT, 409, "Conflict")                                                                                       \
    X(GONE, 410, "Gone")                                                                                               \
    X(EXPIRED, 410, "Expired")                                                                                         \
    X(TOO_LARGE, 413, "RequestEntityTooLarge")                                                                         \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "UnsupportedMediaType")                                                             \
    X(INVALID, 422, "Invalid")                                                                                         \
    X(TOO_MANY_REQUESTS, 429, "TooManyRequests")                                                                       \
    X(INTERNAL, 500, "InternalError")                                                                                  \
    X(NO_MEMORY, 503, "ServiceUnavailable")                                                                            \
    X(IO, 500, "InternalError")                                                                                        \
    X(NOT_SUPPORTED, 501, "NotImplemented")                                                                            \
    X(UNAVAILABLE, 503, "ServiceUnavailable")                                                                          \
    X(TIMEOUT, 504, "Timeout")                                                                                         \
    X(NO_SPACE, 507, "InsufficientStorage")                                                                            \
    X(CANCELLED, 503, "ServiceUnavailable")

enum err_code {
    ERR_NONE = 0,
#define X(name, status, reason) ERR_##name,
    ERR_CODES(X)
#undef X
    ERR_MAX
};

struct err {
    enum err_code code;
    char message[1024]; /* cut at the end when longer */
};

/* Both return -code, so that a function can end in `return err_set(...)`. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
int err_vset(struct err *err, enum err_code code, const char *fmt, va_list args);
/* Appends ": strerror(errno)". ENOMEM, ENOSPC/EDQUOT, ENOENT, EEXIST, ETIMEDOUT choose the code, all else is IO. */
int err_errno(struct err *err, int errnum, const char *fmt, ...) PRINTF(3, 4);
/* Puts "what: " in front of the message; the code stays. Returns -err->code (or the given code when err is NULL). */
int err_wrap(struct err *err, int code, const char *fmt, ...) PRINTF(3, 4);
void err_clear(struct err *err);

int err_http_status(enum err_code code);
const char *err_reason(enum err_code code);
const char *err_name(enum err_code code);
/* The code that a Status answer of this HTTP status and reason stands for. */
enum err_code err_from_status(int http_status, struct str reason);
