/* yaml.c - YAML to a JSON tree, from the events of libyaml.
 *
 * Recursion follows the nesting of the document and is bounded by max_depth. An anchor remembers the finished node; an
 * alias copies its arrays and shares its strings. What aliases may add to a document is bounded by a budget, in which a
 * node costs NODE_COST and a string its length, so that neither the tree nor what is written from it can explode. A
 * merge key (<<) adds the members that the mapping does not have itself, whatever the order; of several mappings the
 * first one wins. */
#include "codec/yaml.h"

#include <yaml.h>

#include "base/map.h"
#include "codec/base64.h"
#include "codec/json_index.h"
#include "codec/json_path.h"
#include "codec/yaml_scalar.h"

#define NODE_COST 16
#define ALIAS_NODES 100000
#define TAG_PREFIX "tag:yaml.org,2002:"

#define AUTO_EVENT __attribute__((cleanup(yaml_event_delete))) yaml_event_t

struct anchor {
    struct json value;
    bool complete; /* false while the node is being read: an alias there would contain itself */
};

struct reader {
    struct arena *arena;
    yaml_parser_t parser;
    struct map anchors; /* of struct anchor, in the arena */
    int64_t budget;
    uint32_t depth_left;
    const struct json_frame *frame;
    struct json_duplicates *duplicates;
    struct err *err;
};

static int read_node(struct reader *r, const yaml_event_t *event, struct json *out);

static int no_memory(struct reader *r)
{
    if (r->arena->limit)
        return err_set(r->err, ERR_TOO_LARGE, "YAML takes more than the %zu bytes of memory it may use",
                       r->arena->limit);
    return err_set(r->err, ERR_NO_MEMORY, "parsing YAML");
}

static int invalid(struct reader *r, yaml_mark_t mark, const char *what)
{
    return err_set(r->err, ERR_BAD_REQUEST, "invalid YAML at line %zu, column %zu: %s", mark.line + 1, mark.column + 1,
                   what);
}

static int next_event(struct reader *r, yaml_event_t *event)
{
    const yaml_parser_t *p = &r->parser;

    if (yaml_parser_parse(&r->parser, event))
        return 0;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (p->error == YAML_READER_ERROR)
        return err_set(r->err, ERR_BAD_REQUEST, "invalid YAML at byte %zu: %s", p->problem_offset, p->problem);
    if (p->context)
        return err_set(r->err, ERR_BAD_REQUEST, "invalid YAML at line %zu, column %zu: %s %s", p->problem_mark.line + 1,
                       p->problem_mark.column + 1, p->context, p->problem);
    return invalid(r, p->problem_mark, p->problem ? p->problem : "cannot be read");
}

/* Aliases. */

static int copy_shared(struct reader *r, const struct json *from, struct json *to)
{
    size_t size = from->kind == JSON_ARRAY ? sizeof(struct json) : sizeof(struct json_member);
    int rc = 0;

    *to = *from;
    r->budget -= NODE_COST + (int64_t)(from->kind == JSON_STRING ? from->string.len : 0);
    if (r->budget < 0)
        return err_set(r->err, ERR_TOO_LARGE, "the aliases of this YAML expand to too much");
    if ((from->kind != JSON_ARRAY && from->kind != JSON_OBJECT) || from->count == 0)
        return 0;
    void *children = arena_array(r->arena, from->count, size);

    if (!children)
        return no_memory(r);
    to->cap = to->count;
    if (from->kind == JSON_ARRAY) {
        to->items = children;
        for (uint32_t i = 0; i < from->count && rc == 0; i++)
            rc = copy_shared(r, &from->items[i], &to->items[i]);
        return rc;
    }
    to->members = children;
    to->index = NULL;
    for (uint32_t i = 0; i < from->count && rc == 0; i++) {
        r->budget -= (int64_t)from->members[i].key.len;
        to->members[i].key = from->members[i].key;
        rc = copy_shared(r, &from->members[i].value, &to->members[i].value);
    }
    if (rc == 0 && to->count >= JSON_INDEX_MIN && !(to->index = json_index_new(r->arena, to->members, to->count)))
        return no_memory(r);
    return rc;
}

static int read_alias(struct reader *r, const yaml_event_t *event, struct json *out)
{
    const struct anchor *anchor = map_get(&r->anchors, str_from((const char *)event->data.alias.anchor));

    if (!anchor)
        return invalid(r, event->start_mark, "alias without its anchor");
    if (!anchor->complete)
        return invalid(r, event->start_mark, "the anchor contains itself");
    return copy_shared(r, &anchor->value, out);
}

/* Enters the anchor of a node that begins. *ret_anchor is NULL when it has none. */
static int begin_anchor(struct reader *r, const yaml_char_t *name, struct anchor **ret_anchor)
{
    struct str key = arena_str(r->arena, str_from((const char *)name));
    struct anchor *anchor = NULL;

    if (name &&
        (!key.data || !(anchor = arena_new_of(r->arena, struct anchor)) || map_put(&r->anchors, key, anchor, NULL) < 0))
        return no_memory(r);
    *ret_anchor = anchor;
    return 0;
}

static void end_anchor(struct anchor *anchor, const struct json *value)
{
    if (anchor)
        *anchor = (struct anchor){ *value, true };
}

/* Scalars. */

static int read_binary(struct reader *r, const yaml_event_t *event, struct str text, struct json *out)
{
    struct str bytes;

    if (!base64_decode(r->arena, text, &bytes))
        return arena_failed(r->arena) ? no_memory(r) : invalid(r, event->start_mark, "!!binary is not base64");
    if (!str_is_utf8(bytes))
        return invalid(r, event->start_mark, "!!binary is not UTF-8, which a JSON string must be");
    *out = (struct json){ .kind = JSON_STRING, .string = bytes };
    return 0;
}

/* The types that a tag can ask for and what the text may look like to get them. */
static const struct tagged {
    struct str name;
    enum yaml_type type, also;
} tagged_types[] = {
    { STR_INIT("null"), YAML_NULL, YAML_NULL },
    { STR_INIT("bool"), YAML_BOOL, YAML_BOOL },
    { STR_INIT("int"), YAML_INT, YAML_INT },
    { STR_INIT("float"), YAML_FLOAT, YAML_INT },
    { STR_INIT("timestamp"), YAML_TIMESTAMP, YAML_TIMESTAMP },
};

static int read_resolved(struct reader *r, const yaml_event_t *event, struct str text, const struct tagged *tagged,
                         struct json *out)
{
    enum yaml_type type;
    int rc = yaml_scalar(r->arena, text, &type, out, r->err);

    if (rc < 0)
        return err_wrap(r->err, rc, "invalid YAML at line %zu, column %zu", event->start_mark.line + 1,
                        event->start_mark.column + 1);
    if (tagged && type != tagged->type && type != tagged->also)
        return invalid(r, event->start_mark, "the value is not what its tag says");
    return 0;
}

static int read_scalar_value(struct reader *r, const yaml_event_t *event, struct json *out)
{
    struct str tag = str_from((const char *)event->data.scalar.tag);
    struct str text = arena_str(r->arena, str_of((const char *)event->data.scalar.value, event->data.scalar.length));

    if (!text.data)
        return no_memory(r);
    if (!tag.data && event->data.scalar.plain_implicit)
        return read_resolved(r, event, text, NULL, out);
    if (str_has_prefix(tag, STR(TAG_PREFIX))) {
        tag = str_skip(tag, strlen(TAG_PREFIX));
        if (str_is(tag, "binary"))
            return read_binary(r, event, text, out);
        for (size_t i = 0; i < ARRAY_LEN(tagged_types); i++)
            if (str_eq(tag, tagged_types[i].name))
                return read_resolved(r, event, text, &tagged_types[i], out);
    }
    *out = (struct json){ .kind = JSON_STRING, .string = text };
    return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *event, struct json *out)
{
    struct anchor *anchor;
    int rc = begin_anchor(r, event->data.scalar.anchor, &anchor);

    if (rc == 0 && (rc = read_scalar_value(r, event, out)) == 0)
        end_anchor(anchor, out);
    return rc;
}

/* Collections. */

static int read_items(struct reader *r, struct json_frame *frame, struct json *out)
{
    for (;; frame->index++) {
        AUTO_EVENT event = { 0 };
        struct json item;
        int rc;

        if ((rc = next_event(r, &event)) < 0)
            return rc;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if ((rc = read_node(r, &event, &item)) < 0)
            return rc;
        if (!json_append(r->arena, out, &item))
            return no_memory(r);
    }
}

static bool is_merge_key(const yaml_event_t *event)
{
    const char *tag = event->type == YAML_SCALAR_EVENT ? (const char *)event->data.scalar.tag : NULL;

    if (event->type != YAML_SCALAR_EVENT || !str_is(str_from((const char *)event->data.scalar.value), "<<"))
        return false;
    return tag ? strcmp(tag, TAG_PREFIX "merge") == 0 : event->data.scalar.plain_implicit;
}

static int read_key(struct reader *r, const yaml_event_t *event, struct str *ret_key)
{
    struct json key;
    int rc;

    if (event->type != YAML_SCALAR_EVENT && event->type != YAML_ALIAS_EVENT)
        return invalid(r, event->start_mark, "a key must be a scalar");
    if ((rc = read_node(r, event, &key)) < 0)
        return rc;
    switch (key.kind) {
    case JSON_STRING: *ret_key = key.string; return 0;
    case JSON_NUMBER: *ret_key = key.number.text; return 0;
    case JSON_BOOL: *ret_key = key.boolean ? STR("true") : STR("false"); return 0;
    default: return invalid(r, event->start_mark, "a key must be a string, a number or a boolean");
    }
}

static int merge_mapping(struct reader *r, const struct json *from, struct json *out)
{
    for (uint32_t i = 0; i < from->count; i++)
        if (!json_get(out, from->members[i].key) &&
            !json_set(r->arena, out, from->members[i].key, &from->members[i].value))
            return no_memory(r);
    return 0;
}

/* merges: what stood behind each "<<", in order. */
static int apply_merges(struct reader *r, const struct json *merges, yaml_mark_t mark, struct json *out)
{
    for (uint32_t i = 0; i < merges->count; i++) {
        const struct json *value = &merges->items[i];
        uint32_t count = value->kind == JSON_ARRAY ? value->count : 1;

        for (uint32_t j = 0; j < count; j++) {
            const struct json *from = value->kind == JSON_ARRAY ? &value->items[j] : value;
            int rc = from->kind == JSON_OBJECT ? merge_mapping(r, from, out)
                                               : invalid(r, mark, "'<<' takes a mapping or a sequence of mappings");
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* One key and its value; *ret_end when the mapping ended instead. */
static int read_pair(struct reader *r, struct json_frame *frame, struct json *merges, struct json *out, bool *ret_end)
{
    AUTO_EVENT key_event = { 0 };
    AUTO_EVENT event = { 0 };
    struct json value;
    int rc;

    if ((rc = next_event(r, &key_event)) < 0)
        return rc;
    if ((*ret_end = key_event.type == YAML_MAPPING_END_EVENT))
        return 0;
    bool merge = is_merge_key(&key_event);

    if (merge)
        frame->key = STR("<<");
    else if ((rc = read_key(r, &key_event, &frame->key)) < 0)
        return rc;
    if ((rc = next_event(r, &event)) < 0 || (rc = read_node(r, &event, &value)) < 0)
        return rc;
    if (merge)
        return json_append(r->arena, merges, &value) ? 0 : no_memory(r);
    if (json_get(out, frame->key) && !json_duplicates_add(r->arena, r->duplicates, frame))
        return no_memory(r);
    return json_set(r->arena, out, frame->key, &value) ? 0 : no_memory(r);
}

static int read_pairs(struct reader *r, struct json_frame *frame, yaml_mark_t mark, struct json *out)
{
    struct json merges = { .kind = JSON_ARRAY };
    bool end = false;

    while (!end) {
        int rc = read_pair(r, frame, &merges, out, &end);

        if (rc < 0)
            return rc;
    }
    return apply_merges(r, &merges, mark, out);
}

static int read_collection(struct reader *r, const yaml_event_t *event, struct json *out)
{
    bool sequence = event->type == YAML_SEQUENCE_START_EVENT;
    struct json_frame frame = { .up = r->frame };
    struct anchor *anchor;
    int rc = begin_anchor(r, sequence ? event->data.sequence_start.anchor : event->data.mapping_start.anchor, &anchor);

    if (rc < 0)
        return rc;
    if (r->depth_left == 0)
        return invalid(r, event->start_mark, "nested too deep");
    *out = (struct json){ .kind = sequence ? JSON_ARRAY : JSON_OBJECT };
    r->depth_left--;
    r->frame = &frame;
    rc = sequence ? read_items(r, &frame, out) : read_pairs(r, &frame, event->start_mark, out);
    r->frame = frame.up;
    r->depth_left++;
    if (rc == 0)
        end_anchor(anchor, out);
    return rc;
}

/* The node that begins with event; takes the events up to its end. */
static int read_node(struct reader *r, const yaml_event_t *event, struct json *out)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT: return read_alias(r, event, out);
    case YAML_SCALAR_EVENT: return read_scalar(r, event, out);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return read_collection(r, event, out);
    default: return invalid(r, event->start_mark, "a value was expected");
    }
}

/* Documents. */

static int reader_init(struct reader *r, struct arena *arena, struct str text, const struct json_options *options,
                       struct err *err)
{
    uint32_t depth = options && options->max_depth ? options->max_depth : JSON_MAX_DEPTH;

    *r = (struct reader){
        .arena = arena,
        .depth_left = MIN(depth, JSON_MAX_DEPTH),
        .budget = NODE_COST * ALIAS_NODES + NODE_COST * (int64_t)text.len,
        .duplicates = options ? options->duplicates : NULL,
        .err = err,
    };
    if (text.len > JSON_MAX_TEXT)
        return err_set(err, ERR_TOO_LARGE, "YAML text of %zu bytes", text.len);
    if (!yaml_parser_initialize(&r->parser))
        return err_set(err, ERR_NO_MEMORY, "YAML parser");
    map_init(&r->anchors);
    yaml_parser_set_input_string(&r->parser, (const yaml_char_t *)(text.data ? text.data : ""), text.len);
    return 0;
}

static void reader_deinit(struct reader *r)
{
    map_deinit(&r->anchors);
    yaml_parser_delete(&r->parser);
}

/* The next document that is not empty; *ret_end when there is none. mark: where it begins. */
static int read_document(struct reader *r, struct json *out, yaml_mark_t *ret_mark, bool *ret_end)
{
    for (;;) {
        AUTO_EVENT event = { 0 };
        int rc = next_event(r, &event);

        if (rc < 0)
            return rc;
        *ret_end = event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT;
        if (*ret_end)
            return 0;
        if (event.type == YAML_DOCUMENT_START_EVENT)
            map_clear(&r->anchors);
        if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_START_EVENT ||
            event.type == YAML_DOCUMENT_END_EVENT)
            continue;
        *ret_mark = event.start_mark;
        if ((rc = read_node(r, &event, out)) < 0)
            return rc;
        if (out->kind != JSON_NULL)
            return 0;
    }
}

static int read_single(struct reader *r, struct json *out)
{
    struct json other;
    yaml_mark_t mark;
    bool end;
    int rc = read_document(r, out, &mark, &end);

    if (rc < 0)
        return rc;
    if (end) {
        *out = (struct json){ .kind = JSON_NULL };
        return 0;
    }
    if ((rc = read_document(r, &other, &mark, &end)) < 0)
        return rc;
    return end ? 0 : invalid(r, mark, "a second document begins where only one may be");
}

static int read_all(struct reader *r, struct json *out)
{
    *out = (struct json){ .kind = JSON_ARRAY };
    for (;;) {
        struct json document;
        yaml_mark_t mark;
        bool end;
        int rc = read_document(r, &document, &mark, &end);

        if (rc < 0 || end)
            return rc;
        if (!json_append(r->arena, out, &document))
            return no_memory(r);
    }
}

static int parse(struct arena *arena, struct str text, const struct json_options *options,
                 int (*read)(struct reader *r, struct json *out), struct json **ret_json, struct err *err)
{
    struct json *json = json_new(arena, JSON_NULL);
    struct reader r;
    int rc = reader_init(&r, arena, text, options, err);

    if (rc < 0)
        return rc;
    rc = json ? read(&r, json) : no_memory(&r);
    reader_deinit(&r);
    if (rc == 0)
        *ret_json = json;
    return rc;
}

int yaml_parse(struct arena *arena, struct str text, const struct json_options *options, struct json **ret_json,
               struct err *err)
{
    return parse(arena, text, options, read_single, ret_json, err);
}

int yaml_parse_all(struct arena *arena, struct str text, struct json **ret_array, struct err *err)
{
    return parse(arena, text, NULL, read_all, ret_array, err);
}
