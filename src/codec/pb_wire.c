/* pb_wire.c - keys, varints and lengths. */
#include "codec/pb_wire.h"

#define EXPECTED_MIN 256u

/* --- reading --- */

bool pb_take_varint(struct str *rest, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && rest->len; shift += 7) {
        uint8_t byte = (uint8_t)rest->data[0];

        *rest = str_skip(*rest, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct str *rest, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (rest->len < size)
        return false;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)(uint8_t)rest->data[i] << (8 * i);
    *rest = str_skip(*rest, size);
    *ret_value = value;
    return true;
}

bool pb_take_64(struct str *rest, uint64_t *ret_value)
{
    return take_fixed(rest, 8, ret_value);
}

static bool take_bytes(struct str *rest, struct str *ret_bytes)
{
    uint64_t len;

    if (!pb_take_varint(rest, &len) || len > rest->len)
        return false;
    *ret_bytes = str_first(*rest, (size_t)len);
    *rest = str_skip(*rest, (size_t)len);
    return true;
}

static int damaged(const char *what, const char **ret_why)
{
    *ret_why = what;
    return -1;
}

int pb_next(struct str *rest, struct pb_field *ret_field, const char **ret_why)
{
    struct pb_field field = { 0 };
    uint64_t key;
    bool ok;

    if (rest->len == 0)
        return 0;
    if (!pb_take_varint(rest, &key) || key >> 3 == 0 || key >> 3 > PB_NUMBER_MAX)
        return damaged("the key of a field", ret_why);
    field.number = (uint32_t)(key >> 3);
    field.wire = (enum pb_wire)(key & 7);
    switch (field.wire) {
    case PB_VARINT: ok = pb_take_varint(rest, &field.value); break;
    case PB_64: ok = take_fixed(rest, 8, &field.value); break;
    case PB_32: ok = take_fixed(rest, 4, &field.value); break;
    case PB_BYTES: ok = take_bytes(rest, &field.bytes); break;
    default: return damaged("an unknown wire type", ret_why);
    }
    if (!ok)
        return damaged("a field is cut short", ret_why);
    *ret_field = field;
    return 1;
}

/* --- writing --- */

void pb_begin(struct pb_writer *w, struct arena *arena, size_t expected)
{
    expected = MAX(expected, EXPECTED_MIN);
    *w = (struct pb_writer){ .arena = arena, .start = arena_alloc(arena, expected) };
    w->failed = !w->start;
    w->at = w->end = w->start ? w->start + expected : NULL;
}

struct str pb_end(const struct pb_writer *w)
{
    return w->failed ? STR_NULL : str_of(w->at, pb_len(w));
}

/* Room for size bytes in front; the arena keeps the smaller block too, which a good guess avoids. */
static char *grow(struct pb_writer *w, size_t size)
{
    size_t len = pb_len(w), cap = (size_t)(w->end - w->start), need;
    char *block = NULL;

    if (!w->failed && !__builtin_add_overflow(MAX(cap, size), cap, &need))
        block = arena_alloc(w->arena, need);
    if (!block) {
        w->failed = true;
        return NULL;
    }
    if (len)
        memcpy(block + need - len, w->at, len);
    w->start = block;
    w->end = block + need;
    w->at = w->end - len;
    return w->at -= size;
}

static inline char *room(struct pb_writer *w, size_t size)
{
    if (size > (size_t)(w->at - w->start))
        return grow(w, size);
    return w->at -= size;
}

void pb_put(struct pb_writer *w, struct str bytes)
{
    char *place = bytes.len ? room(w, bytes.len) : NULL;

    if (place)
        memcpy(place, bytes.data, bytes.len);
}

void pb_put_varint(struct pb_writer *w, uint64_t value)
{
    char bytes[PB_VARINT_MAX];
    size_t len = 0;

    if (value <= 0x7f && w->at > w->start) { /* most keys, lengths and numbers */
        *--w->at = (char)value;
        return;
    }
    for (; value > 0x7f; value >>= 7)
        bytes[len++] = (char)(value | 0x80);
    bytes[len++] = (char)value;
    pb_put(w, str_of(bytes, len));
}

static void put_key(struct pb_writer *w, uint32_t number, enum pb_wire wire)
{
    pb_put_varint(w, (uint64_t)number << 3 | wire);
}

void pb_field_varint(struct pb_writer *w, uint32_t number, uint64_t value)
{
    pb_put_varint(w, value);
    put_key(w, number, PB_VARINT);
}

void pb_field_64(struct pb_writer *w, uint32_t number, uint64_t value)
{
    char bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(value >> (8 * i));
    pb_put(w, str_of(bytes, sizeof bytes));
    put_key(w, number, PB_64);
}

void pb_field_bytes(struct pb_writer *w, uint32_t number, struct str bytes)
{
    pb_put(w, bytes);
    pb_put_varint(w, bytes.len);
    put_key(w, number, PB_BYTES);
}

void pb_field_since(struct pb_writer *w, uint32_t number, size_t mark)
{
    pb_put_varint(w, pb_len(w) - mark);
    put_key(w, number, PB_BYTES);
}
