/* yaml_write.c - a JSON tree as YAML, through libyaml's emitter, which lays out as kubectl's does.
 *
 * The rules for scalars are those of sigs.k8s.io/yaml: a string with line breaks is a literal block, one that would
 * read as something else stands in double quotes, all others are plain where the emitter can write them so. */
#include <yaml.h>

#include "codec/json_scan.h"
#include "codec/yaml.h"
#include "codec/yaml_scalar.h"

struct writer {
    yaml_emitter_t emitter;
    struct buf *buf;
};

static int write_bytes(void *data, unsigned char *bytes, size_t size)
{
    struct writer *w = data;

    buf_add(w->buf, bytes, size);
    return buf_ok(w->buf);
}

static bool emit_scalar(struct writer *w, struct str text, yaml_scalar_style_t style)
{
    yaml_event_t event;

    const yaml_char_t *bytes = (const yaml_char_t *)(text.data ? text.data : "");

    if (text.len > INT32_MAX || !yaml_scalar_event_initialize(&event, NULL, NULL, bytes, (int)text.len, 1, 1, style))
        return false;
    return yaml_emitter_emit(&w->emitter, &event);
}

static bool emit_str(struct writer *w, struct str text)
{
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;

    if (str_chr(text, '\n') >= 0)
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (yaml_resolve(text) != YAML_STR || yaml_looks_base60(text) || str_is(text, "<<") || str_is(text, "="))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    return emit_scalar(w, text, style);
}

/* A number of JSON as it must look to be a number in YAML too: 1e3 needs the sign there, for some readers. */
static bool emit_number(struct writer *w, struct str text)
{
    char with_sign[128];
    ssize_t e = MAX(str_chr(text, 'e'), str_chr(text, 'E'));

    if (e < 0 || (size_t)e + 1 >= text.len || text.data[e + 1] < '0' || text.len + 1 > sizeof with_sign)
        return emit_scalar(w, text, YAML_PLAIN_SCALAR_STYLE);
    memcpy(with_sign, text.data, (size_t)e + 1);
    with_sign[e + 1] = '+';
    memcpy(with_sign + e + 2, text.data + e + 1, text.len - (size_t)e - 1);
    return emit_scalar(w, str_of(with_sign, text.len + 1), YAML_PLAIN_SCALAR_STYLE);
}

static bool emit_node(struct writer *w, const struct json *json);

static bool emit_array(struct writer *w, const struct json *json)
{
    yaml_event_t event;

    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) ||
        !yaml_emitter_emit(&w->emitter, &event))
        return false;
    for (uint32_t i = 0; i < json->count; i++)
        if (!emit_node(w, &json->items[i]))
            return false;
    return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(&w->emitter, &event);
}

static bool emit_object(struct writer *w, const struct json *json)
{
    yaml_event_t event;

    if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
        !yaml_emitter_emit(&w->emitter, &event))
        return false;
    for (uint32_t i = 0; i < json->count; i++)
        if (!emit_str(w, json->members[i].key) || !emit_node(w, &json->members[i].value))
            return false;
    return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(&w->emitter, &event);
}

static bool emit_node(struct writer *w, const struct json *json)
{
    switch (json->kind) {
    case JSON_NULL: return emit_scalar(w, STR("null"), YAML_PLAIN_SCALAR_STYLE);
    case JSON_BOOL: return emit_scalar(w, json->boolean ? STR("true") : STR("false"), YAML_PLAIN_SCALAR_STYLE);
    case JSON_NUMBER: return emit_number(w, json->number.text);
    case JSON_STRING: return emit_str(w, json->string);
    case JSON_ARRAY: return emit_array(w, json);
    case JSON_OBJECT: return emit_object(w, json);
    }
    return false;
}

static bool emit_document(struct writer *w, const struct json *json)
{
    yaml_event_t event;

    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(&w->emitter, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
           yaml_emitter_emit(&w->emitter, &event) && emit_node(w, json) &&
           yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&w->emitter, &event) &&
           yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&w->emitter, &event);
}

int yaml_write(struct buf *buf, const struct json *json, struct err *err)
{
    static const struct json null = { .kind = JSON_NULL };
    struct writer w = { .buf = buf };

    if (!yaml_emitter_initialize(&w.emitter))
        return err_set(err, ERR_NO_MEMORY, "YAML emitter");
    yaml_emitter_set_output(&w.emitter, write_bytes, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1);
    bool ok = emit_document(&w, json ? json : &null) && yaml_emitter_flush(&w.emitter);
    bool too_large = !buf_ok(buf) && buf->limit;
    int r = 0;

    if (!ok && (too_large || !buf_ok(buf) || w.emitter.error == YAML_MEMORY_ERROR))
        r = err_set(err, too_large ? ERR_TOO_LARGE : ERR_NO_MEMORY, "no room for the YAML");
    else if (!ok)
        r = err_set(err, ERR_INTERNAL, "writing YAML: %s",
                    w.emitter.error == YAML_EMITTER_ERROR ? w.emitter.problem : "a string is not UTF-8");
    yaml_emitter_delete(&w.emitter);
    return r;
}
