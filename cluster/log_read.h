// Reading a channel's log in bounded pages, each one transaction (MULTI, HMGET, XREVRANGE, XRANGE,
// EXEC) with a ROLE in front, so that what decides about continuity comes from one moment of one
// master; before a reset the Sentinels, where there are any, must confirm it. Not in Lua: a page of
// 1,000 large entries would block Redis ten times as long.
#ifndef FRESHET_CLUSTER_LOG_READ_H
#define FRESHET_CLUSTER_LOG_READ_H

#include "cluster/cluster.h"
#include "cluster/keys.h"
#include "cluster/log_page.h"
#include "cluster/sentinel.h"

#include <stdbool.h>

struct cluster;

struct log_read {
    // Set by the caller. It keeps the read alive until on_done, which comes exactly once, unless
    // log_read_start failed.
    struct cluster *cluster;
    struct keys keys;
    enum history_start start;
    struct position since;
    uint64_t rewind;
    size_t limit;
    size_t bytes_max;
    void (*on_done)(struct log_read *read, int status);
    // The result, as in struct history_call.
    struct position position;
    bool has_reset;
    struct reset reset;
    struct message **messages; // owned array of counted references
    size_t count;
    bool has_more;
    struct channel_head channel;
    // The reader's own.
    enum { LOG_READ_FORWARD, LOG_READ_BACKWARD } direction;
    struct sentinels_proof proof; // of the master, asked for once, before a reset
    bool is_oldest;      // the next page begins with the oldest entry
    bool is_proven;      // ROLE said master
    bool is_answering;   // a decision about `position` was made
    struct position at;  // forward: behind it; backward: before it (none: the end)
    uint64_t counted;    // entries passed backward
    size_t bytes;
};

// 0, or E_UNAVAILABLE, E_OVERLOADED.
int log_read_start(struct log_read *read);
void log_read_release(struct log_read *read); // drops the messages

#endif
