// See backoff.h.
#include "cluster/base/backoff.h"

#include "cluster/base/check.h"
#include "cluster/base/clock.h"

uint64_t backoff_next_ms(struct backoff *backoff) {
    CHECK(backoff->min_ms > 0 && backoff->min_ms <= backoff->max_ms);
    uint64_t delay = backoff->min_ms;
    for (unsigned i = 0; i < backoff->attempts && delay < backoff->max_ms; i++) {
        delay = delay > backoff->max_ms / 2 ? backoff->max_ms : delay * 2;
    }
    backoff->attempts++;
    uint64_t half = delay / 2;
    return delay - half + clock_random(half + 1);
}
