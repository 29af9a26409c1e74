// Intrusive doubly linked lists with a head node. Nodes are embedded in the objects they link;
// a node that is in no list points at itself.
#ifndef FRESHET_CLUSTER_BASE_LIST_H
#define FRESHET_CLUSTER_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "cluster/base/check.h"

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

static inline void list_init(struct list *node) {
    node->next = node;
    node->prev = node;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

// For a node: whether it is in some list.
static inline bool list_is_linked(const struct list *node) {
    return node->next != node;
}

static inline void list_insert_before(struct list *at, struct list *node) {
    node->next = at;
    node->prev = at->prev;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_append(struct list *head, struct list *node) {
    list_insert_before(head, node);
}

static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

// NULL when the list is empty.
static inline struct list *list_first(const struct list *head) {
    return list_is_empty(head) ? NULL : head->next;
}

static inline struct list *list_pop(struct list *head) {
    struct list *node = list_first(head);
    if (node != NULL) {
        list_remove(node);
    }
    return node;
}

// Moves all nodes of `from` behind those of `to`; `from` is empty afterwards. O(1).
static inline void list_splice(struct list *to, struct list *from) {
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

// The body may remove `node` itself, and nothing else.
#define LIST_FOREACH(node, head)                                                                   \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);              \
         node = node##_next, node##_next = node->next)

#endif
