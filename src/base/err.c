#include "base/err.h"

#include <errno.h>
#include <stdio.h>

static const struct {
    const char *name, *reason;
    int status;
} codes[ERR_MAX] = {
    [ERR_NONE] = { "NONE", "", 200 },
#define X(name, status, reason) [ERR_##name] = { #name, reason, status },
    ERR_CODES(X)
#undef X
};

int err_vset(struct err *err, enum err_code code, const char *fmt, va_list args)
{
    if (err) {
        err->code = code;
        vsnprintf(err->message, sizeof err->message, fmt, args);
    }
    return -(int)code;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    err_vset(err, code, fmt, args);
    va_end(args);
    return -(int)code;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM: return ERR_NO_MEMORY;
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_ALREADY_EXISTS;
    case ETIMEDOUT: return ERR_TIMEOUT;
    default: return ERR_IO;
    }
}

int err_errno(struct err *err, int errnum, const char *fmt, ...)
{
    enum err_code code = code_of_errno(errnum);

    if (err) {
        va_list args;
        char reason[128];

        va_start(args, fmt);
        err_vset(err, code, fmt, args);
        va_end(args);
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": %s", strerror_r(errnum, reason, sizeof reason));
    }
    return -(int)code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list args;
    char inner[sizeof err->message];

    memcpy(inner, err->message, sizeof inner);
    va_start(args, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    size_t used = strlen(err->message);

    snprintf(err->message + used, sizeof err->message - used, ": %s", inner);
    return err->code ? -(int)err->code : code;
}

void err_clear(struct err *err)
{
    if (err) {
        err->code = ERR_NONE;
        err->message[0] = 0;
    }
}

int err_http_status(enum err_code code)
{
    return code < ERR_MAX ? codes[code].status : 500;
}

const char *err_reason(enum err_code code)
{
    return code < ERR_MAX ? codes[code].reason : "InternalError";
}

const char *err_name(enum err_code code)
{
    return code < ERR_MAX ? codes[code].name : "?";
}

enum err_code err_from_status(int http_status, struct str reason)
{
    for (int code = ERR_NONE + 1; code < ERR_MAX; code++)
        if (codes[code].status == http_status && str_is(reason, codes[code].reason))
            return (enum err_code)code;
    for (int code = ERR_NONE + 1; code < ERR_MAX; code++)
        if (codes[code].status == http_status)
            return (enum err_code)code;
    return http_status >= 500 ? ERR_INTERNAL : ERR_BAD_REQUEST;
}
