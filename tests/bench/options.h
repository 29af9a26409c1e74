// The command line of the load generator. A broken one ends the program with one line.
#ifndef FRESHET_TESTS_BENCH_OPTIONS_H
#define FRESHET_TESTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/bench/tally.h"

enum { NODES_MAX = 16, PAYLOAD_PAD_MAX = 16384 };

enum view_mode { VIEW_NONE, VIEW_LINES, VIEW_LIVE };

struct options {
    struct sockaddr_storage nodes[NODES_MAX];
    size_t node_count;
    struct sockaddr_storage redis;
    uint32_t clients[TRANSPORT_COUNT];
    uint32_t channels;
    uint32_t rate;        // publishes a second, over all channels
    uint32_t seconds;     // how long to publish; 0: until a signal
    uint32_t ramp;        // connections opened a second
    uint32_t size;        // bytes of padding in a payload
    uint32_t kill_pubsub; // CLIENT KILL TYPE pubsub every so many seconds; 0: never
    uint32_t poll_interval_ms;
    const char *prefix;
    const char *tally_channel; // NULL: none
    enum view_mode view;
    bool reconnects; // being cut off is no failure
    bool notes;      // read from standard input
    bool json;
};

// Also raises the descriptor limit to what the clients need.
void options_parse(struct options *options, int argc, char **argv);

// Of all transports.
uint32_t options_clients(const struct options *options);

// Prints one line and ends the program.
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

#endif
