/* arena.c - chunks of growing size, bumped through; big requests get a chunk of their own.
 *
 * Under AddressSanitizer each allocation is its own chunk, so that nothing is pooled and every overrun is caught. */
#include "base/arena.h"

#include <stdio.h>

#define ALIGN 16
#define CHUNK_MIN 4096u
#define CHUNK_MAX (256u << 10)

#if defined(__SANITIZE_ADDRESS__)
#define UNPOOLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNPOOLED 1
#endif
#endif
#ifndef UNPOOLED
#define UNPOOLED 0
#endif

struct arena_chunk {
    struct arena_chunk *previous;
    size_t size; /* of data */
    _Alignas(ALIGN) char data[];
};

void arena_budget_init(struct arena_budget *budget, size_t limit)
{
    atomic_init(&budget->used, 0);
    budget->limit = limit;
}

bool arena_budget_take(struct arena_budget *budget, size_t bytes)
{
    size_t before = atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);

    if (!budget->limit || (bytes <= budget->limit && before <= budget->limit - bytes))
        return true;
    arena_budget_give(budget, bytes);
    return false;
}

void arena_budget_give(struct arena_budget *budget, size_t bytes)
{
    atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}

bool arena_budget_change(struct arena_budget *budget, size_t *held, size_t bytes)
{
    if (bytes > *held && !arena_budget_take(budget, bytes - *held))
        return false;
    if (bytes < *held)
        arena_budget_give(budget, *held - bytes);
    *held = bytes;
    return true;
}

bool arena_budget_is_above(struct arena_budget *budget, size_t part)
{
    return budget->limit && atomic_load_explicit(&budget->used, memory_order_relaxed) > budget->limit / 256 * part;
}

void arena_init(struct arena *arena, size_t limit)
{
    arena_init_within(arena, limit, NULL);
}

void arena_init_within(struct arena *arena, size_t limit, struct arena_budget *budget)
{
    *arena = (struct arena){ .limit = limit, .budget = budget };
}

static void free_chunk(struct arena *arena, struct arena_chunk *chunk)
{
    if (arena->budget)
        arena_budget_give(arena->budget, sizeof *chunk + chunk->size);
    free(chunk);
}

void arena_deinit(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;

        arena->chunks = chunk->previous;
        free_chunk(arena, chunk);
    }
    arena->next = arena->end = NULL;
    arena->used = 0;
    arena->failed = arena->starved = false;
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *first = arena->chunks;

    while (first && first->previous) {
        struct arena_chunk *previous = first->previous;

        free_chunk(arena, first);
        first = previous;
    }
    if (first && (UNPOOLED || first->size > CHUNK_MAX)) {
        free_chunk(arena, first);
        first = NULL;
    }
    arena->chunks = first;
    arena->next = first ? first->data : NULL;
    arena->end = first ? first->data + first->size : NULL;
    arena->used = 0;
    arena->failed = arena->starved = false;
}

struct arena *arena_new(size_t limit)
{
    struct arena *arena = malloc(sizeof *arena);

    if (arena)
        arena_init(arena, limit);
    return arena;
}

struct arena *arena_free(struct arena *arena)
{
    if (arena) {
        arena_deinit(arena);
        free(arena);
    }
    return NULL;
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk;

    if (arena->budget && !arena_budget_take(arena->budget, sizeof *chunk + size)) {
        arena->starved = true;
        return NULL;
    }
    if (!(chunk = malloc(sizeof *chunk + size))) {
        if (arena->budget)
            arena_budget_give(arena->budget, sizeof *chunk + size);
        return NULL;
    }
    chunk->size = size;
    chunk->previous = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

static size_t next_chunk(const struct arena *arena)
{
    if (arena->step)
        return arena->chunks ? arena->step / 2 : arena->step;
    return arena->chunks ? MIN(MAX(arena->chunks->size * 2, CHUNK_MIN), CHUNK_MAX) : CHUNK_MIN;
}

static void *alloc_slow(struct arena *arena, size_t size)
{
    bool alone = UNPOOLED || size > CHUNK_MAX / 4;
    size_t shared = MAX(next_chunk(arena), size);
    struct arena_chunk *chunk = add_chunk(arena, alone ? size : shared);

    if (!chunk)
        return NULL;
    if (alone) {
        /* Keep bumping through the chunk that was there before. */
        struct arena_chunk *before = chunk->previous;

        if (before && !UNPOOLED) {
            chunk->previous = before->previous;
            before->previous = chunk;
            arena->chunks = before;
        } else {
            arena->next = arena->end = chunk->data + size;
        }
        return chunk->data;
    }
    arena->next = chunk->data + size;
    arena->end = chunk->data + chunk->size;
    return chunk->data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = UNPOOLED ? size : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);

    if (rounded < size || (arena->limit && (rounded > arena->limit || arena->used > arena->limit - rounded))) {
        arena->failed = true;
        return NULL;
    }
    void *memory;

    if (!UNPOOLED && (size_t)(arena->end - arena->next) >= rounded && arena->next) {
        memory = arena->next;
        arena->next += rounded;
    } else if (!(memory = alloc_slow(arena, rounded))) {
        arena->failed = true;
        return NULL;
    }
    arena->used += rounded;
    if (size)
        memset(memory, 0, size);
    return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total)) {
        arena->failed = true;
        return NULL;
    }
    return arena_alloc(arena, total);
}

void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size)
{
    if (new_size <= old_size)
        return old;
    size_t old_rounded = (old_size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t new_rounded = (new_size + ALIGN - 1) & ~(size_t)(ALIGN - 1);

    if (!UNPOOLED && old && new_rounded >= new_size && (char *)old + old_rounded == arena->next &&
        (size_t)(arena->end - (char *)old) >= new_rounded &&
        (!arena->limit || arena->used + (new_rounded - old_rounded) <= arena->limit)) {
        arena->next = (char *)old + new_rounded;
        arena->used += new_rounded - old_rounded;
        memset((char *)old + old_size, 0, new_size - old_size);
        return old;
    }
    void *memory = arena_alloc(arena, new_size);

    if (memory && old_size)
        memcpy(memory, old, old_size);
    return memory;
}

struct str arena_str(struct arena *arena, struct str s)
{
    if (!s.data)
        return STR_NULL;
    char *copy = arena_cstr(arena, s);

    return copy ? str_of(copy, s.len) : STR_NULL;
}

char *arena_cstr(struct arena *arena, struct str s)
{
    char *copy = s.len == SIZE_MAX ? NULL : arena_alloc(arena, s.len + 1);

    if (copy && s.len)
        memcpy(copy, s.data, s.len);
    return copy;
}

struct str arena_join(struct arena *arena, const struct str *parts, size_t count)
{
    size_t len = 1;
    char *text, *at;

    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(len, parts[i].len, &len))
            return STR_NULL;
    if (!(text = at = arena_alloc(arena, len)))
        return STR_NULL;
    for (size_t i = 0; i < count; at += parts[i].len, i++)
        if (parts[i].len)
            memcpy(at, parts[i].data, parts[i].len);
    return str_of(text, len - 1);
}

struct str arena_vprintf(struct arena *arena, const char *fmt, va_list args)
{
    va_list again;

    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        return STR_NULL;
    char *text = arena_alloc(arena, (size_t)len + 1);

    if (!text)
        return STR_NULL;
    vsnprintf(text, (size_t)len + 1, fmt, args);
    return str_of(text, (size_t)len);
}

struct str arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    struct str text = arena_vprintf(arena, fmt, args);
    va_end(args);
    return text;
}
