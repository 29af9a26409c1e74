// Asks Redis, when the command link comes up and now and then, what no message tells: whether this
// node may read (a right that is missing makes a node that hears its echo and can serve nobody),
// and whether settings harm it.
#ifndef FRESHET_CLUSTER_PROBE_H
#define FRESHET_CLUSTER_PROBE_H

#include "cluster/cluster.h"
#include "cluster/resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;

// Part of struct cluster; zeroed memory is a probe that has learned nothing.
struct probe {
    uint64_t next_ms; // monotonic
    bool is_under_way;
    bool is_passed;      // what a node reads with is allowed
    bool is_full;        // a command of the probe under way was refused for want of memory
    bool has_complained; // in the log, since it last passed
    char refusal[RESP_PRINTABLE_MAX]; // the first of the probe under way; "" when none
    char trouble[RESP_PRINTABLE_MAX]; // of the last one
    char warnings[CLUSTER_WARNINGS][CLUSTER_REASON_MAX]; // "" when there is nothing to warn of
};

void probe_on_link_up(struct cluster *cluster);
void probe_on_link_down(struct cluster *cluster);

// Every 100 ms: sends when due.
void probe_tick(struct cluster *cluster, uint64_t now_ms);

// Whether the node is not to be believed for it, and why, for people.
bool probe_explain(const struct cluster *cluster, char *reason_r, size_t size);

#endif
