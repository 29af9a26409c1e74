// Long polling is a poll that is held while it has nothing to tell: at the first message it goes on
// collecting, at the end of its wait it is answered as it is.
#include "node/transport/poll.h"

static void on_wait_over(struct wheel_timer *timer) {
    long_poll_stop(CONTAINER_OF(timer, struct poll, timer));
}

bool long_poll_hold(struct poll *poll) {
    uint64_t now_ms = uv_now(poll->service->loop);
    uint64_t end_ms = poll->opened_ms + poll->wait_ms;
    if (poll->is_wait_over || now_ms >= end_ms || hub_is_draining(poll->service->hub)) {
        return false;
    }
    poll->phase = POLL_HELD;
    wheel_start(poll->service->wheel, &poll->timer, end_ms - now_ms, on_wait_over);
    return true;
}

void long_poll_stop(struct poll *poll) {
    poll->is_wait_over = true;
    if (poll->phase == POLL_HELD) {
        poll_answer(poll);
    }
}
