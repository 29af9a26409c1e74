// A token bucket that holds one second's worth: so many may come at once after a quiet second, and
// no more than that a second for long. Whole numbers: nothing is lost to rounding. Single-threaded.
#ifndef FRESHET_NODE_NET_BUCKET_H
#define FRESHET_NODE_NET_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    uint64_t rate;  // tokens a second, at most BUCKET_RATE_MAX
    uint64_t level; // millionths of a token
    uint64_t at_us; // when `level` was right
};

enum { BUCKET_RATE_MAX = 1000 * 1000 };

// Full.
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t now_us);

// False: it is empty. A clock that stands behind an earlier call's, as another thread's may, is
// taken for that one's.
bool bucket_take(struct bucket *bucket, uint64_t now_us);

#endif
