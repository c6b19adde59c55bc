/* sync.h - locks and threads. Only base/ calls pthreads. A failing lock call is a broken invariant. */
#pragma once

#include <pthread.h>

#include "base/clock.h"
#include "base/err.h"

struct mutex {
    pthread_mutex_t lock;
};
struct cond {
    pthread_cond_t cond; /* on CLOCK_MONOTONIC */
};
struct rwlock {
    pthread_rwlock_t lock;
};
struct thread {
    pthread_t id;
    bool started;
};

void mutex_init(struct mutex *mutex);
void mutex_deinit(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/* LOCKED(&m); holds m until the end of the block. */
struct mutex *mutex_lock_scope(struct mutex *mutex);
void mutex_unlock_scope(struct mutex **mutex);
#define LOCKED_NAME2(line) locked_##line
#define LOCKED_NAME(line) LOCKED_NAME2(line)
#define LOCKED(m)                                                                                                      \
    __attribute__((cleanup(mutex_unlock_scope))) UNUSED struct mutex *LOCKED_NAME(__LINE__) = mutex_lock_scope(m)

void rwlock_init(struct rwlock *lock);
void rwlock_deinit(struct rwlock *lock);
void rwlock_read(struct rwlock *lock);
void rwlock_write(struct rwlock *lock);
void rwlock_unlock(struct rwlock *lock);

void cond_init(struct cond *cond);
void cond_deinit(struct cond *cond);
void cond_wait(struct cond *cond, struct mutex *mutex);
bool cond_wait_for(struct cond *cond, struct mutex *mutex, nsec_t timeout); /* false: timed out */
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

/* name: 15 characters at most are kept, for top and gdb. */
int thread_start(struct thread *thread, const char *name, void (*fn)(void *arg), void *arg, struct err *err);
void thread_join(struct thread *thread); /* nothing when it was never started */
