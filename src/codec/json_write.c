/* json_write.c - trees and single values to JSON text.
 *
 * Escaped is what Go's encoding/json escapes with HTML escaping off: control characters, '"', '\', and U+2028/2029,
 * which old JavaScript takes for line ends. Bytes that are not UTF-8 become U+FFFD, so what is written is always valid
 * JSON, wherever a string came from. A string is first copied as if nothing in it were special, looking at each block
 * on the way; only if something was, it is done again in runs between such places. */
#include "codec/json.h"
#include "codec/json_scan.h"

/* Strings. */

static void write_control(struct buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef", letters[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    char escape[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

    if (letters[c])
        buf_add(buf, (char[]){ '\\', letters[c] }, 2);
    else
        buf_add(buf, escape, sizeof escape);
}

/* p: at a byte with the high bit. Goes over the sequence when it can stand as it is, else writes what stands for it
 * after the run that began at *run. Returns where to go on. */
static const char *write_high(struct buf *buf, const char *p, const char *end, const char **run)
{
    unsigned len = json_utf8_len(p, end);
    bool separator =
        len == 3 && (unsigned char)p[0] == 0xE2 && (unsigned char)p[1] == 0x80 && ((unsigned char)p[2] & 0xFE) == 0xA8;

    if (len && !separator)
        return p + len;
    buf_add(buf, *run, (size_t)(p - *run));
    if (separator)
        buf_add_cstr(buf, (unsigned char)p[2] == 0xA8 ? "\\u2028" : "\\u2029");
    else
        buf_add_cstr(buf, "\xEF\xBF\xBD");
    return *run = p + (separator ? 3 : 1);
}

/* From p, the first byte that is not plain; the run before it begins at run and is not yet written. */
static void write_rest(struct buf *buf, const char *run, const char *p, const char *end)
{
    while (p < end) {
        unsigned char c = (unsigned char)*p;

        if (c & 0x80) {
            p = write_high(buf, p, end, &run);
        } else {
            buf_add(buf, run, (size_t)(p - run));
            if (c < 0x20)
                write_control(buf, c);
            else
                buf_add(buf, (char[]){ '\\', (char)c }, 2);
            run = ++p;
        }
        p = json_skip_plain(p, end);
    }
    buf_add(buf, run, (size_t)(p - run));
    buf_add_char(buf, '"');
}

static inline char *reserve(struct buf *buf, size_t len)
{
    return buf->cap - buf->len >= len && !buf->failed ? buf->data + buf->len : buf_reserve(buf, len);
}

static void write_special(struct buf *buf, struct str s)
{
    const char *end = s.data + s.len;

    buf_add_char(buf, '"');
    write_rest(buf, s.data, json_skip_plain(s.data, end), end);
}

/* The string and one more character, 0 for none. */
static inline void write_str(struct buf *buf, struct str s, char after)
{
    size_t len = s.len + 2 + (after != 0);
    char *out = reserve(buf, len);

    if (!out)
        return;
    if (!json_copy_plain(out + 1, s.data, s.len)) {
        write_special(buf, s);
        if (after)
            buf_add_char(buf, after);
        return;
    }
    out[0] = '"';
    out[s.len + 1] = '"';
    if (after)
        out[s.len + 2] = after;
    buf->len += len;
}

void json_write_str(struct buf *buf, struct str s)
{
    write_str(buf, s, 0);
}

/* Trees. indent < 0: compact. */

static void write_value(struct buf *buf, const struct json *json, int indent, int level);

static inline void write_text(struct buf *buf, struct str text)
{
    char *out = reserve(buf, text.len);

    if (!out)
        return;
    memcpy(out, text.data, text.len);
    buf->len += text.len;
}

static void new_line(struct buf *buf, int indent, int level)
{
    size_t blanks = (size_t)indent * (size_t)level;
    char *out = buf_reserve(buf, blanks + 1);

    if (!out)
        return;
    *out = '\n';
    memset(out + 1, ' ', blanks);
    buf->len += blanks + 1;
}

static void write_array(struct buf *buf, const struct json *json, int indent, int level)
{
    buf_add_char(buf, '[');
    for (uint32_t i = 0; i < json->count; i++) {
        if (i)
            buf_add_char(buf, ',');
        if (indent >= 0)
            new_line(buf, indent, level + 1);
        write_value(buf, &json->items[i], indent, level + 1);
    }
    if (indent >= 0 && json->count)
        new_line(buf, indent, level);
    buf_add_char(buf, ']');
}

static void write_object(struct buf *buf, const struct json *json, int indent, int level)
{
    buf_add_char(buf, '{');
    for (uint32_t i = 0; i < json->count; i++) {
        if (i)
            buf_add_char(buf, ',');
        if (indent >= 0)
            new_line(buf, indent, level + 1);
        write_str(buf, json->members[i].key, ':');
        if (indent >= 0)
            buf_add_char(buf, ' ');
        write_value(buf, &json->members[i].value, indent, level + 1);
    }
    if (indent >= 0 && json->count)
        new_line(buf, indent, level);
    buf_add_char(buf, '}');
}

static void write_value(struct buf *buf, const struct json *json, int indent, int level)
{
    switch (json->kind) {
    case JSON_NULL: write_text(buf, STR("null")); break;
    case JSON_BOOL: write_text(buf, json->boolean ? STR("true") : STR("false")); break;
    case JSON_NUMBER:
        if (json->number.text.len)
            write_text(buf, json->number.text);
        else
            buf_add_i64(buf, json->number.i64);
        break;
    case JSON_STRING: write_str(buf, json->string, 0); break;
    case JSON_ARRAY: write_array(buf, json, indent, level); break;
    case JSON_OBJECT: write_object(buf, json, indent, level); break;
    }
}

void json_write(struct buf *buf, const struct json *json)
{
    if (json)
        write_value(buf, json, -1, 0);
    else
        buf_add(buf, "null", 4);
}

void json_write_pretty(struct buf *buf, const struct json *json, int indent)
{
    if (json)
        write_value(buf, json, MAX(indent, 0), 0);
    else
        buf_add(buf, "null", 4);
}

struct str json_text(struct arena *arena, const struct json *json)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    json_write(&buf, json);
    return buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;
}

/* The streaming writer. comma: something stands before the next value or key on this level. */

static void begin_value(struct json_writer *w)
{
    if (w->comma)
        buf_add_char(w->buf, ',');
    w->comma = true;
}

void jw_begin_object(struct json_writer *w)
{
    begin_value(w);
    buf_add_char(w->buf, '{');
    w->comma = false;
}

void jw_end_object(struct json_writer *w)
{
    buf_add_char(w->buf, '}');
    w->comma = true;
}

void jw_begin_array(struct json_writer *w)
{
    begin_value(w);
    buf_add_char(w->buf, '[');
    w->comma = false;
}

void jw_end_array(struct json_writer *w)
{
    buf_add_char(w->buf, ']');
    w->comma = true;
}

void jw_key(struct json_writer *w, struct str key)
{
    begin_value(w);
    write_str(w->buf, key, ':');
    w->comma = false;
}

void jw_str(struct json_writer *w, struct str s)
{
    begin_value(w);
    json_write_str(w->buf, s);
}

void jw_int(struct json_writer *w, int64_t value)
{
    begin_value(w);
    buf_add_i64(w->buf, value);
}

void jw_bool(struct json_writer *w, bool value)
{
    begin_value(w);
    buf_add_cstr(w->buf, value ? "true" : "false");
}

void jw_null(struct json_writer *w)
{
    begin_value(w);
    buf_add(w->buf, "null", 4);
}

void jw_raw(struct json_writer *w, struct str text)
{
    begin_value(w);
    buf_add_str(w->buf, text);
}

void jw_json(struct json_writer *w, const struct json *json)
{
    begin_value(w);
    json_write(w->buf, json);
}
