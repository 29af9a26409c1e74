// A linked list of small arrays: one block serves the common case, a frame or two per turn.
#include "node/net/outq.h"

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

enum { BLOCK_ENTRIES = 16, POOL_BLOCKS_MAX = 1024 };

struct entry {
    struct frame *frame; // counted
    uint32_t offset;
    uint32_t len;
};

struct outq_block {
    struct outq_block *next;
    uint32_t begin; // entries[begin] to entries[end - 1] are queued
    uint32_t end;
    struct entry entries[BLOCK_ENTRIES];
};

static struct outq_block *take_block(struct outq_pool *pool) {
    struct outq_block *block = pool->free;
    if (block == NULL) {
        return mem_alloc(sizeof(*block));
    }
    pool->free = block->next;
    pool->count--;
    block->next = NULL;
    block->begin = block->end = 0;
    return block;
}

static void give_back(struct outq_pool *pool, struct outq_block *block) {
    if (pool->count == POOL_BLOCKS_MAX) {
        mem_free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->count++;
}

void outq_pool_release(struct outq_pool *pool) {
    while (pool->free != NULL) {
        struct outq_block *block = pool->free;
        pool->free = block->next;
        mem_free(block);
    }
    pool->count = 0;
}

void outq_push(struct outq *outq, struct outq_pool *pool, struct frame *frame, size_t offset,
               size_t len) {
    CHECK(offset <= frame->len && len <= frame->len - offset);
    if (len == 0) {
        return;
    }
    if (outq->last == NULL) {
        outq->first = outq->last = take_block(pool);
    } else if (outq->last->end == BLOCK_ENTRIES) {
        outq->last->next = take_block(pool);
        outq->last = outq->last->next;
    }
    struct outq_block *block = outq->last;
    block->entries[block->end++] = (struct entry){
        .frame = frame_ref(frame),
        .offset = (uint32_t)offset,
        .len = (uint32_t)len,
    };
    outq->bytes += len;
}

size_t outq_gather(const struct outq *outq, uv_buf_t *bufs, size_t max) {
    size_t count = 0;
    for (const struct outq_block *block = outq->first; block != NULL; block = block->next) {
        for (uint32_t i = block->begin; i < block->end; i++) {
            if (count == max) {
                return count;
            }
            const struct entry *entry = &block->entries[i];
            bufs[count++] = uv_buf_init(entry->frame->data + entry->offset, entry->len);
        }
    }
    return count;
}

static void drop_first_block(struct outq *outq, struct outq_pool *pool) {
    struct outq_block *block = outq->first;
    outq->first = block->next;
    if (outq->first == NULL) {
        outq->last = NULL;
    }
    give_back(pool, block);
}

void outq_consume(struct outq *outq, struct outq_pool *pool, size_t bytes) {
    CHECK(bytes <= outq->bytes);
    outq->bytes -= bytes;
    while (bytes > 0) {
        struct outq_block *block = outq->first;
        struct entry *entry = &block->entries[block->begin];
        if (bytes < entry->len) {
            entry->offset += (uint32_t)bytes;
            entry->len -= (uint32_t)bytes;
            return;
        }
        bytes -= entry->len;
        frame_unref(&entry->frame);
        if (++block->begin == block->end) {
            drop_first_block(outq, pool);
        }
    }
}
