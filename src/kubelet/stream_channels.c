/* stream_channels.c - two ways to carry the same five channels.
 *
 * WebSocket: the first byte of each message is the channel's number; in v5 a message of 255 and a number closes that
 * channel. SPDY: a stream for each channel, named by its header "streamtype"; closed by FIN. A client that is told the
 * outcome over SPDY needs a moment to read all its streams before the connection goes: it closes first. */
#include "kubelet/stream_channels.h"

#include "codec/json.h"
#include "net/spdy.h"
#include "net/websocket.h"

#define CHANNEL_CLOSE 255
#define RESIZE_MAX 1024
#define NO_CHANNEL (-1)

struct channels {
    struct wire *wire;
    struct channels_events events;
    struct websocket *websocket; /* one of the two */
    struct spdy *spdy;
    struct buf in, out, message, resize;
    bool wanted[CHANNEL_COUNT];
    uint32_t streams[CHANNEL_COUNT]; /* SPDY; 0: not opened */
    int channel;                     /* WebSocket: of the message that is coming */
    bool over;
};

/* -- what comes -- */

static void take_size(struct channels *self, struct str text)
{
    AUTO(arena) arena = arena_new(1 << 16);
    struct json *size;
    int64_t width, height;

    if (!arena || json_parse(arena, text, NULL, &size, NULL) < 0)
        return;
    width = json_int(json_member(size, "Width"), -1);
    height = json_int(json_member(size, "Height"), -1);
    if (width > 0 && width <= UINT16_MAX && height > 0 && height <= UINT16_MAX)
        self->events.resize(self->events.ctx, (unsigned)width, (unsigned)height);
}

/* Sizes come one after the other: {"Width":80,"Height":25}. */
static void take_resize(struct channels *self, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        buf_add_char(&self->resize, bytes.data[i]);
        if (bytes.data[i] != '}' && self->resize.len < RESIZE_MAX)
            continue;
        take_size(self, buf_str(&self->resize));
        buf_clear(&self->resize);
    }
}

static void take_bytes(struct channels *self, int channel, struct str bytes, bool end)
{
    if (channel == CHANNEL_STDIN && self->wanted[CHANNEL_STDIN])
        self->events.input(self->events.ctx, bytes, end);
    else if (channel == CHANNEL_RESIZE && self->wanted[CHANNEL_RESIZE])
        take_resize(self, bytes);
}

static void on_message(void *ctx, struct str bytes, bool last)
{
    struct channels *self = ctx;

    if (self->channel == NO_CHANNEL && bytes.len > 0) {
        self->channel = (unsigned char)bytes.data[0];
        bytes = str_skip(bytes, 1);
    }
    if (bytes.len > 0 && self->channel == CHANNEL_CLOSE)
        take_bytes(self, (unsigned char)bytes.data[0], STR(""), true);
    else if (bytes.len > 0)
        take_bytes(self, self->channel, bytes, false);
    if (last)
        self->channel = NO_CHANNEL;
}

static const struct str stream_types[CHANNEL_COUNT] = {
    [CHANNEL_STDIN] = STR_INIT("stdin"), [CHANNEL_STDOUT] = STR_INIT("stdout"), [CHANNEL_STDERR] = STR_INIT("stderr"),
    [CHANNEL_ERROR] = STR_INIT("error"), [CHANNEL_RESIZE] = STR_INIT("resize"),
};

static int channel_of(const struct http_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int channel = 0; channel < CHANNEL_COUNT && str_is(headers[i].name, "streamtype"); channel++)
            if (str_eq(headers[i].value, stream_types[channel]))
                return channel;
    return NO_CHANNEL;
}

static void on_opened(void *ctx, uint32_t stream, const struct http_header *headers, size_t count, bool end)
{
    struct channels *self = ctx;
    int channel = channel_of(headers, count);

    if (channel == NO_CHANNEL || !self->wanted[channel] || self->streams[channel]) {
        spdy_reset(self->spdy, stream, SPDY_REFUSED_STREAM);
        return;
    }
    self->streams[channel] = stream;
    spdy_reply(self->spdy, stream);
    if (end)
        take_bytes(self, channel, STR(""), true);
}

static int channel_by_stream(const struct channels *self, uint32_t stream)
{
    for (int channel = 0; channel < CHANNEL_COUNT; channel++)
        if (self->streams[channel] == stream)
            return channel;
    return NO_CHANNEL;
}

static void on_data(void *ctx, uint32_t stream, struct str bytes, bool end)
{
    struct channels *self = ctx;

    take_bytes(self, channel_by_stream(self, stream), bytes, end);
    spdy_consumed(self->spdy, stream, bytes.len);
}

static void on_reset(void *ctx, uint32_t stream)
{
    struct channels *self = ctx;

    if (channel_by_stream(self, stream) == CHANNEL_STDIN)
        take_bytes(self, CHANNEL_STDIN, STR(""), true);
}

/* -- the handshake -- */

static int open_websocket(struct channels *self, const struct http_request *request, struct err *err)
{
    static const struct str ours[] = { STR_INIT("v5.channel.k8s.io"), STR_INIT("v4.channel.k8s.io") };
    const struct websocket_events events = { self, on_message };
    char accept[WEBSOCKET_ACCEPT_LEN + 1];
    struct str protocol;
    bool any;

    protocol = websocket_choose(request, ours, ARRAY_LEN(ours), &any);
    if (!websocket_accept(request, accept) || (any && !protocol.data))
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: no WebSocket protocol that both sides speak");
    self->websocket = websocket_new(&events, &self->out);
    if (!self->websocket)
        return err_set(err, ERR_NO_MEMORY, "WebSocket");
    wire_header(self->wire, "Sec-WebSocket-Accept", str_from(accept));
    if (protocol.data)
        wire_header(self->wire, "Sec-WebSocket-Protocol", protocol);
    return 0;
}

static int open_spdy(struct channels *self, const struct http_request *request, struct err *err)
{
    const struct spdy_events events = { self, on_opened, on_data, on_reset };
    bool offered = false;

    for (size_t i = 0; i < request->header_count; i++) {
        struct str list = request->headers[i].value, part;

        while (str_is(request->headers[i].name, "x-stream-protocol-version") && str_split(&list, ',', &part))
            offered = offered || str_is(str_trim(part), "v4.channel.k8s.io");
    }
    if (!offered)
        return err_set(err, ERR_FORBIDDEN, "unable to upgrade: unable to negotiate protocol: server accepts "
                                           "[v4.channel.k8s.io]");
    self->spdy = spdy_new(&events, &self->out);
    if (!self->spdy)
        return err_set(err, ERR_NO_MEMORY, "SPDY");
    wire_header(self->wire, "X-Stream-Protocol-Version", STR("v4.channel.k8s.io"));
    return 0;
}

int channels_new(struct wire *wire, const struct http_request *request, const bool wanted[CHANNEL_COUNT],
                 const struct channels_events *events, struct channels **ret_channels, struct err *err)
{
    AUTO(channels) self = calloc(1, sizeof *self);
    bool websocket = websocket_is_asked(request);
    int code;

    if (!self)
        return err_set(err, ERR_NO_MEMORY, "channels");
    self->wire = wire;
    self->events = *events;
    self->channel = NO_CHANNEL;
    memcpy(self->wanted, wanted, sizeof self->wanted);
    if (!websocket && !str_eq_nocase(http_request_header(request, STR("upgrade")), STR("SPDY/3.1")))
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: neither WebSocket nor SPDY/3.1 was asked for");
    code = websocket ? open_websocket(self, request, err) : open_spdy(self, request, err);
    if (code < 0)
        return code;
    if (!wire_upgrade(wire, websocket ? STR("websocket") : STR("SPDY/3.1")))
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: this connection cannot");
    *ret_channels = TAKE(self);
    return 0;
}

struct channels *channels_free(struct channels *channels)
{
    if (!channels)
        return NULL;
    websocket_free(channels->websocket);
    spdy_free(channels->spdy);
    buf_deinit(&channels->in);
    buf_deinit(&channels->out);
    buf_deinit(&channels->message);
    buf_deinit(&channels->resize);
    free(channels);
    return NULL;
}

/* -- for the session -- */

static void flush(struct channels *self)
{
    if (!buf_ok(&self->out) || !buf_ok(&self->message))
        self->over = true;
    else
        wire_write(self->wire, buf_str(&self->out));
    buf_clear(&self->out);
}

void channels_pump(struct channels *channels)
{
    bool alive = true;

    if (wire_is_full(channels->wire))
        return; /* every byte may have an answer: who does not read is not heard */
    wire_take(channels->wire, &channels->in);
    if (!buf_ok(&channels->in))
        channels->over = true;
    if (channels->in.len > 0 && !channels->over)
        alive = channels->websocket ? websocket_input(channels->websocket, buf_str(&channels->in))
                                    : spdy_input(channels->spdy, buf_str(&channels->in));
    buf_clear(&channels->in);
    flush(channels);
    if (!alive || wire_is_over(channels->wire) || (channels->spdy && spdy_is_leaving(channels->spdy)))
        channels->over = true;
}

bool channels_are_open(const struct channels *channels)
{
    for (int i = 0; i < CHANNEL_COUNT && channels->spdy; i++)
        if (channels->wanted[i] && !channels->streams[i])
            return false;
    return true;
}

bool channels_are_over(const struct channels *channels)
{
    return channels->over;
}

size_t channels_room(const struct channels *channels, enum channel channel)
{
    if (wire_is_full(channels->wire))
        return 0;
    return channels->websocket ? SIZE_MAX : spdy_window(channels->spdy, channels->streams[channel]);
}

static void write_channel(struct channels *self, enum channel channel, struct str bytes, bool end)
{
    if (!self->wanted[channel])
        return;
    if (self->spdy) {
        spdy_data(self->spdy, self->streams[channel], bytes, end);
        return;
    }
    if (bytes.len == 0)
        return;
    buf_clear(&self->message);
    buf_add_char(&self->message, (char)channel);
    buf_add_str(&self->message, bytes);
    websocket_send(self->websocket, buf_str(&self->message));
}

void channels_write(struct channels *channels, enum channel channel, struct str bytes)
{
    write_channel(channels, channel, bytes, false);
    flush(channels);
}

void channels_finish(struct channels *channels, struct str status)
{
    write_channel(channels, CHANNEL_STDOUT, STR(""), true);
    write_channel(channels, CHANNEL_STDERR, STR(""), true);
    write_channel(channels, CHANNEL_ERROR, status, true);
    if (channels->websocket)
        websocket_close(channels->websocket, 1000, STR(""));
    else
        spdy_goaway(channels->spdy);
    flush(channels);
}
