// A channel's recent messages: the contiguous tail of its log, in a ring. Sans-I/O.
//
// Every entry has a sequence number of this worker's own, which never comes twice: who keeps one
// finds its place again in O(1), or sees that the place is gone. From `base` each entry follows the
// one before by the continuity rule, and positions rise.
#ifndef FRESHET_NODE_HUB_BACKLOG_H
#define FRESHET_NODE_HUB_BACKLOG_H

#include "cluster/message.h"
#include "node/hub/hub.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backlog {
    struct entry *slots; // owned ring; NULL until something was appended
    size_t capacity;     // 0 or a power of two
    size_t count;
    size_t bytes;       // of the messages, frames not counted
    uint64_t first_seq; // of the oldest entry; never 0
    struct position base;
    size_t *held; // borrowed: where the worker sums up what all its backlogs hold
};

void backlog_init(struct backlog *backlog, size_t *held);
void backlog_release(struct backlog *backlog);

// Forgets all and begins at `base`. No earlier sequence number is valid afterwards.
void backlog_restart(struct backlog *backlog, struct position base);

// `message` must follow the head. Takes its own reference.
void backlog_append(struct backlog *backlog, struct message *message);

// Drops the oldest entries until the bounds hold; the newest one always stays.
void backlog_trim(struct backlog *backlog, size_t messages_max, size_t bytes_max);
void backlog_drop_oldest(struct backlog *backlog); // there must be one

struct position backlog_head(const struct backlog *backlog);

// The sequence number that the next message will get.
static inline uint64_t backlog_end(const struct backlog *backlog) {
    return backlog->first_seq + backlog->count;
}

static inline bool backlog_has_seq(const struct backlog *backlog, uint64_t seq) {
    return seq >= backlog->first_seq && seq <= backlog_end(backlog);
}

struct entry *backlog_at(const struct backlog *backlog, uint64_t seq); // below the end

// Where a cursor that has seen `cursor` goes on: *seq_r is that of the first entry behind it, or the
// end. False, and *seq_r as it was, when the backlog cannot prove that nothing is missing.
bool backlog_find(const struct backlog *backlog, struct position cursor, uint64_t *seq_r);

// The position before the last n messages; false when it holds fewer.
bool backlog_rewind(const struct backlog *backlog, size_t n, struct position *position_r,
                    uint64_t *seq_r);

// The first message of the run that comes behind our head, when the run connects with it: its index,
// or count when the run ends at our head. False when there may be a hole in between.
bool backlog_connects(const struct backlog *backlog, const struct handover *handover,
                      size_t *first_r);

// Entries, wherever they lie. What they hold is added to and taken off *held.
void entry_hold(struct entry *entry, struct message *message, size_t *held);
void entry_release(struct entry *entry);

#endif
