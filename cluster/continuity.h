// The decision whether a cursor can go on in a log, and what it is told when it cannot
// (CONTRACT.md, section 1, "Reset"). Sans-I/O: facts in, verdict out.
#ifndef FRESHET_CLUSTER_CONTINUITY_H
#define FRESHET_CLUSTER_CONTINUITY_H

#include "cluster/message.h"

// What one transaction on Redis says about a cursor c.
struct log_facts {
    struct channel_head channel;
    struct position next;      // id of the first kept entry above c; none: there is none
    struct position next_fork; // its fork
    bool has_entry_in_epoch;   // some kept entry at or below c lies in c's epoch
    bool has_entries;          // the log holds anything at all
};

enum continuity {
    CONTINUITY_KEPT,    // go on behind c
    CONTINUITY_BROKEN,  // reset, then go on with `next`
    CONTINUITY_UNKNOWN, // nothing knows c's epoch: reset, then go on with the oldest kept entry
};

// On CONTINUITY_BROKEN *reset_r is whole. On CONTINUITY_UNKNOWN its `to` is for the reader of the
// oldest entry to fill in, by position_before.
enum continuity continuity_decide(struct position c, const struct log_facts *facts,
                                  struct reset *reset_r);

// The place before an entry: its epoch with version - 1.
static inline struct position position_before(struct position p) {
    return (struct position){p.epoch, p.version - 1};
}

#endif
