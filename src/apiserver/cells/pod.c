/* pod.c - what `kubectl get pods` says of a pod.
 *
 * The status is one word for the whole pod: its phase, unless an init container holds it up ("Init:0/2",
 * "Init:Error"), a container gives a better reason ("CrashLoopBackOff", "ExitCode:3"), or it is being deleted.
 * Containers are looked at from the last to the first, so that the first one has the last word. Init containers that go
 * on running beside the others (restartPolicy Always) count among the ready ones. */
#include "apiserver/cells/cells.h"

#include "schema/time.h"

struct pod_row {
    struct arena *arena;
    const struct json *pod, *spec, *status;
    size_t ready, total;
    int64_t restarts;
    nsec_t restarted; /* the newest end of a container's earlier run; 0: none known */
    struct str reason;
    bool initializing, running;
};

static bool goes_on_running(const struct json *init_container)
{
    return str_is(json_str(json_member(init_container, "restartPolicy")), "Always");
}

static bool is_sidecar(const struct pod_row *row, struct str name)
{
    for each_item(json_member(row->spec, "initContainers"), container)
        if (str_eq(json_str(json_member(container, "name")), name))
            return goes_on_running(container);
    return false;
}

static void add_restarts(struct pod_row *row, const struct json *container)
{
    nsec_t finished;

    row->restarts += json_int(json_member(container, "restartCount"), 0);
    if (api_time_parse(json_str_at(container, "lastState.terminated.finishedAt"), &finished))
        row->restarted = MAX(row->restarted, finished);
}

/* "Init:" stands before the reason of an init container. */
static struct str end_reason(struct pod_row *row, const char *prefix, const struct json *terminated)
{
    struct str reason = json_str(json_member(terminated, "reason"));
    int64_t signal = json_int(json_member(terminated, "signal"), 0);

    if (!str_empty(reason))
        return arena_printf(row->arena, "%s" STR_FMT, prefix, STR_ARG(reason));
    if (signal)
        return arena_printf(row->arena, "%sSignal:%lld", prefix, (long long)signal);
    return arena_printf(row->arena, "%sExitCode:%lld", prefix,
                        (long long)json_int(json_member(terminated, "exitCode"), 0));
}

/* True when this init container is what the pod waits for. */
static bool look_at_init(struct pod_row *row, const struct json *container, size_t index)
{
    const struct json *state = json_member(container, "state"), *terminated = json_member(state, "terminated");
    struct str waiting = json_str_at(state, "waiting.reason");
    bool sidecar = is_sidecar(row, json_str(json_member(container, "name")));

    if (json_is(terminated, JSON_OBJECT) && json_int(json_member(terminated, "exitCode"), 0) == 0)
        return false;
    if (sidecar && json_bool(json_member(container, "started"), false)) {
        row->ready += json_bool(json_member(container, "ready"), false);
        return false;
    }
    if (json_is(terminated, JSON_OBJECT))
        row->reason = end_reason(row, "Init:", terminated);
    else if (!str_empty(waiting) && !str_is(waiting, "PodInitializing"))
        row->reason = arena_printf(row->arena, "Init:" STR_FMT, STR_ARG(waiting));
    else
        row->reason = arena_printf(row->arena, "Init:%zu/%zu", index,
                                   cell_count(json_member(row->spec, "initContainers")));
    return true;
}

static void look_at_inits(struct pod_row *row)
{
    size_t index = 0;

    for each_item(json_member(row->status, "initContainerStatuses"), container) {
        add_restarts(row, container);
        if (look_at_init(row, container, index++)) {
            row->initializing = true;
            return;
        }
    }
}

static void look_at_container(struct pod_row *row, const struct json *container)
{
    const struct json *state = json_member(container, "state"), *terminated = json_member(state, "terminated");
    struct str waiting = json_str_at(state, "waiting.reason");

    add_restarts(row, container);
    if (!str_empty(waiting)) {
        row->reason = waiting;
    } else if (json_is(terminated, JSON_OBJECT)) {
        row->reason = end_reason(row, "", terminated);
    } else if (json_bool(json_member(container, "ready"), false) &&
               json_is(json_member(state, "running"), JSON_OBJECT)) {
        row->running = true;
        row->ready++;
    }
}

static void look_at_containers(struct pod_row *row)
{
    const struct json *containers = json_member(row->status, "containerStatuses");

    /* Once the pod is initialized, only the init containers that go on running count. */
    row->restarts = 0;
    row->restarted = 0;
    for each_item(json_member(row->status, "initContainerStatuses"), container) {
        if (is_sidecar(row, json_str(json_member(container, "name"))))
            add_restarts(row, container);
    }
    for (size_t i = cell_count(containers); i-- > 0;)
        look_at_container(row, &cell_items(containers)[i]);
    if (str_is(row->reason, "Completed") && row->running)
        row->reason = cell_is_true(cell_condition(json_member(row->status, "conditions"), "Ready")) ? STR("Running")
                                                                                                    : STR("NotReady");
}

static void pod_look(struct arena *arena, const struct json *pod, struct pod_row *row)
{
    const struct json *conditions;
    struct str phase;

    *row = (struct pod_row){ .arena = arena, .pod = pod, .spec = json_member(pod, "spec"),
                             .status = json_member(pod, "status") };
    conditions = json_member(row->status, "conditions");
    phase = json_str(json_member(row->status, "phase"));
    row->reason = str_or(json_str(json_member(row->status, "reason")), phase);
    if (str_is(json_str(json_member(cell_condition(conditions, "PodScheduled"), "reason")), "SchedulingGated"))
        row->reason = STR("SchedulingGated");
    row->total = cell_count(json_member(row->spec, "containers"));
    for each_item(json_member(row->spec, "initContainers"), container)
        row->total += goes_on_running(container);
    look_at_inits(row);
    if (!row->initializing || cell_is_true(cell_condition(conditions, "Initialized")))
        look_at_containers(row);
    if (!cell_is_deleted(pod))
        return;
    if (str_is(json_str(json_member(row->status, "reason")), "NodeLost"))
        row->reason = STR("Unknown");
    else if (!str_is(phase, "Succeeded") && !str_is(phase, "Failed"))
        row->reason = STR("Terminating");
}

static void ready(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct pod_row row;

    pod_look(arena, object, &row);
    cell_printf(arena, ret_cell, "%zu/%zu", row.ready, row.total);
}

static void status(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct pod_row row;

    pod_look(arena, object, &row);
    cell_str(ret_cell, row.reason);
}

static void restarts(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    char age[API_TIME_LEN];
    struct pod_row row;

    pod_look(arena, object, &row);
    if (row.restarts && row.restarted)
        cell_printf(arena, ret_cell, "%lld (" STR_FMT " ago)", (long long)row.restarts,
                    STR_ARG(duration_text(now - row.restarted, age)));
    else
        cell_printf(arena, ret_cell, "%lld", (long long)row.restarts);
}

static void ip(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct str first = json_str_at(object, "status.podIP");

    for each_item(json_at(object, "status.podIPs"), address) {
        first = str_or(json_str(json_member(address, "ip")), first);
        break;
    }
    cell_str(ret_cell, str_or(first, STR("<none>")));
}

static void readiness_gates(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *gates = json_at(object, "spec.readinessGates");
    const struct json *conditions = json_at(object, "status.conditions");
    size_t met = 0;

    if (!cell_count(gates)) {
        cell_str(ret_cell, STR("<none>"));
        return;
    }
    for each_item(gates, gate) {
        const char *type = arena_cstr(arena, str_or(json_str(json_member(gate, "conditionType")), STR("")));

        met += type && cell_is_true(cell_condition(conditions, type));
    }
    cell_printf(arena, ret_cell, "%zu/%zu", met, cell_count(gates));
}

static const struct table_cell rows[] = {
    { STR_INIT("pod.ready"), ready },
    { STR_INIT("pod.status"), status },
    { STR_INIT("pod.restarts"), restarts },
    { STR_INIT("pod.ip"), ip },
    { STR_INIT("pod.readiness-gates"), readiness_gates },
};
const struct cell_table pod_cells = CELL_TABLE(rows);
