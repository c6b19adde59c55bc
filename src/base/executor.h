/* executor.h - where work runs, and when: a pool of threads in real life, one thread under virtual time in tests.
 *
 * Any thread may post. Tasks of one executor run in no particular order on a pool; a strand runs its tasks one by
 * one, in order. A task may block on a pool (keep the pool large enough); under a virtual executor it must not wait
 * for another task. */
#pragma once

#include "base/clock.h"
#include "base/err.h"

struct executor;
struct executor_timer;
typedef void executor_fn(void *arg);

/* threads: at most that many, started on demand and kept. */
int executor_pool_new(struct clock *clock, const char *name, int threads, struct executor **ret_executor,
                      struct err *err);
/* Tasks run inside executor_run_until()/executor_run_ready() of the caller's thread, in order of their time. */
int executor_virtual_new(struct virtual_clock *clock, struct executor **ret_executor, struct err *err);
/* Waits for running tasks; drops those not yet begun. */
struct executor *executor_free(struct executor *executor);
DEFINE_AUTO(executor, executor_free)

/* ERR_NO_MEMORY, or ERR_CANCELLED while the executor is being freed. */
int executor_post(struct executor *executor, executor_fn *fn, void *arg, struct err *err);
/* Runs fn once after delay. *ret_timer (may be NULL when nobody cancels) must be given to executor_cancel() in any
 * case, also after it has run. */
int executor_post_after(struct executor *executor, nsec_t delay, executor_fn *fn, void *arg,
                        struct executor_timer **ret_timer, struct err *err);
/* True: fn has not run and never will. False: it has run or is running now. Frees the handle; NULL is allowed. */
bool executor_cancel(struct executor *executor, struct executor_timer *timer);
/* The same, and when it is running on another thread, waits for its end. Not under a lock that fn takes. */
bool executor_cancel_wait(struct executor *executor, struct executor_timer *timer);
struct clock *executor_clock(struct executor *executor);

/* Virtual only: runs all that is due now; runs everything due until then, moving the clock. Returns tasks run. */
size_t executor_run_ready(struct executor *executor);
size_t executor_run_until(struct executor *executor, nsec_t until);

/* A strand: tasks in order, never two at once, on the threads of the executor. */
struct strand;
int strand_new(struct executor *executor, struct strand **ret_strand, struct err *err);
struct strand *strand_free(struct strand *strand); /* drops waiting tasks, waits for the running one; not from a task */
DEFINE_AUTO(strand, strand_free)
int strand_post(struct strand *strand, executor_fn *fn, void *arg, struct err *err);
