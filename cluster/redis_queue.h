// The commands of one connection that wait for their answer, oldest first: a ring that grows to
// what was needed once and then allocates nothing. Redis answers in the order of the questions, so
// the oldest is always the next to be answered.
#ifndef FRESHET_CLUSTER_REDIS_QUEUE_H
#define FRESHET_CLUSTER_REDIS_QUEUE_H

#include "cluster/resp.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

struct redis_reply_handler {
    void (*on_reply)(void *owner, int status, const redisReply *reply); // NULL: nobody asks
    void *owner;                                                        // borrowed
};

struct redis_waiting {
    struct redis_reply_handler handler;
    uint32_t answers_left; // at least 1
    uint32_t since_tick;
    enum resp_verb verb;
};

// Zeroed memory is a valid empty queue.
struct redis_queue {
    struct redis_waiting *slots; // owned
    size_t capacity;             // 0 or a power of two
    size_t head;
    size_t count;
    size_t sent; // the first so many of them were handed to the socket
};

void redis_queue_release(struct redis_queue *queue);
void redis_queue_push(struct redis_queue *queue, struct redis_waiting waiting);

// NULL when empty. Dies with the next push or pop.
struct redis_waiting *redis_queue_oldest(struct redis_queue *queue);

// The oldest; the queue must not be empty.
struct redis_waiting redis_queue_pop(struct redis_queue *queue);

#endif
