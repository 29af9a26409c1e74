// Ephemeral messages of one channel between their arrival and the end of the pump that hands them
// out: there is no log behind them, so whoever cannot take one by then has missed it.
#ifndef FRESHET_NODE_HUB_EPHEMERAL_H
#define FRESHET_NODE_HUB_EPHEMERAL_H

#include "node/hub/hub.h"

#include <stdint.h>

enum { EPHEMERALS_MAX = 64, EPHEMERAL_BYTES_MAX = 2 << 20 };

struct ephemeral {
    struct entry entry;
    uint64_t after_seq; // the backlog's end when it came: it is due there, not earlier
};

struct ephemerals {
    struct ephemeral *slots; // owned ring of EPHEMERALS_MAX; NULL while empty
    size_t count;
    size_t bytes;
    uint64_t first_seq;
};

// Takes its own reference. At the bounds the oldest goes.
void ephemerals_append(struct ephemerals *ephemerals, struct message *message, uint64_t after_seq,
                       size_t *held);
void ephemerals_clear(struct ephemerals *ephemerals);
struct ephemeral *ephemerals_at(const struct ephemerals *ephemerals, uint64_t seq);

static inline uint64_t ephemerals_end(const struct ephemerals *ephemerals) {
    return ephemerals->first_seq + ephemerals->count;
}

#endif
