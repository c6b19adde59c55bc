/* spdy.c - SPDY/3.1 frames; header blocks by zlib with the protocol's dictionary.
 *
 *     control frame: 1 | version (15) || type (16) | flags (8) | length (24) | ...
 *     data frame:    0 | stream (31)             | flags (8) | length (24) | ...
 *
 * Data goes out piece by piece as it comes; a control frame is collected first, and none that is longer than
 * CONTROL_MAX is accepted. The header blocks of a connection are one deflate stream in each direction: those of refused
 * streams have to be unpacked all the same. */
#include "net/spdy.h"

#include <zlib.h>

#include "base/vec.h"

#define VERSION 3
#define CONTROL_MAX (16u << 10)
#define HEADERS_MAX (64u << 10) /* unpacked */
#define FIELDS_MAX 64
#define WINDOW_INITIAL 65536
#define WINDOW_MAX 0x7fffffff
#define UPDATE_AFTER (WINDOW_INITIAL / 2)
#define SETTING_INITIAL_WINDOW 7
#define FLAG_FIN 1

enum frame_type {
    SYN_STREAM = 1,
    SYN_REPLY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    HEADERS = 8,
    WINDOW_UPDATE = 9,
};

/* The dictionary of SPDY/3, a constant of the protocol: 1423 bytes, Adler-32 e3c6a7c2. */
static const char dictionary[] =
    "\0\0\0\7" "options" "\0\0\0\4" "head" "\0\0\0\4" "post" "\0\0\0\3" "put" "\0\0\0\6" "delete" "\0\0\0\5" "trace"
    "\0\0\0\6" "accept" "\0\0\0\16" "accept-charset" "\0\0\0\17" "accept-encoding" "\0\0\0\17" "accept-language"
    "\0\0\0\15" "accept-ranges" "\0\0\0\3" "age" "\0\0\0\5" "allow" "\0\0\0\15" "authorization"
    "\0\0\0\15" "cache-control" "\0\0\0\12" "connection" "\0\0\0\14" "content-base" "\0\0\0\20" "content-encoding"
    "\0\0\0\20" "content-language" "\0\0\0\16" "content-length" "\0\0\0\20" "content-location"
    "\0\0\0\13" "content-md5" "\0\0\0\15" "content-range" "\0\0\0\14" "content-type" "\0\0\0\4" "date"
    "\0\0\0\4" "etag" "\0\0\0\6" "expect" "\0\0\0\7" "expires" "\0\0\0\4" "from" "\0\0\0\4" "host"
    "\0\0\0\10" "if-match" "\0\0\0\21" "if-modified-since" "\0\0\0\15" "if-none-match" "\0\0\0\10" "if-range"
    "\0\0\0\23" "if-unmodified-since" "\0\0\0\15" "last-modified" "\0\0\0\10" "location" "\0\0\0\14" "max-forwards"
    "\0\0\0\6" "pragma" "\0\0\0\22" "proxy-authenticate" "\0\0\0\23" "proxy-authorization" "\0\0\0\5" "range"
    "\0\0\0\7" "referer" "\0\0\0\13" "retry-after" "\0\0\0\6" "server" "\0\0\0\2" "te" "\0\0\0\7" "trailer"
    "\0\0\0\21" "transfer-encoding" "\0\0\0\7" "upgrade" "\0\0\0\12" "user-agent" "\0\0\0\4" "vary" "\0\0\0\3" "via"
    "\0\0\0\7" "warning" "\0\0\0\20" "www-authenticate" "\0\0\0\6" "method" "\0\0\0\3" "get" "\0\0\0\6" "status"
    "\0\0\0\6" "200 OK" "\0\0\0\7" "version" "\0\0\0\10" "HTTP/1.1" "\0\0\0\3" "url" "\0\0\0\6" "public"
    "\0\0\0\12" "set-cookie" "\0\0\0\12" "keep-alive" "\0\0\0\6" "origin"
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritat"
    "ive Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found5"
    "00 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct N"
    "ov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,applic"
    "ation/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf"
    "-8charset=iso-8859-1,utf-,*,enq=0.";
struct spdy_stream {
    uint32_t id;
    bool replied, local_end, remote_end;
    int64_t window; /* what the peer still takes */
    size_t consumed;
};

struct spdy {
    struct spdy_events events;
    struct buf *out;
    z_stream inflate, deflate;
    VEC(struct spdy_stream) streams;
    uint32_t last_id;
    int64_t window, initial_window;
    size_t consumed;
    bool windows; /* the peer keeps them */
    bool failed, leaving;

    unsigned char head[8];
    size_t head_len;
    size_t rest; /* of the frame under way */
    struct buf control, unpacked;
};

static uint32_t read_u32(const void *data)
{
    const unsigned char *p = data;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void add_u32(struct buf *buf, uint32_t value)
{
    const unsigned char bytes[] = { (unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                    (unsigned char)(value >> 8), (unsigned char)value };

    buf_add(buf, bytes, sizeof bytes);
}

static void add_control(struct spdy *spdy, enum frame_type type, unsigned flags, size_t length)
{
    add_u32(spdy->out, 0x80000000u | VERSION << 16 | type);
    add_u32(spdy->out, (uint32_t)flags << 24 | (uint32_t)length);
}

/* -- life -- */

struct spdy *spdy_new(const struct spdy_events *events, struct buf *out)
{
    struct spdy *spdy = calloc(1, sizeof *spdy);

    if (!spdy)
        return NULL;
    spdy->events = *events;
    spdy->out = out;
    spdy->window = spdy->initial_window = WINDOW_INITIAL;
    buf_init(&spdy->control, CONTROL_MAX);
    buf_init(&spdy->unpacked, HEADERS_MAX);
    if (inflateInit(&spdy->inflate) != Z_OK) {
        free(spdy);
        return NULL;
    }
    if (deflateInit2(&spdy->deflate, Z_BEST_SPEED, Z_DEFLATED, 11, 4, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflateSetDictionary(&spdy->deflate, (const Bytef *)dictionary, sizeof dictionary - 1) != Z_OK)
        return spdy_free(spdy);
    return spdy;
}

struct spdy *spdy_free(struct spdy *spdy)
{
    if (!spdy)
        return NULL;
    inflateEnd(&spdy->inflate);
    deflateEnd(&spdy->deflate);
    vec_deinit(&spdy->streams);
    buf_deinit(&spdy->control);
    buf_deinit(&spdy->unpacked);
    free(spdy);
    return NULL;
}

static struct spdy_stream *find(const struct spdy *spdy, uint32_t id)
{
    for (size_t i = 0; i < spdy->streams.count; i++)
        if (spdy->streams.items[i].id == id)
            return &spdy->streams.items[i];
    return NULL;
}

static void drop(struct spdy *spdy, struct spdy_stream *stream)
{
    vec_remove(&spdy->streams, (size_t)(stream - spdy->streams.items));
}

static void drop_if_over(struct spdy *spdy, struct spdy_stream *stream)
{
    if (stream->local_end && stream->remote_end)
        drop(spdy, stream);
}

static void write_reset(struct spdy *spdy, uint32_t id, enum spdy_status status)
{
    add_control(spdy, RST_STREAM, 0, 8);
    add_u32(spdy->out, id);
    add_u32(spdy->out, status);
}

static void write_goaway(struct spdy *spdy, uint32_t status)
{
    add_control(spdy, GOAWAY, 0, 8);
    add_u32(spdy->out, spdy->last_id);
    add_u32(spdy->out, status);
}

static bool fail(struct spdy *spdy)
{
    if (!spdy->failed)
        write_goaway(spdy, 1);
    spdy->failed = true;
    return false;
}

/* -- header blocks -- */

static bool inflate_some(struct spdy *spdy, char *place, size_t room)
{
    z_stream *z = &spdy->inflate;
    int code;

    z->next_out = (Bytef *)place;
    z->avail_out = (uInt)room;
    code = inflate(z, Z_SYNC_FLUSH);
    if (code == Z_NEED_DICT) {
        if (inflateSetDictionary(z, (const Bytef *)dictionary, sizeof dictionary - 1) != Z_OK)
            return false;
        code = inflate(z, Z_SYNC_FLUSH);
    }
    spdy->unpacked.len += room - z->avail_out;
    return code == Z_OK || code == Z_BUF_ERROR;
}

/* Into spdy->unpacked; false when it is no deflate stream, or too long. */
static bool unpack(struct spdy *spdy, struct str block)
{
    const size_t step = 4096;
    char *place;

    buf_clear(&spdy->unpacked);
    spdy->inflate.next_in = (Bytef *)block.data;
    spdy->inflate.avail_in = (uInt)block.len;
    do {
        place = buf_reserve(&spdy->unpacked, step);
        if (!place || !inflate_some(spdy, place, step))
            return false;
    } while (spdy->inflate.avail_out == 0 || (spdy->inflate.avail_in > 0 && spdy->inflate.avail_out < step));
    return spdy->inflate.avail_in == 0;
}

static bool take_text(struct str *rest, struct str *ret_text)
{
    uint32_t len;

    if (rest->len < 4 || (len = read_u32(rest->data)) > rest->len - 4)
        return false;
    *ret_text = str_of(rest->data + 4, len);
    *rest = str_skip(*rest, 4 + (size_t)len);
    return true;
}

static bool read_fields(struct spdy *spdy, struct http_header *fields, size_t *ret_count)
{
    struct str rest = buf_str(&spdy->unpacked);
    uint32_t count;

    if (rest.len < 4 || (count = read_u32(rest.data)) > FIELDS_MAX)
        return false;
    rest = str_skip(rest, 4);
    for (uint32_t i = 0; i < count; i++)
        if (!take_text(&rest, &fields[i].name) || str_empty(fields[i].name) || !take_text(&rest, &fields[i].value))
            return false;
    *ret_count = count;
    return rest.len == 0;
}

/* -- control frames; false: the connection cannot go on -- */

static bool on_syn_stream(struct spdy *spdy, struct str body, unsigned flags)
{
    struct http_header fields[FIELDS_MAX];
    struct spdy_stream stream = { .window = spdy->initial_window, .remote_end = flags & FLAG_FIN };
    size_t count = 0;

    if (body.len < 10 || !unpack(spdy, str_skip(body, 10)))
        return false;
    stream.id = read_u32(body.data) & 0x7fffffff;
    if (stream.id % 2 == 0 || stream.id <= spdy->last_id)
        return false;
    spdy->last_id = stream.id;
    if (spdy->leaving)
        return true;
    if (!read_fields(spdy, fields, &count)) {
        write_reset(spdy, stream.id, SPDY_PROTOCOL_ERROR);
        return true;
    }
    if (spdy->streams.count >= SPDY_MAX_STREAMS || vec_push(&spdy->streams, stream) < 0) {
        write_reset(spdy, stream.id, SPDY_REFUSED_STREAM);
        return true;
    }
    spdy->events.opened(spdy->events.ctx, stream.id, fields, count, stream.remote_end);
    return true;
}

static void end_remote(struct spdy *spdy, uint32_t id, struct str bytes, bool end)
{
    struct spdy_stream *stream = find(spdy, id);

    if (!stream || stream->remote_end || (bytes.len == 0 && !end))
        return;
    stream->remote_end = end;
    spdy->events.data(spdy->events.ctx, id, bytes, end);
    if (end && (stream = find(spdy, id))) /* the event may have dropped it */
        drop_if_over(spdy, stream);
}

static bool on_headers(struct spdy *spdy, struct str body, unsigned flags)
{
    if (body.len < 4 || !unpack(spdy, str_skip(body, 4)))
        return false;
    if (flags & FLAG_FIN)
        end_remote(spdy, read_u32(body.data) & 0x7fffffff, STR(""), true);
    return true;
}

static bool on_reset(struct spdy *spdy, struct str body, unsigned flags)
{
    struct spdy_stream *stream;
    uint32_t id;

    if (body.len != 8)
        return false;
    id = read_u32(body.data) & 0x7fffffff;
    stream = find(spdy, id);
    if (!stream)
        return true;
    drop(spdy, stream);
    spdy->events.reset(spdy->events.ctx, id);
    return true;
}

static bool set_initial_window(struct spdy *spdy, uint32_t size)
{
    if (size > WINDOW_MAX)
        return false;
    for (size_t i = 0; i < spdy->streams.count; i++)
        spdy->streams.items[i].window += (int64_t)size - spdy->initial_window;
    spdy->initial_window = size;
    spdy->windows = true;
    return true;
}

static bool on_settings(struct spdy *spdy, struct str body, unsigned flags)
{
    uint32_t count;

    if (body.len < 4 || (body.len - 4) % 8 != 0 || (count = read_u32(body.data)) != (body.len - 4) / 8)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const char *entry = body.data + 4 + (size_t)i * 8;

        if ((read_u32(entry) & 0xffffff) == SETTING_INITIAL_WINDOW && !set_initial_window(spdy, read_u32(entry + 4)))
            return false;
    }
    return true;
}

/* Ours are even; the peer's come back as they are. */
static bool on_ping(struct spdy *spdy, struct str body, unsigned flags)
{
    if (body.len != 4)
        return false;
    if (read_u32(body.data) % 2 == 0)
        return true;
    add_control(spdy, PING, 0, 4);
    buf_add_str(spdy->out, body);
    return true;
}

static bool on_goaway(struct spdy *spdy, struct str body, unsigned flags)
{
    spdy->leaving = true;
    return body.len == 8;
}

static bool on_window(struct spdy *spdy, struct str body, unsigned flags)
{
    struct spdy_stream *stream;
    uint32_t id, delta;

    if (body.len != 8)
        return false;
    id = read_u32(body.data) & 0x7fffffff;
    delta = read_u32(body.data + 4) & 0x7fffffff;
    spdy->windows = true;
    if (id == 0) {
        spdy->window += delta;
        return delta > 0 && spdy->window <= WINDOW_MAX;
    }
    stream = find(spdy, id);
    if (!stream)
        return true;
    stream->window += delta;
    if (delta > 0 && stream->window <= WINDOW_MAX)
        return true;
    spdy_reset(spdy, id, SPDY_FLOW_CONTROL_ERROR);
    spdy->events.reset(spdy->events.ctx, id);
    return true;
}

static bool on_control(struct spdy *spdy)
{
    static bool (*const handlers[])(struct spdy *, struct str, unsigned) = {
        [SYN_STREAM] = on_syn_stream, [SYN_REPLY] = on_headers, [RST_STREAM] = on_reset,      [SETTINGS] = on_settings,
        [PING] = on_ping,             [GOAWAY] = on_goaway,     [HEADERS] = on_headers, [WINDOW_UPDATE] = on_window,
    };
    unsigned type = read_u32(spdy->head) & 0xffff;

    if (type >= ARRAY_LEN(handlers) || !handlers[type])
        return true; /* unknown ones are skipped */
    return handlers[type](spdy, buf_str(&spdy->control), spdy->head[4]);
}

/* -- frames -- */

static bool is_control(const struct spdy *spdy)
{
    return spdy->head[0] & 0x80;
}

static bool begin_frame(struct spdy *spdy)
{
    spdy->rest = read_u32(spdy->head + 4) & 0xffffff;
    buf_clear(&spdy->control);
    if (!is_control(spdy))
        return true;
    return (read_u32(spdy->head) >> 16 & 0x7fff) == VERSION && spdy->rest <= CONTROL_MAX;
}

static bool take_body(struct spdy *spdy, struct str bytes)
{
    bool over = spdy->rest == 0;

    if (!is_control(spdy)) {
        end_remote(spdy, read_u32(spdy->head) & 0x7fffffff, bytes, over && (spdy->head[4] & FLAG_FIN));
        return true;
    }
    buf_add_str(&spdy->control, bytes);
    return buf_ok(&spdy->control) && (!over || on_control(spdy));
}

bool spdy_input(struct spdy *spdy, struct str bytes)
{
    while (bytes.len > 0 && !spdy->failed) {
        if (spdy->head_len < sizeof spdy->head) {
            spdy->head[spdy->head_len++] = (unsigned char)bytes.data[0];
            bytes = str_skip(bytes, 1);
            if (spdy->head_len < sizeof spdy->head)
                continue;
            if (!begin_frame(spdy))
                return fail(spdy);
            if (spdy->rest > 0)
                continue;
        }
        size_t n = MIN(bytes.len, spdy->rest);

        spdy->rest -= n;
        if (!take_body(spdy, str_first(bytes, n)))
            return fail(spdy);
        bytes = str_skip(bytes, n);
        if (spdy->rest == 0)
            spdy->head_len = 0;
    }
    return !spdy->failed;
}

bool spdy_is_leaving(const struct spdy *spdy)
{
    return spdy->leaving;
}

/* -- what we send -- */

void spdy_reply(struct spdy *spdy, uint32_t stream)
{
    static const unsigned char none[4] = { 0 }; /* no fields */
    struct spdy_stream *found = find(spdy, stream);
    unsigned char packed[128];
    z_stream *z = &spdy->deflate;

    if (!found || found->replied)
        return;
    found->replied = true;
    z->next_in = (Bytef *)none;
    z->avail_in = sizeof none;
    z->next_out = packed;
    z->avail_out = sizeof packed;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_out == 0) {
        fail(spdy);
        return;
    }
    add_control(spdy, SYN_REPLY, 0, 4 + sizeof packed - z->avail_out);
    add_u32(spdy->out, stream);
    buf_add(spdy->out, packed, sizeof packed - z->avail_out);
}

void spdy_data(struct spdy *spdy, uint32_t stream, struct str bytes, bool end)
{
    struct spdy_stream *found = find(spdy, stream);

    if (!found || found->local_end)
        return;
    do {
        struct str piece = str_first(bytes, 0xffffff);

        bytes = str_skip(bytes, piece.len);
        add_u32(spdy->out, stream);
        add_u32(spdy->out, (uint32_t)(end && bytes.len == 0 ? FLAG_FIN : 0) << 24 | (uint32_t)piece.len);
        buf_add_str(spdy->out, piece);
        found->window -= (int64_t)piece.len;
        spdy->window -= (int64_t)piece.len;
    } while (bytes.len > 0);
    found->local_end = end;
    drop_if_over(spdy, found);
}

void spdy_reset(struct spdy *spdy, uint32_t stream, enum spdy_status status)
{
    struct spdy_stream *found = find(spdy, stream);

    if (!found)
        return;
    drop(spdy, found);
    write_reset(spdy, stream, status);
}

void spdy_goaway(struct spdy *spdy)
{
    write_goaway(spdy, 0);
}

size_t spdy_window(const struct spdy *spdy, uint32_t stream)
{
    const struct spdy_stream *found = find(spdy, stream);
    int64_t room = found ? MIN(found->window, spdy->window) : 0;

    if (!found || found->local_end)
        return 0;
    return !spdy->windows ? SIZE_MAX : room > 0 ? (size_t)room : 0;
}

static void write_update(struct spdy *spdy, uint32_t stream, size_t *consumed)
{
    if (*consumed < UPDATE_AFTER)
        return;
    add_control(spdy, WINDOW_UPDATE, 0, 8);
    add_u32(spdy->out, stream);
    add_u32(spdy->out, (uint32_t)MIN(*consumed, (size_t)WINDOW_MAX));
    *consumed = 0;
}

void spdy_consumed(struct spdy *spdy, uint32_t stream, size_t count)
{
    struct spdy_stream *found = find(spdy, stream);

    spdy->consumed += count;
    if (found)
        found->consumed += count;
    if (!spdy->windows)
        return;
    write_update(spdy, 0, &spdy->consumed);
    if (found && !found->remote_end)
        write_update(spdy, stream, &found->consumed);
}
