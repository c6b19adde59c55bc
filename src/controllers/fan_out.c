/* fan_out.c - a counter that the caller and its helpers take numbers from.
 *
 * The caller takes part and so never waits for a helper that has not begun. Each helper is a task on a strand of its
 * own: freeing the strand drops the task when it has not begun and waits for it when it has. */
#include "controllers/fan_out.h"

#include "base/sync.h"

#define HELPERS_MAX 64

struct share {
    atomic_size_t next;
    size_t count;
    void (*fn)(void *arg, size_t at);
    void *arg;
};

static void take_part(void *arg)
{
    struct share *share = arg;

    for (size_t at; (at = atomic_fetch_add(&share->next, 1)) < share->count;)
        share->fn(share->arg, at);
}

static struct strand *ask_for_help(struct executor *executor, struct share *share)
{
    AUTO(strand) strand = NULL;

    if (strand_new(executor, &strand, NULL) < 0 || strand_post(strand, take_part, share, NULL) < 0)
        return NULL;
    return TAKE(strand);
}

void fan_out(struct executor *executor, int helpers, size_t count, void (*fn)(void *arg, size_t at), void *arg)
{
    struct strand *strands[HELPERS_MAX];
    struct share share = { .count = count, .fn = fn, .arg = arg };
    size_t wanted = count > 1 ? MIN(count - 1, (size_t)MIN(MAX(helpers, 0), HELPERS_MAX)) : 0, got = 0;

    while (got < wanted && (strands[got] = ask_for_help(executor, &share)))
        got++;
    take_part(&share);
    while (got > 0)
        strand_free(strands[--got]);
}
