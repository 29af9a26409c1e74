// Delays between attempts: doubling from min to max, each drawn uniformly from its upper half so
// that nodes that lost the same Redis do not come back in the same millisecond.
#ifndef FRESHET_CLUSTER_BASE_BACKOFF_H
#define FRESHET_CLUSTER_BASE_BACKOFF_H

#include <stdint.h>

// 0 < min_ms <= max_ms.
struct backoff {
    uint64_t min_ms;
    uint64_t max_ms;
    unsigned attempts;
};

uint64_t backoff_next_ms(struct backoff *backoff);

static inline void backoff_reset(struct backoff *backoff) {
    backoff->attempts = 0;
}

#endif
