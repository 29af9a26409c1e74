// Counts by client.
#include "node/net/quota.h"

#include "cluster/base/check.h"
#include "cluster/base/mem.h"
#include "node/metrics.h"

#include <string.h>

struct holder {
    size_t count; // guarded by the quota's lock
    size_t key_len;
    char key[];
};

static struct slice key_of(const struct holder *holder) {
    return slice_make(holder->key, holder->key_len);
}

void quota_init(struct quota *quota, size_t max) {
    *quota = (struct quota){.max = max};
    CHECK(pthread_mutex_init(&quota->lock, NULL) == 0);
}

void quota_release(struct quota *quota) {
    CHECK(quota->holders.count == 0);
    map_release(&quota->holders);
    pthread_mutex_destroy(&quota->lock);
}

static struct holder *add(struct quota *quota, struct slice key) {
    struct holder *holder = mem_alloc(sizeof(*holder) + key.len);
    holder->key_len = key.len;
    memcpy(holder->key, key.data, key.len);
    map_put(&quota->holders, key_of(holder), holder);
    return holder;
}

bool quota_take(struct quota *quota, struct slice key, atomic_llong *clients,
                struct holder **holder_r) {
    *holder_r = NULL;
    if (quota->max == 0) {
        return true;
    }
    pthread_mutex_lock(&quota->lock);
    struct holder *holder = map_get(&quota->holders, key);
    if (holder == NULL) {
        holder = add(quota, key);
        metrics_add(clients, 1);
    }
    bool has_room = holder->count < quota->max;
    holder->count += has_room;
    pthread_mutex_unlock(&quota->lock);
    *holder_r = has_room ? holder : NULL;
    return has_room;
}

void quota_give_back(struct quota *quota, struct holder **holder, atomic_llong *clients) {
    struct holder *given = *holder;
    *holder = NULL;
    if (given == NULL) {
        return;
    }
    pthread_mutex_lock(&quota->lock);
    CHECK(given->count > 0);
    given->count--;
    if (given->count == 0) {
        CHECK(map_remove(&quota->holders, key_of(given)) == given);
        mem_free(given);
        metrics_add(clients, -1);
    }
    pthread_mutex_unlock(&quota->lock);
}

bool holder_is(const struct holder *holder, struct slice key) {
    return holder != NULL && slice_equal(key_of(holder), key);
}
