#include <stdio.h>

#include "kubelet/internal.h"

#define BACKOFF_BASE (10 * NSEC_PER_SEC)
#define BACKOFF_CAP (300 * NSEC_PER_SEC)
#define BACKOFF_RESET (600 * NSEC_PER_SEC) /* having run so long wipes the slate */

/* Before the restart that follows so many crashes in a row. */
static nsec_t backoff(unsigned crashes)
{
    return crashes < 2 ? 0 : MIN(BACKOFF_BASE << MIN(crashes - 2, 6u), BACKOFF_CAP);
}

nsec_t restart_wait(struct container_memory *memory, const struct runtime_container *exited, nsec_t now, nsec_t wall,
                    nsec_t *ret_backoff)
{
    if (!str_is(exited->id, memory->counted)) {
        nsec_t age = exited->finished_at ? MAX(wall - exited->finished_at, 0) : 0;

        snprintf(memory->counted, sizeof memory->counted, STR_FMT, STR_ARG(exited->id));
        memory->kill_reason = NULL;
        if (exited->started_at && exited->finished_at - exited->started_at >= BACKOFF_RESET)
            memory->crashes = 0;
        memory->crashes++;
        memory->not_before = now + MAX(backoff(memory->crashes) - age, 0);
    }
    *ret_backoff = backoff(memory->crashes);
    return MAX(memory->not_before - now, 0);
}
