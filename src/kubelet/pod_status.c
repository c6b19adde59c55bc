/* pod_status.c - what the API is told of a pod: made anew at every look from what the runtime has. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/internal.h"
#include "kubelet/resize.h"
#include "kubelet/resources.h"

#define TERMINATION_MESSAGE_MAX 4096
#define TERMINATION_MESSAGES_MAX 12288 /* of a whole pod */

/* -- containers -- */

static struct str label(const struct runtime_container *container, const char *name)
{
    for (size_t i = 0; i < container->label_count; i++)
        if (str_is(container->labels[i].name, name))
            return container->labels[i].value;
    return STR_NULL;
}

static struct api_time time_of(nsec_t wall)
{
    return (struct api_time){ wall != 0, wall };
}

static struct str container_id_text(struct arena *arena, const struct runtime_container *container)
{
    return arena_printf(arena, "crun://" STR_FMT, STR_ARG(container->id));
}

/* The end of a file that the container may write as it likes. */
static struct str read_end(struct arena *arena, const char *path, size_t most)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return STR_NULL;
    char *text = arena_alloc(arena, most);
    ssize_t len = text ? pread(fd, text, most, MAX(st.st_size - (off_t)most, 0)) : -1;

    return len > 0 ? str_of(text, (size_t)len) : STR_NULL;
}

/* What the container left in its termination log, or (when asked for) the end of its output if it failed. */
static struct str termination_message(struct pod_sync *sync, const struct container_slot *slot,
                                      const struct runtime_container *container)
{
    char *folder = path_container(sync->arena, sync->kubelet, sync->state->uid, container->name, container->attempt);
    const char *path = folder ? arena_printf(sync->arena, "%s/termination-log", folder).data : NULL;
    size_t most = MIN((size_t)TERMINATION_MESSAGE_MAX, TERMINATION_MESSAGES_MAX / MAX(sync->slot_count, (size_t)1));
    struct str text = path ? read_end(sync->arena, path, most) : STR_NULL;

    if (!text.len && container->exit_code != 0 &&
        str_is(slot->spec->termination_message_policy, "FallbackToLogsOnError"))
        text = kubelet_log_tail(sync->arena, container->log_path);
    while (text.len && ((unsigned char)text.data[0] & 0xC0) == 0x80) /* cut within a character */
        text = str_skip(text, 1);
    return !text.len || str_is_utf8(text) ? text : STR("(the termination message is not UTF-8)");
}

static const char *termination_reason(const struct runtime_container *container)
{
    if (container->oom_killed)
        return "OOMKilled";
    if (container->state == CONTAINER_UNKNOWN)
        return "ContainerStatusUnknown";
    if (container->exit_code == 128 && !container->started_at)
        return "StartError";
    return container->exit_code == 0 ? "Completed" : "Error";
}

static const struct container_state_terminated *terminated(struct pod_sync *sync, const struct container_slot *slot,
                                                           const struct runtime_container *container)
{
    struct container_state_terminated *state = arena_new_of(sync->arena, struct container_state_terminated);

    if (!state)
        return NULL;
    state->exit_code = container->state == CONTAINER_UNKNOWN ? 137 : container->exit_code;
    state->reason = str_from(termination_reason(container));
    state->message = termination_message(sync, slot, container);
    state->started_at = time_of(container->started_at ? container->started_at : container->created_at);
    state->finished_at = time_of(container->finished_at);
    state->container_id = container_id_text(sync->arena, container);
    return state;
}

static const struct container_state_waiting *waiting(struct pod_sync *sync, const struct container_slot *slot)
{
    struct container_state_waiting *state = arena_new_of(sync->arena, struct container_state_waiting);

    if (!state)
        return NULL;
    state->reason = str_from(slot->memory->reason ? slot->memory->reason
                             : sync->init_count   ? "PodInitializing"
                                                  : "ContainerCreating");
    if (slot->memory->message[0] && !slot->starting)
        state->message = str_from(slot->memory->message);
    return state;
}

static const struct container_state_running *running(struct pod_sync *sync, const struct runtime_container *container)
{
    struct container_state_running *state = arena_new_of(sync->arena, struct container_state_running);

    if (state)
        state->started_at = time_of(container->started_at);
    return state;
}

static void fill_state(struct pod_sync *sync, const struct container_slot *slot, struct container_status *status)
{
    const struct runtime_container *last = slot->previous;

    if (slot_is_running(slot) && !slot->starting) {
        status->state.running = running(sync, slot->current);
    } else if (slot_has_exited(slot) && !(slot->memory->reason && slot_will_restart(sync, slot))) {
        status->state.terminated = terminated(sync, slot, slot->current);
    } else {
        status->state.waiting = waiting(sync, slot);
        if (slot_has_exited(slot))
            last = slot->current;
    }
    if (last)
        status->last_state.terminated = terminated(sync, slot, last);
}

static void fill_mounts(struct pod_sync *sync, const struct container_slot *slot, struct container_status *status)
{
    const struct volume_mount_array *mounts = &slot->spec->volume_mounts;
    struct volume_mount_status *list = arena_array_of(sync->arena, mounts->count, struct volume_mount_status);

    for (size_t i = 0; list && i < mounts->count; i++) {
        const struct volume_mount *mount = &mounts->items[i];
        bool read_only = opt_or(mount->read_only, false);

        list[i] = (struct volume_mount_status){ .name = mount->name, .mount_path = mount->mount_path };
        if (!read_only)
            continue;
        list[i].read_only = (struct opt_bool){ true, true };
        list[i].recursive_read_only = str_is(mount->recursive_read_only, "Enabled") ? STR("Enabled") : STR("Disabled");
    }
    if (list)
        status->volume_mounts = (struct volume_mount_status_array){ list, mounts->count };
}

/* Who it runs as: noted when it was made. */
static void fill_user(struct pod_sync *sync, const struct container_slot *slot, struct container_status *status)
{
    struct str rest = slot->current ? label(slot->current, "user") : STR_NULL, part;
    struct container_user *user = rest.len ? arena_new_of(sync->arena, struct container_user) : NULL;
    struct linux_container_user *ids = user ? arena_new_of(sync->arena, struct linux_container_user) : NULL;
    int64_t *groups = ids ? arena_array_of(sync->arena, rest.len, int64_t) : NULL;
    size_t count = 0;

    if (!groups || !str_split(&rest, ' ', &part) || !str_to_i64(part, &ids->uid) || !str_split(&rest, ' ', &part) ||
        !str_to_i64(part, &ids->gid))
        return;
    groups[count++] = ids->gid;
    while (str_split(&rest, ' ', &part))
        if (str_to_i64(part, &groups[count]) && groups[count] != ids->gid)
            count++;
    ids->supplemental_groups = (struct i64_array){ groups, count };
    user->linux_ = ids;
    status->user = user;
}

static void fill_container(struct pod_sync *sync, const struct container_slot *slot, struct container_status *status)
{
    const struct runtime_container *current = slot->current;

    status->name = slot->spec->name;
    status->image = slot->spec->image;
    status->image_id = STR("");
    if (!slot->ephemeral) {
        status->ready = slot_is_ready(slot);
        status->started = (struct opt_bool){ true, slot_is_started(slot) };
    }
    if (current) {
        status->restart_count = (int32_t)current->attempt;
        status->container_id = container_id_text(sync->arena, current);
        status->image = label(current, "image");
        status->image_id = label(current, "image-id");
    }
    if (!slot->ephemeral) {
        status->resources = resize_actual(sync, slot);
        status->allocated_resources = resize_effective(sync, slot)->resources.requests;
    }
    fill_mounts(sync, slot, status);
    fill_user(sync, slot, status);
    fill_state(sync, slot, status);
}

/* -- the pod -- */

struct tally {
    int running, waiting, restarting, stopped, failed; /* of the main containers */
    bool init_done, init_failed, any_running;
};

static void count_init(const struct pod_sync *sync, const struct container_slot *slot, struct tally *tally)
{
    tally->init_done &= slot->sidecar ? slot_is_started(slot) : slot_is_ready(slot);
    tally->init_failed |=
        !slot->sidecar && slot_has_exited(slot) && !slot_succeeded(slot) && !slot_will_restart(sync, slot);
}

static void count_main(const struct pod_sync *sync, const struct container_slot *slot, struct tally *tally)
{
    bool exited = slot_has_exited(slot), again = exited && slot_will_restart(sync, slot);
    bool running = slot_is_running(slot) && !slot->starting;

    tally->running += running;
    tally->restarting += again;
    tally->waiting += !running && !exited;
    tally->stopped += exited && !again;
    tally->failed += exited && !again && !slot_succeeded(slot);
}

static struct tally count(const struct pod_sync *sync)
{
    struct tally tally = { .init_done = true };

    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];

        tally.any_running |= slot_is_running(slot);
        if (slot->init)
            count_init(sync, slot, &tally);
        else
            count_main(sync, slot, &tally);
    }
    tally.init_done |= pod_is_past_init(sync); /* they may have been collected since, sidecars may come again */
    return tally;
}

/* How it ends, once nothing runs any more; NULL: it does not. */
static const char *end_of(const struct pod_sync *sync, const struct tally *tally)
{
    if (sync->state->failure_reason[0] || tally->init_failed)
        return "Failed";
    if (sync->state->stopping && pod_is_finished(sync))
        return tally->failed || tally->waiting ? "Failed" : "Succeeded";
    if (!tally->init_done || tally->waiting || tally->running || tally->restarting)
        return NULL;
    return tally->failed ? "Failed" : "Succeeded";
}

static const char *phase_of(const struct pod_sync *sync, const struct tally *tally)
{
    const char *end = end_of(sync, tally);

    if (end && !tally->any_running)
        return end;
    return tally->init_done && !tally->waiting ? "Running" : "Pending";
}

/* -- conditions -- */

static const char *const condition_types[CONDITION_COUNT] = {
    [CONDITION_SANDBOX] = "PodReadyToStartContainers",
    [CONDITION_INITIALIZED] = "Initialized",
    [CONDITION_READY] = "Ready",
    [CONDITION_CONTAINERS_READY] = "ContainersReady",
};

static const struct pod_condition *present_condition(const struct pod_sync *sync, struct str type)
{
    const struct pod_condition_array *conditions = &sync->pod->status.conditions;

    for (size_t i = 0; i < conditions->count; i++)
        if (str_eq(conditions->items[i].type, type))
            return &conditions->items[i];
    return NULL;
}

/* When it became so: from memory, after a restart of the agent from the API. */
static struct api_time condition_since(struct pod_sync *sync, int index, bool value)
{
    struct condition_memory *memory = &sync->state->conditions[index];

    if (!memory->known || memory->value != value) {
        const struct pod_condition *present = present_condition(sync, str_from(condition_types[index]));
        bool same = !memory->known && present && present->last_transition_time.set &&
                    str_is(present->status, value ? "True" : "False");
        nsec_t wall = clock_wall(sync->kubelet->options.clock);

        *memory =
            (struct condition_memory){ true, value,
                                       same ? present->last_transition_time.unix_nsec : wall - wall % NSEC_PER_SEC };
    }
    return time_of(memory->since);
}

static void set_condition(struct pod_sync *sync, struct pod_condition *list, int index, bool value, const char *reason,
                          struct str message)
{
    list[index] = (struct pod_condition){
        .type = str_from(condition_types[index]),
        .status = value ? STR("True") : STR("False"),
        .reason = reason ? str_from(reason) : STR_NULL,
        .message = message,
        .last_transition_time = condition_since(sync, index, value),
    };
}

/* "containers with unready status: [a b]"; unset when there is none. */
static struct str names_text(struct pod_sync *sync, const char *what, bool init)
{
    struct buf buf = BUF_INIT;

    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];

        if (slot->init == init && !(slot->sidecar ? slot_is_started(slot) : slot_is_ready(slot)))
            buf_printf(&buf, "%s" STR_FMT, buf.len ? " " : "", STR_ARG(slot->spec->name));
    }
    struct str text = buf.len && buf_ok(&buf) ? arena_printf(sync->arena, "containers with %s status: [" STR_FMT "]",
                                                             what, STR_ARG(buf_str(&buf)))
                                              : STR_NULL;

    buf_deinit(&buf);
    return text;
}

static struct str closed_gates(struct pod_sync *sync)
{
    const struct pod_readiness_gate_array *gates = &sync->pod->spec.readiness_gates;

    for (size_t i = 0; i < gates->count; i++) {
        const struct pod_condition *condition = present_condition(sync, gates->items[i].condition_type);

        if (!condition)
            return arena_printf(sync->arena,
                                "corresponding condition of pod readiness gate \"" STR_FMT "\" does not exist.",
                                STR_ARG(gates->items[i].condition_type));
        if (!str_is(condition->status, "True"))
            return arena_printf(sync->arena,
                                "the status of pod readiness gate \"" STR_FMT "\" is not \"True\", but " STR_FMT,
                                STR_ARG(gates->items[i].condition_type), STR_ARG(condition->status));
    }
    return STR_NULL;
}

static void set_readiness(struct pod_sync *sync, struct pod_condition *list, bool done, bool failed)
{
    struct str unready = names_text(sync, "unready", false), gates = closed_gates(sync);
    bool ready = !done && !failed && !unready.data;
    const char *why = done ? "PodCompleted" : failed ? "PodFailed" : ready ? NULL : "ContainersNotReady";
    struct str message = done || failed ? STR_NULL : unready;
    bool shut = ready && gates.data;

    set_condition(sync, list, CONDITION_CONTAINERS_READY, ready, why, message);
    set_condition(sync, list, CONDITION_READY, ready && !shut, shut ? "ReadinessGatesNotReady" : why,
                  shut ? gates : message);
}

/* Ours only: others' conditions stay as they are in the API. */
static int fill_conditions(struct pod_sync *sync, const struct tally *tally, struct pod_status *status, struct err *err)
{
    struct pod_condition *list = arena_array_of(sync->arena, CONDITION_COUNT, struct pod_condition);
    bool done = str_is(status->phase, "Succeeded"), failed = str_is(status->phase, "Failed");
    bool initialized = tally->init_done || done;

    if (!list)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    set_condition(sync, list, CONDITION_SANDBOX, sync->state->network_ready && !done && !failed, NULL, STR_NULL);
    set_condition(sync, list, CONDITION_INITIALIZED, initialized,
                  done          ? "PodCompleted"
                  : initialized ? NULL
                                : "ContainersNotInitialized",
                  initialized ? STR_NULL : names_text(sync, "incomplete", true));
    set_readiness(sync, list, done, failed);
    status->conditions = (struct pod_condition_array){ list, CONDITION_COUNT };
    return 0;
}

static int fill_containers(struct pod_sync *sync, struct pod_status *status, struct err *err)
{
    size_t all = sync->slot_count + sync->ephemeral_count;
    struct container_status *list = arena_array_of(sync->arena, all, struct container_status);

    if (!list)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    for (size_t i = 0; i < all; i++)
        fill_container(sync, &sync->slots[i], &list[i]);
    status->init_container_statuses = (struct container_status_array){ list, sync->init_count };
    status->container_statuses =
        (struct container_status_array){ list + sync->init_count, sync->slot_count - sync->init_count };
    status->ephemeral_container_statuses =
        (struct container_status_array){ list + sync->slot_count, sync->ephemeral_count };
    return 0;
}

static int fill_addresses(struct pod_sync *sync, struct pod_status *status, struct err *err)
{
    struct pod_ip *ip = arena_new_of(sync->arena, struct pod_ip);
    struct host_ip *host = arena_new_of(sync->arena, struct host_ip);

    if (!ip || !host)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    status->host_ip = host->ip = sync->kubelet->options.node_ip;
    status->host_ips = (struct host_ip_array){ host, 1 };
    if (!sync->state->network_ready)
        return 0;
    status->pod_ip = ip->ip = str_from(sync->state->ip);
    status->pod_ips = (struct pod_ip_array){ ip, 1 };
    return 0;
}

static struct api_time start_time(struct pod_sync *sync)
{
    struct pod_state *state = sync->state;
    nsec_t wall = clock_wall(sync->kubelet->options.clock);

    if (!state->started_at)
        state->started_at =
            sync->pod->status.start_time.set ? sync->pod->status.start_time.unix_nsec : wall - wall % NSEC_PER_SEC;
    return time_of(state->started_at);
}

int pod_status_make(struct pod_sync *sync, struct pod_status *status, struct err *err)
{
    struct tally tally = count(sync);

    status->phase = str_from(phase_of(sync, &tally));
    status->qos_class = str_from(pod_quality_class(sync->pod));
    status->start_time = start_time(sync);
    if (sync->state->failure_reason[0]) {
        status->reason = str_from(sync->state->failure_reason);
        status->message = str_from(sync->state->failure_message);
    }
    int code = fill_addresses(sync, status, err);

    if (code == 0)
        code = fill_containers(sync, status, err);
    return code == 0 ? fill_conditions(sync, &tally, status, err) : code;
}
