#include "base/clock.h"

#include <time.h>

static nsec_t read_clock(clockid_t id)
{
    struct timespec ts;

    INVARIANT(clock_gettime(id, &ts) == 0);
    return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static nsec_t real_now(struct clock *clock)
{
    return read_clock(CLOCK_MONOTONIC);
}

static nsec_t real_wall(struct clock *clock)
{
    return read_clock(CLOCK_REALTIME);
}

struct clock *clock_real(void)
{
    static struct clock real = { real_now, real_wall };

    return &real;
}

static nsec_t virtual_now(struct clock *clock)
{
    return atomic_load(&container_of(clock, struct virtual_clock, clock)->now);
}

static nsec_t virtual_wall(struct clock *clock)
{
    struct virtual_clock *self = container_of(clock, struct virtual_clock, clock);

    return atomic_load(&self->now) + atomic_load(&self->wall_offset);
}

void virtual_clock_init(struct virtual_clock *clock, nsec_t wall_start)
{
    clock->clock = (struct clock){ virtual_now, virtual_wall };
    atomic_init(&clock->now, 0);
    atomic_init(&clock->wall_offset, wall_start);
}

void virtual_clock_advance(struct virtual_clock *clock, nsec_t by)
{
    INVARIANT(by >= 0);
    atomic_fetch_add(&clock->now, by);
}

void virtual_clock_set(struct virtual_clock *clock, nsec_t now)
{
    INVARIANT(now >= atomic_load(&clock->now));
    atomic_store(&clock->now, now);
}
