/* pb_wire.h - protobuf's wire format: the fields of a message one by one, and messages written from their end.
 *
 * A message is written backwards, last field first, so that each length is known when its turn comes: one pass, no
 * counting before, no moving about. */
#pragma once

#include "base/arena.h"

enum pb_wire { PB_VARINT = 0, PB_64 = 1, PB_BYTES = 2, PB_32 = 5 };

#define PB_NUMBER_MAX (UINT32_MAX >> 3)
#define PB_VARINT_MAX 10 /* bytes */

/* --- reading --- */

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;   /* but for PB_BYTES */
    struct str bytes; /* PB_BYTES; a slice of the message */
};

/* The next field off *rest. 1: here it is; 0: that was the end; -1: no protobuf, and *ret_why says why. */
int pb_next(struct str *rest, struct pb_field *ret_field, const char **ret_why);
/* For lists of numbers that come in one go. False when cut short. */
bool pb_take_varint(struct str *rest, uint64_t *ret_value);
bool pb_take_64(struct str *rest, uint64_t *ret_value);

/* --- writing --- */

struct pb_writer {
    struct arena *arena;
    char *start, *at, *end; /* written is what lies between at and end */
    bool failed;            /* the arena has no memory left */
};

/* expected: bytes, about; memory for them comes from the arena at once, more as it is needed. */
void pb_begin(struct pb_writer *w, struct arena *arena, size_t expected);
/* What was written; it lies in the arena. data == NULL when memory ran out. */
struct str pb_end(const struct pb_writer *w);

static inline size_t pb_len(const struct pb_writer *w)
{
    return (size_t)(w->end - w->at);
}

/* Each puts itself before what was written so far. */
void pb_put(struct pb_writer *w, struct str bytes);
void pb_put_varint(struct pb_writer *w, uint64_t value);
void pb_field_varint(struct pb_writer *w, uint32_t number, uint64_t value);
void pb_field_64(struct pb_writer *w, uint32_t number, uint64_t value);
void pb_field_bytes(struct pb_writer *w, uint32_t number, struct str bytes);
/* Makes a field of all that was written since pb_len() was mark. */
void pb_field_since(struct pb_writer *w, uint32_t number, size_t mark);
