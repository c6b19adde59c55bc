/* vec.h - a typed growing array: VEC(struct thing) things = VEC_INIT; errors by return value.
 *
 * Not thread-safe; elements move when it grows. */
#pragma once

#include "base/macros.h"

#define VEC(type)                                                                                                      \
    struct {                                                                                                           \
        type *items;                                                                                                   \
        size_t count, cap;                                                                                             \
    }
#define VEC_INIT { NULL, 0, 0 }

/* 0, or -1 without memory. item is evaluated only when there is room. */
#define vec_push(v, item) (vec_room((v), 1) < 0 ? -1 : ((v)->items[(v)->count++] = (item), 0))
#define vec_room(v, n) vec_room_bytes((void **)&(v)->items, &(v)->cap, (v)->count + (n), sizeof(*(v)->items))
#define vec_deinit(v) (free((v)->items), (v)->items = NULL, (v)->count = (v)->cap = 0)
#define vec_clear(v) ((v)->count = 0)
#define vec_remove(v, i)                                                                                               \
    (memmove(&(v)->items[i], &(v)->items[(i) + 1], ((v)->count - (i)-1) * sizeof(*(v)->items)), (v)->count--)
/* vec_each (&things, it) { it->... } */
#define vec_each(v, it) for (__typeof__((v)->items + 0) it = (v)->items; it && it < (v)->items + (v)->count; it++)

int vec_room_bytes(void **items, size_t *cap, size_t need, size_t item_size);
