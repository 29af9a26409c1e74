// Who gets in, and how much of the node each may hold: connections in all, new ones a second, what
// one address holds and what one user holds. One for all workers of a node; any thread.
//
// Whoever is turned away is told so, on a connection that is closed with the answer; those
// connections have a number of their own, and beyond it they are cut without a word.
#ifndef FRESHET_NODE_NET_ADMISSION_H
#define FRESHET_NODE_NET_ADMISSION_H

#include "cluster/base/slice.h"
#include "node/config_network.h"
#include "node/metrics.h"
#include "node/net/quota.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admission;

// Zeros: no limit, but for the first two.
struct admission_options {
    size_t connections_max;
    size_t told_max;    // connections that are only told that they are too many
    size_t accept_rate; // connections a second, with one second's worth at once
    size_t per_ip_max;
    size_t per_user_max;
    const struct network_list *trusted_proxies; // borrowed
};

// Connections that are only told that they are too many.
enum { ADMISSION_TOLD_MAX = 1024 };

// What a new connection is taken for.
struct arrival {
    struct holder *by_ip; // what it holds of its address's share, or NULL
    bool is_proxied;      // its address is a trusted proxy's, who speaks for many
    bool is_refused;      // to be told why, and closed
    uint8_t refused_for;  // enum refuse_reason
};

void admission_create(const struct admission_options *options, struct admission **admission_r);
void admission_destroy(struct admission **admission); // no connection is left

// False: not even to be told. Else its end is due: admission_drop_ip and admission_leave. Counts
// refusals in `metrics`.
bool admission_enter(struct admission *admission, const struct address *peer, uint64_t now_us,
                     struct metrics *metrics, struct arrival *arrival_r);
void admission_leave(struct admission *admission, bool was_refused);

// One more thing that lasts for a client behind a trusted proxy, or for a user. False: it holds its
// share already. *holder_r is to be given back, also when it is NULL: then nothing is counted.
bool admission_hold_ip(struct admission *admission, const struct address *client,
                       struct metrics *metrics, struct holder **holder_r);
bool admission_hold_user(struct admission *admission, struct slice user, struct metrics *metrics,
                         struct holder **holder_r);
void admission_drop_ip(struct admission *admission, struct holder **holder,
                       struct metrics *metrics);
void admission_drop_user(struct admission *admission, struct holder **holder,
                         struct metrics *metrics);

const struct network_list *admission_trusted(const struct admission *admission);
size_t admission_connections(const struct admission *admission); // those who are told included

#endif
