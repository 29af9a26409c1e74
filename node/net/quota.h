// Counts what each of many clients holds, and lets none hold more than its share. The keys are
// hashed with a secret (map.h), and a client that holds nothing is forgotten: there are never more
// than there are connections. Any thread.
#ifndef FRESHET_NODE_NET_QUOTA_H
#define FRESHET_NODE_NET_QUOTA_H

#include "cluster/base/map.h"
#include "cluster/base/slice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

// One client, as long as it holds something.
struct holder;

struct quota {
    size_t max; // for each; 0: nothing is counted
    pthread_mutex_t lock;
    struct map holders; // guarded by `lock`
};

void quota_init(struct quota *quota, size_t max);
void quota_release(struct quota *quota); // nobody holds anything any more

// One more for the client of that name. False: it has its share already. *holder_r is to be given
// back, unless it is NULL: nothing is counted. `clients` is raised with the first that a client
// holds, and lowered with its last.
bool quota_take(struct quota *quota, struct slice key, atomic_llong *clients,
                struct holder **holder_r);
void quota_give_back(struct quota *quota, struct holder **holder, atomic_llong *clients);

// Whether this is the client of that name. The holder must be one that was not given back.
bool holder_is(const struct holder *holder, struct slice key);

#endif
