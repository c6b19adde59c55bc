#include "scheduler/cycle.h"

#include "scheduler/plugins/plugin.h"

struct reason {
    struct str text;
    size_t nodes;
};

struct reasons {
    VEC(struct reason) items;
    struct map by_text; /* -> index + 1 */
};

static int note(struct arena *arena, struct reasons *reasons, struct str text)
{
    uintptr_t at = (uintptr_t)map_get(&reasons->by_text, text);

    if (at) {
        reasons->items.items[at - 1].nodes++;
        return 0;
    }
    struct str copy = arena_str(arena, text);

    if (!copy.data || vec_push(&reasons->items, ((struct reason){ copy, 1 })) < 0)
        return -1;
    return map_put(&reasons->by_text, copy, (void *)(uintptr_t)reasons->items.count, NULL);
}

static int compare_texts(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted as texts with their counts in front, as Kubernetes does. */
static struct str tell(struct arena *arena, const struct reasons *reasons, size_t nodes)
{
    struct str *texts = arena_array_of(arena, reasons->items.count, struct str);
    struct buf buf = BUF_INIT;

    if (nodes == 0)
        return STR("no nodes available to schedule pods");
    if (!texts)
        return STR_NULL;
    for (size_t i = 0; i < reasons->items.count; i++)
        texts[i] = arena_printf(arena, "%zu " STR_FMT, reasons->items.items[i].nodes,
                                STR_ARG(reasons->items.items[i].text));
    qsort(texts, reasons->items.count, sizeof *texts, compare_texts);
    buf_printf(&buf, "0/%zu nodes are available: ", nodes);
    for (size_t i = 0; i < reasons->items.count; i++)
        buf_printf(&buf, "%s" STR_FMT, i ? ", " : "", STR_ARG(texts[i]));
    buf_add_char(&buf, '.');
    struct str text = buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;

    buf_deinit(&buf);
    return text;
}

static bool fits(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    for (size_t i = 0; i < plugin_count; i++)
        if (plugins[i].filter && !plugins[i].filter(candidate, row, reason))
            return false;
    return true;
}

static int64_t score(const struct candidate *candidate, const struct node_row *row)
{
    int64_t sum = 0;

    for (size_t i = 0; i < plugin_count; i++)
        if (plugins[i].score)
            sum += plugins[i].score(candidate, row) * plugins[i].weight;
    return sum;
}

int cycle_run(struct arena *arena, const struct cluster *cluster, const struct pod *pod, size_t turn,
              struct verdict *ret_verdict)
{
    struct verdict verdict = { 0 };
    struct reasons reasons = { .by_text = MAP_INIT };
    struct buf reason = BUF_INIT;
    struct demand demand;
    const struct candidate candidate = { pod, &demand };
    size_t count = cluster->rows.count;
    int64_t best = -1;
    int code = demand_of(arena, pod, &demand);

    for (size_t i = 0; code == 0 && i < count; i++) {
        struct node_row *row = cluster->rows.items[(turn + i) % count];

        buf_clear(&reason);
        if (!fits(&candidate, row, &reason)) {
            code = note(arena, &reasons, buf_str(&reason));
            continue;
        }
        int64_t points = score(&candidate, row);

        if (points > best) {
            best = points;
            verdict.node = row;
        }
    }
    if (code == 0 && !verdict.node) {
        verdict.message = tell(arena, &reasons, count);
        code = verdict.message.data ? 0 : -1;
    }
    vec_deinit(&reasons.items);
    map_deinit(&reasons.by_text);
    buf_deinit(&reason);
    if (code == 0)
        *ret_verdict = verdict;
    return code;
}
