/* spdy.h - the server's side of SPDY/3.1 framing, without the connection: bytes in, bytes out.
 *
 * The peer opens streams, both write to them. Everything it can make grow is capped: header blocks, their unpacked
 * size, streams. Windows are kept for peers that keep them: most that still speak SPDY only hold their connection back
 * and never send an update, so that one would wait for ever; windows count from the first frame that speaks of them.
 * One thread at a time. */
#pragma once

#include "base/buf.h"
#include "net/http.h"

struct spdy;

enum spdy_status {
    SPDY_PROTOCOL_ERROR = 1,
    SPDY_INVALID_STREAM = 2,
    SPDY_REFUSED_STREAM = 3,
    SPDY_CANCEL = 5,
    SPDY_INTERNAL_ERROR = 6,
    SPDY_FLOW_CONTROL_ERROR = 7,
};

#define SPDY_MAX_STREAMS 512

struct spdy_events {
    void *ctx;
    /* Answer with spdy_reply() or spdy_reset(). end: the peer writes nothing to it. Headers' names are lower case as
     * sent; they live as long as the call. */
    void (*opened)(void *ctx, uint32_t stream, const struct http_header *headers, size_t count, bool end);
    void (*data)(void *ctx, uint32_t stream, struct str bytes, bool end);
    void (*reset)(void *ctx, uint32_t stream); /* by the peer: neither side uses it any more */
};

/* What is to be sent is appended to *out by the calls below. NULL without memory. */
struct spdy *spdy_new(const struct spdy_events *events, struct buf *out);
struct spdy *spdy_free(struct spdy *spdy);
DEFINE_AUTO(spdy, spdy_free)

/* False: the peer broke the protocol; a GOAWAY lies in *out, nothing more will be taken. */
bool spdy_input(struct spdy *spdy, struct str bytes);
bool spdy_is_leaving(const struct spdy *spdy); /* the peer has sent a GOAWAY */

/* All ignore streams that are not open (any more). */
void spdy_reply(struct spdy *spdy, uint32_t stream);
void spdy_data(struct spdy *spdy, uint32_t stream, struct str bytes, bool end);
void spdy_reset(struct spdy *spdy, uint32_t stream, enum spdy_status status);
void spdy_goaway(struct spdy *spdy);
size_t spdy_window(const struct spdy *spdy, uint32_t stream); /* how much may be written now */
/* So many bytes of data() have gone on: the peer may send more. */
void spdy_consumed(struct spdy *spdy, uint32_t stream, size_t count);
