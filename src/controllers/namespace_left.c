/* namespace_left.c - five conditions in the words that people look for when a namespace does not go. */
#include "controllers/namespace_left.h"

#include <stdlib.h>

#include "base/buf.h"

#define CONDITIONS_MAX 16

static void count(struct left_counts *counts, struct str name)
{
    vec_each (&counts->list, it)
        if (str_eq(it->name, name)) {
            it->count++;
            return;
        }
    if (name.data)
        (void)vec_push(&counts->list, ((struct left_count){ name, 1 }));
}

void namespace_left_add(struct namespace_left *left, const struct resource *resource, const struct json *object)
{
    const struct json *finalizers = json_at(object, "metadata.finalizers");

    count(&left->resources,
          arena_printf(left->arena, STR_FMT "." STR_FMT, STR_ARG(resource->plural), STR_ARG(resource->group)));
    for (uint32_t i = 0; json_is(finalizers, JSON_ARRAY) && i < finalizers->count; i++)
        count(&left->finalizers, arena_str(left->arena, json_str(&finalizers->items[i])));
}

/* -- words -- */

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct left_count *)a)->name, ((const struct left_count *)b)->name);
}

static struct str listed(struct arena *arena, const char *what, struct left_counts *counts, const char *verb)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    if (counts->list.count == 0)
        return STR_NULL;
    qsort(counts->list.items, counts->list.count, sizeof *counts->list.items, by_name);
    buf_add_cstr(&text, what);
    for (size_t i = 0; i < counts->list.count; i++)
        buf_printf(&text, "%s" STR_FMT " %s %zu resource instances", i ? ", " : "",
                   STR_ARG(counts->list.items[i].name), verb, counts->list.items[i].count);
    return arena_str(arena, buf_str(&text));
}

struct wording {
    const char *type, *no_reason, *no_message, *yes_reason;
};

enum { DISCOVERY, PARSING, CONTENT, REMAINING, FINALIZERS };

static const struct wording wordings[] = {
    [DISCOVERY] = { "NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered",
                    "DiscoveryFailed" },
    [PARSING] = { "NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions",
                  "All legacy kube types successfully parsed", "GroupVersionParsingFailed" },
    [CONTENT] = { "NamespaceDeletionContentFailure", "ContentDeleted",
                  "All content successfully deleted, may be waiting on finalization", "ContentDeletionFailed" },
    [REMAINING] = { "NamespaceContentRemaining", "ContentRemoved", "All content successfully removed",
                    "SomeResourcesRemain" },
    [FINALIZERS] = { "NamespaceFinalizersRemaining", "ContentHasNoFinalizers",
                     "All content-preserving finalizers finished", "SomeFinalizersRemain" },
};

/* -- conditions -- */

static bool put(struct namespace_condition *list, size_t *len, const struct wording *wording, struct str message,
                nsec_t now)
{
    struct str type = str_from(wording->type), status = message.len ? STR("True") : STR("False");
    struct str reason = str_from(message.len ? wording->yes_reason : wording->no_reason);
    struct namespace_condition *condition = NULL;

    if (!message.len)
        message = str_from(wording->no_message);
    for (size_t i = 0; i < *len; i++)
        if (str_eq(list[i].type, type))
            condition = &list[i];
    if (condition && str_eq(condition->status, status) && str_eq(condition->reason, reason) &&
        str_eq(condition->message, message))
        return false;
    if (!condition) {
        condition = &list[(*len)++];
        *condition = (struct namespace_condition){ .type = type };
    }
    if (!str_eq(condition->status, status))
        condition->last_transition_time = (struct api_time){ true, now };
    condition->status = status;
    condition->reason = reason;
    condition->message = message;
    return true;
}

bool namespace_left_conditions(struct namespace_left *left, struct namespace *ns, nsec_t now, struct err *err)
{
    const struct namespace_condition_array *old = &ns->status.conditions;
    size_t len = MIN(old->count, (size_t)CONDITIONS_MAX);
    struct namespace_condition *list =
        arena_array_of(left->arena, len + ARRAY_LEN(wordings), struct namespace_condition);
    const struct str messages[] = {
        [CONTENT] = left->failure,
        [REMAINING] = listed(left->arena, "Some resources are remaining: ", &left->resources, "has"),
        [FINALIZERS] = listed(left->arena, "Some content in the namespace has finalizers remaining: ",
                              &left->finalizers, "in"),
    };
    bool changed = false;

    if (!list) {
        err_set(err, ERR_NO_MEMORY, "conditions of a namespace");
        return false;
    }
    for (size_t i = 0; i < len; i++)
        list[i] = old->items[i];
    for (size_t i = 0; i < ARRAY_LEN(wordings); i++)
        changed |= put(list, &len, &wordings[i], messages[i], now);
    ns->status.conditions = (struct namespace_condition_array){ list, len };
    return changed;
}
