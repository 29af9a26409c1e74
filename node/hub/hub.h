// One hub per worker: the channels its clients read, and the cursors on them.
//
// A channel holds a backlog, which is the contiguous tail of its log. A subscriber is a cursor: it
// owns no queue. When something may be new its owner is told (on_news), and then pulls with
// subscriber_next for as long as its socket takes more; a full socket simply stops pulling. Behind
// the backlog's tail the subscriber reads history by itself, in bounded pages. Every transport
// finds what its cursor has not seen by this one path. The hub knows no socket and no HTTP.
#ifndef FRESHET_NODE_HUB_HUB_H
#define FRESHET_NODE_HUB_HUB_H

#include "cluster/base/list.h"
#include "cluster/base/slice.h"
#include "cluster/cluster.h"
#include "cluster/message.h"
#include "node/config.h"
#include "node/metrics.h"
#include "node/net/frame.h"
#include "node/net/wheel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct hub;
struct channel;

// Everything is borrowed and must outlive the hub.
struct hub_options {
    uv_loop_t *loop;
    struct wheel *wheel;
    struct cluster *cluster;
    struct cluster_member *member;
    const struct config *config;
    struct metrics *metrics;
};

int hub_open(const struct hub_options *options, struct hub **hub_r);

// After every subscriber and watcher is gone. Drops lingering channels; calls on_closed when the
// cluster has confirmed all of it. NULLs *hub.
void hub_close(struct hub **hub, void (*on_closed)(void *owner), void *owner);

// How long no proof came that messages reach this node: whole seconds, 0 while all is well. Polls
// say so from the second second on, streams from the third.
uint64_t hub_stale_seconds(const struct hub *hub);

// The wall clock of this loop turn, without a system call: for delivery lags.
int64_t hub_wall_ms(const struct hub *hub);

// ---- Subscribers -------------------------------------------------------------------------------

enum cursor_start { CURSOR_HEAD, CURSOR_SINCE, CURSOR_OLDEST, CURSOR_REWIND };

struct subscriber_start {
    enum cursor_start kind;
    struct position since; // CURSOR_SINCE
    uint32_t rewind;       // CURSOR_REWIND
    uint32_t page;         // messages wanted at once from history; 0: the hub's choice for streams
    uint32_t page_bytes;   // and their bytes; 0: the hub's choice
    bool must_read;        // ask Redis even when the backlog could answer (`min` not reached)
    bool is_patient;       // a stream: wait for Redis to come back instead of being refused
};

// A message on its way to subscribers, with its frames: encoded once per kind and worker.
struct entry {
    struct message *message;           // counted
    struct frame *frames[FRAME_KINDS]; // counted; NULL until somebody needs one
    size_t *held;                      // borrowed: the sum of bytes that this entry is part of
};

// The frame of `kind`, made by `encode` when it is the first time. Valid as long as the entry;
// take a reference to keep it.
struct frame *
entry_frame(struct hub *hub, struct entry *entry, enum frame_kind kind, struct slice channel,
            struct frame *(*encode)(struct slice channel, const struct message *message));

struct subscriber;
struct history_read;

struct subscriber_ops {
    // subscriber_next has something to say, or subscriber_is_started became true. Pull now, or when
    // the socket takes more. Never from within subscriber_open or subscriber_next.
    void (*on_news)(struct subscriber *subscriber);
    // The channel could not be joined: E_OVERLOADED, or what Redis said, E_RIGHTS to E_BUSY or
    // E_REDIS. Or, unless the start is patient, what it needs of history could not be read: the
    // same, E_UNAVAILABLE, E_UNPROVEN. The subscriber is already closed.
    void (*on_refused)(struct subscriber *subscriber, int error);
};

// Embedded in a transport's state; zeroed memory is a closed one. Transports read `cursor` and
// `began` and leave the rest alone.
struct subscriber {
    uint32_t magic;
    uint8_t state;     // enum subscriber_state in subscriber.c
    uint8_t transport; // enum transport_kind
    uint8_t kind;      // enum cursor_start
    bool is_started : 1;
    bool is_slow : 1;
    bool is_patient : 1;
    bool must_read : 1;
    bool was_reset_told : 1; // the reset that its page begins with
    struct channel *channel; // borrowed: it lives as long as it has subscribers
    struct list node;        // in the channel's list of idle or woken ones, or its read's readers
    const struct subscriber_ops *ops; // borrowed
    struct position cursor;           // the last position given out; none until known
    struct position began;            // the position asked for: valid once started
    uint64_t next_seq;                // the next backlog entry, while on the backlog
    uint64_t ephemeral_seq;           // the next ephemeral message
    struct history_read *read;        // counted; NULL unless reading history
    uint32_t page_at;                 // the next message of its page
    uint32_t rewind;
    uint32_t page;
    uint32_t page_bytes;
};

// `name` must be valid. When the channel is live and its backlog can answer, the subscriber is
// started on return; else on_news says when.
void subscriber_open(struct subscriber *subscriber, struct hub *hub, struct slice name,
                     const struct subscriber_start *start, enum transport_kind transport,
                     const struct subscriber_ops *ops);

// At any time, also from within its callbacks. Fine when it was refused, or never opened.
void subscriber_close(struct subscriber *subscriber);

// Its start is known: `began` is what an `ok` or a first cursor tells.
bool subscriber_is_started(const struct subscriber *subscriber);

// Started, has given out all that this node knows of, and waits for news.
bool subscriber_is_at_head(const struct subscriber *subscriber);

// Has given out a page to its end, and the log goes on: the next message costs another read.
bool subscriber_is_between_pages(const struct subscriber *subscriber);

struct slice subscriber_channel(const struct subscriber *subscriber);

// The channel's head as far as this worker has heard or read; none while it is not joined.
struct position subscriber_head(const struct subscriber *subscriber);

// Whether the subscriber comes to `position` without another read: not while that is beyond the
// backlog and its own page; and nobody knows here when its epoch is an older one that the backlog
// has left.
enum reached { REACHED_YES, REACHED_NOT_YET, REACHED_UNKNOWN };
enum reached subscriber_has_reached(const struct subscriber *subscriber, struct position position);

enum next { NEXT_NOTHING, NEXT_MESSAGE, NEXT_RESET };

struct delivery {
    struct entry *entry; // NEXT_MESSAGE: valid until the next call into the hub
    struct reset reset;  // NEXT_RESET
};

// Moves the cursor by one step and says what it passed. An ephemeral message (entry->message has no
// position) moves nothing; those that nobody pulled in time are gone. NEXT_NOTHING: on_news will
// come when there is more (it is at the head, or a page of history is on its way). Resets are
// counted by whoever tells them to a client.
enum next subscriber_next(struct subscriber *subscriber, struct delivery *delivery_r);

// ---- Watchers: streams and held polls that must hear of the worker's own state -------------------

struct watcher;

struct watcher_ops {
    // Redis is not heard for `seconds` (3 or more: told once, heartbeats repeat it), or seconds is
    // 0: it is over.
    void (*on_stale)(struct watcher *watcher, uint64_t seconds);
    // The worker is stopping: answer or end politely now.
    void (*on_drain)(struct watcher *watcher);
};

struct watcher {
    struct list node;
    const struct watcher_ops *ops; // borrowed
    bool was_told_stale : 1;
    bool was_told_drain : 1;
};

enum { STALE_SECONDS_POLL = 2, STALE_SECONDS_STREAM = 3 };

// Who comes while Redis is unheard or the worker drains is told in a later loop turn.
void watcher_open(struct watcher *watcher, struct hub *hub, const struct watcher_ops *ops);
void watcher_close(struct watcher *watcher); // at any time, also from within its callbacks

// Tells all watchers to end, those too that come later.
void hub_drain(struct hub *hub);
bool hub_is_draining(const struct hub *hub);

#endif
