/* executor.c - a queue of tasks, a heap of timers, and whoever runs them.
 *
 * On a pool, idle threads sleep on one condition. One of them, the lookout, sleeps only until the next timer is due;
 * it hands its post on when it leaves. Threads are started when there is work and nobody is idle.
 *
 * One thread at a time is on its way out of its sleep ("waking"). When it has taken its work and there is more, it wakes
 * the next one: a burst of short tasks wakes the two or three threads that it takes, not all of them, who would then
 * fight for the lock and find nothing. What is queued is never left: somebody idle is waking, or nobody is idle.
 *
 * Under virtual time there are no threads: the caller runs tasks in order of (time, sequence). */
#include "base/executor.h"

#include <stdio.h>

#include "base/sync.h"
#include "base/vec.h"

struct task {
    struct task *next;
    executor_fn *fn;
    void *arg;
};

struct executor_timer {
    nsec_t due;
    uint64_t sequence;
    executor_fn *fn;
    void *arg;
    size_t at;     /* place in the heap; NOT_WAITING once taken out */
    bool detached; /* nobody holds the handle */
};
#define NOT_WAITING SIZE_MAX

/* A timer's function under way; compared by address only, as the function may have freed its own handle. */
struct run {
    struct run *next;
    const struct executor_timer *timer;
    pthread_t thread;
};

struct executor {
    struct clock *clock;
    struct virtual_clock *virtual; /* NULL: a pool */
    struct mutex lock;
    struct cond wake, timer_done;
    struct run *runs;
    struct task *first, **last;
    VEC(struct executor_timer *) heap;
    uint64_t sequence;
    char name[16];
    struct thread *threads;
    int max_threads, started, idle;
    bool waking, lookout, stopping;
};

/* -- heap of timers -- */

static bool earlier(const struct executor_timer *a, const struct executor_timer *b)
{
    return a->due != b->due ? a->due < b->due : a->sequence < b->sequence;
}

static void heap_set(struct executor *executor, size_t at, struct executor_timer *timer)
{
    executor->heap.items[at] = timer;
    timer->at = at;
}

static void heap_up(struct executor *executor, size_t at)
{
    struct executor_timer *timer = executor->heap.items[at];

    while (at > 0 && earlier(timer, executor->heap.items[(at - 1) / 2])) {
        heap_set(executor, at, executor->heap.items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(executor, at, timer);
}

static void heap_down(struct executor *executor, size_t at)
{
    struct executor_timer *timer = executor->heap.items[at];

    for (size_t child; (child = at * 2 + 1) < executor->heap.count; at = child) {
        if (child + 1 < executor->heap.count &&
            earlier(executor->heap.items[child + 1], executor->heap.items[child]))
            child++;
        if (!earlier(executor->heap.items[child], timer))
            break;
        heap_set(executor, at, executor->heap.items[child]);
    }
    heap_set(executor, at, timer);
}

static void heap_remove(struct executor *executor, struct executor_timer *timer)
{
    size_t at = timer->at;
    struct executor_timer *moved = executor->heap.items[--executor->heap.count];

    timer->at = NOT_WAITING;
    if (moved == timer)
        return;
    heap_set(executor, at, moved);
    heap_up(executor, at);
    heap_down(executor, moved->at);
}

static struct executor_timer *heap_due(struct executor *executor, nsec_t now)
{
    struct executor_timer *timer = executor->heap.count ? executor->heap.items[0] : NULL;

    if (!timer || timer->due > now)
        return NULL;
    heap_remove(executor, timer);
    return timer;
}

/* -- running -- */

/* Takes the next piece of work: due timers, then tasks. Locked. */
static bool take(struct executor *executor, executor_fn **ret_fn, void **ret_arg,
                 const struct executor_timer **ret_timer)
{
    struct executor_timer *timer = executor->heap.count ? heap_due(executor, clock_now(executor->clock)) : NULL;

    if (timer) {
        *ret_fn = timer->fn;
        *ret_arg = timer->arg;
        *ret_timer = timer->detached ? NULL : timer;
        if (timer->detached)
            free(timer);
        return true;
    }
    struct task *task = executor->first;

    if (!task)
        return false;
    executor->first = task->next;
    if (!executor->first)
        executor->last = &executor->first;
    *ret_fn = task->fn;
    *ret_arg = task->arg;
    *ret_timer = NULL;
    free(task);
    return true;
}

static void worker(void *arg);

/* Locked. There is work: wake somebody, or start a thread. */
static int rouse(struct executor *executor, struct err *err)
{
    if (executor->virtual || executor->waking)
        return 0;
    if (executor->idle > 0) {
        executor->waking = true;
        cond_signal(&executor->wake);
        return 0;
    }
    if (executor->started >= executor->max_threads)
        return 0;
    int code = thread_start(&executor->threads[executor->started], executor->name, worker, executor, err);

    if (code == 0) {
        executor->started++;
        executor->waking = true;
    }
    return executor->started ? 0 : code; /* those who run will come to it */
}

/* Locked before and after; runs one piece of work unlocked. */
static bool run_one(struct executor *executor, bool share)
{
    executor_fn *fn;
    void *arg;
    struct run run = { executor->runs, NULL, pthread_self() };

    if (!take(executor, &fn, &arg, &run.timer))
        return false;
    /* Someone must watch over the remaining work and timers while this thread is away. */
    if (share && executor->first)
        rouse(executor, NULL);
    else if (share && executor->idle && !executor->lookout && executor->heap.count)
        cond_signal(&executor->wake);
    if (run.timer)
        executor->runs = &run;
    mutex_unlock(&executor->lock);
    fn(arg);
    mutex_lock(&executor->lock);
    if (run.timer) {
        struct run **at = &executor->runs;

        while (*at != &run)
            at = &(*at)->next;
        *at = run.next;
        cond_broadcast(&executor->timer_done);
    }
    return true;
}

static void wait_for_work(struct executor *executor)
{
    executor->idle++;
    if (executor->heap.count && !executor->lookout) {
        nsec_t delay = executor->heap.items[0]->due - clock_now(executor->clock);

        executor->lookout = true;
        cond_wait_for(&executor->wake, &executor->lock, MAX(delay, 0));
        executor->lookout = false;
    } else {
        cond_wait(&executor->wake, &executor->lock);
    }
    executor->idle--;
    executor->waking = false; /* whoever it was: he looks for work now, and wakes the next one */
}

static void worker(void *arg)
{
    struct executor *executor = arg;

    LOCKED(&executor->lock);
    executor->waking = false;
    while (!executor->stopping)
        if (!run_one(executor, true))
            wait_for_work(executor);
}

/* -- life -- */

static int executor_new(struct clock *clock, const char *name, int threads, struct executor **ret_executor,
                        struct err *err)
{
    struct executor *executor = calloc(1, sizeof *executor);

    if (!executor || !(executor->threads = calloc((size_t)MAX(threads, 1), sizeof *executor->threads))) {
        free(executor);
        return err_set(err, ERR_NO_MEMORY, "executor %s", name);
    }
    executor->clock = clock;
    executor->max_threads = threads;
    executor->last = &executor->first;
    snprintf(executor->name, sizeof executor->name, "%s", name);
    mutex_init(&executor->lock);
    cond_init(&executor->wake);
    cond_init(&executor->timer_done);
    *ret_executor = executor;
    return 0;
}

int executor_pool_new(struct clock *clock, const char *name, int threads, struct executor **ret_executor,
                      struct err *err)
{
    return executor_new(clock, name, threads > 0 ? threads : 1, ret_executor, err);
}

int executor_virtual_new(struct virtual_clock *clock, struct executor **ret_executor, struct err *err)
{
    struct executor *executor;
    int code = executor_new(&clock->clock, "virtual", 0, &executor, err);

    if (code < 0)
        return code;
    executor->virtual = clock;
    *ret_executor = executor;
    return 0;
}

static void strand_run(void *arg);
static void strand_dropped(struct strand *strand);

struct executor *executor_free(struct executor *executor)
{
    if (!executor)
        return NULL;
    mutex_lock(&executor->lock);
    executor->stopping = true;
    cond_broadcast(&executor->wake);
    mutex_unlock(&executor->lock);
    for (int i = 0; i < executor->started; i++)
        thread_join(&executor->threads[i]);
    while (executor->first) {
        struct task *task = executor->first;

        executor->first = task->next;
        if (task->fn == strand_run)
            strand_dropped(task->arg);
        free(task);
    }
    for (size_t i = 0; i < executor->heap.count; i++)
        if (executor->heap.items[i]->detached)
            free(executor->heap.items[i]);
        else
            executor->heap.items[i]->at = NOT_WAITING;
    vec_deinit(&executor->heap);
    cond_deinit(&executor->wake);
    cond_deinit(&executor->timer_done);
    mutex_deinit(&executor->lock);
    free(executor->threads);
    free(executor);
    return NULL;
}

struct clock *executor_clock(struct executor *executor)
{
    return executor->clock;
}

int executor_post(struct executor *executor, executor_fn *fn, void *arg, struct err *err)
{
    struct task *task = malloc(sizeof *task);

    if (!task)
        return err_set(err, ERR_NO_MEMORY, "posting a task");
    *task = (struct task){ NULL, fn, arg };
    LOCKED(&executor->lock);
    if (executor->stopping) {
        free(task);
        return err_set(err, ERR_CANCELLED, "shutting down");
    }
    int code = rouse(executor, err);

    if (code < 0) {
        free(task);
        return code;
    }
    *executor->last = task;
    executor->last = &task->next;
    return 0;
}

int executor_post_after(struct executor *executor, nsec_t delay, executor_fn *fn, void *arg,
                        struct executor_timer **ret_timer, struct err *err)
{
    struct executor_timer *timer = malloc(sizeof *timer);

    if (!timer)
        return err_set(err, ERR_NO_MEMORY, "posting a timer");
    LOCKED(&executor->lock);
    int code = executor->stopping                     ? err_set(err, ERR_CANCELLED, "shutting down")
               : vec_room(&executor->heap, 1) < 0     ? err_set(err, ERR_NO_MEMORY, "posting a timer")
               : executor->started || executor->virtual ? 0
                                                      : rouse(executor, err);

    if (code < 0) {
        free(timer);
        return code;
    }
    *timer = (struct executor_timer){ .due = clock_now(executor->clock) + MAX(delay, 0), .sequence = executor->sequence++,
                                      .fn = fn, .arg = arg, .detached = !ret_timer };
    executor->heap.items[executor->heap.count] = timer;
    timer->at = executor->heap.count++;
    heap_up(executor, timer->at);
    if (ret_timer)
        *ret_timer = timer;
    if (timer->at == 0 && executor->lookout)
        cond_broadcast(&executor->wake); /* it sleeps until a later time: all look again */
    else if (timer->at == 0 && executor->idle)
        cond_signal(&executor->wake);
    return 0;
}

/* Locked. True: it had not fired, and will not. */
static bool withdraw(struct executor *executor, struct executor_timer *timer)
{
    bool waiting = timer->at != NOT_WAITING;

    if (waiting)
        heap_remove(executor, timer);
    return waiting;
}

bool executor_cancel(struct executor *executor, struct executor_timer *timer)
{
    if (!timer)
        return false;
    LOCKED(&executor->lock);
    bool waiting = withdraw(executor, timer);

    free(timer);
    return waiting;
}

static bool is_running_elsewhere(const struct executor *executor, const struct executor_timer *timer)
{
    for (const struct run *run = executor->runs; run; run = run->next)
        if (run->timer == timer && !pthread_equal(run->thread, pthread_self()))
            return true;
    return false;
}

bool executor_cancel_wait(struct executor *executor, struct executor_timer *timer)
{
    if (!timer)
        return false;
    LOCKED(&executor->lock);
    bool waiting = withdraw(executor, timer);

    while (is_running_elsewhere(executor, timer))
        cond_wait(&executor->timer_done, &executor->lock);
    free(timer);
    return waiting;
}

size_t executor_run_ready(struct executor *executor)
{
    size_t ran = 0;

    INVARIANT(executor->virtual);
    LOCKED(&executor->lock);
    while (run_one(executor, false))
        ran++;
    return ran;
}

size_t executor_run_until(struct executor *executor, nsec_t until)
{
    size_t ran = executor_run_ready(executor);

    for (;;) {
        mutex_lock(&executor->lock);
        nsec_t due = executor->heap.count ? executor->heap.items[0]->due : INT64_MAX;
        mutex_unlock(&executor->lock);
        if (due > until)
            break;
        if (due > clock_now(executor->clock))
            virtual_clock_set(executor->virtual, due);
        ran += executor_run_ready(executor);
    }
    if (until > clock_now(executor->clock))
        virtual_clock_set(executor->virtual, until);
    return ran + executor_run_ready(executor);
}

/* -- strands -- */

struct strand {
    struct executor *executor;
    struct mutex lock;
    struct cond done;
    struct task *first, **last;
    bool scheduled, running, closed;
    unsigned refs; /* the owner, and the posted run */
};

static void strand_unref_locked(struct strand *strand)
{
    bool last = --strand->refs == 0;

    mutex_unlock(&strand->lock);
    if (last) {
        cond_deinit(&strand->done);
        mutex_deinit(&strand->lock);
        free(strand);
    }
}

#define STRAND_TURN 16 /* tasks run before others of the executor get their turn */

static void strand_run(void *arg)
{
    struct strand *strand = arg;

    mutex_lock(&strand->lock);
    strand->running = true;
    for (int i = 0; i < STRAND_TURN && strand->first && !strand->closed; i++) {
        struct task *task = strand->first;

        strand->first = task->next;
        if (!strand->first)
            strand->last = &strand->first;
        mutex_unlock(&strand->lock);
        task->fn(task->arg);
        free(task);
        mutex_lock(&strand->lock);
    }
    strand->running = false;
    if (strand->first && !strand->closed && executor_post(strand->executor, strand_run, strand, NULL) == 0) {
        mutex_unlock(&strand->lock);
        return;
    }
    strand->scheduled = false;
    cond_broadcast(&strand->done);
    strand_unref_locked(strand);
}

/* Its executor goes away before its run began. */
static void strand_dropped(struct strand *strand)
{
    mutex_lock(&strand->lock);
    strand->scheduled = false;
    strand_unref_locked(strand);
}

int strand_new(struct executor *executor, struct strand **ret_strand, struct err *err)
{
    struct strand *strand = calloc(1, sizeof *strand);

    if (!strand)
        return err_set(err, ERR_NO_MEMORY, "strand");
    strand->executor = executor;
    strand->last = &strand->first;
    strand->refs = 1;
    mutex_init(&strand->lock);
    cond_init(&strand->done);
    *ret_strand = strand;
    return 0;
}

struct strand *strand_free(struct strand *strand)
{
    if (!strand)
        return NULL;
    mutex_lock(&strand->lock);
    strand->closed = true;
    while (strand->running)
        cond_wait(&strand->done, &strand->lock);
    while (strand->first) {
        struct task *task = strand->first;

        strand->first = task->next;
        free(task);
    }
    strand->last = &strand->first;
    strand_unref_locked(strand);
    return NULL;
}

int strand_post(struct strand *strand, executor_fn *fn, void *arg, struct err *err)
{
    struct task *task = malloc(sizeof *task);
    int code = 0;

    if (!task)
        return err_set(err, ERR_NO_MEMORY, "posting to a strand");
    *task = (struct task){ NULL, fn, arg };
    LOCKED(&strand->lock);
    if (strand->closed) {
        free(task);
        return err_set(err, ERR_CANCELLED, "strand is closed");
    }
    if (!strand->scheduled && (code = executor_post(strand->executor, strand_run, strand, err)) < 0) {
        free(task);
        return code;
    }
    *strand->last = task;
    strand->last = &task->next;
    if (!strand->scheduled) {
        strand->scheduled = true;
        strand->refs++;
    }
    return 0;
}
