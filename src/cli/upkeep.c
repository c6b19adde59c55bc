#include "cli/upkeep.h"

#include <argp.h>

#include "base/log.h"
#include "base/sync.h"
#include "cli/duration.h"
#include "schema/quantity.h"

#define INTERVAL (10 * NSEC_PER_SEC)

struct upkeep {
    struct executor *executor;
    struct store *store;
    struct store_retention retention;
    struct mutex lock; /* of timer and stopping */
    struct executor_timer *timer;
    bool stopping;
    bool troubled; /* the last round failed, and it was said */
};

static void round_due(void *arg);

static int plan_round(struct upkeep *upkeep, struct err *err)
{
    LOCKED(&upkeep->lock);
    struct executor_timer *before = upkeep->timer;

    upkeep->timer = NULL;
    executor_cancel(upkeep->executor, before); /* it has run: this frees the handle */
    if (upkeep->stopping)
        return 0;
    return executor_post_after(upkeep->executor, INTERVAL, round_due, upkeep, &upkeep->timer, err);
}

static void round_due(void *arg)
{
    struct upkeep *upkeep = arg;
    struct err err = { 0 };
    bool failed = store_retain(upkeep->store, &upkeep->retention, &err) < 0;

    if (failed && !upkeep->troubled)
        log_warn("store", "forgetting old history: %s", err.message);
    upkeep->troubled = failed;
    if (plan_round(upkeep, &err) < 0)
        log_warn("store", "history is no longer forgotten: %s", err.message);
}

int upkeep_new(struct executor *executor, struct store *store, const struct store_retention *retention,
               struct upkeep **ret_upkeep, struct err *err)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);

    if (!upkeep)
        return err_set(err, ERR_NO_MEMORY, "upkeep of the store");
    *upkeep = (struct upkeep){ .executor = executor, .store = store, .retention = *retention };
    mutex_init(&upkeep->lock);
    int code = plan_round(upkeep, err);
    if (code < 0) {
        upkeep_free(upkeep);
        return code;
    }
    *ret_upkeep = upkeep;
    return 0;
}

struct upkeep *upkeep_free(struct upkeep *upkeep)
{
    struct executor_timer *timer;

    if (!upkeep)
        return NULL;
    do { /* a round that was running has set the next one, or seen that there is to be none */
        mutex_lock(&upkeep->lock);
        upkeep->stopping = true;
        timer = upkeep->timer;
        upkeep->timer = NULL;
        mutex_unlock(&upkeep->lock);
        executor_cancel_wait(upkeep->executor, timer);
    } while (timer);
    mutex_deinit(&upkeep->lock);
    free(upkeep);
    return NULL;
}

void retention_parse_age(struct argp_state *state, const char *text, struct store_retention *retention)
{
    if (!duration_parse(str_from(text), &retention->age))
        argp_error(state, "--history %s: a time like 24h or 90m is needed", text);
}

void retention_parse_bytes(struct argp_state *state, const char *text, struct store_retention *retention)
{
    struct str s = str_from(text);
    struct quantity quantity;

    if (s.len > 1 && s.data[s.len - 1] == 'B')
        s.len--;
    if (!quantity_parse(s, &quantity) || quantity_value(s) < 0)
        argp_error(state, "--history-size %s: a size like 2GiB or 500M is needed", text);
    retention->bytes = (uint64_t)quantity_value(s);
}
