// The function library in Redis: loaded when it is absent, replaced when it is older, watched with
// every echo. A Redis without functions leaves the node unready, with one clear line.
#ifndef FRESHET_CLUSTER_FUNCTIONS_H
#define FRESHET_CLUSTER_FUNCTIONS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

struct cluster;

// Part of struct cluster.
struct functions {
    bool is_ready;
    bool is_loading;
    bool has_complained; // since they were ready last
    uint64_t load_ms;    // not loaded again before it: Redis has just refused that
    char trouble[128];   // why not ready, for people
};

void functions_on_link_down(struct cluster *cluster);

// Asks for the version on the command link, which must have room, and loads what is missing.
void functions_check(struct cluster *cluster);

// What Redis answers to a call when the library is not there.
bool functions_are_missing(const redisReply *reply);

// Loads now, whatever is there; commands sent afterwards find it.
void functions_load(struct cluster *cluster);

#endif
