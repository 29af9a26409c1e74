// What Redis says of a channel's log, as facts: heads, entries, and pages that
// were read in one transaction. Sans-I/O.
#ifndef FRESHET_CLUSTER_LOG_PAGE_H
#define FRESHET_CLUSTER_LOG_PAGE_H

#include "cluster/continuity.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

enum { LOG_PAGE_ENTRIES = 64, LOG_PAGE_BYTES = 1 << 20 };

struct log_page {
    struct log_facts facts;
    const redisReply *entries; // in the reply; oldest first
    struct position last;      // of the log; none: it is empty or gone
};

// Out of the reply to EXEC: HMGET key epoch version fork; the log's last entry;
// the last one at or below the cursor in its epoch; those behind the cursor.
// False when it is no such page.
bool log_page_parse(const redisReply *reply, struct log_page *page_r);

// Borrows from the entry. One that the library did not write is still an entry:
// leaving it out would look like a hole. False when it has no usable id.
bool log_entry_parse(const redisReply *entry, struct message *fields_r);

// Out of a reply string; none for anything else.
struct position log_position_of(const redisReply *reply);

struct position log_entry_id(const redisReply *entry);

// About what it takes of a page: its strings and their framing.
size_t log_entry_bytes(const redisReply *entry);

struct position log_first_id(const redisReply *entries); // none when there are none

// The head of a channel, out of HMGET key epoch version fork and XREVRANGE log
// + - COUNT 1.
struct channel_head log_head_of(const redisReply *hash, const redisReply *last);

#endif
