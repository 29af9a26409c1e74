// Pages of a channel's history, read for subscribers whose cursor is not on the backlog.
//
// Subscribers that need the same page share one read and its encoded frames. A worker has few reads
// in flight, the others wait in line. A finished page is kept while somebody consumes it, but only
// so many bytes of pages: those who lose theirs read it again when their socket has room.
#ifndef FRESHET_NODE_HUB_HISTORY_READ_H
#define FRESHET_NODE_HUB_HISTORY_READ_H

#include "cluster/base/list.h"
#include "node/hub/hub.h"

#include <stdbool.h>
#include <stdint.h>

enum read_state {
    READ_DELAYED, // its timer runs: the one before failed
    READ_WAITING, // in hub->reads_waiting
    READ_SENT,    // the library has it
    READ_DONE,    // `call` holds the answer; in hub->pages when it was a success
    READ_DROPPED, // its messages were given up
};

struct history_read {
    struct history_call call; // its messages have been moved to `entries`
    uint32_t magic;
    enum read_state state;
    struct hub *hub;         // borrowed
    struct channel *channel; // borrowed; NULL once nobody needs it
    struct list node;        // in channel->reads until done
    struct list place;       // in hub->reads_waiting, later in hub->pages
    struct list readers;     // subscribers that wait for it
    unsigned refs;           // subscribers that wait for it or consume it
    uint64_t sent_seq;       // the backlog's end when it was sent
    struct entry *entries;   // owned, call.count of them
    size_t held;             // by the entries
    struct wheel_timer delay;
    char name[];
};

struct history_wish {
    enum history_start start;
    struct position since;
    uint64_t rewind;
    size_t limit;
    size_t bytes_max;
    bool is_fresh; // the read must not have been sent before this wish
};

// Makes `subscriber` wait for such a read: among its readers until it is done, then among the
// channel's woken subscribers. delay_ms > 0: the one before failed.
void history_read_join(struct subscriber *subscriber, const struct history_wish *wish,
                       uint64_t delay_ms);

// The subscriber needs it no longer, whatever its state, and is among the idle ones if it waited.
// NULLs subscriber->read.
void history_read_leave(struct subscriber *subscriber);

#endif
