// Keeping every channel's head true: the first read after SUBSCRIBE, the check after every further
// one, the sweep, and the filling of holes. Bounded: so many reads in flight, so many checks a
// second; what fails because Redis is away is tried again.
#ifndef FRESHET_CLUSTER_RECOVERY_H
#define FRESHET_CLUSTER_RECOVERY_H

#include "cluster/base/list.h"

#include <stddef.h>
#include <stdint.h>

struct cluster;
struct subscription;

enum { RECOVERY_OPENS_A_SECOND = 200 }; // new channels, by joins (CONTRACT.md, section 2)

// Part of struct cluster.
struct recovery {
    struct list work;
    struct list retry;
    size_t in_flight;
    uint64_t opened_ms[RECOVERY_OPENS_A_SECOND]; // the latest new channels, a ring
    size_t opened_next;
    double window_s;      // smallest recoverable window of the last round of the sweep; 0: none
    double window_next_s; // of the present one
    size_t swept;         // in it
    uint64_t last_retry_ms;
    uint64_t complain_ms; // no line in the log before it
};

void recovery_init(struct recovery *recovery);

// Puts a subscription to work: what is done depends on its state. Any number of times.
void recovery_add(struct subscription *sub);

// Sends what may be sent; once a loop turn.
void recovery_pump(struct cluster *cluster);

// Every 100 ms: retries, the sweep, refreshes.
void recovery_tick(struct cluster *cluster, uint64_t now_ms);

#endif
