/* header.c - the first entry of a backup: JSON, so that people and other programs can look at it. */
#include <stdio.h>
#include <zlib.h>

#include "codec/json.h"
#include "schema/time.h"
#include "store/backup/backup.h"

#define NUMBER_MAX (1ull << 62)

static uint32_t add(uint32_t sum, struct str s)
{
    uint32_t len = (uint32_t)s.len;

    sum = (uint32_t)crc32_z(sum, (const Bytef *)&len, sizeof len);
    return s.len ? (uint32_t)crc32_z(sum, (const Bytef *)s.data, s.len) : sum;
}

uint32_t backup_sum(const struct record *record)
{
    uint32_t sum = add(record->deleted, str_of(&record->time, sizeof record->time));

    sum = add(sum, record->key);
    sum = add(sum, record->rule);
    return add(sum, record->value);
}

static void write_mark(struct json_writer *w, struct str name, const struct backup_mark *mark)
{
    jw_key(w, name);
    jw_begin_object(w);
    jw_field_int(w, "position", (int64_t)mark->position);
    jw_field_int(w, "sum", mark->sum);
    jw_end_object(w);
}

int backup_header_write(struct stream_writer *writer, const struct backup_header *header, struct err *err)
{
    AUTO_DEINIT(buf, text);
    char time[API_TIME_LEN];

    buf_init(&text, 0);
    struct json_writer w = json_writer(&text);
    jw_begin_object(&w);
    jw_field_str(&w, "instance", str_from(header->instance));
    jw_field_str(&w, "made", api_time_text(header->time, time));
    jw_field_int(&w, "time", header->time);
    jw_field_int(&w, "from", (int64_t)header->from);
    jw_field_int(&w, "to", (int64_t)header->to);
    jw_field_int(&w, "floor", (int64_t)header->floor);
    jw_field_int(&w, "trimmed", (int64_t)header->trimmed);
    jw_field_int(&w, "written", header->written);
    jw_field_int(&w, "terms", header->terms);
    write_mark(&w, STR("before"), &header->before);
    write_mark(&w, STR("last"), &header->last);
    jw_end_object(&w);
    if (!buf_ok(&text))
        return err_set(err, ERR_NO_MEMORY, "backup");
    return stream_put(writer, &(struct stream_entry){ STREAM_HEADER, 0, buf_str(&text) }, err);
}

/* False when it is no number from 0 to max. */
static bool number(const struct json *json, const char *name, uint64_t max, uint64_t *ret_number)
{
    int64_t value = json_int(json_get(json, str_from(name)), -1);

    *ret_number = (uint64_t)value;
    return value >= 0 && (uint64_t)value <= max;
}

static bool mark(const struct json *json, struct backup_mark *ret_mark)
{
    uint64_t sum;
    bool good = number(json, "position", NUMBER_MAX, &ret_mark->position) && number(json, "sum", UINT32_MAX, &sum);

    ret_mark->sum = good ? (uint32_t)sum : 0;
    return good;
}

static bool parse(const struct json *json, struct backup_header *header)
{
    uint64_t time, written, terms;
    revision_t revision_max = NUMBER_MAX >> POSITION_OP_BITS;

    if (!number(json, "time", INT64_MAX, &time) || !number(json, "written", INT64_MAX, &written) ||
        !number(json, "terms", UINT32_MAX, &terms) || !number(json, "from", revision_max, &header->from) ||
        !number(json, "to", revision_max, &header->to) || !number(json, "floor", revision_max, &header->floor) ||
        !number(json, "trimmed", NUMBER_MAX, &header->trimmed) ||
        !mark(json_member(json, "before"), &header->before) || !mark(json_member(json, "last"), &header->last))
        return false;
    header->time = (nsec_t)time;
    header->written = (nsec_t)written;
    header->terms = (uint32_t)terms;
    snprintf(header->instance, sizeof header->instance, STR_FMT, STR_ARG(json_str_at(json, "instance")));
    return header->from <= header->to && header->floor <= header->to && header->trimmed <= position_end(header->floor);
}

int backup_header_read(struct stream_reader *reader, struct backup_header *ret_header, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct backup_header header = { 0 };
    struct stream_entry entry;
    struct json *json;
    int more = arena ? stream_next(reader, &entry, err) : err_set(err, ERR_NO_MEMORY, "reading a backup");

    if (more < 0)
        return more;
    if (more == 0 || entry.kind != STREAM_HEADER || json_parse(arena, entry.data, NULL, &json, NULL) < 0 ||
        !parse(json, &header))
        return err_set(err, ERR_INVALID, "the backup has no header that this program can read");
    *ret_header = header;
    return 0;
}
