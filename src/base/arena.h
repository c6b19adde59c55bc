/* arena.h - memory that is freed all at once: one per request, per decoded object, per test.
 *
 * Not thread-safe. Allocations are zeroed and aligned to 16 bytes; NULL when memory or the arena's limit is used up
 * (arena_failed() then stays true until the next reset, so a caller may check once at the end).
 * Under AddressSanitizer every allocation is a malloc of its own, so that each overrun is seen. */
#pragma once

#include <stdarg.h>
#include <stdatomic.h>

#include "base/str.h"

struct arena_chunk;

/* Memory that many owners share: arenas charge it by the chunk, others by hand. Any thread. */
struct arena_budget {
    atomic_size_t used;
    size_t limit; /* 0: none */
};
void arena_budget_init(struct arena_budget *budget, size_t limit);
bool arena_budget_take(struct arena_budget *budget, size_t bytes); /* false: nothing was taken */
/* From so many bytes to so many, as above. */
bool arena_budget_change(struct arena_budget *budget, size_t *held, size_t bytes);
void arena_budget_give(struct arena_budget *budget, size_t bytes);
/* True when more than that part (of 256) of the limit is in use. */
bool arena_budget_is_above(struct arena_budget *budget, size_t part);

struct arena {
    struct arena_chunk *chunks;
    char *next, *end;
    size_t used;  /* bytes handed out and charged */
    size_t limit; /* 0: none */
    size_t step;  /* about what it will hold: the first chunk is that large, more are half of it. 0: unknown */
    struct arena_budget *budget; /* NULL: nobody's */
    bool failed;
    bool starved; /* failed because the budget is used up: others have the memory, later there may be some */
};

/* Allocates nothing yet. limit is in bytes, 0 for none. */
void arena_init(struct arena *arena, size_t limit);
/* Its chunks are charged to the budget, which must outlive it. NULL: as above. */
void arena_init_within(struct arena *arena, size_t limit, struct arena_budget *budget);
void arena_deinit(struct arena *arena);
/* Frees all but the first chunk, which is kept for the next round. */
void arena_reset(struct arena *arena);

struct arena *arena_new(size_t limit);
struct arena *arena_free(struct arena *arena);
DEFINE_AUTO(arena, arena_free)

void *arena_alloc(struct arena *arena, size_t size);
/* count * size with overflow check. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* Grows an array allocated in this arena (in place when it is the newest). The new part is zeroed. */
void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size);
#define arena_new_of(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array_of(arena, count, type) ((type *)arena_array((arena), (count), sizeof(type)))

/* Copies; the copy is also NUL-terminated. data == NULL in the result means no memory (or an unset source). */
struct str arena_str(struct arena *arena, struct str s);
char *arena_cstr(struct arena *arena, struct str s);
/* One after the other; where printf() would only join. */
struct str arena_join(struct arena *arena, const struct str *parts, size_t count);
#define arena_concat(arena, ...)                                                                                       \
    arena_join((arena), (const struct str[]){ __VA_ARGS__ },                                                           \
               sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))
struct str arena_printf(struct arena *arena, const char *fmt, ...) PRINTF(2, 3);
struct str arena_vprintf(struct arena *arena, const char *fmt, va_list args);

static inline bool arena_failed(const struct arena *arena)
{
    return arena->failed;
}
