/**
 * A doubly linked list through members of the objects themselves: for objects that leave from the
 * middle.
 *
 *     struct list waiting; list_init(&waiting);
 *     list_append(&waiting, &call->link);
 *     list_each(l, &waiting) { struct call *c = CONTAINER_OF(l, struct call, link); ... }
 *
 * Removing the current element inside list_each is allowed.
 */
#ifndef HULL_BASE_LIST_H
#define HULL_BASE_LIST_H

#include "base/defs.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/** Put item before position at: with the list's head that is its end. */
static inline void list_append(struct list *at, struct list *item)
{
    item->prev = at->prev;
    item->next = at;
    at->prev->next = item;
    at->prev = item;
}

/** Take item out of the list it is in; it is then a list of itself, so removing twice does no harm.
 */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/** Take the first item out; NULL: there is none. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    head->next = first->next;
    first->next->prev = head;
    list_init(first);
    return first;
}

/** The object whose member the first item is, taken out; NULL: there is none. */
#define list_take(head, type, member)                                         \
    __extension__({                                                           \
        struct list *list_first_ = list_take_first(head);                     \
        list_first_ != NULL ? CONTAINER_OF(list_first_, type, member) : NULL; \
    })

#define list_each(item, head)                                                          \
    for (struct list *item = (head)->next, *item##_next_ = item->next; item != (head); \
         item = item##_next_, item##_next_ = item->next)

#endif
