// Everything that one Redis says about one channel, for `info` and `check`.
#ifndef FRESHET_CLUSTER_CLI_CHANNEL_FACTS_H
#define FRESHET_CLUSTER_CLI_CHANNEL_FACTS_H

#include "cluster/cli/client.h"
#include "cluster/keys.h"
#include "cluster/message.h"

#include <stdint.h>

// In the order of their commands.
enum fact {
    FACT_TIME,     // TIME
    FACT_HASH,     // HGETALL
    FACT_HASH_TTL, // PTTL
    FACT_LOG,      // XINFO STREAM; an error when there is no log
    FACT_LOG_TTL,  // PTTL
    FACT_FIRST,    // XRANGE COUNT 1
    FACT_LAST,     // XREVRANGE COUNT 1
    FACT_BYTES,    // MEMORY USAGE of the log
    FACT_SUBSCRIBERS,
    FACTS,
};

struct channel_facts {
    redisReply *replies[FACTS]; // owned
    struct keys keys;           // points into itself
    int64_t now_ms;             // Redis's clock; 0: it does not say
    bool has_hash;
    bool has_log;
    uint64_t epoch; // of the HASH; 0: none
    uint64_t version;
    struct position fork;
    struct position head;
    struct position last_id; // the log's last id, also when its entry was deleted
    uint64_t length;
    struct message first; // borrowed from the replies; position none: there is none
    struct message last;
    int64_t hash_ttl_ms; // -1: for ever; -2: no such key; -3: Redis did not say
    int64_t log_ttl_ms;
    int64_t bytes;       // -1: Redis did not say
    int64_t subscribers; // -1
};

// Errors as client_receive. A refusal of a single command leaves its fact out; the first one that
// matters is *refusal_r (borrowed from the facts), else NULL.
int channel_facts_read(struct channel_facts *facts, struct client *client, struct slice prefix,
                       struct slice channel, const redisReply **refusal_r);
void channel_facts_release(struct channel_facts *facts);

#endif
