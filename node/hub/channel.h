// A channel as one worker holds it: its backlog, its interest in the cluster, its subscribers.
//
//   JOINING --on_joined--> LIVE          (also while nobody subscribes: it lingers)
//   JOINING --on_refused--> REFUSED      (out of the map; ends with its last subscriber)
#ifndef FRESHET_NODE_HUB_CHANNEL_H
#define FRESHET_NODE_HUB_CHANNEL_H

#include "node/hub/backlog.h"
#include "node/hub/ephemeral.h"
#include "node/hub/hub.h"

enum channel_state { CHANNEL_JOINING, CHANNEL_LIVE, CHANNEL_REFUSED };

struct channel {
    uint32_t magic;
    enum channel_state state;
    struct hub *hub;           // borrowed
    struct interest *interest; // owned; NULL once refused
    struct backlog backlog;
    struct ephemerals ephemerals;
    struct reset last_reset;   // `from` none: there was none
    struct position read_head; // the highest head that a read of history told; or none
    struct list idle;          // subscribers that wait for something new
    struct list woken;         // and those that have yet to be told
    struct list reads;         // reads of history that are not done: others may join them
    struct list run_node;      // in hub->run while somebody is woken
    struct list age_node;      // in hub->by_age while the backlog holds messages
    size_t subscriber_count;
    struct wheel_timer linger;
    int error; // why it was refused
    size_t name_len;
    char name[];
};

// Finds it, or begins to join it. The name must be valid.
struct channel *channel_get(struct hub *hub, struct slice name);

static inline struct slice channel_name(const struct channel *channel) {
    return slice_make(channel->name, channel->name_len);
}

// A subscriber came or went. The channel may be gone after the latter.
void channel_add_subscriber(struct channel *channel, struct subscriber *subscriber);
void channel_remove_subscriber(struct channel *channel, struct subscriber *subscriber);

// Only when nobody subscribes.
void channel_destroy(struct channel **channel);

#endif
