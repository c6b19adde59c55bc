/* fan_out.c - a counter that the caller and its helpers take numbers from.
 *
 * The caller takes part and so never waits for a helper that has not begun: one that comes late finds no number left and
 * goes away. What they share is counted, as such a late one may outlive the call. */
#include "controllers/fan_out.h"

#include "base/sync.h"

struct share {
    atomic_uint refs;
    size_t count;
    void (*fn)(void *arg, size_t at);
    void *arg;
    struct mutex lock;
    struct cond done;
    size_t next, finished;
};

static void share_unref(struct share *share)
{
    if (atomic_fetch_sub(&share->refs, 1) != 1)
        return;
    cond_deinit(&share->done);
    mutex_deinit(&share->lock);
    free(share);
}

static bool take(struct share *share, size_t *ret_at)
{
    LOCKED(&share->lock);
    if (share->next == share->count)
        return false;
    *ret_at = share->next++;
    return true;
}

static void finish(struct share *share)
{
    LOCKED(&share->lock);
    if (++share->finished == share->count)
        cond_signal(&share->done);
}

static void take_part(struct share *share)
{
    size_t at;

    while (take(share, &at)) {
        share->fn(share->arg, at);
        finish(share);
    }
}

static void help(void *arg)
{
    take_part(arg);
    share_unref(arg);
}

static struct share *share_new(size_t count, void (*fn)(void *arg, size_t at), void *arg)
{
    struct share *share = calloc(1, sizeof *share);

    if (!share)
        return NULL;
    atomic_init(&share->refs, 1);
    share->count = count;
    share->fn = fn;
    share->arg = arg;
    mutex_init(&share->lock);
    cond_init(&share->done);
    return share;
}

void fan_out(struct executor *executor, int helpers, size_t count, void (*fn)(void *arg, size_t at), void *arg)
{
    struct share *share = count > 1 && helpers > 0 ? share_new(count, fn, arg) : NULL;

    if (!share) {
        for (size_t at = 0; at < count; at++)
            fn(arg, at);
        return;
    }
    for (int i = 0; i < helpers && (size_t)i < count - 1; i++) {
        atomic_fetch_add(&share->refs, 1);
        if (executor_post(executor, help, share, NULL) < 0) {
            share_unref(share);
            break;
        }
    }
    take_part(share);
    mutex_lock(&share->lock);
    while (share->finished < share->count)
        cond_wait(&share->done, &share->lock);
    mutex_unlock(&share->lock);
    share_unref(share);
}
