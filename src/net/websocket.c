/* websocket.c - on wslay's event interface, which is given a slice to read from and a buffer to write to.
 *
 * wslay does framing, masks, order of fragments, control frames and close codes. It is told not to collect messages:
 * the callbacks for frames give their pieces out at once. */
#include "net/websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <wslay/wslay.h>

struct websocket {
    wslay_event_context_ptr wslay;
    struct websocket_events events;
    struct buf *out;
    struct str in;
    bool control; /* the frame under way is no part of a message */
    bool fin;
};

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *data, size_t len, int flags, void *user)
{
    struct websocket *self = user;
    size_t n = MIN(len, self->in.len);

    if (n == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(data, self->in.data, n);
    self->in = str_skip(self->in, n);
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *data, size_t len, int flags, void *user)
{
    struct websocket *self = user;

    buf_add(self->out, data, len);
    if (buf_ok(self->out))
        return (ssize_t)len;
    wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_frame(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
    struct websocket *self = user;

    self->control = wslay_is_ctrl_frame(arg->opcode);
    self->fin = arg->fin;
}

static void on_chunk(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_chunk_arg *arg, void *user)
{
    struct websocket *self = user;

    if (!self->control && arg->data_length > 0)
        self->events.message(self->events.ctx, str_of(arg->data, arg->data_length), false);
}

static void on_frame_end(wslay_event_context_ptr wslay, void *user)
{
    struct websocket *self = user;

    if (!self->control && self->fin)
        self->events.message(self->events.ctx, STR(""), true);
}

static int on_mask(wslay_event_context_ptr wslay, uint8_t *mask, size_t len, void *user)
{
    return RAND_bytes(mask, (int)len) == 1 ? 0 : -1;
}

static struct websocket *make(const struct websocket_events *events, struct buf *out, bool client)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
        .on_frame_recv_end_callback = on_frame_end,
    };
    struct websocket *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->events = *events;
    self->out = out;
    if ((client ? wslay_event_context_client_init(&self->wslay, &callbacks, self)
                : wslay_event_context_server_init(&self->wslay, &callbacks, self)) != 0) {
        free(self);
        return NULL;
    }
    wslay_event_config_set_no_buffering(self->wslay, 1);
    return self;
}

struct websocket *websocket_new(const struct websocket_events *events, struct buf *out)
{
    return make(events, out, false);
}

struct websocket *websocket_client_new(const struct websocket_events *events, struct buf *out)
{
    return make(events, out, true);
}

struct websocket *websocket_free(struct websocket *websocket)
{
    if (!websocket)
        return NULL;
    wslay_event_context_free(websocket->wslay);
    free(websocket);
    return NULL;
}

static bool flush(struct websocket *self)
{
    return wslay_event_send(self->wslay) == 0;
}

bool websocket_input(struct websocket *websocket, struct str bytes)
{
    bool sound;

    websocket->in = bytes;
    sound = wslay_event_recv(websocket->wslay) == 0;
    websocket->in = STR_NULL;
    return flush(websocket) && sound && wslay_event_get_read_enabled(websocket->wslay) &&
           !wslay_event_get_close_received(websocket->wslay);
}

void websocket_send(struct websocket *websocket, struct str message)
{
    const struct wslay_event_msg msg = { WSLAY_BINARY_FRAME, (const uint8_t *)message.data, message.len };

    if (wslay_event_queue_msg(websocket->wslay, &msg) == WSLAY_ERR_NOMEM)
        websocket->out->failed = true; /* a gap in the stream would be a lie */
    flush(websocket);
}

void websocket_close(struct websocket *websocket, unsigned code, struct str reason)
{
    wslay_event_queue_close(websocket->wslay, (uint16_t)code, (const uint8_t *)reason.data, MIN(reason.len, 123u));
    flush(websocket);
}

/* -- the handshake -- */

bool websocket_is_asked(const struct http_request *request)
{
    return http_request_wants_upgrade(request) &&
           str_eq_nocase(http_request_header(request, STR("upgrade")), STR("websocket"));
}

static bool accept_of(const char key[WEBSOCKET_KEY_LEN], char out[WEBSOCKET_ACCEPT_LEN + 1])
{
    static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* the protocol's */
    char text[WEBSOCKET_KEY_LEN + sizeof salt];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    memcpy(text, key, WEBSOCKET_KEY_LEN);
    memcpy(text + WEBSOCKET_KEY_LEN, salt, sizeof salt);
    if (EVP_Digest(text, WEBSOCKET_KEY_LEN + sizeof salt - 1, digest, &len, EVP_sha1(), NULL) != 1 || len != 20)
        return false;
    EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
    return true;
}

bool websocket_accept(const struct http_request *request, char out[WEBSOCKET_ACCEPT_LEN + 1])
{
    struct str key = str_trim(http_request_header(request, STR("sec-websocket-key")));

    return key.len == WEBSOCKET_KEY_LEN && str_is(http_request_header(request, STR("sec-websocket-version")), "13") &&
           accept_of(key.data, out);
}

bool websocket_key(char out[WEBSOCKET_KEY_LEN + 1])
{
    unsigned char bytes[16];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)out, bytes, sizeof bytes);
    return true;
}

bool websocket_key_accepted(const char *key, struct str accept)
{
    char wanted[WEBSOCKET_ACCEPT_LEN + 1];

    return accept_of(key, wanted) && str_is(str_trim(accept), wanted);
}

static bool names(const struct http_request *request, struct str protocol, bool *ret_any)
{
    struct str list, part;

    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_is(request->headers[i].name, "sec-websocket-protocol"))
            continue;
        *ret_any = true;
        for (list = request->headers[i].value; str_split(&list, ',', &part);)
            if (str_eq(str_trim(part), protocol))
                return true;
    }
    return false;
}

struct str websocket_choose(const struct http_request *request, const struct str *ours, size_t count, bool *ret_any)
{
    *ret_any = false;
    for (size_t i = 0; i < count; i++)
        if (names(request, ours[i], ret_any))
            return ours[i];
    return STR_NULL;
}
