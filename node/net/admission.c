// Admission: three questions to a new connection, and two to what lasts.
#include "node/net/admission.h"

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/net/bucket.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct admission {
    struct admission_options options;
    atomic_size_t served; // connections
    atomic_size_t told;
    pthread_mutex_t lock;
    struct bucket bucket; // guarded by `lock`
    struct quota by_ip;
    struct quota by_user;
};

void admission_create(const struct admission_options *options, struct admission **admission_r) {
    struct admission *admission = mem_alloc(sizeof(*admission));
    admission->options = *options;
    CHECK(pthread_mutex_init(&admission->lock, NULL) == 0);
    bucket_init(&admission->bucket, options->accept_rate, clock_mono_us());
    quota_init(&admission->by_ip, options->per_ip_max);
    quota_init(&admission->by_user, options->per_user_max);
    *admission_r = admission;
}

void admission_destroy(struct admission **admission) {
    struct admission *mine = *admission;
    *admission = NULL;
    CHECK(admission_connections(mine) == 0);
    quota_release(&mine->by_ip);
    quota_release(&mine->by_user);
    pthread_mutex_destroy(&mine->lock);
    mem_free(mine);
}

// ---- Connections --------------------------------------------------------------------------------

// One more, unless there are `max`.
static bool count_up(atomic_size_t *count, size_t max) {
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max) {
        return true;
    }
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

static void count_down(atomic_size_t *count) {
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static bool is_in_time(struct admission *admission, uint64_t now_us) {
    if (admission->options.accept_rate == 0) {
        return true;
    }
    pthread_mutex_lock(&admission->lock);
    bool is_in_time = bucket_take(&admission->bucket, now_us);
    pthread_mutex_unlock(&admission->lock);
    return is_in_time;
}

// The rate comes last: who is refused anyway uses up nothing of what the others need.
static bool take_seat(struct admission *admission, const struct address *peer, uint64_t now_us,
                      struct metrics *metrics, struct arrival *arrival) {
    if (!arrival->is_proxied && !admission_hold_ip(admission, peer, metrics, &arrival->by_ip)) {
        arrival->refused_for = REFUSE_PER_IP;
        return false;
    }
    arrival->refused_for = REFUSE_CONNECTIONS;
    if (count_up(&admission->served, admission->options.connections_max)) {
        if (is_in_time(admission, now_us)) {
            return true;
        }
        arrival->refused_for = REFUSE_ACCEPT_RATE;
        count_down(&admission->served);
    }
    admission_drop_ip(admission, &arrival->by_ip, metrics);
    return false;
}

bool admission_enter(struct admission *admission, const struct address *peer, uint64_t now_us,
                     struct metrics *metrics, struct arrival *arrival_r) {
    *arrival_r = (struct arrival){
        .is_proxied = network_list_holds(admission->options.trusted_proxies, peer),
    };
    if (take_seat(admission, peer, now_us, metrics, arrival_r)) {
        return true;
    }
    arrival_r->is_refused = true;
    metrics_add(&metrics->refused[arrival_r->refused_for], 1);
    return count_up(&admission->told, admission->options.told_max);
}

void admission_leave(struct admission *admission, bool was_refused) {
    count_down(was_refused ? &admission->told : &admission->served);
}

size_t admission_connections(const struct admission *admission) {
    return atomic_load_explicit(&admission->served, memory_order_relaxed) +
           atomic_load_explicit(&admission->told, memory_order_relaxed);
}

// ---- What lasts ---------------------------------------------------------------------------------

// A household or a host has a whole /64 of IPv6, and may take another address of it each time.
enum { V6_KEY_BYTES = 8 };

bool admission_hold_ip(struct admission *admission, const struct address *client,
                       struct metrics *metrics, struct holder **holder_r) {
    size_t len = address_is_v4(client) ? sizeof(client->bytes) : V6_KEY_BYTES;
    return quota_take(&admission->by_ip, slice_make(client->bytes, len), &metrics->held_by_ips,
                      holder_r);
}

bool admission_hold_user(struct admission *admission, struct slice user, struct metrics *metrics,
                         struct holder **holder_r) {
    *holder_r = NULL;
    return user.len == 0 ||
           quota_take(&admission->by_user, user, &metrics->held_by_users, holder_r);
}

void admission_drop_ip(struct admission *admission, struct holder **holder,
                       struct metrics *metrics) {
    quota_give_back(&admission->by_ip, holder, &metrics->held_by_ips);
}

void admission_drop_user(struct admission *admission, struct holder **holder,
                         struct metrics *metrics) {
    quota_give_back(&admission->by_user, holder, &metrics->held_by_users);
}

const struct network_list *admission_trusted(const struct admission *admission) {
    return admission->options.trusted_proxies;
}
