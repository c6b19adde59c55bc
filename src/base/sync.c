#include "base/sync.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

void mutex_init(struct mutex *mutex)
{
    INVARIANT(pthread_mutex_init(&mutex->lock, NULL) == 0);
}

void mutex_deinit(struct mutex *mutex)
{
    INVARIANT(pthread_mutex_destroy(&mutex->lock) == 0);
}

void mutex_lock(struct mutex *mutex)
{
    INVARIANT(pthread_mutex_lock(&mutex->lock) == 0);
}

void mutex_unlock(struct mutex *mutex)
{
    INVARIANT(pthread_mutex_unlock(&mutex->lock) == 0);
}

struct mutex *mutex_lock_scope(struct mutex *mutex)
{
    mutex_lock(mutex);
    return mutex;
}

void mutex_unlock_scope(struct mutex **mutex)
{
    mutex_unlock(*mutex);
}

void rwlock_init(struct rwlock *lock)
{
    INVARIANT(pthread_rwlock_init(&lock->lock, NULL) == 0);
}

void rwlock_deinit(struct rwlock *lock)
{
    INVARIANT(pthread_rwlock_destroy(&lock->lock) == 0);
}

void rwlock_read(struct rwlock *lock)
{
    INVARIANT(pthread_rwlock_rdlock(&lock->lock) == 0);
}

void rwlock_write(struct rwlock *lock)
{
    INVARIANT(pthread_rwlock_wrlock(&lock->lock) == 0);
}

void rwlock_unlock(struct rwlock *lock)
{
    INVARIANT(pthread_rwlock_unlock(&lock->lock) == 0);
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attr;

    INVARIANT(pthread_condattr_init(&attr) == 0);
    INVARIANT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    INVARIANT(pthread_cond_init(&cond->cond, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

void cond_deinit(struct cond *cond)
{
    INVARIANT(pthread_cond_destroy(&cond->cond) == 0);
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
    INVARIANT(pthread_cond_wait(&cond->cond, &mutex->lock) == 0);
}

bool cond_wait_for(struct cond *cond, struct mutex *mutex, nsec_t timeout)
{
    nsec_t until = clock_now(clock_real()) + MAX(timeout, 0);
    struct timespec ts = { until / NSEC_PER_SEC, until % NSEC_PER_SEC };
    int result = pthread_cond_timedwait(&cond->cond, &mutex->lock, &ts);

    INVARIANT(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void cond_signal(struct cond *cond)
{
    INVARIANT(pthread_cond_signal(&cond->cond) == 0);
}

void cond_broadcast(struct cond *cond)
{
    INVARIANT(pthread_cond_broadcast(&cond->cond) == 0);
}

struct start {
    void (*fn)(void *arg);
    void *arg;
};

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    start.fn(start.arg);
    return NULL;
}

int thread_start(struct thread *thread, const char *name, void (*fn)(void *arg), void *arg, struct err *err)
{
    struct start *start = malloc(sizeof *start);
    pthread_attr_t attr;
    char short_name[16];

    if (!start)
        return err_set(err, ERR_NO_MEMORY, "thread %s", name);
    *start = (struct start){ fn, arg };
    INVARIANT(pthread_attr_init(&attr) == 0);
    pthread_attr_setstacksize(&attr, 1u << 20);
    int result = pthread_create(&thread->id, &attr, run, start);

    pthread_attr_destroy(&attr);
    if (result != 0) {
        free(start);
        return err_errno(err, result, "starting thread %s", name);
    }
    thread->started = true;
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(thread->id, short_name);
    return 0;
}

void thread_join(struct thread *thread)
{
    if (!thread->started)
        return;
    INVARIANT(pthread_join(thread->id, NULL) == 0);
    thread->started = false;
}
