// The recent messages of one channel as the cluster thread keeps them: a contiguous run that leads
// up to the head. What a worker is handed when it joins a channel that another one already holds.
#ifndef FRESHET_CLUSTER_RUN_H
#define FRESHET_CLUSTER_RUN_H

#include "cluster/message.h"

#include <stddef.h>
#include <stdint.h>

// Zeroed memory is a valid empty run.
struct run {
    struct position base;      // the place before messages[first]
    struct message **messages; // owned ring of references; capacity is a power of two
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
    size_t bytes;              // sizes of all messages
};

// Drops everything; the run begins anew at `base`.
void run_reset(struct run *run, struct position base);

// Takes its own reference. The message must follow the last one (or base).
void run_append(struct run *run, struct message *message);

// Drops the oldest until at most `count` messages and `bytes` bytes are left.
void run_trim(struct run *run, size_t count, size_t bytes);

static inline struct message *run_at(const struct run *run, size_t i) {
    return run->messages[(run->first + i) & (run->capacity - 1)];
}

#endif
