/* clock.h - time is handed in. Nothing above base/ asks the system for it.
 *
 * clock_now() is monotonic and only for intervals; clock_wall() is Unix time. Both in nanoseconds; any thread. */
#pragma once

#include "base/macros.h"

typedef int64_t nsec_t;

#define NSEC_PER_USEC 1000LL
#define NSEC_PER_MSEC 1000000LL
#define NSEC_PER_SEC 1000000000LL

struct clock {
    nsec_t (*now)(struct clock *clock);
    nsec_t (*wall)(struct clock *clock);
};

static inline nsec_t clock_now(struct clock *clock)
{
    return clock->now(clock);
}

static inline nsec_t clock_wall(struct clock *clock)
{
    return clock->wall(clock);
}

/* The machine's clock; a static object, never freed. */
struct clock *clock_real(void);

/* A clock that stands still until it is told to move. */
struct virtual_clock {
    struct clock clock;
    _Atomic nsec_t now, wall_offset;
};

void virtual_clock_init(struct virtual_clock *clock, nsec_t wall_start);
void virtual_clock_advance(struct virtual_clock *clock, nsec_t by);
void virtual_clock_set(struct virtual_clock *clock, nsec_t now); /* never backwards */
