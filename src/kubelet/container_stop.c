/* container_stop.c - SIGTERM, grace, SIGKILL, without anybody waiting for it. */
#include <signal.h>

#include "kubelet/action.h"
#include "kubelet/internal.h"
#include "kubelet/probe.h"

/* Names as STOPSIGNAL and lifecycle.stopSignal write them: SIGTERM, TERM, 15, SIGRTMIN+3. 0: none of them. */
static int signal_number(struct str name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {
        { "ABRT", SIGABRT },     { "ALRM", SIGALRM },     { "BUS", SIGBUS },   { "CHLD", SIGCHLD },
        { "CONT", SIGCONT },     { "FPE", SIGFPE },       { "HUP", SIGHUP },   { "ILL", SIGILL },
        { "INT", SIGINT },       { "IO", SIGIO },         { "KILL", SIGKILL }, { "PIPE", SIGPIPE },
        { "POLL", SIGPOLL },     { "PROF", SIGPROF },     { "PWR", SIGPWR },   { "QUIT", SIGQUIT },
        { "SEGV", SIGSEGV },     { "STKFLT", SIGSTKFLT }, { "STOP", SIGSTOP }, { "SYS", SIGSYS },
        { "TERM", SIGTERM },     { "TRAP", SIGTRAP },     { "TSTP", SIGTSTP }, { "TTIN", SIGTTIN },
        { "TTOU", SIGTTOU },     { "URG", SIGURG },       { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
        { "VTALRM", SIGVTALRM }, { "WINCH", SIGWINCH },   { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
    };
    int64_t number = 0;

    if (str_to_i64(name, &number))
        return number > 0 && number <= SIGRTMAX ? (int)number : 0;
    if (str_has_prefix(name, STR("SIG")))
        name = str_skip(name, 3);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (str_is(name, signals[i].name))
            return signals[i].number;
    bool up = str_has_prefix(name, STR("RTMIN")), down = str_has_prefix(name, STR("RTMAX"));

    if ((!up && !down) ||
        (name.len > 5 && (name.data[5] != (up ? '+' : '-') || !str_to_i64(str_skip(name, 6), &number))))
        return 0;
    if (number < 0 || number > SIGRTMAX - SIGRTMIN)
        return 0;
    return up ? SIGRTMIN + (int)number : SIGRTMAX - (int)number;
}

static int stop_signal(const struct container_slot *slot)
{
    struct str wanted = slot->spec->lifecycle ? slot->spec->lifecycle->stop_signal : STR_NULL;

    for (size_t i = 0; !wanted.len && i < slot->current->label_count; i++)
        if (str_is(slot->current->labels[i].name, "stop-signal"))
            wanted = slot->current->labels[i].value;
    int number = signal_number(wanted);

    return number ? number : SIGTERM;
}

/* preStop counts towards the grace period; its failure changes nothing. The signal follows when it has ended. */
static void begin(struct pod_sync *sync, struct container_slot *slot, nsec_t grace)
{
    const struct lifecycle *lifecycle = slot->spec->lifecycle;
    int signal = stop_signal(slot);

    if (lifecycle && lifecycle->pre_stop && hook_start_pre_stop(sync, slot, grace, signal) == 0)
        return;
    container_signal(sync->kubelet->options.runtime, slot->current->id, signal, NULL);
}

int container_halt(struct pod_sync *sync, struct container_slot *slot, nsec_t until, const char *reason,
                   struct err *err)
{
    struct container_memory *memory = slot->memory;

    if (!slot_is_running(slot))
        return 0;
    prober_stop_killing(sync->kubelet->prober, slot->current->id);
    if (!memory->kill_reason) {
        memory->kill_reason = reason;
        memory->kill_at = until;
        if (until > sync->now)
            begin(sync, slot, until - sync->now);
    }
    memory->kill_at = MIN(memory->kill_at, until);
    if (memory->kill_at <= sync->now) {
        int code = container_stop(sync->kubelet->options.runtime, slot->current->id, SIGKILL, 0, err);

        return code < 0 ? code : 0;
    }
    sync_wake_after(sync, memory->kill_at - sync->now);
    return 1;
}

static int stop_one(struct pod_sync *sync, struct container_slot *slot, nsec_t until, const char *reason,
                    struct err *err)
{
    if (!slot_is_running(slot))
        return 0;
    if (!slot->memory->kill_reason)
        sync_event(sync, slot->spec, "Normal", "Killing", "%s " STR_FMT, reason, STR_ARG(slot->spec->name));
    return container_halt(sync, slot, until, reason, err);
}

/* All that are no sidecars at once. Sidecars outlive those whom they serve and go one after the other, the last first.
 */
int containers_stop(struct pod_sync *sync, nsec_t until, const char *reason, struct err *err)
{
    int running = 0, code = 0;

    for (size_t i = 0; code >= 0 && i < sync->slot_count; i++) {
        if (sync->slots[i].sidecar)
            continue;
        code = stop_one(sync, &sync->slots[i], until, reason, err);
        running |= code == 1;
    }
    for (size_t i = 0; code >= 0 && i < sync->ephemeral_count; i++) {
        code = stop_one(sync, &sync->ephemeral[i], until, reason, err);
        running |= code == 1;
    }
    for (size_t i = sync->init_count; code >= 0 && !running && i-- > 0;) {
        if (!sync->slots[i].sidecar)
            continue;
        code = stop_one(sync, &sync->slots[i], until, reason, err);
        running |= code == 1;
    }
    return code < 0 ? code : running;
}
