// Reading a channel's log in bounded pages, each one transaction (MULTI, HMGET, XREVRANGE, XRANGE,
// EXEC) with a ROLE in front, so that what decides about continuity comes from one moment of one
// master; before a reset the Sentinels, where there are any, must confirm it. Not in Lua: a page of
// 1,000 large entries would block Redis ten times as long; but in freshet_read when Redis is full.
// XRANGE counts entries, not bytes: a page of up to 64 holds 1 MiB at most if none is larger than
// those before.
#ifndef FRESHET_CLUSTER_LOG_READ_H
#define FRESHET_CLUSTER_LOG_READ_H

#include "cluster/cluster.h"
#include "cluster/keys.h"
#include "cluster/links.h"
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
    size_t entry_bytes; // about how large an entry is; 0: unknown. Kept up to date
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
    bool is_oldest;               // the next page begins with the oldest entry
    bool is_proven;               // ROLE said master
    bool is_by_function;          // Redis refuses transactions
    bool is_answering;            // a decision about `position` was made
    struct position at;           // forward: behind it; backward: before it (none: the end)
    uint64_t counted;             // entries passed backward
    size_t page_max;              // entries; grows from page to page up to LOG_PAGE_ENTRIES
    size_t asked;                 // entries of the page under way
    size_t bytes;
};

// 0, or E_UNAVAILABLE, E_OVERLOADED.
int log_read_start(struct log_read *read);
void log_read_release(struct log_read *read); // drops the messages

// Asks for the head alone: the reply is that of EXEC, or of freshet_read, to HMGET and XREVRANGE,
// which log_head_of takes.
void log_read_head(struct redis_conn *conn, const struct keys *keys, bool is_by_function,
                   link_handler *on_reply, void *owner);

// A full Redis queues nothing, reads neither: then the same is to be asked by function. When a
// right is missing the function says which; EXEC does not.
bool log_refuses_transaction(const redisReply *reply);

#endif
