// The echo: each second a node publishes to a channel of its own and listens for it. A link that
// does not bring it back for 3 s is deaf, whatever TCP says: it is cut and dialled again, and the
// node is not ready meanwhile. The command link's echo is the answers to the same commands, ROLE
// among them: a master that was demoted is left.
#ifndef FRESHET_CLUSTER_ECHO_H
#define FRESHET_CLUSTER_ECHO_H

#include "cluster/base/slice.h"
#include "cluster/redis_conn.h"

#include <stdbool.h>
#include <stdint.h>

struct cluster;

enum { ECHO_PERIOD_MS = 1000, ECHO_DEAF_MS = 3000 };

// Part of struct cluster. Times are monotonic milliseconds; 0 is never.
struct echo {
    char channel[128]; // PREFIX:echo:NODE:pubsub
    uint64_t next_ms;
    uint64_t heard_ms[REDIS_LINKS];    // the last echo on each link
    uint64_t counting_ms[REDIS_LINKS]; // since when silence counts: up, or still subscribing
};

void echo_init(struct cluster *cluster);

void echo_on_link_up(struct cluster *cluster, enum redis_link link);
void echo_on_link_down(struct cluster *cluster, enum redis_link link);

// Something else proves that the pub/sub link hears: acks of a long resubscription.
void echo_on_progress(struct cluster *cluster);

// A message or an ack on the echo's own channel.
void echo_on_push(struct cluster *cluster, bool is_message);

// The last echo proves that messages reach us, unless heads are still being compared: then some may
// be missing that no echo tells of.
void echo_update_heard(struct cluster *cluster);

bool echo_is_own(const struct cluster *cluster, struct slice channel);

// Every 100 ms: sends when due, cuts what is deaf.
void echo_tick(struct cluster *cluster, uint64_t now_ms);

// Both links were heard within ECHO_DEAF_MS.
bool echo_is_fresh(const struct cluster *cluster, uint64_t now_ms);

#endif
