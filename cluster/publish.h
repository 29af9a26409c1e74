// cluster_publish: FCALL freshet_publish with a deadline, and what Redis's answers mean.
#ifndef FRESHET_CLUSTER_PUBLISH_H
#define FRESHET_CLUSTER_PUBLISH_H

#include "cluster/base/list.h"
#include "cluster/cluster.h"

#include <stddef.h>
#include <stdint.h>

struct cluster;

// Part of struct cluster.
struct publishes {
    struct list in_flight; // by deadline
    size_t count;
    size_t bytes;
};

void publishes_init(struct publishes *publishes);

// Every 100 ms: those without an answer for 1 s become PUBLISH_UNKNOWN.
void publishes_tick(struct cluster *cluster, uint64_t now_ms);

// What an error text of Redis says about a publish. Sans-I/O.
enum publish_result publish_result_of(struct slice error, enum publish_refusal *refusal_r);

#endif
