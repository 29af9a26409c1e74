// One timer wheel per worker: O(1) start and stop, a resolution of 50 ms, one uv_timer below it
// that runs only while something waits. Late by up to one step, never early.
//
// Callbacks run from the loop, one after the other, and may start and stop any timer, those that
// are due in the same step included, and free what holds them.
#ifndef FRESHET_NODE_NET_WHEEL_H
#define FRESHET_NODE_NET_WHEEL_H

#include "cluster/base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct wheel;

// Embedded in its user; zeroed memory is a stopped timer. A running one must not move.
struct wheel_timer {
    struct list node;
    struct wheel *wheel; // borrowed; NULL while stopped
    uint64_t due_step;
    void (*on_timeout)(struct wheel_timer *timer);
};

int wheel_open(uv_loop_t *loop, struct wheel **wheel_r);
void wheel_close(struct wheel **wheel); // every timer must have been stopped

// (Re)starts. The callback runs once and may start the timer again, or free what holds it.
void wheel_start(struct wheel *wheel, struct wheel_timer *timer, uint64_t after_ms,
                 void (*on_timeout)(struct wheel_timer *timer));
void wheel_stop(struct wheel_timer *timer); // fine when it is not running
bool wheel_is_running(const struct wheel_timer *timer);

// after_ms with up to a tenth taken off, so that what started together does not end together.
uint64_t wheel_jitter(uint64_t after_ms);

#endif
