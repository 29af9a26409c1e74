// What a connection has still to write: ranges of frames, in order, each with its own reference.
// Holds no memory while empty; its blocks come from a free list of the worker's.
#ifndef FRESHET_NODE_NET_OUTQ_H
#define FRESHET_NODE_NET_OUTQ_H

#include "node/net/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct outq_block;

// Zeroed memory is a valid empty queue.
struct outq {
    struct outq_block *first; // owned
    struct outq_block *last;
    size_t bytes;
};

// Zeroed memory is a valid empty pool. It keeps a bounded number of free blocks.
struct outq_pool {
    struct outq_block *free; // owned
    size_t count;
};

void outq_pool_release(struct outq_pool *pool);

// Takes a reference of its own. An empty range is nothing.
void outq_push(struct outq *outq, struct outq_pool *pool, struct frame *frame, size_t offset,
               size_t len);

// Fills up to `max` buffers from the front and returns their number; valid until consumed.
size_t outq_gather(const struct outq *outq, uv_buf_t *bufs, size_t max);

// Drops that many bytes from the front, with the references that they held.
void outq_consume(struct outq *outq, struct outq_pool *pool, size_t bytes);

static inline bool outq_is_empty(const struct outq *outq) {
    return outq->bytes == 0;
}

#endif
