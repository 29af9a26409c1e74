// Follows a master through its Sentinels, on the cluster thread. Two light connections to each: one
// asks, every second and whenever there is a reason to, which server is the master and by which
// epoch; the other hears +switch-master, which is such a reason. sentinel_word.h decides whom to
// believe. With no Sentinel in reach the master stays the one it was.
//
// A round is one question to every Sentinel in reach. It is over when all have answered, or after
// 300 ms; answers that come later count as well, for what they say.
#ifndef FRESHET_CLUSTER_SENTINEL_H
#define FRESHET_CLUSTER_SENTINEL_H

#include "cluster/base/list.h"
#include "cluster/topology.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct sentinels;

// The master is this one from now on: at first, and after each switch. Both strings are valid until
// the next call. From a callback of the loop or from sentinels_tick.
typedef void sentinels_on_master(void *owner, const char *host, const char *port);

// `topology` and `client_name` are borrowed and must outlive it.
void sentinels_open(uv_loop_t *loop, const struct topology *topology, const char *client_name,
                    sentinels_on_master *on_master, void *owner, struct sentinels **sentinels_r);

// Completes every proof. NULLs *sentinels; NULL in it is fine.
void sentinels_close(struct sentinels **sentinels);

// Every 100 ms. is_proven: the master that is followed was just seen to be one.
void sentinels_tick(struct sentinels *sentinels, uint64_t now_ms, bool is_proven);

// At the end of each turn of the loop: begins a round that was asked for.
void sentinels_pump(struct sentinels *sentinels);

// Something broke: the next round begins in this turn, not in a second.
void sentinels_ask(struct sentinels *sentinels);

// Embedded in whoever needs to know that the master still is the one: on_done comes once, after a
// round that began later than sentinels_prove, never from within it. If the master is another one,
// on_master was called before.
struct sentinels_proof {
    struct list place; // the library's
    void (*on_done)(struct sentinels_proof *proof);
};

void sentinels_prove(struct sentinels *sentinels, struct sentinels_proof *proof);

bool sentinels_know_master(const struct sentinels *sentinels);

// Why not, for people.
void sentinels_explain(const struct sentinels *sentinels, char *text_r, size_t size);

struct sentinels_stats {
    size_t configured;
    size_t up;         // that can be asked
    uint64_t switches; // masters followed after the first
};

struct sentinels_stats sentinels_stats(const struct sentinels *sentinels);

#endif
