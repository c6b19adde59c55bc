/* json_parse.c - JSON text to a tree, in one pass.
 *
 * Recursive descent; each function takes the cursor and returns where it goes on, or NULL after fail(). The cursor
 * stays in a register that way, and an error costs nothing until it happens: only then are line and column counted.
 *
 * Children of a container must end up side by side, and their number is known only at its end. So each child is built
 * on a scratch stack; when the container closes, its children are the top of that stack and move into the arena in one
 * exact piece. Containers nested within have closed by then, so the top is always contiguous. The stack starts out on
 * the C stack and moves to the heap for large texts. All of it would have to fit the arena in the end, so the arena's
 * limit and budget are held against it too.
 *
 * Duplicate keys: a 64-bit filter per object (one bit per key, by length, first and last byte) says "surely new" for
 * most keys; else the members are searched, by index once there are JSON_INDEX_MIN of them. The index stays with the
 * object.
 *
 * Strings are scanned 16 bytes at a time for what is special; UTF-8 is checked where high bytes turn up. A string
 * without escapes is a slice of the text. */
#include "codec/json_index.h"
#include "codec/json_path.h"
#include "codec/json_scan.h"
#include "codec/json_unescape.h"

#define SCRATCH_INLINE 8192

struct parser {
    struct arena *arena;
    const char *text, *end;
    char *scratch;
    size_t used, cap;
    char *heap; /* scratch, once it has left the C stack */
    size_t held; /* of it in the arena's budget */
    uint32_t depth_left;
    const struct json_frame *frame;
    struct json_duplicates *duplicates;
    enum err_code code;
    const char *error_at;
    const char *expected;
};

static const char *parse_container(struct parser *p, const char *at, struct json *out);

static const char *fail(struct parser *p, const char *at, const char *expected)
{
    p->code = ERR_BAD_REQUEST;
    p->error_at = at;
    p->expected = expected;
    return NULL;
}

static const char *fail_memory(struct parser *p)
{
    p->code = p->arena->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY;
    return NULL;
}

/* The scratch stack. */

static bool scratch_enlarge(struct parser *p, size_t size)
{
    size_t need = p->used + size, cap = p->cap * 2;
    size_t limit = p->arena->limit;

    if (limit && need > limit - MIN(limit, p->arena->used))
        return false;
    if (p->arena->budget && !arena_budget_change(p->arena->budget, &p->held, cap)) {
        p->arena->failed = p->arena->starved = true;
        return false;
    }
    char *scratch = realloc(p->heap, cap);

    if (!scratch)
        return false;
    if (!p->heap)
        memcpy(scratch, p->scratch, p->used);
    p->scratch = p->heap = scratch;
    p->cap = cap;
    return true;
}

static inline void *scratch_push(struct parser *p, size_t size)
{
    if (p->cap - p->used < size && !scratch_enlarge(p, size))
        return NULL;
    void *slot = p->scratch + p->used;

    p->used += size;
    return slot;
}

/* Moves everything from offset base on into the arena. NULL without memory. */
static void *scratch_pop(struct parser *p, size_t base)
{
    size_t size = p->used - base;
    void *items = arena_alloc(p->arena, size);

    if (items)
        memcpy(items, p->scratch + base, size);
    p->used = base;
    return items;
}

/* Strings. */

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* A string with escapes, decoded into the arena. It cannot get longer than it is written. */
static const char *parse_escaped(struct parser *p, const char *start, const char *at, struct str *out)
{
    const char *end = json_find_quote(at, p->end), *expected;
    struct json_unescape unescape = { .at = start };

    if (!end)
        return fail(p, p->end, "'\"' at the end of a string");
    char *decoded = arena_alloc(p->arena, (size_t)(end - start));

    if (!decoded)
        return fail_memory(p);
    unescape.out = decoded;
    if ((expected = json_unescape(&unescape, end)))
        return fail(p, unescape.at, expected);
    *out = str_of(decoded, (size_t)(unescape.out - decoded));
    return end + 1;
}

/* A string that begins at start, plain up to at, with something other than its end there. */
static const char *parse_special(struct parser *p, const char *start, const char *at, struct str *out)
{
    while (at < p->end && *at != '"') {
        unsigned len = *at & 0x80 ? json_utf8_len(at, p->end) : 0;

        if (*at == '\\')
            return parse_escaped(p, start, at, out);
        if (!len)
            return fail(p, at, *at & 0x80 ? "valid UTF-8" : "control characters to be escaped");
        at = json_skip_plain(at + len, p->end);
    }
    if (at == p->end)
        return fail(p, at, "'\"' at the end of a string");
    *out = str_of(start, (size_t)(at - start));
    return at + 1;
}

/* start: behind the opening quote. */
static inline const char *parse_string(struct parser *p, const char *start, struct str *out)
{
    const char *at = json_skip_plain(start, p->end);

    if (at == p->end || *at != '"')
        return parse_special(p, start, at, out);
    *out = str_of(start, (size_t)(at - start));
    return at + 1;
}

/* Scalars. */

static inline bool is_digit(const char *at, const char *end)
{
    return at < end && (unsigned)(*at - '0') < 10;
}

/* at: behind the integer part. The fraction and the exponent; NULL after fail(). */
static const char *parse_fraction(struct parser *p, const char *at)
{
    if (*at == '.') {
        if (!is_digit(++at, p->end))
            return fail(p, at, "a digit after the decimal point");
        while (is_digit(at, p->end))
            at++;
    }
    if (at < p->end && (*at | 32) == 'e') {
        at++;
        if (at < p->end && (*at == '+' || *at == '-'))
            at++;
        if (!is_digit(at, p->end))
            return fail(p, at, "a digit in the exponent");
        while (is_digit(at, p->end))
            at++;
    }
    return at;
}

static const char *parse_number(struct parser *p, const char *at, struct json *out)
{
    const char *start = at, *digits, *end = p->end;
    bool negative = *at == '-';
    uint64_t value = 0;

    digits = at += negative;
    if (!is_digit(at, end))
        return fail(p, at, "a digit");
    if (*at == '0')
        at++;
    else
        for (; is_digit(at, end); at++)
            value = value * 10 + (uint64_t)(*at - '0');
    size_t count = (size_t)(at - digits);
    bool is_int = count < 20 && value <= (uint64_t)INT64_MAX + negative;

    if (at < end && (*at == '.' || (*at | 32) == 'e')) {
        is_int = false;
        if (!(at = parse_fraction(p, at)))
            return NULL;
    }
    *out = (struct json){ .kind = JSON_NUMBER, .is_int = is_int };
    out->number.text = str_of(start, (size_t)(at - start));
    out->number.i64 = is_int ? (int64_t)(negative ? 0 - value : value) : 0;
    return at;
}

static const char *parse_word(struct parser *p, const char *at, struct str word, struct json value, struct json *out)
{
    if ((size_t)(p->end - at) < word.len || memcmp(at, word.data, word.len) != 0)
        return fail(p, at, "a value");
    *out = value;
    return at + word.len;
}

/* Anything but an array or an object. */
static inline const char *parse_scalar(struct parser *p, const char *at, struct json *out)
{
    switch (*at) {
    case '"': *out = (struct json){ .kind = JSON_STRING }; return parse_string(p, at + 1, &out->string);
    case 't': return parse_word(p, at, STR("true"), (struct json){ .kind = JSON_BOOL, .boolean = true }, out);
    case 'f': return parse_word(p, at, STR("false"), (struct json){ .kind = JSON_BOOL }, out);
    case 'n': return parse_word(p, at, STR("null"), (struct json){ .kind = JSON_NULL }, out);
    case '-':
    case '0' ... '9': return parse_number(p, at, out);
    default: return fail(p, at, "a value");
    }
}

/* The value at the slot that lies offset bytes up the scratch stack, which may move meanwhile. */
static inline const char *parse_value_at(struct parser *p, const char *at, size_t offset)
{
    if (at == p->end)
        return fail(p, at, "a value");
    if (*at != '{' && *at != '[')
        return parse_scalar(p, at, (struct json *)(p->scratch + offset));
    struct json container;

    if ((at = parse_container(p, at, &container)))
        *(struct json *)(p->scratch + offset) = container;
    return at;
}

/* An object under construction. */
struct open_object {
    size_t base; /* offset of its members in scratch */
    uint32_t count;
    uint64_t filter;
    struct json_index *index;
};

static inline struct json_member *open_members(struct parser *p, const struct open_object *object)
{
    return (struct json_member *)(p->scratch + object->base);
}

static inline uint64_t filter_bit(struct str key)
{
    unsigned first = key.len ? (unsigned char)key.data[0] : 0;
    unsigned last = key.len ? (unsigned char)key.data[key.len - 1] : 0;

    return 1ull << ((first * 7 + last * 3 + key.len) & 63);
}

/* An earlier member of that key, or JSON_INDEX_NONE. */
static inline uint32_t find_open(struct parser *p, struct open_object *object, struct str key)
{
    const struct json_member *members = open_members(p, object);
    uint64_t bit = filter_bit(key);

    if (object->index)
        return json_index_find(object->index, members, key);
    if (object->filter & bit)
        for (uint32_t i = 0; i < object->count; i++)
            if (str_eq(members[i].key, key))
                return i;
    object->filter |= bit;
    return JSON_INDEX_NONE;
}

/* The member on top of the scratch stack is new and stays. */
static inline bool keep_member(struct parser *p, struct open_object *object)
{
    uint32_t at = object->count++;

    if (object->count < JSON_INDEX_MIN)
        return true;
    const struct json_member *members = open_members(p, object);

    object->index = object->index ? json_index_add(p->arena, object->index, members, at)
                                  : json_index_new(p->arena, members, object->count);
    return object->index != NULL;
}

/* The member on top of the scratch stack has a key that was there before, at first: its value goes there. */
static bool merge_member(struct parser *p, struct open_object *object, uint32_t first, const struct json_frame *frame)
{
    struct json_member *members = open_members(p, object);

    members[first].value = members[object->count].value;
    p->used -= sizeof *members;
    return json_duplicates_add(p->arena, p->duplicates, frame);
}

/* Containers. */

/* One `"key": value`; the cursor behind it. */
static inline const char *parse_member(struct parser *p, const char *at, struct open_object *object,
                                       struct json_frame *frame)
{
    if (at == p->end || *at != '"')
        return fail(p, at, object->count ? "a key in quotes" : "a key in quotes or '}'");
    size_t offset = p->used;
    struct json_member *member = scratch_push(p, sizeof *member);
    struct str key;

    if (!member)
        return fail_memory(p);
    if (!(at = parse_string(p, at + 1, &key)))
        return NULL;
    member->key = key;
    frame->key = key;
    at = skip_space(at, p->end);
    if (at == p->end || *at != ':')
        return fail(p, at, "':' after a key");
    uint32_t first = find_open(p, object, key);

    at = parse_value_at(p, skip_space(at + 1, p->end), offset + offsetof(struct json_member, value));
    if (!at)
        return NULL;
    if (first == JSON_INDEX_NONE ? !keep_member(p, object) : !merge_member(p, object, first, frame))
        return fail_memory(p);
    return at;
}

/* at: behind '{'. */
static const char *parse_object(struct parser *p, const char *at, struct json *out)
{
    struct open_object object = { .base = p->used };
    struct json_frame frame = { .up = p->frame };

    *out = (struct json){ .kind = JSON_OBJECT };
    at = skip_space(at, p->end);
    if (at < p->end && *at == '}')
        return at + 1;
    p->frame = &frame;
    for (;;) {
        if (!(at = parse_member(p, at, &object, &frame)))
            return NULL;
        at = skip_space(at, p->end);
        if (at == p->end || *at != ',')
            break;
        at = skip_space(at + 1, p->end);
    }
    p->frame = frame.up;
    if (at == p->end || *at != '}')
        return fail(p, at, "',' or '}' after a member");
    out->count = out->cap = object.count;
    out->index = object.index;
    out->members = scratch_pop(p, object.base);
    return out->members ? at + 1 : fail_memory(p);
}

/* at: behind '['. */
static const char *parse_array(struct parser *p, const char *at, struct json *out)
{
    struct json_frame frame = { .up = p->frame };
    size_t base = p->used;

    *out = (struct json){ .kind = JSON_ARRAY };
    at = skip_space(at, p->end);
    if (at < p->end && *at == ']')
        return at + 1;
    p->frame = &frame;
    for (;; frame.index++) {
        size_t offset = p->used;

        if (!scratch_push(p, sizeof(struct json)))
            return fail_memory(p);
        if (!(at = parse_value_at(p, at, offset)))
            return NULL;
        at = skip_space(at, p->end);
        if (at == p->end || *at != ',')
            break;
        at = skip_space(at + 1, p->end);
    }
    p->frame = frame.up;
    if (at == p->end || *at != ']')
        return fail(p, at, "',' or ']' after an element");
    out->count = out->cap = frame.index + 1;
    out->items = scratch_pop(p, base);
    return out->items ? at + 1 : fail_memory(p);
}

static const char *parse_container(struct parser *p, const char *at, struct json *out)
{
    if (p->depth_left == 0)
        return fail(p, at, "no deeper nesting");
    p->depth_left--;
    at = *at == '{' ? parse_object(p, at + 1, out) : parse_array(p, at + 1, out);
    p->depth_left++;
    return at;
}

static const char *parse_document(struct parser *p, struct json *out)
{
    const char *at = skip_space(p->text, p->end);

    if (at == p->end)
        return fail(p, at, "a value");
    at = *at == '{' || *at == '[' ? parse_container(p, at, out) : parse_scalar(p, at, out);
    if (!at)
        return NULL;
    at = skip_space(at, p->end);
    return at == p->end ? at : fail(p, at, "nothing after the value");
}

/* Errors. */

static void describe_found(const struct parser *p, char *out, size_t size)
{
    unsigned char c = p->error_at < p->end ? (unsigned char)*p->error_at : 0;

    if (p->error_at == p->end)
        snprintf(out, size, "the end");
    else if (c > ' ' && c < 0x7F)
        snprintf(out, size, "'%c'", c);
    else
        snprintf(out, size, "byte 0x%02x", c);
}

static int report(const struct parser *p, struct err *err)
{
    size_t line = 1, column = 1;
    char found[16];

    if (p->code == ERR_TOO_LARGE)
        return err_set(err, p->code, "JSON takes more than the %zu bytes of memory it may use", p->arena->limit);
    if (p->code == ERR_NO_MEMORY)
        return err_set(err, p->code, "parsing JSON");
    for (const char *c = p->text; c < p->error_at; c++) {
        line += *c == '\n';
        column = *c == '\n' ? 1 : column + ((*c & 0xC0) != 0x80);
    }
    describe_found(p, found, sizeof found);
    return err_set(err, p->code, "invalid JSON at line %zu, column %zu: expected %s, found %s", line, column,
                   p->expected, found);
}

int json_parse(struct arena *arena, struct str text, const struct json_options *options, struct json **ret_json,
               struct err *err)
{
    _Alignas(16) char scratch[SCRATCH_INLINE];
    uint32_t depth = options && options->max_depth ? options->max_depth : JSON_MAX_DEPTH;
    const char *start = text.data ? text.data : "";
    struct parser p = {
        .arena = arena,
        .text = start,
        .end = start + text.len,
        .scratch = scratch,
        .cap = sizeof scratch,
        .depth_left = MIN(depth, JSON_DEPTH_CEILING),
        .duplicates = options ? options->duplicates : NULL,
    };

    if (text.len > JSON_MAX_TEXT)
        return err_set(err, ERR_TOO_LARGE, "JSON text of %zu bytes", text.len);
    struct json *json = arena_new_of(arena, struct json);
    bool ok = json ? parse_document(&p, json) != NULL : fail_memory(&p) != NULL;

    free(p.heap);
    if (p.held)
        arena_budget_change(arena->budget, &p.held, 0);
    if (!ok)
        return report(&p, err);
    *ret_json = json;
    return 0;
}
