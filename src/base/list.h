/* list.h - doubly linked list through a member of the element. Not thread-safe. */
#pragma once

#include "base/macros.h"

struct list {
    struct list *prev, *next;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *list)
{
    list->prev = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_insert_before(struct list *where, struct list *item)
{
    item->prev = where->prev;
    item->next = where;
    where->prev->next = item;
    where->prev = item;
}

static inline void list_append(struct list *list, struct list *item)
{
    list_insert_before(list, item);
}

static inline void list_prepend(struct list *list, struct list *item)
{
    list_insert_before(list->next, item);
}

/* Safe to call on an item that is in no list but was initialised. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

#define list_first(list, type, member) (list_empty(list) ? NULL : container_of((list)->next, type, member))
#define list_each(list, it, type, member)                                                                              \
    for (type *it = container_of((list)->next, type, member), *it##_next;                                              \
         it##_next = container_of(it->member.next, type, member), &it->member != (list); it = it##_next)
