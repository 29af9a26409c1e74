// Opening and closing a hub, and the tick by which it follows the state of the cluster.
#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/hub/broadcast.h"
#include "node/hub/internal.h"

static void on_tick(struct wheel_timer *timer) {
    struct hub *hub = CONTAINER_OF(timer, struct hub, tick);
    CHECK_OBJ(hub, HUB_MAGIC);
    watchers_hear_state(hub, hub_stale_seconds(hub));
    hub->wall_offset_ms = clock_wall_ms() - (int64_t)uv_now(hub->options.loop);
    metrics_add(&hub->options.metrics->backlog_bytes,
                (long long)hub->held - (long long)hub->held_told);
    hub->held_told = hub->held;
    wheel_start(hub->options.wheel, &hub->tick, TICK_MS, on_tick);
}

int hub_open(const struct hub_options *options, struct hub **hub_r) {
    struct hub *hub = mem_alloc(sizeof(*hub));
    hub->magic = HUB_MAGIC;
    hub->options = *options;
    size_t workers = options->config->workers > 0 ? options->config->workers : 1;
    hub->held_max =
        options->config->backlog_total / 2 / workers; // the cluster holds the other half
    hub->reads_in_flight_max = READS_MAX / workers > 0 ? READS_MAX / workers : 1;
    list_init(&hub->by_age);
    list_init(&hub->reads_waiting);
    list_init(&hub->pages);
    list_init(&hub->watchers);
    list_init(&hub->watchers_untold);
    int error = broadcast_open(hub);
    if (error < 0) {
        mem_free(hub);
        return error;
    }
    on_tick(&hub->tick);
    *hub_r = hub;
    return 0;
}

static void drop_channels(struct hub *hub) {
    size_t count = hub->channels.count;
    struct channel **channels = mem_alloc_array(count + 1, sizeof(struct channel *));
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        channels[i] = map_next(&hub->channels, &at);
    }
    for (size_t i = 0; i < count; i++) {
        channel_destroy(&channels[i]);
    }
    mem_free(channels);
}

void hub_close(struct hub **hub, void (*on_closed)(void *owner), void *owner) {
    struct hub *closing = *hub;
    *hub = NULL;
    CHECK_OBJ(closing, HUB_MAGIC);
    CHECK(list_is_empty(&closing->watchers) && list_is_empty(&closing->watchers_untold));
    closing->is_closing = true;
    closing->on_closed = on_closed;
    closing->owner = owner;
    wheel_stop(&closing->tick);
    drop_channels(closing);
    broadcast_close(closing);
}

void hub_finish_close(struct hub *hub) {
    if (!hub->is_closing || hub->handles_open > 0 || hub->reads_in_flight > 0) {
        return;
    }
    CHECK(list_is_empty(&hub->reads_waiting) && list_is_empty(&hub->pages));
    metrics_add(&hub->options.metrics->backlog_bytes, -(long long)hub->held_told);
    map_release(&hub->channels);
    void (*on_closed)(void *owner) = hub->on_closed;
    void *owner = hub->owner;
    hub->magic = 0;
    mem_free(hub);
    on_closed(owner);
}

uint64_t hub_stale_seconds(const struct hub *hub) {
    CHECK_OBJ(hub, HUB_MAGIC);
    uint64_t seconds = cluster_unheard_ms(hub->options.cluster) / 1000;
    return seconds >= STALE_SECONDS_POLL ? seconds : 0;
}

int64_t hub_wall_ms(const struct hub *hub) {
    return (int64_t)uv_now(hub->options.loop) + hub->wall_offset_ms;
}
