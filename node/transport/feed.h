// What the streaming transports have in common: subscribers that are pulled as far as the socket
// takes, heartbeats, the news of stale and drain, and the way it all ends. How things look is the
// transport's, in a table of functions.
#ifndef FRESHET_NODE_TRANSPORT_FEED_H
#define FRESHET_NODE_TRANSPORT_FEED_H

#include "node/transport/open_request.h"
#include "node/transport/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct feed;
struct feed_channel;

struct feed_ops {
    enum transport_kind transport;
    const char *content_type;
    enum open_use use;
    bool waits_for_all; // nothing but heartbeats before every channel's start is known
    bool can_refuse;    // with a status, as long as the head was not sent
    void (*on_open)(struct feed *feed);      // the head was sent: first words
    void (*on_all_known)(struct feed *feed); // every start is known; waits_for_all only; or NULL
    void (*on_started)(struct feed_channel *channel); // its start is known; or NULL
    void (*on_message)(struct feed_channel *channel, struct entry *entry);
    void (*on_reset)(struct feed_channel *channel, const struct reset *reset);
    void (*on_stale)(struct feed *feed, uint64_t seconds);
    void (*on_heartbeat)(struct feed *feed);
    void (*on_end)(struct feed *feed, const char *reason, uint64_t retry_ms); // last words
};

struct feed_channel {
    struct subscriber subscriber;
    struct feed *feed;
    bool is_told; // on_started was called
};

struct feed {
    uint32_t magic;
    bool is_post : 1;
    bool is_envelope : 1;
    bool is_foreign : 1;
    bool is_head_sent : 1;
    bool is_talking : 1; // waits_for_all: on_all_known was called
    const struct feed_ops *ops;
    struct exchange *exchange;
    const struct service *service;
    struct watcher watcher;
    struct wheel_timer heartbeat;
    struct wheel_timer patience; // waits_for_all: until every start is known
    int64_t ends_ms;             // of the right to read on, by the wall clock; INT64_MAX: never
    uint32_t count;
    uint32_t known;   // the first so many starts are known
    uint32_t pull_at; // who is pulled first when the socket takes more
    struct feed_channel channels[];
};

// Reads the request and opens the stream, or refuses.
void feed_open(struct exchange *exchange, const struct service *service,
               const struct feed_ops *ops);

// Writes a message's shared frame and counts the delivery.
void feed_write_entry(struct feed_channel *channel, struct entry *entry, enum frame_kind kind,
                      struct frame *(*encode)(struct slice channel, const struct message *message));

// Counts a reset, and has it written.
void feed_tell_reset(struct feed_channel *channel, const struct reset *reset);

// Writes what was put together, and empties it.
void feed_write(struct feed *feed, struct bytes *bytes);

#endif
