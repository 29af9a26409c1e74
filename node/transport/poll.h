// A poll while it is being answered. poll.c leads it through its phases, long_poll.c holds it while
// there is nothing to tell.
//
//   STARTING --all starts known, min reached--> COLLECTING --> answered
//                                                  |    ^
//                                nothing, and wait |    | news
//                                                  v    |
//                                                  HELD ----wait is over, drain----> answered
//                                                       ----the token's end------> 401
//
// STARTING for the sake of `min` ends in 503 `behind` when its time is over, and at a drain at once.
#ifndef FRESHET_NODE_TRANSPORT_POLL_H
#define FRESHET_NODE_TRANSPORT_POLL_H

#include "node/transport/answer.h"
#include "node/transport/open_request.h"
#include "node/transport/transport.h"

enum poll_phase { POLL_STARTING, POLL_COLLECTING, POLL_HELD };

// What is known of a channel's `min`.
enum min_state {
    MIN_OPEN,    // nothing but what this worker remembers
    MIN_FRESH,   // the channel was opened once more, so that Redis is read: its head was below
    MIN_PROBING, // a cursor at `min` asks Redis whether there ever was such a position
    MIN_PROVEN,  // there was, and it is not beyond the head
};

struct poll_channel {
    struct subscriber subscriber;
    struct poll *poll;
    struct subscriber_start start;
    struct position min;      // or none
    struct position position; // where the answer leaves the channel
    enum min_state min_state;
};

struct poll {
    uint32_t magic;
    enum poll_phase phase;
    enum transport_kind transport;
    bool is_wait_over;
    bool has_etag; // GET
    bool has_since;
    bool has_min;
    bool is_public;
    bool is_wait_preferred;
    struct exchange *exchange;
    const struct service *service;
    struct watcher watcher;
    struct wheel_timer timer;
    uint64_t wait_ms;           // as asked
    uint64_t opened_ms;         // monotonic
    int64_t ends_ms;            // of the right to read, by the wall clock; INT64_MAX: never
    struct bytes if_none_match; // all such fields; copied, because the request is forgotten
    struct answer answer;
    uint32_t count;
    uint32_t started;   // the first so many are started and have reached their min
    uint32_t collected; // the first so many are collected
    struct poll_channel channels[];
};

// One step as far as it goes now. The poll is gone when it returns true.
bool poll_advance(struct poll *poll);

// Answers with what was collected. The poll is gone.
void poll_answer(struct poll *poll);

// Its token has ended while it was held: 401. The poll is gone.
void poll_refuse_ended(struct poll *poll);

extern const struct subscriber_ops poll_subscriber_ops;

// ---- poll_start.c ------------------------------------------------------------------------------

enum started { STARTED_ALL, STARTED_NOT_YET, STARTED_NEVER };

// Whether all channels are started and have reached their min. NEVER: a proven master does not know
// such a min.
enum started poll_look_at_starts(struct poll *poll);

void poll_open_channel(struct poll_channel *channel, struct slice name,
                       const struct subscriber_start *start);

// Its head is below `min`: opens it once more, to be read from Redis.
void poll_read_again(struct poll_channel *channel);

// ---- long_poll.c -------------------------------------------------------------------------------

// Nothing is there: whether it may be waited for, and if so, until when.
bool long_poll_hold(struct poll *poll);

// The wait is over, or the worker stops: an answer with nothing in it will do.
void long_poll_stop(struct poll *poll);

#endif
