// Watchers are told of the worker's own state in bounded turns of the pump. What is new to one is
// seen by comparing what it was told with what is true now, so news that overtake each other melt
// into one.
#include "node/hub/broadcast.h"
#include "node/hub/internal.h"

static bool is_stale(const struct hub *hub) {
    return hub->stale_seconds >= STALE_SECONDS_STREAM;
}

static void tell(struct hub *hub, struct watcher *watcher) {
    if (hub->is_draining && !watcher->was_told_drain) {
        watcher->was_told_drain = true;
        watcher->ops->on_drain(watcher); // may be the end of it
    } else if (watcher->was_told_stale != is_stale(hub)) {
        watcher->was_told_stale = is_stale(hub);
        watcher->ops->on_stale(watcher, is_stale(hub) ? hub->stale_seconds : 0);
    }
}

void watchers_tell(struct hub *hub, int budget) {
    for (; budget > 0 && !list_is_empty(&hub->watchers_untold); budget--) {
        struct list *node = list_pop(&hub->watchers_untold);
        list_append(&hub->watchers, node);
        tell(hub, LIST_ENTRY(node, struct watcher, node));
    }
}

static void tell_all(struct hub *hub) {
    list_splice(&hub->watchers_untold, &hub->watchers);
    broadcast_continue(hub);
}

void watchers_hear_state(struct hub *hub, uint64_t stale_seconds) {
    bool was_stale = is_stale(hub);
    hub->stale_seconds = stale_seconds;
    if (was_stale != is_stale(hub)) {
        tell_all(hub);
    }
}

void watcher_open(struct watcher *watcher, struct hub *hub, const struct watcher_ops *ops) {
    CHECK_OBJ(hub, HUB_MAGIC);
    *watcher = (struct watcher){.ops = ops};
    if (hub->is_draining || is_stale(hub)) {
        list_append(&hub->watchers_untold, &watcher->node);
        broadcast_continue(hub);
    } else {
        list_append(&hub->watchers, &watcher->node);
    }
}

void watcher_close(struct watcher *watcher) {
    if (watcher->ops != NULL) {
        list_remove(&watcher->node);
        watcher->ops = NULL;
    }
}

void hub_drain(struct hub *hub) {
    CHECK_OBJ(hub, HUB_MAGIC);
    if (!hub->is_draining) {
        hub->is_draining = true;
        tell_all(hub);
    }
}

bool hub_is_draining(const struct hub *hub) {
    return hub->is_draining;
}
