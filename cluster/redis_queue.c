// See redis_queue.h.
#include "cluster/redis_queue.h"

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

enum { CAPACITY_FIRST = 64 };

static struct redis_waiting *slot(struct redis_queue *queue, size_t index) {
    return &queue->slots[(queue->head + index) & (queue->capacity - 1)];
}

static void grow(struct redis_queue *queue) {
    struct redis_queue larger = *queue;
    larger.capacity = queue->capacity > 0 ? queue->capacity * 2 : CAPACITY_FIRST;
    larger.slots = mem_alloc_array(larger.capacity, sizeof(*larger.slots));
    larger.head = 0;
    for (size_t i = 0; i < queue->count; i++) {
        larger.slots[i] = *slot(queue, i);
    }
    mem_free(queue->slots);
    *queue = larger;
}

void redis_queue_release(struct redis_queue *queue) {
    mem_free(queue->slots);
    *queue = (struct redis_queue){0};
}

void redis_queue_push(struct redis_queue *queue, struct redis_waiting waiting) {
    if (queue->count == queue->capacity) {
        grow(queue);
    }
    *slot(queue, queue->count++) = waiting;
}

struct redis_waiting *redis_queue_oldest(struct redis_queue *queue) {
    return queue->count > 0 ? slot(queue, 0) : NULL;
}

struct redis_waiting redis_queue_pop(struct redis_queue *queue) {
    CHECK(queue->count > 0);
    struct redis_waiting oldest = *slot(queue, 0);
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    queue->sent -= queue->sent > 0 ? 1 : 0;
    return oldest;
}
