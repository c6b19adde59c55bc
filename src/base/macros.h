/* macros.h - the few language helpers that every file uses. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof(*(a)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define MUST_USE __attribute__((warn_unused_result))

/* A broken invariant, never bad input. Stays on in release builds. */
_Noreturn void invariant_failed(const char *file, int line, const char *what);
#define INVARIANT(cond) ((cond) ? (void)0 : invariant_failed(__FILE__, __LINE__, #cond))

/* AUTO(thing) p = ...; is freed by thing's destructor when p leaves scope. TAKE(p) hands it on and leaves NULL.
 * Destructors take NULL and return NULL. */
#define DEFINE_AUTO(type, fn)                                                                                          \
    static inline void auto_##type(struct type **p)                                                                    \
    {                                                                                                                  \
        if (*p)                                                                                                        \
            fn(*p);                                                                                                    \
    }
#define AUTO(type) __attribute__((cleanup(auto_##type))) struct type *
#define TAKE(p)                                                                                                        \
    ({                                                                                                                 \
        __typeof__(p) take_ = (p);                                                                                     \
        (p) = NULL;                                                                                                    \
        take_;                                                                                                         \
    })

/* AUTO_DEINIT(thing, name) declares a struct in place whose thing_deinit() runs when it leaves scope. */
#define AUTO_DEINIT(type, name) __attribute__((cleanup(type##_deinit))) struct type name

static inline void auto_free_mem(void *p)
{
    free(*(void **)p);
}
#define AUTO_FREE __attribute__((cleanup(auto_free_mem)))

void auto_close_fd(int *fd);
#define AUTO_CLOSE __attribute__((cleanup(auto_close_fd)))
