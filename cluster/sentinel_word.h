// What one Sentinel says of a master, and whom to believe when they do not agree. Sans-I/O.
//
// Each failover has an epoch that a majority of Sentinels granted, and with it exactly one address:
// the newest epoch is right, however many Sentinels have not heard of it yet.
//
// Not so when a Sentinel is left over from earlier, and those that were set up anew count from 0:
// its epoch is the newest for ever, and its master may be dead. So what could not be proven for
// long is given up for an older word that more than half of all say, and is doubted from then on.
// The majority makes that safe: in a true failover the old master's partition never has it, and the
// others speak for the old master for a few seconds at most. Two against one; one against one
// nobody can tell.
#ifndef FRESHET_CLUSTER_SENTINEL_WORD_H
#define FRESHET_CLUSTER_SENTINEL_WORD_H

#include "cluster/redis_address.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sentinel_word {
    bool is_said;    // false: nothing lately, or it knows no such master; the rest was its last
    bool is_doubted; // it was given up
    uint64_t epoch;
    char host[REDIS_HOST_BYTES_MAX + 1];
    char port[REDIS_PORT_BYTES_MAX + 1];
};

// config-epoch of an answer to SENTINEL MASTER. E_REDIS for an error reply, E_PROTOCOL.
int sentinel_word_read_epoch(const redisReply *master, uint64_t *epoch_r);

// An answer to SENTINEL GET-MASTER-ADDR-BY-NAME, which may name the new master while SENTINEL
// MASTER still says the old one. UV_ENOENT: it knows no such master. E_REDIS, E_PROTOCOL.
int sentinel_word_read_address(const redisReply *address, struct sentinel_word *word_r);

// Whether a message on +switch-master ("NAME old-ip old-port new-ip new-port") is about this
// master.
bool sentinel_is_switch_of(struct slice message, const char *master_name);

bool sentinel_word_is_same_server(const struct sentinel_word *a, const struct sentinel_word *b);

// The same server by the same epoch.
bool sentinel_word_is_same(const struct sentinel_word *a, const struct sentinel_word *b);

// The word to follow, one of `words`; NULL: the one that is `followed` stays (is_said false: there
// is none yet).
//
// The newest epoch wins. An older one than that of `followed` never does, unless `may_go_back` and
// more than half of all say the same: Sentinels that were set up anew count from 0 again. Within
// the epoch of `followed` nothing changes as long as somebody says it: Sentinels may name one
// server in two ways. What is doubted does not count, unless more than half of all say it.
const struct sentinel_word *sentinel_choose(const struct sentinel_word *words, size_t count,
                                            const struct sentinel_word *followed, bool may_go_back);

// Remembers, or forgets, that a word is doubted: for as long as somebody says it, or did when last
// heard. `what` may be one of `words`.
void sentinel_doubt(struct sentinel_word *words, size_t count, const struct sentinel_word *what,
                    bool is_doubted);

// Number `number` says this now. What is doubted of one is doubted of all.
void sentinel_take(struct sentinel_word *words, size_t count, size_t number,
                   const struct sentinel_word *said);

#endif
