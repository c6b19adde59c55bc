/* container_stop.c - SIGTERM, grace, SIGKILL, without anybody waiting for it. */
#include <signal.h>
#include <stdio.h>

#include "kubelet/action.h"
#include "kubelet/internal.h"
#include "kubelet/probe.h"

static int stop_signal(const struct container_slot *slot)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {
        { "TERM", SIGTERM }, { "INT", SIGINT },   { "QUIT", SIGQUIT }, { "HUP", SIGHUP },
        { "KILL", SIGKILL }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "WINCH", SIGWINCH },
    };
    struct str wanted = slot->spec->lifecycle ? slot->spec->lifecycle->stop_signal : STR_NULL;

    for (size_t i = 0; !wanted.data && i < slot->current->label_count; i++)
        if (str_is(slot->current->labels[i].name, "stop-signal"))
            wanted = slot->current->labels[i].value;
    if (str_has_prefix(wanted, STR("SIG")))
        wanted = str_skip(wanted, 3);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (str_is(wanted, signals[i].name))
            return signals[i].number;
    return SIGTERM;
}

/* preStop counts towards the grace period; its failure changes nothing. The signal follows when it has ended. */
static void begin(struct pod_sync *sync, struct container_slot *slot, nsec_t grace)
{
    const struct lifecycle *lifecycle = slot->spec->lifecycle;
    int signal = stop_signal(slot);

    if (lifecycle && lifecycle->pre_stop && grace > 0 &&
        action_start_hook(sync, slot, lifecycle->pre_stop, grace, signal) == 0)
        return;
    container_signal(sync->kubelet->options.runtime, slot->current->id, signal, NULL);
}

int container_halt(struct pod_sync *sync, struct container_slot *slot, nsec_t grace, const char *reason,
                   struct err *err)
{
    struct container_memory *memory = slot->memory;

    if (!slot_is_running(slot))
        return 0;
    prober_forget(sync->kubelet->prober, slot->current->id);
    if (!memory->kill_reason) {
        memory->kill_reason = reason;
        memory->kill_at = sync->now + grace;
        if (grace > 0)
            begin(sync, slot, grace);
    }
    if (grace > 0)
        memory->kill_at = MIN(memory->kill_at, sync->now + grace);
    if (memory->kill_at <= sync->now) {
        int code = container_stop(sync->kubelet->options.runtime, slot->current->id, SIGKILL, 0, err);

        return code < 0 ? code : 0;
    }
    sync_wake_after(sync, memory->kill_at - sync->now);
    return 1;
}

static int stop_some(struct pod_sync *sync, nsec_t grace, const char *reason, bool sidecars, struct err *err)
{
    int running = 0;

    for (size_t i = 0; i < sync->slot_count; i++) {
        struct container_slot *slot = &sync->slots[i];

        if (slot->sidecar != sidecars || !slot_is_running(slot))
            continue;
        if (!slot->memory->kill_reason)
            sync_event(sync, slot->spec, "Normal", "Killing", "%s " STR_FMT, reason, STR_ARG(slot->spec->name));
        else if (grace == 0)
            slot->memory->kill_at = sync->now;
        int code = container_halt(sync, slot, grace, reason, err);

        if (code < 0)
            return code;
        running |= code;
    }
    return running;
}

/* Sidecars outlive the containers that they serve. */
int containers_stop(struct pod_sync *sync, nsec_t grace, const char *reason, struct err *err)
{
    int code = stop_some(sync, grace, reason, false, err);

    return code != 0 ? code : stop_some(sync, grace, reason, true, err);
}
