// What the files of this folder share: the hub itself. Nobody else includes it.
#ifndef FRESHET_NODE_HUB_INTERNAL_H
#define FRESHET_NODE_HUB_INTERNAL_H

#include "cluster/base/map.h"
#include "node/hub/hub.h"

#define HUB_MAGIC        UINT32_C(0x68756221)
#define CHANNEL_MAGIC    UINT32_C(0x6368616e)
#define SUBSCRIBER_MAGIC UINT32_C(0x73756273)

enum {
    TICK_MS = 250,             // how often the state of the cluster is looked at
    PUMP_BUDGET = 1024,        // subscribers or watchers called in one loop turn
    STREAM_PAGE_MESSAGES = 64, // of history, for laggards (DESIGN.md, section 3)
    STREAM_PAGE_BYTES = 64 * 1024,
    READS_MAX = 32,            // in flight, all workers together
    PAGES_BYTES_MAX = 4 << 20, // of pages that blocked subscribers hold; older ones are dropped
};

struct hub {
    uint32_t magic;
    struct hub_options options;
    struct map channels; // by name, those that can be joined
    // Broadcast: channels with woken subscribers, each in the run list once.
    struct list run;
    uv_check_t pump; // right after the poll phase, in which messages arrive
    uv_idle_t more;  // keeps the loop from sleeping while the run list is not empty
    // What the backlogs hold, and the channels that hold something, coldest first.
    size_t held;
    size_t held_max;
    size_t held_told; // to the metrics
    struct list by_age;
    // Reads of history.
    struct list reads_waiting;
    struct list pages; // finished reads that somebody still consumes, oldest first
    size_t pages_held;
    size_t reads_in_flight;
    size_t reads_in_flight_max;
    // Watchers.
    struct list watchers;
    struct list watchers_untold;
    uint64_t stale_seconds;
    bool is_draining;
    struct wheel_timer tick;
    int64_t wall_offset_ms; // wall clock minus the loop's
    // Closing.
    bool is_closing;
    unsigned handles_open;
    void (*on_closed)(void *owner);
    void *owner;
};

// The pump's turn for one subscriber, which is among the idle ones: takes what came for it and
// calls on_news or on_refused.
void subscriber_wake(struct subscriber *subscriber);

// Up to `budget` watchers are told what they do not know yet.
void watchers_tell(struct hub *hub, int budget);

// The tick has looked: so many seconds without a proof that messages reach us, 0 while all is well.
void watchers_hear_state(struct hub *hub, uint64_t stale_seconds);

// Calls on_closed when all that was open is closed.
void hub_finish_close(struct hub *hub);

#endif
