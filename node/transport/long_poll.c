// Long polling is a poll that is held while it has nothing to tell: at the first message it goes on
// collecting, at the end of its wait it is answered as it is, at its token's end with 401.
#include "node/transport/poll.h"

static uint64_t wait_end_ms(const struct poll *poll) {
    return poll->opened_ms + poll->wait_ms;
}

// Before the wait is over the timer runs out only for the token's sake.
static void on_wait_over(struct wheel_timer *timer) {
    struct poll *poll = CONTAINER_OF(timer, struct poll, timer);
    if (uv_now(poll->service->loop) < wait_end_ms(poll)) {
        poll_refuse_ended(poll);
    } else {
        long_poll_stop(poll);
    }
}

bool long_poll_hold(struct poll *poll) {
    uint64_t now_ms = uv_now(poll->service->loop);
    uint64_t end_ms = wait_end_ms(poll);
    if (poll->is_wait_over || now_ms >= end_ms || hub_is_draining(poll->service->hub)) {
        return false;
    }
    uint64_t wait_ms = end_ms - now_ms;
    int64_t left_ms = poll->ends_ms - hub_wall_ms(poll->service->hub);
    if (left_ms < (int64_t)wait_ms) {
        wait_ms = left_ms > 0 ? (uint64_t)left_ms : 0;
    }
    poll->phase = POLL_HELD;
    wheel_start(poll->service->wheel, &poll->timer, wait_ms, on_wait_over);
    return true;
}

void long_poll_stop(struct poll *poll) {
    poll->is_wait_over = true;
    if (poll->phase == POLL_HELD) {
        poll_answer(poll);
    }
}
