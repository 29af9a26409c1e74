// Pings, and what else of a WebSocket goes by the clock: its one timer is set for whatever comes
// first, a ping, the end of the patience with a pong, or the end of the grant.
#include "node/transport/websocket.h"

static void on_tick(struct wheel_timer *timer);

static uint64_t now_ms(const struct websocket *websocket) {
    return uv_now(websocket->service->loop);
}

static void send_ping(struct websocket *websocket) {
    const struct service *service = websocket->service;
    websocket->ping_at_ms = now_ms(websocket) + wheel_jitter(service->config->ws_ping_ms);
    if (exchange_is_blocked(websocket->exchange)) {
        return; // it has enough to read, and the stall timer watches whether it does
    }
    websocket_send(websocket, WS_PING, SLICE_NONE);
    uint64_t stale_seconds = hub_stale_seconds(service->hub);
    // The watcher tells it first, and tells its end to whoever was told: this only repeats it.
    if (websocket->watcher.was_told_stale && stale_seconds >= STALE_SECONDS_STREAM) {
        websocket_send_stale(websocket, stale_seconds);
    }
    if (!websocket->is_pong_due) {
        websocket->is_pong_due = true;
        websocket->pong_at_ms = now_ms(websocket) + service->config->ws_pong_ms;
        websocket->ping_end = exchange_written(websocket->exchange);
        websocket->reached = exchange_acknowledged(websocket->exchange);
    }
}

// No pong in time is death, unless we do not read ourselves, or the ping was still on its way to a
// slow client, which moves, when we last looked. That it was acknowledged since says only that the
// client's kernel has it: a slow reader may have much to read before it (the fault kit's do), and is
// given the time once more.
static bool is_dead(struct websocket *websocket) {
    uint64_t reached = exchange_acknowledged(websocket->exchange);
    bool is_coming = websocket->reached < websocket->ping_end && reached > websocket->reached;
    websocket->reached = reached;
    websocket->pong_at_ms = now_ms(websocket) + websocket->service->config->ws_pong_ms;
    return !websocket->is_paused && !is_coming;
}

void websocket_start_tick(struct websocket *websocket) {
    uint64_t next_ms = websocket->ping_at_ms;
    if (websocket->is_pong_due && websocket->pong_at_ms < next_ms) {
        next_ms = websocket->pong_at_ms;
    }
    uint64_t now = now_ms(websocket);
    uint64_t after_ms = next_ms > now ? next_ms - now : 0;
    int64_t left_ms = websocket_granted_ms(websocket);
    if (left_ms < (int64_t)after_ms) {
        after_ms = left_ms > 0 ? (uint64_t)left_ms : 0;
    }
    wheel_start(websocket->service->wheel, &websocket->timer, after_ms, on_tick);
}

static void on_tick(struct wheel_timer *timer) {
    struct websocket *websocket = CONTAINER_OF(timer, struct websocket, timer);
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    uint64_t now = now_ms(websocket);
    if (websocket->is_pong_due && now >= websocket->pong_at_ms && is_dead(websocket)) {
        websocket_fail(websocket, WS_CLOSE_DEAD_PEER, "no pong", CLOSE_DEAD_PEER);
        return;
    }
    if (websocket_granted_ms(websocket) <= 0 && !websocket_outlive_grant(websocket)) {
        return;
    }
    if (now >= websocket->ping_at_ms) {
        send_ping(websocket);
    }
    websocket_start_tick(websocket);
}

void websocket_start_pings(struct websocket *websocket) {
    websocket->ping_at_ms =
        now_ms(websocket) + wheel_jitter(websocket->service->config->ws_ping_ms);
    websocket_start_tick(websocket);
}
