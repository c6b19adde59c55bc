/* grpc.h - gRPC calls on one HTTP/2 connection of which somebody else moves the bytes: no socket, no clock, no thread.
 *
 * One thread. A call has one request; answers are messages, as many as the server likes, until it is closed. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

#define GRPC_PREFIX 5 /* bytes in front of a message: room for them begins each request */
#define GRPC_TEXT_MAX 512

/* Status codes of gRPC. */
enum grpc_code {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
};

/* How a call ended. */
struct grpc_status {
    int code;         /* what the server said; GRPC_UNAVAILABLE: it said nothing, the connection is over */
    const char *text; /* never NULL */
    bool unseen;      /* the server certainly did not act on the call */
    bool malformed;   /* the answer breaks the rules */
};

struct grpc_session;
struct grpc_call;
struct grpc_events {
    /* A whole message, valid until it returns. It may cancel the call, and then free it. */
    void (*message)(struct grpc_call *call, struct str message);
    /* Last; not after grpc_call_cancel(). It may free the call. */
    void (*closed)(struct grpc_call *call, const struct grpc_status *status);
};

/* The caller's memory; members are the session's but the first four. */
struct grpc_call {
    const struct grpc_events *events;
    const char *path;    /* a string constant: "/etcdserverpb.KV/Range" */
    struct str request;  /* prefixed; must stay until the call is over */
    bool open_ended;     /* the server waits for more requests: the request is never said to be complete */

    struct list link;
    struct grpc_session *session; /* NULL: not under way */
    int32_t stream;
    size_t sent;
    bool started; /* something of it was sent */
    bool paused;
    struct buf in;   /* an incomplete message, or those that wait while paused */
    size_t withheld; /* bytes for which the window was not opened again */
    size_t head_bytes;
    int http_status, code; /* code -1: not said yet */
    bool bad_content;
    char text[GRPC_TEXT_MAX];
};

struct grpc_session_options {
    const char *authority; /* "host:port" */
    bool tls;
    size_t max_message;
};

int grpc_session_new(const struct grpc_session_options *options, struct grpc_session **ret_session, struct err *err);
/* Closes all calls. The reason, for their status. Not from within a callback. */
struct grpc_session *grpc_session_free(struct grpc_session *session, const char *reason);

/* Bytes from the server. Negative: it broke the rules (ERR_IO), or no memory: free the session. */
int grpc_session_input(struct grpc_session *session, struct str bytes, struct err *err);
/* Appends what is to be sent. Negative: as above. */
int grpc_session_output(struct grpc_session *session, struct buf *out, struct err *err);

bool grpc_session_ready(const struct grpc_session *session);  /* the server has greeted */
bool grpc_session_ending(const struct grpc_session *session); /* the server takes no more calls */
/* Goes with every call from now on; copied. Unset: none. */
int grpc_session_set_token(struct grpc_session *session, struct str token, struct err *err);

/* ERR_NO_MEMORY; ERR_UNAVAILABLE: the session is ending. Then the call is not under way and closed() will not come. */
int grpc_call_start(struct grpc_session *session, struct grpc_call *call, struct err *err);
/* Without closed(). Nothing when it is not under way. */
void grpc_call_cancel(struct grpc_call *call);
/* While paused messages wait; the server is held up after GRPC_WINDOW bytes more. What waits is lost when the call is
 * closed meanwhile. Resuming may call message(). */
#define GRPC_WINDOW (4u << 20)
void grpc_call_pause(struct grpc_call *call);
void grpc_call_resume(struct grpc_call *call);

/* Writes the prefix of the message that follows it in memory. */
void grpc_prefix(char *prefix, size_t message_len);
const char *grpc_code_name(int code); /* "Unavailable" */
