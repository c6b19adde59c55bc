/* json.c - reading and changing JSON trees.
 *
 * Arrays of children grow by half again; what they leave behind stays in the arena until it goes as a whole. Objects
 * get their index when they reach JSON_INDEX_MIN members, here as in the parser, so that reading never has to build
 * one: a finished tree may be read by many threads. */
#include "codec/json_index.h"

#include <stdio.h>

/* Reading. */

static uint32_t find_member(const struct json *object, struct str key)
{
    const struct json_member *members = object->members;

    if (object->index)
        return json_index_find(object->index, members, key);
    for (uint32_t i = 0; i < object->count; i++)
        if (members[i].key.len == key.len && memcmp(members[i].key.data, key.data, key.len) == 0)
            return i;
    return JSON_INDEX_NONE;
}

struct json *json_get(const struct json *object, struct str key)
{
    if (!json_is(object, JSON_OBJECT) || !key.data)
        return NULL;
    uint32_t at = find_member(object, key);

    return at == JSON_INDEX_NONE ? NULL : &object->members[at].value;
}

struct json *json_at(const struct json *json, const char *path)
{
    struct str rest = str_from(path), key;
    struct json *at = NULL;

    while (str_split(&rest, '.', &key)) {
        if (!(at = json_get(json, key)))
            return NULL;
        json = at;
    }
    return at;
}

struct str json_str(const struct json *json)
{
    return json_is(json, JSON_STRING) ? json->string : STR_NULL;
}

struct str json_str_at(const struct json *json, const char *path)
{
    return json_str(json_at(json, path));
}

int64_t json_int(const struct json *json, int64_t fallback)
{
    return json_is(json, JSON_NUMBER) && json->is_int ? json->number.i64 : fallback;
}

bool json_bool(const struct json *json, bool fallback)
{
    return json_is(json, JSON_BOOL) ? json->boolean : fallback;
}

double json_double(const struct json *json, double fallback)
{
    double value;

    if (!json_is(json, JSON_NUMBER))
        return fallback;
    if (json->is_int)
        return (double)json->number.i64;
    return str_to_double(json->number.text, &value) ? value : fallback;
}

/* Building. */

struct json *json_new(struct arena *arena, enum json_kind kind)
{
    struct json *json = arena_new_of(arena, struct json);

    if (!json)
        return NULL;
    json->kind = kind;
    if (kind == JSON_STRING)
        json->string = STR("");
    if (kind == JSON_NUMBER) {
        json->is_int = true;
        json->number.text = STR("0");
    }
    return json;
}

/* False without memory. */
static bool make_int(struct arena *arena, int64_t value, struct json *out)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value);

    *out = (struct json){ .kind = JSON_NUMBER, .is_int = true };
    out->number.i64 = value;
    out->number.text = arena_str(arena, str_of(digits, (size_t)len));
    return out->number.text.data != NULL;
}

static struct json make_str(struct str s)
{
    return (struct json){ .kind = JSON_STRING, .string = s.data ? s : STR("") };
}

static struct json make_bool(bool value)
{
    return (struct json){ .kind = JSON_BOOL, .boolean = value };
}

static struct json *put_new(struct arena *arena, struct json value)
{
    struct json *json = arena_new_of(arena, struct json);

    if (json)
        *json = value;
    return json;
}

struct json *json_new_str(struct arena *arena, struct str s)
{
    return put_new(arena, make_str(s));
}

struct json *json_new_int(struct arena *arena, int64_t value)
{
    struct json json;

    return make_int(arena, value, &json) ? put_new(arena, json) : NULL;
}

struct json *json_new_bool(struct arena *arena, bool value)
{
    return put_new(arena, make_bool(value));
}

/* Room for one more child of that size; false without memory. */
static bool reserve_child(struct arena *arena, struct json *parent, void **children, size_t size)
{
    if (parent->count < parent->cap)
        return true;
    if (parent->cap > UINT32_MAX / 2)
        return false;
    uint32_t cap = parent->cap < 4 ? 4 : parent->cap + parent->cap / 2;
    void *grown = arena_grow(arena, *children, parent->cap * size, cap * size);

    if (!grown)
        return false;
    *children = grown;
    parent->cap = cap;
    return true;
}

static struct json *add_member(struct arena *arena, struct json *object, struct str key, const struct json *value)
{
    void *members = object->members;

    if (!reserve_child(arena, object, &members, sizeof(struct json_member)))
        return NULL;
    object->members = members;
    struct json_member *member = &object->members[object->count];

    *member = (struct json_member){ key, *value };
    if (object->count + 1 >= JSON_INDEX_MIN) {
        void *index = object->index ? json_index_add(arena, object->index, object->members, object->count)
                                    : json_index_new(arena, object->members, object->count + 1);
        if (!index)
            return NULL;
        object->index = index;
    }
    object->count++;
    return &member->value;
}

struct json *json_set(struct arena *arena, struct json *object, struct str key, const struct json *value)
{
    if (!json_is(object, JSON_OBJECT) || !key.data || !value)
        return NULL;
    struct json moved = *value; /* value may be a child of object, which may move */
    struct json *place = json_get(object, key);

    if (!place)
        return add_member(arena, object, key, &moved);
    *place = moved;
    return place;
}

struct json *json_set_str(struct arena *arena, struct json *object, struct str key, struct str value)
{
    struct json json = make_str(value);

    return json_set(arena, object, key, &json);
}

struct json *json_set_int(struct arena *arena, struct json *object, struct str key, int64_t value)
{
    struct json json;

    return make_int(arena, value, &json) ? json_set(arena, object, key, &json) : NULL;
}

struct json *json_set_bool(struct arena *arena, struct json *object, struct str key, bool value)
{
    struct json json = make_bool(value);

    return json_set(arena, object, key, &json);
}

struct json *json_ensure(struct arena *arena, struct json *object, struct str key, enum json_kind kind)
{
    struct json *place = json_get(object, key);

    if (place && place->kind != JSON_NULL)
        return place->kind == kind ? place : NULL;
    struct json *fresh = json_new(arena, kind);

    return fresh ? json_set(arena, object, key, fresh) : NULL;
}

bool json_remove(struct json *object, struct str key)
{
    struct json *place = json_get(object, key);

    if (!place)
        return false;
    struct json_member *member = container_of(place, struct json_member, value);
    uint32_t at = (uint32_t)(member - object->members);

    if (object->index)
        json_index_remove(object->index, object->members, at);
    object->count--;
    memmove(member, member + 1, (object->count - at) * sizeof *member);
    return true;
}

struct json *json_insert(struct arena *arena, struct json *array, uint32_t at, const struct json *value)
{
    if (!json_is(array, JSON_ARRAY) || at > array->count || !value)
        return NULL;
    struct json moved = *value;
    void *items = array->items;

    if (!reserve_child(arena, array, &items, sizeof(struct json)))
        return NULL;
    array->items = items;
    memmove(array->items + at + 1, array->items + at, (array->count - at) * sizeof(struct json));
    array->items[at] = moved;
    array->count++;
    return &array->items[at];
}

struct json *json_append(struct arena *arena, struct json *array, const struct json *value)
{
    return json_is(array, JSON_ARRAY) ? json_insert(arena, array, array->count, value) : NULL;
}

void json_remove_at(struct json *array, uint32_t at)
{
    if (!json_is(array, JSON_ARRAY) || at >= array->count)
        return;
    array->count--;
    memmove(array->items + at, array->items + at + 1, (array->count - at) * sizeof(struct json));
}

/* Copying. */

static bool copy_into(struct arena *arena, const struct json *from, struct json *to);

static bool copy_str(struct arena *arena, struct str *s)
{
    *s = arena_str(arena, *s);
    return s->data != NULL;
}

static bool copy_items(struct arena *arena, const struct json *from, struct json *to)
{
    if (!(to->items = arena_array_of(arena, from->count, struct json)))
        return false;
    for (uint32_t i = 0; i < from->count; i++)
        if (!copy_into(arena, &from->items[i], &to->items[i]))
            return false;
    return true;
}

static bool copy_members(struct arena *arena, const struct json *from, struct json *to)
{
    if (!(to->members = arena_array_of(arena, from->count, struct json_member)))
        return false;
    for (uint32_t i = 0; i < from->count; i++) {
        to->members[i].key = from->members[i].key;
        if (!copy_str(arena, &to->members[i].key) || !copy_into(arena, &from->members[i].value, &to->members[i].value))
            return false;
    }
    to->index = from->count < JSON_INDEX_MIN ? NULL : json_index_new(arena, to->members, to->count);
    return from->count < JSON_INDEX_MIN || to->index;
}

static bool copy_into(struct arena *arena, const struct json *from, struct json *to)
{
    *to = *from;
    to->cap = from->count;
    switch (from->kind) {
    case JSON_NULL:
    case JSON_BOOL: return true;
    case JSON_NUMBER: return copy_str(arena, &to->number.text);
    case JSON_STRING: return copy_str(arena, &to->string);
    case JSON_ARRAY: to->items = NULL; return from->count == 0 || copy_items(arena, from, to);
    case JSON_OBJECT:
        to->members = NULL;
        to->index = NULL;
        return from->count == 0 || copy_members(arena, from, to);
    }
    return false;
}

struct json *json_copy(struct arena *arena, const struct json *json)
{
    struct json *copy = json ? arena_new_of(arena, struct json) : NULL;

    return copy && copy_into(arena, json, copy) ? copy : NULL;
}

/* Comparing. */

/* A decimal number: 0.DIGITS * 10^exponent, digits without zeros at either end. */
struct decimal {
    struct str whole, fraction; /* as written, whole without leading zeros */
    bool negative, zero;
    int64_t exponent;
};

static struct str strip_zeros(struct str s, bool front)
{
    while (s.len && s.data[front ? 0 : s.len - 1] == '0')
        s = front ? str_skip(s, 1) : str_chop(s, 1);
    return s;
}

/* The exponent as written, clamped so far out that adding the length of any text does not overflow. */
static int64_t read_exponent(struct str s)
{
    bool negative = s.len && s.data[0] == '-';
    int64_t value = 0;

    if (s.len && (s.data[0] == '-' || s.data[0] == '+'))
        s = str_skip(s, 1);
    for (size_t i = 0; i < s.len && value < INT64_MAX / 100; i++)
        value = value * 10 + (s.data[i] - '0');
    return negative ? -value : value;
}

static struct decimal read_decimal(struct str text)
{
    struct decimal d = { .negative = text.len && text.data[0] == '-' };
    size_t i, whole;

    text = str_skip(text, d.negative);
    for (i = 0; i < text.len && text.data[i] != '.' && (text.data[i] | 32) != 'e';)
        i++;
    d.whole = str_first(text, whole = i);
    if (i < text.len && text.data[i] == '.') {
        while (i < text.len && (text.data[i] | 32) != 'e')
            i++;
        d.fraction = strip_zeros(str_of(text.data + whole + 1, i - whole - 1), false);
    }
    d.whole = strip_zeros(d.whole, true);
    d.exponent = i < text.len ? read_exponent(str_skip(text, i + 1)) : 0;
    d.exponent += (int64_t)d.whole.len;
    if (d.whole.len == 0) {
        size_t digits = d.fraction.len;

        d.fraction = strip_zeros(d.fraction, true);
        d.exponent -= (int64_t)(digits - d.fraction.len);
    }
    if (d.fraction.len == 0)
        d.whole = strip_zeros(d.whole, false);
    d.zero = d.whole.len + d.fraction.len == 0;
    return d;
}

static char decimal_digit(const struct decimal *d, size_t i)
{
    return i < d->whole.len ? d->whole.data[i] : d->fraction.data[i - d->whole.len];
}

static bool equal_numbers(const struct json *a, const struct json *b)
{
    if (a->is_int && b->is_int)
        return a->number.i64 == b->number.i64;
    struct decimal x = read_decimal(a->number.text), y = read_decimal(b->number.text);

    if (x.zero || y.zero)
        return x.zero && y.zero;
    if (x.negative != y.negative || x.exponent != y.exponent ||
        x.whole.len + x.fraction.len != y.whole.len + y.fraction.len)
        return false;
    for (size_t i = 0; i < x.whole.len + x.fraction.len; i++)
        if (decimal_digit(&x, i) != decimal_digit(&y, i))
            return false;
    return true;
}

static bool equal_objects(const struct json *a, const struct json *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        /* Mostly both have the same order. */
        bool same_place = str_eq(a->members[i].key, b->members[i].key);
        const struct json *other = same_place ? &b->members[i].value : json_get(b, a->members[i].key);

        if (!other || !json_equal(&a->members[i].value, other))
            return false;
    }
    return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (!a || !b || a->kind != b->kind)
        return a == b;
    switch (a->kind) {
    case JSON_NULL: return true;
    case JSON_BOOL: return a->boolean == b->boolean;
    case JSON_NUMBER: return equal_numbers(a, b);
    case JSON_STRING: return str_eq(a->string, b->string);
    case JSON_ARRAY:
        if (a->count != b->count)
            return false;
        for (uint32_t i = 0; i < a->count; i++)
            if (!json_equal(&a->items[i], &b->items[i]))
                return false;
        return true;
    case JSON_OBJECT: return a->count == b->count && equal_objects(a, b);
    }
    return false;
}
