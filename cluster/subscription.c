// Subscriptions: who wants a channel, and what comes next in it.
#include "cluster/subscription.h"

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/envelope.h"
#include "cluster/recovery.h"

enum { SUBSCRIPTION_MAGIC = 0x50b5c41b };

static void set_state(struct subscription *sub, enum subscription_state state) {
    switch (state) {
    case SUBSCRIPTION_ASKED:
        CHECK(false); // it begins as asked and never returns there
        break;
    case SUBSCRIPTION_OPENING:
        CHECK(sub->state == SUBSCRIPTION_ASKED);
        break;
    case SUBSCRIPTION_LIVE:
        CHECK(sub->state == SUBSCRIPTION_OPENING || sub->state == SUBSCRIPTION_FILLING);
        break;
    case SUBSCRIPTION_FILLING:
        CHECK(sub->state == SUBSCRIPTION_LIVE);
        break;
    }
    sub->state = state;
}

// ---- Life ----------------------------------------------------------------------------------------

static struct subscription *create(struct cluster *cluster, struct slice name) {
    struct subscription *sub = mem_alloc(sizeof(*sub));
    sub->magic = SUBSCRIPTION_MAGIC;
    sub->cluster = cluster;
    sub->name_len = (uint8_t)name.len;
    memcpy(sub->name, name.data, name.len);
    list_init(&sub->interests);
    list_init(&sub->in_subscribe);
    list_init(&sub->in_work);
    list_init(&sub->in_all);
    list_init(&sub->in_cold);
    sub->refreshed_ms = clock_mono_ms();
    map_put(&cluster->subscriptions.by_name, subscription_name(sub), sub);
    list_append(&cluster->subscriptions.all, &sub->in_all);
    list_append(&cluster->subscriptions.to_subscribe, &sub->in_subscribe);
    return sub;
}

static void drop_waiting(struct subscription *sub, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        sub->waiting_bytes -= sub->waiting[i]->size;
        message_unref(&sub->waiting[i]);
    }
    sub->waiting_count -= n;
    memmove(sub->waiting, sub->waiting + n, sub->waiting_count * sizeof(sub->waiting[0]));
}

static void reset_run(struct subscription *sub, struct position base) {
    sub->cluster->subscriptions.run_bytes -= sub->run.bytes;
    run_reset(&sub->run, base);
    list_remove(&sub->in_cold);
}

static void destroy(struct subscription *sub) {
    CHECK(sub->is_dropped && sub->holds == 0 && list_is_empty(&sub->interests));
    sub->magic = 0;
    mem_free(sub);
}

// Off all lists. The memory stays while replies are under way that name it.
static void drop(struct subscription *sub) {
    struct subscriptions *subscriptions = &sub->cluster->subscriptions;
    CHECK_OBJ(sub, SUBSCRIPTION_MAGIC);
    subscription_set_proven(sub, true);
    sub->is_dropped = true;
    map_remove(&subscriptions->by_name, subscription_name(sub));
    list_remove(&sub->in_all);
    list_remove(&sub->in_subscribe);
    list_remove(&sub->in_work);
    reset_run(sub, POSITION_NONE);
    drop_waiting(sub, sub->waiting_count);
    if (sub->is_subscribed) {
        struct keys keys;
        keys_init(&keys, sub->cluster->prefix, subscription_name(sub));
        link_send(sub->cluster->links[REDIS_LINK_PUBSUB], 2,
                  (struct slice[]){SLICE("UNSUBSCRIBE"), keys.now}, NULL, NULL);
    }
    if (sub->holds == 0) {
        destroy(sub);
    }
}

// Not while SUBSCRIBE is under way: its ack would be taken for that of a later subscription, which
// would then read its head before it really listens.
static void drop_if_unwanted(struct subscription *sub) {
    if (list_is_empty(&sub->interests) && !(sub->is_asked && !sub->is_subscribed)) {
        drop(sub);
    }
}

void subscription_hold(struct subscription *sub) {
    CHECK_OBJ(sub, SUBSCRIPTION_MAGIC);
    sub->holds++;
}

bool subscription_release_hold(struct subscription *sub) {
    CHECK_OBJ(sub, SUBSCRIPTION_MAGIC);
    CHECK(sub->holds > 0);
    sub->holds--;
    bool was_dropped = sub->is_dropped;
    if (was_dropped && sub->holds == 0) {
        destroy(sub);
    }
    return was_dropped;
}

void subscriptions_init(struct subscriptions *subscriptions) {
    list_init(&subscriptions->all);
    list_init(&subscriptions->cold);
    list_init(&subscriptions->to_subscribe);
}

void subscriptions_release(struct cluster *cluster) {
    CHECK(list_is_empty(&cluster->subscriptions.all));
    map_release(&cluster->subscriptions.by_name);
}

void subscription_set_proven(struct subscription *sub, bool is_proven) {
    if (sub->is_proven != is_proven && subscription_has_head(sub)) {
        sub->cluster->subscriptions.unproven += is_proven ? SIZE_MAX : 1; // minus or plus one
    }
    sub->is_proven = is_proven;
}

// ---- Interests -----------------------------------------------------------------------------------

void subscription_join(struct cluster *cluster, struct interest *interest) {
    struct slice name = slice_make(interest->name, interest->name_len);
    struct subscription *sub = map_get(&cluster->subscriptions.by_name, name);
    if (sub == NULL) {
        sub = create(cluster, name);
    }
    CHECK_OBJ(sub, SUBSCRIPTION_MAGIC);
    interest->subscription = sub;
    list_append(&sub->interests, &interest->in_subscription);
    if (subscription_has_head(sub)) {
        fanout_joined(interest, &sub->run, sub->head);
    }
}

void subscription_leave(struct cluster *cluster, struct interest *interest) {
    (void)cluster;
    struct subscription *sub = interest->subscription;
    if (sub == NULL) {
        return; // it was refused
    }
    interest->subscription = NULL;
    list_remove(&interest->in_subscription);
    drop_if_unwanted(sub);
}

void subscription_hand_over(struct interest *interest) {
    struct subscription *sub = interest->subscription;
    if (sub != NULL && subscription_has_head(sub)) {
        fanout_joined(interest, &sub->run, sub->head);
    }
}

void subscription_refuse(struct subscription *sub, int error) {
    LIST_FOREACH(node, &sub->interests) {
        struct interest *interest = LIST_ENTRY(node, struct interest, in_subscription);
        interest->subscription = NULL;
        list_remove(&interest->in_subscription);
        fanout_refused(interest, error);
    }
    drop_if_unwanted(sub);
}

// ---- Messages ------------------------------------------------------------------------------------

// All runs together stay within their share of the budget: the channel that has been quiet for the
// longest gives half of its run first.
static void keep_budget(struct subscriptions *subscriptions, size_t budget) {
    while (subscriptions->run_bytes > budget) {
        struct list *node = list_first(&subscriptions->cold);
        if (node == NULL) {
            return;
        }
        struct subscription *sub = LIST_ENTRY(node, struct subscription, in_cold);
        size_t before = sub->run.bytes;
        run_trim(&sub->run, sub->run.count / 2, before / 2);
        subscriptions->run_bytes -= before - sub->run.bytes;
        if (sub->run.count == 0) {
            list_remove(&sub->in_cold);
        }
    }
}

// The largest one counts, and is forgotten by and by.
void subscription_learn_size(struct subscription *sub, size_t entry_bytes) {
    enum { FORGET = 16 };
    uint32_t bytes = (uint32_t)entry_bytes;
    uint32_t known = sub->entry_bytes;
    sub->entry_bytes = bytes > known ? bytes : known - (known - bytes) / FORGET;
}

size_t subscriptions_entry_bytes(const struct cluster *cluster, struct slice channel) {
    const struct subscription *sub = map_get(&cluster->subscriptions.by_name, channel);
    return sub != NULL ? sub->entry_bytes : 0;
}

static void deliver(struct subscription *sub, struct message *message) {
    struct cluster *cluster = sub->cluster;
    struct subscriptions *subscriptions = &cluster->subscriptions;
    size_t before = sub->run.bytes;
    run_append(&sub->run, message);
    run_trim(&sub->run, cluster->backlog_messages, cluster->backlog_bytes);
    subscriptions->run_bytes += sub->run.bytes - before;
    sub->head = message->position;
    sub->refreshed_ms = uv_now(&cluster->loop);
    sub->counted++;
    subscription_learn_size(sub, message->size);
    list_remove(&sub->in_cold);
    if (sub->run.count > 0) {
        list_append(&subscriptions->cold, &sub->in_cold);
    }
    LIST_FOREACH(node, &sub->interests) {
        fanout_message(LIST_ENTRY(node, struct interest, in_subscription), message);
    }
    keep_budget(subscriptions, cluster->backlog_total);
}

static bool is_double(const struct subscription *sub, const struct message *message) {
    return message->position.epoch == sub->head.epoch &&
           message->position.version <= sub->head.version;
}

static void keep_waiting(struct subscription *sub, struct message *message) {
    if (sub->waiting_count == WAITING_MESSAGES_MAX ||
        sub->waiting_bytes + message->size > WAITING_BYTES_MAX) {
        sub->has_overflowed = true;
        return;
    }
    sub->waiting[sub->waiting_count++] = message_ref(message);
    sub->waiting_bytes += message->size;
}

// Neither the next nor a double: Redis is asked, and the read decides.
void subscription_doubt(struct subscription *sub) {
    if (sub->state != SUBSCRIPTION_LIVE) {
        return;
    }
    set_state(sub, SUBSCRIPTION_FILLING);
    stats_add(&sub->cluster->stats.gaps, 1);
    recovery_add(sub);
}

static void on_message(struct subscription *sub, struct message *message) {
    if (message_is_ephemeral(message)) {
        LIST_FOREACH(node, &sub->interests) {
            fanout_message(LIST_ENTRY(node, struct interest, in_subscription), message);
        }
    } else if (sub->state != SUBSCRIPTION_LIVE) {
        keep_waiting(sub, message);
    } else if (message_follows(message, sub->head)) {
        deliver(sub, message);
    } else if (!is_double(sub, message)) {
        keep_waiting(sub, message);
        subscription_doubt(sub);
    }
}

// What waited: those that the read explains are delivered or doubles. Of the others, what had come
// before the read was sent is in no log and goes; what came later asks for one more read.
static void settle_waiting(struct subscription *sub) {
    uint32_t done = 0;
    bool must_read = sub->has_overflowed;
    while (done < sub->waiting_count && !must_read) {
        struct message *message = sub->waiting[done];
        if (message_follows(message, sub->head)) {
            deliver(sub, message);
        } else if (!is_double(sub, message) && done >= sub->waiting_at_read) {
            must_read = true;
            break;
        }
        done++;
    }
    drop_waiting(sub, done);
    if (must_read) {
        subscription_doubt(sub);
    }
}

void subscription_open_at(struct subscription *sub, struct position head) {
    CHECK(!position_is_none(head));
    sub->head = head;
    reset_run(sub, head);
    sub->is_proven = true;
    set_state(sub, SUBSCRIPTION_LIVE);
    LIST_FOREACH(node, &sub->interests) {
        fanout_joined(LIST_ENTRY(node, struct interest, in_subscription), &sub->run, head);
    }
    settle_waiting(sub);
}

void subscription_filled(struct subscription *sub, struct log_read *read) {
    CHECK(sub->state == SUBSCRIPTION_FILLING);
    if (read->has_reset) {
        sub->head = read->reset.to;
        reset_run(sub, read->reset.to);
        LIST_FOREACH(node, &sub->interests) {
            fanout_reset(LIST_ENTRY(node, struct interest, in_subscription), &read->reset);
        }
    }
    for (size_t i = 0; i < read->count; i++) {
        CHECK(message_follows(read->messages[i], sub->head)); // log_read.c's promise
        deliver(sub, read->messages[i]);
    }
    stats_add(&sub->cluster->stats.gap_messages, read->count);
    if (read->has_more) {
        recovery_add(sub);
        return;
    }
    set_state(sub, SUBSCRIPTION_LIVE);
    settle_waiting(sub);
    if (!sub->is_proven) {
        recovery_add(sub); // the read may be older than the last SUBSCRIBE's ack
    }
}

// ---- The pub/sub link ----------------------------------------------------------------------------

// Many nodes may find the same Redis again in the same millisecond, and 1,000 channels of one of them
// keep it busy for one. So a node with many waits for a random part of what they cost.
static uint64_t stagger_ms(size_t channels) {
    enum { AT_ONCE = 4096, CHANNELS_A_MS = 1000, STAGGER_MS_MAX = 250 };
    uint64_t window_ms = channels > AT_ONCE ? channels / CHANNELS_A_MS : 0;
    return clock_random(window_ms < STAGGER_MS_MAX ? window_ms : STAGGER_MS_MAX);
}

void subscriptions_on_link_up(struct cluster *cluster) {
    struct subscriptions *subscriptions = &cluster->subscriptions;
    subscriptions->begin_ms = uv_now(&cluster->loop) + stagger_ms(subscriptions->by_name.count);
    LIST_FOREACH(node, &subscriptions->all) {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, in_all);
        if (!list_is_linked(&sub->in_subscribe)) {
            list_append(&subscriptions->to_subscribe, &sub->in_subscribe);
        }
    }
}

void subscriptions_on_link_down(struct cluster *cluster) {
    LIST_FOREACH(node, &cluster->subscriptions.all) {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, in_all);
        sub->is_asked = false;
        sub->is_subscribed = false;
        subscription_set_proven(sub, false);
        drop_if_unwanted(sub);
    }
}

void subscriptions_on_ack(struct cluster *cluster, struct slice channel) {
    struct subscription *sub = map_get(&cluster->subscriptions.by_name, channel);
    if (sub == NULL || !sub->is_asked || sub->is_subscribed) {
        return;
    }
    sub->is_subscribed = true;
    if (list_is_empty(&sub->interests)) {
        drop(sub);
        return;
    }
    if (sub->state == SUBSCRIPTION_ASKED) {
        set_state(sub, SUBSCRIPTION_OPENING);
    }
    recovery_add(sub); // what fell between the last word and this ack is in the log, if anything
}

void subscriptions_on_payload(struct cluster *cluster, struct slice channel, struct slice payload) {
    struct subscription *sub = map_get(&cluster->subscriptions.by_name, channel);
    if (sub == NULL) {
        return; // unsubscribed a moment ago
    }
    enum envelope_refusal refusal;
    bool was_demoted;
    struct message *message = envelope_decode(payload, clock_wall_ms(), &refusal, &was_demoted);
    if (message == NULL) {
        stats_add(&cluster->stats.envelopes_refused[refusal], 1);
        log_warning("cluster", "refused a payload (%s) on channel=%.*s",
                    envelope_refusal_name(refusal), SLICE_ARGS(channel));
        return;
    }
    stats_add(&cluster->stats.messages_received, 1);
    stats_add(&cluster->stats.json_demoted, was_demoted);
    on_message(sub, message);
    message_unref(&message);
}

// One SUBSCRIBE names up to 512 channels; a turn sends 8 of them, so that a node with a hundred
// thousand channels still hears its acks and echoes in between, and no more than 64 wait for theirs.
void subscriptions_flush(struct cluster *cluster) {
    enum { BATCH = 512, BATCHES_A_TURN = 8, BATCHES_WAITING_MAX = 64 };
    struct redis_conn *conn = cluster->links[REDIS_LINK_PUBSUB];
    struct subscriptions *subscriptions = &cluster->subscriptions;
    if (uv_now(&cluster->loop) < subscriptions->begin_ms) {
        return;
    }
    for (int turn = 0; turn < BATCHES_A_TURN && redis_conn_is_up(conn); turn++) {
        if (redis_conn_stats(conn).waiting >= BATCHES_WAITING_MAX) {
            return;
        }
        static struct keys keys[BATCH];
        struct slice words[BATCH + 1] = {SLICE("SUBSCRIBE")};
        size_t count = 0;
        while (count < BATCH && !list_is_empty(&subscriptions->to_subscribe)) {
            struct subscription *sub = LIST_ENTRY(list_pop(&subscriptions->to_subscribe),
                                                  struct subscription, in_subscribe);
            keys_init(&keys[count], cluster->prefix, subscription_name(sub));
            words[count + 1] = keys[count].now;
            count++;
            sub->is_asked = true;
        }
        if (count == 0) {
            return;
        }
        link_send(conn, count + 1, words, NULL, NULL);
    }
}
