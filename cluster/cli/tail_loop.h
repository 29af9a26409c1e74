// The loop of `tail`. Two connections, as in a node: SUBSCRIBE tells at once what is new, reads fill
// what it did not tell. Both are dialled again when one breaks, and each channel goes on at its
// cursor.
#ifndef FRESHET_CLUSTER_CLI_TAIL_LOOP_H
#define FRESHET_CLUSTER_CLI_TAIL_LOOP_H

#include "cluster/base/map.h"
#include "cluster/cli/follow.h"
#include "cluster/cli/tail_print.h"
#include "cluster/cli/tool.h"

struct tail {
    // Set by the caller.
    const struct tool *tool;
    struct follower *followers;
    size_t count;
    struct map by_now; // the followers by the names they hear
    struct tail_printer printer;
    bool is_limited;
    uint64_t left; // messages still wanted, when limited
    // The loop's own.
    struct client pubsub;
    struct client command;
    struct follow_events events;
    bool awaits_pong;
    uint64_t sweep_at_ms;
    uint64_t reopen_at_ms;
    char why[FOLLOW_WHY_MAX]; // on FOLLOW_REFUSED
};

// Until an interrupt, the limit, or a refusal; returns the exit code.
int tail_loop(struct tail *tail);

#endif
