// The publisher: opens the channels, publishes on time and once each, reads the heads at the end.
//
// Publish k (0, 1, 2 ...) goes to channel k % channels and is number k / channels + 1 there, so
// nothing about it has to be kept. With --reconnects each carries that number as its ONCE key:
// when the link breaks, or Redis answers with what passes (LOADING), all that was not answered is
// sent again, in order, and is still published once. While Redis is away publishes wait.
#ifndef FRESHET_TESTS_BENCH_PUBLISHER_H
#define FRESHET_TESTS_BENCH_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/options.h"
#include "tests/bench/resp.h"
#include "tests/bench/tally.h"

struct load;

struct publisher {
    struct load *load; // borrowed
    struct resp link;
    enum {
        PUBLISHER_OPENS,     // waiting until all channels are open
        PUBLISHER_PUBLISHES, // what publisher_plan asks for
        PUBLISHER_READS,     // waiting for all heads
        PUBLISHER_RESTS,     // all heads are known
    } stage;
    bool is_proven;    // this connection has answered PING: from here replies belong to the stage
    uint64_t replies;  // while opening and reading
    uint64_t planned;  // publishes that are due
    uint64_t next;     // the one to send next
    uint64_t answered; // those before it
    uint64_t errors;   // publishes refused, or with a position that does not follow
    uint64_t heads_wrong;
    char payload[PAYLOAD_PAD_MAX + 64];
};

void publisher_open(struct publisher *publisher, struct load *load);
void publisher_close(struct publisher *publisher);
void publisher_release(struct publisher *publisher); // its memory, when the loop has ended

bool publisher_is_ready(const struct publisher *publisher); // all channels are open
// From now on so many publishes are due; sends those that were not sent.
void publisher_plan(struct publisher *publisher, uint64_t planned);
// Ends publishing. The heads that Redis holds become the channels' last positions.
void publisher_read_heads(struct publisher *publisher);

// The keys of a channel under the prefix: its HASH, and its log.
struct keys {
    char hash[320];
    char log[320];
};
void keys_of(struct keys *keys_r, const char *prefix, const char *channel);

// Reads a reply that is one position; false when it is none.
bool reply_position(const struct resp_reply *reply, struct position *position_r);

#endif
