// From the cluster thread to the workers: members, their interests, and the batches that carry
// messages across. All events of one loop turn for one worker travel in few letters, and a worker
// that does not keep up is given no more until it has caught up, then the channel's recent run anew.
#ifndef FRESHET_CLUSTER_FANOUT_H
#define FRESHET_CLUSTER_FANOUT_H

#include "cluster/base/list.h"
#include "cluster/cluster.h"
#include "cluster/run.h"

#include <stdatomic.h>
#include <stdbool.h>

struct cluster;
struct subscription;
struct batch;

enum {
    BATCH_ITEMS = 256,
    MEMBER_ITEMS_MAX = 65536,      // undelivered, per worker
    MEMBER_BYTES_MAX = 64 << 20,
};

struct cluster_member {
    uint32_t magic;
    struct cluster *cluster;   // borrowed
    struct mailbox *mailbox;   // owned; of the worker's loop
    size_t pending;            // worker's: interests and calls not yet over
    // The cluster thread's:
    struct batch *batch;       // being filled; owned
    struct list in_dirty;      // cluster->dirty_members
    struct list overrun;       // interests that were left out
    struct list in_overrun;    // cluster->overrun_members
    // Shared:
    atomic_size_t queued_items;
    atomic_size_t queued_bytes;
    struct letter goodbye;
};

struct interest {
    uint32_t magic;
    struct cluster_member *member;       // borrowed
    // The worker's:
    const struct interest_events *events; // borrowed
    void *owner;                         // borrowed; NULL once unsubscribed
    // The cluster thread's:
    struct subscription *subscription;   // NULL before and after
    struct list in_subscription;
    struct list in_overrun;              // member->overrun
    bool is_joined;
    // Letters, one at a time each:
    struct letter join;
    struct letter leave;
    uint8_t name_len;
    char name[CHANNEL_NAME_BYTES_MAX];
};

// All on the cluster thread.
void fanout_init(struct cluster *cluster);
void fanout_joined(struct interest *interest, const struct run *run, struct position head);
void fanout_message(struct interest *interest, struct message *message);
void fanout_reset(struct interest *interest, const struct reset *reset);
void fanout_refused(struct interest *interest, int error);
void fanout_gone(struct interest *interest); // the interest must not be touched afterwards

// Sends what the turn has gathered.
void fanout_flush(struct cluster *cluster);

// Hands their runs anew to workers that have caught up.
void fanout_catch_up(struct cluster *cluster);

// Completes a call on its worker's loop.
void fanout_complete(struct call *call, int status);

// Worker side: hands a call over to `on_delivery` on the cluster thread.
void fanout_submit(struct cluster_member *member, struct call *call,
                   void (*on_delivery)(struct letter *letter));

#endif
