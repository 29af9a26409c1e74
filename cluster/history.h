// cluster_history: reads of a channel's log for those whom no backlog can serve. At most 32 are in
// flight, equal ones share an answer, the rest wait their turn.
#ifndef FRESHET_CLUSTER_HISTORY_H
#define FRESHET_CLUSTER_HISTORY_H

#include "cluster/base/list.h"
#include "cluster/base/map.h"

#include <stddef.h>

struct cluster;

// Part of struct cluster.
struct histories {
    struct map by_key;   // reads under way or waiting, by what they ask
    struct list waiting;
    size_t in_flight;
    size_t calls;        // that wait for an answer
};

void histories_init(struct histories *histories);
void histories_release(struct histories *histories);

// Sends what may be sent; once a loop turn. While the link is down, what waits is refused.
void histories_pump(struct cluster *cluster);

#endif
