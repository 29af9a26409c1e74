// Joining, the events of the cluster, the bounds on what is held, and lingering: a channel that
// nobody reads any more stays joined for a while, so that polling clients cost Redis nothing.
#include "node/hub/channel.h"

#include "cluster/base/error.h"
#include "cluster/base/log.h"
#include "cluster/base/mem.h"
#include "node/hub/broadcast.h"
#include "node/hub/internal.h"

// The worker's budget is spent on the channels that were heard last: the coldest shrink first.
static void fit_budget(struct channel *hot) {
    struct hub *hub = hot->hub;
    while (hub->held > hub->held_max && !list_is_empty(&hub->by_age)) {
        struct channel *coldest = LIST_ENTRY(hub->by_age.next, struct channel, age_node);
        if (coldest == hot && coldest->backlog.count == 1) {
            return; // just arrived: its subscribers have not seen it yet
        }
        backlog_drop_oldest(&coldest->backlog);
        if (coldest->backlog.count == 0) {
            list_remove(&coldest->age_node);
        }
    }
}

// Something was appended.
static void keep_bounds(struct channel *channel) {
    const struct config *config = channel->hub->options.config;
    backlog_trim(&channel->backlog, config->backlog_messages, config->backlog_bytes);
    list_remove(&channel->age_node);
    if (channel->backlog.count > 0) {
        list_append(&channel->hub->by_age, &channel->age_node);
    }
    fit_budget(channel);
}

static void wake(struct channel *channel) {
    list_splice(&channel->woken, &channel->idle);
    broadcast_run(channel);
}

static void on_joined(void *owner, const struct handover *handover) {
    struct channel *channel = owner;
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    size_t first = 0;
    if (channel->state != CHANNEL_LIVE || !backlog_connects(&channel->backlog, handover, &first)) {
        backlog_restart(&channel->backlog, handover->base);
        channel->last_reset = (struct reset){0};
        channel->read_head = POSITION_NONE;
        first = 0;
    }
    for (size_t i = first; i < handover->count; i++) {
        backlog_append(&channel->backlog, handover->messages[i]);
    }
    CHECK(position_equal(backlog_head(&channel->backlog), handover->head));
    keep_bounds(channel);
    channel->state = CHANNEL_LIVE;
    wake(channel);
}

static void on_message(void *owner, struct message *message) {
    struct channel *channel = owner;
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    CHECK(channel->state == CHANNEL_LIVE);
    if (!message_is_ephemeral(message)) {
        backlog_append(&channel->backlog, message);
        keep_bounds(channel);
    } else if (channel->subscriber_count > 0) {
        ephemerals_append(&channel->ephemerals, message, backlog_end(&channel->backlog),
                          &channel->hub->held);
    }
    wake(channel);
}

static void on_reset(void *owner, const struct reset *reset) {
    struct channel *channel = owner;
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    CHECK(channel->state == CHANNEL_LIVE);
    backlog_restart(&channel->backlog, reset->to);
    list_remove(&channel->age_node);
    channel->last_reset = *reset;
    channel->read_head = POSITION_NONE;
    wake(channel);
}

// Its subscribers are told by the pump. New ones make a new channel and try again.
static void on_refused(void *owner, int error) {
    struct channel *channel = owner;
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    CHECK(channel->state == CHANNEL_JOINING);
    log_debug("hub", "channel %.*s cannot be joined: %s", SLICE_ARGS(channel_name(channel)),
              error_text(error));
    channel->state = CHANNEL_REFUSED;
    channel->error = error;
    map_remove(&channel->hub->channels, channel_name(channel));
    cluster_unsubscribe(&channel->interest);
    if (channel->subscriber_count == 0) {
        channel_destroy(&channel);
        return;
    }
    wake(channel);
}

static const struct interest_events interest_events = {
    .on_joined = on_joined,
    .on_message = on_message,
    .on_reset = on_reset,
    .on_refused = on_refused,
};

static struct channel *channel_create(struct hub *hub, struct slice name) {
    struct channel *channel = mem_alloc(sizeof(*channel) + name.len);
    channel->magic = CHANNEL_MAGIC;
    channel->state = CHANNEL_JOINING;
    channel->hub = hub;
    channel->name_len = name.len;
    memcpy(channel->name, name.data, name.len);
    backlog_init(&channel->backlog, &hub->held);
    list_init(&channel->idle);
    list_init(&channel->woken);
    list_init(&channel->reads);
    list_init(&channel->run_node);
    list_init(&channel->age_node);
    map_put(&hub->channels, channel_name(channel), channel);
    metrics_add(&hub->options.metrics->channels, 1);
    channel->interest =
        cluster_subscribe(hub->options.member, channel_name(channel), &interest_events, channel);
    return channel;
}

struct channel *channel_get(struct hub *hub, struct slice name) {
    struct channel *channel = map_get(&hub->channels, name);
    return channel != NULL ? channel : channel_create(hub, name);
}

void channel_destroy(struct channel **channel) {
    struct channel *gone = *channel;
    *channel = NULL;
    CHECK_OBJ(gone, CHANNEL_MAGIC);
    CHECK(gone->subscriber_count == 0 && list_is_empty(&gone->reads));
    wheel_stop(&gone->linger);
    if (gone->interest != NULL) {
        map_remove(&gone->hub->channels, channel_name(gone));
        cluster_unsubscribe(&gone->interest);
    }
    list_remove(&gone->run_node);
    list_remove(&gone->age_node);
    ephemerals_clear(&gone->ephemerals);
    backlog_release(&gone->backlog);
    metrics_add(&gone->hub->options.metrics->channels, -1);
    gone->magic = 0;
    mem_free(gone);
}

static void on_linger_over(struct wheel_timer *timer) {
    struct channel *channel = CONTAINER_OF(timer, struct channel, linger);
    channel_destroy(&channel);
}

void channel_add_subscriber(struct channel *channel, struct subscriber *subscriber) {
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    wheel_stop(&channel->linger);
    channel->subscriber_count++;
    list_append(&channel->idle, &subscriber->node);
}

void channel_remove_subscriber(struct channel *channel, struct subscriber *subscriber) {
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    struct hub *hub = channel->hub;
    list_remove(&subscriber->node);
    channel->subscriber_count--;
    if (channel->subscriber_count > 0) {
        return;
    }
    if (channel->state == CHANNEL_REFUSED) {
        channel_destroy(&channel);
        return;
    }
    ephemerals_clear(&channel->ephemerals);
    wheel_start(hub->options.wheel, &channel->linger, wheel_jitter(hub->options.config->linger_ms),
                on_linger_over);
}
