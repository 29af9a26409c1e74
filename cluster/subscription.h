// This host's interest in one channel: SUBSCRIBE, the head, the recent run, and the order in which
// envelopes become messages. Runs on the cluster thread.
//
//   ASKED ----on_ack----> OPENING --subscription_open_at--> LIVE
//                                                            |  ^
//                                            subscription_doubt  subscription_filled
//                                                            v  |
//                                                          FILLING
//
// A lost link changes no state: is_subscribed falls, and after the next SUBSCRIBE ack the head is
// compared with Redis (recovery.h). Members stay joined throughout.
#ifndef FRESHET_CLUSTER_SUBSCRIPTION_H
#define FRESHET_CLUSTER_SUBSCRIPTION_H

#include "cluster/base/list.h"
#include "cluster/base/map.h"
#include "cluster/fanout.h"
#include "cluster/log_read.h"
#include "cluster/run.h"

#include <stdbool.h>

struct cluster;

enum subscription_state {
    SUBSCRIPTION_ASKED,   // SUBSCRIBE not acknowledged yet; the head is not known
    SUBSCRIPTION_OPENING, // acknowledged; the head is being read
    SUBSCRIPTION_LIVE,    // envelopes that follow the head are delivered at once
    SUBSCRIPTION_FILLING, // a hole behind the head is being read; envelopes wait in `waiting`
};

enum { WAITING_MESSAGES_MAX = 64, WAITING_BYTES_MAX = 2 << 20 };

struct subscription {
    uint32_t magic;
    enum subscription_state state;
    struct cluster *cluster; // borrowed
    struct list interests;
    struct position head;
    struct run run;
    // Envelopes that came while the head was not certain; bounded, what does not fit is read again.
    struct message *waiting[WAITING_MESSAGES_MAX]; // counted
    uint32_t waiting_count;
    uint32_t waiting_at_read; // how many had come when the read was sent
    size_t waiting_bytes;
    bool has_overflowed;
    bool is_asked;            // SUBSCRIBE is under way on the present link
    bool is_subscribed;       // and acknowledged
    bool is_proven;           // the head was compared with Redis since then
    bool is_busy;             // recovery waits for a reply
    bool is_due_again;        // and must work on it once more after that
    bool is_dropped;          // nobody is interested; freed with the last hold
    unsigned holds;           // replies that will still name it
    struct position checked;  // our head when the check was sent
    struct position suspect;  // a head that Redis named and we have not seen
    struct list in_subscribe; // subscriptions.to_subscribe
    struct list in_work;      // recovery.work or recovery.retry
    struct list in_all;       // cluster->subscriptions.all, the sweep's order
    struct list in_cold;      // by last message, the coldest first; linked while the run has bytes
    uint64_t refreshed_ms;    // last publish or freshet_open, by the monotonic clock
    // For the recoverable window.
    uint64_t counted_ms;
    uint64_t counted;
    double rate;          // messages a second
    uint64_t history;     // entries that Redis keeps, if the HASH says so; else 0
    uint32_t entry_bytes; // about what a large one takes; 0: unknown
    uint8_t name_len;
    char name[CHANNEL_NAME_BYTES_MAX];
};

// All subscriptions; part of struct cluster.
struct subscriptions {
    struct map by_name;
    struct list all;
    struct list cold;
    struct list to_subscribe;
    size_t run_bytes;  // of all runs
    size_t unproven;   // live ones whose head is not proven since the link came up
    uint64_t begin_ms; // no SUBSCRIBE before it: nodes that lost one Redis take turns
};

void subscriptions_init(struct subscriptions *subscriptions);
void subscriptions_release(struct cluster *cluster);

void subscription_join(struct cluster *cluster, struct interest *interest);
void subscription_leave(struct cluster *cluster, struct interest *interest);
void subscription_hand_over(struct interest *interest);

// The pub/sub link.
void subscriptions_on_link_up(struct cluster *cluster);
void subscriptions_on_link_down(struct cluster *cluster);
void subscriptions_on_ack(struct cluster *cluster, struct slice channel);
void subscriptions_on_payload(struct cluster *cluster, struct slice channel, struct slice payload);
// SUBSCRIBE for those that wait, in batches.
void subscriptions_flush(struct cluster *cluster);

// About how large an entry of this channel's log is; 0: nobody here knows.
size_t subscriptions_entry_bytes(const struct cluster *cluster, struct slice channel);

// For recovery.
void subscription_learn_size(struct subscription *sub, size_t entry_bytes);
void subscription_open_at(struct subscription *sub, struct position head);
void subscription_refuse(struct subscription *sub, int error);
void subscription_doubt(struct subscription *sub);
void subscription_filled(struct subscription *sub, struct log_read *read);
void subscription_set_proven(struct subscription *sub, bool is_proven);
void subscription_hold(struct subscription *sub);
// True when it was dropped meanwhile: it may be gone now and must not be touched.
bool subscription_release_hold(struct subscription *sub);

static inline struct slice subscription_name(const struct subscription *sub) {
    return slice_make(sub->name, sub->name_len);
}

static inline bool subscription_has_head(const struct subscription *sub) {
    return sub->state >= SUBSCRIPTION_LIVE;
}

#endif
