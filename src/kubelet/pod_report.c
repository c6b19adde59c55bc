/* pod_report.c - the status patch: written when it differs from what was written last.
 *
 * A strategic merge, as conditions belong to several writers: ours are merged by their type, with null for what one of
 * them has lost. Lists of containers are replaced as a whole. */
#include "api/resources.h"
#include "kubelet/resize.h"
#include "schema/view.h"

static const struct str nulls[] = { STR_INIT("reason"), STR_INIT("message") };

/* One condition as its JSON with null for absent texts. */
static int write_condition(struct buf *text, const struct pod_condition *condition, struct err *err)
{
    const struct str values[] = { condition->reason, condition->message };
    int code = view_write(text, &TYPE_POD_CONDITION, condition, err);

    if (code < 0 || !buf_ok(text) || text->data[text->len - 1] != '}')
        return code;
    text->len--;
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (!values[i].len)
            buf_printf(text, ",\"" STR_FMT "\":null", STR_ARG(nulls[i]));
    buf_add_char(text, '}');
    return 0;
}

static const struct pod_condition *present_condition(const struct pod_sync *sync, const char *type)
{
    const struct pod_condition_array *conditions = &sync->pod->status.conditions;

    for (size_t i = 0; i < conditions->count; i++)
        if (str_is(conditions->items[i].type, type))
            return &conditions->items[i];
    return NULL;
}

/* Those that are there only while they are true. They follow others. */
static int write_resize_conditions(struct pod_sync *sync, struct buf *text, struct err *err)
{
    int code = 0;

    for (int i = 0; code == 0 && i < RESIZE_CONDITIONS; i++) {
        const char *type = resize_condition_types[i], *reason, *message;
        const struct pod_condition *present = present_condition(sync, type);
        nsec_t wall = clock_wall(sync->kubelet->options.clock);

        if (!resize_condition(sync, i, &reason, &message)) {
            if (present)
                buf_printf(text, ",{\"$patch\":\"delete\",\"type\":\"%s\"}", type);
            continue;
        }
        struct pod_condition condition = { .type = str_from(type),
                                           .status = STR("True"),
                                           .reason = str_from(reason ? reason : ""),
                                           .message = str_from(message),
                                           .last_transition_time = { true, wall - wall % NSEC_PER_SEC } };

        if (present && str_eq(present->reason.data ? present->reason : STR(""), condition.reason))
            condition.last_transition_time = present->last_transition_time;
        buf_add_char(text, ',');
        code = write_condition(text, &condition, err);
    }
    return code;
}

static int write_patch(struct pod_sync *sync, struct pod_status *status, struct buf *text, struct err *err)
{
    const struct pod_condition_array conditions = status->conditions;

    status->conditions = (struct pod_condition_array){ 0 };
    buf_printf(text, "{\"metadata\":{\"uid\":\"" STR_FMT "\"},\"status\":", STR_ARG(sync->state->uid));
    int code = view_write(text, &TYPE_POD_STATUS, status, err);

    if (code < 0 || !buf_ok(text))
        return code;
    text->len--; /* its closing bracket; the phase makes it more than {} */
    buf_add_cstr(text, ",\"conditions\":[");
    for (size_t i = 0; code == 0 && i < conditions.count; i++) {
        if (i)
            buf_add_char(text, ',');
        code = write_condition(text, &conditions.items[i], err);
    }
    if (code == 0)
        code = write_resize_conditions(sync, text, err);
    buf_add_cstr(text, "]}}");
    return code == 0 && !buf_ok(text) ? err_set(err, ERR_NO_MEMORY, "pod status") : code;
}

/* The control plane says of the pods of a silent node that they are not ready. It is for us to take that back, even
 * when nothing of the pod has changed since. */
static bool was_given_up(const struct pod_sync *sync)
{
    const struct pod_condition_array *conditions = &sync->pod->status.conditions;

    for (size_t i = 0; i < conditions->count; i++)
        if (str_is(conditions->items[i].type, "Ready"))
            return str_is(conditions->items[i].reason, "NodeNotReady");
    return false;
}

int pod_report(struct pod_sync *sync, struct err *err)
{
    const struct object_meta *meta = sync->object->meta;
    struct pod_state *state = sync->state;
    struct pod_status *status = arena_new_of(sync->arena, struct pod_status);
    struct buf text = BUF_INIT;
    int code = status ? pod_status_make(sync, status, err) : err_set(err, ERR_NO_MEMORY, "pod status");

    if (code == 0)
        code = write_patch(sync, status, &text, err);
    if (code == 0 && (!state->status || !str_is(buf_str(&text), state->status) || was_given_up(sync))) {
        code = client_patch(sync->kubelet->options.client, &RESOURCE_PODS, meta->namespace, meta->name, STR("status"),
                            PATCH_STRATEGIC, buf_str(&text), STR("kubelet: pod status"), sync->object->revision, NULL,
                            err);
        free(state->status);
        state->status = code == 0 ? str_dup(buf_str(&text)) : NULL;
    }
    buf_deinit(&text);
    return code == -ERR_NOT_FOUND || code == -ERR_CONFLICT ? 0 : code;
}
