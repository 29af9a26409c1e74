// The life of a stream. A start that is not known yet, because its channel is being joined or its
// history read, holds back what would come behind it: an `ok` or a first cursor comes before the
// messages that follow it.
#include "node/transport/feed.h"

#include "cluster/base/error.h"
#include "cluster/base/mem.h"
#include "node/transport/encode.h"
#include "node/transport/refusal.h"

#define FEED_MAGIC UINT32_C(0x66656564)

enum {
    HEAD_WAIT_MS = 1000, // the head, for the first channel, so that a refusal can still be a status
    // All else, for the last channel. By then it is known whether Redis is away.
    JOIN_PATIENCE_MS = STALE_SECONDS_STREAM * 1000,
};

static void release(struct feed *feed) {
    CHECK_OBJ(feed, FEED_MAGIC);
    for (uint32_t i = 0; i < feed->count; i++) {
        subscriber_close(&feed->channels[i].subscriber);
    }
    watcher_close(&feed->watcher);
    wheel_stop(&feed->heartbeat);
    wheel_stop(&feed->patience);
    metrics_add(&feed->service->metrics->connections[feed->ops->transport], -1);
    feed->magic = 0;
    mem_free(feed);
}

static void on_heartbeat(struct wheel_timer *timer);

static int64_t permitted_ms(const struct feed *feed) {
    return feed->ends_ms - hub_wall_ms(feed->service->hub);
}

// The token's end is looked for at the heartbeat, which comes early for it.
static void start_heartbeat(struct feed *feed) {
    uint64_t after_ms = wheel_jitter(feed->service->config->heartbeat_ms);
    int64_t left_ms = permitted_ms(feed);
    if (left_ms < (int64_t)after_ms) {
        after_ms = left_ms > 0 ? (uint64_t)left_ms : 0;
    }
    wheel_start(feed->service->wheel, &feed->heartbeat, after_ms, on_heartbeat);
}

static void send_head(struct feed *feed) {
    if (feed->is_head_sent) {
        return;
    }
    feed->is_head_sent = true;
    struct exchange *exchange = feed->exchange;
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_field(exchange, "X-Accel-Buffering", SLICE("no"));
    exchange_field(exchange, "Incremental", SLICE("?1"));
    exchange_start(exchange, 200, feed->ops->content_type);
    feed->ops->on_open(feed);
    start_heartbeat(feed);
}

static void end(struct feed *feed, const char *reason, uint64_t retry_ms) {
    send_head(feed);
    feed->ops->on_end(feed, reason, retry_ms);
    struct exchange *exchange = feed->exchange;
    if (hub_is_draining(feed->service->hub)) {
        exchange_close_after(exchange);
    }
    release(feed);
    exchange_end(exchange);
}

static bool is_blocked(const struct feed *feed) {
    return exchange_is_blocked(feed->exchange);
}

void feed_tell_reset(struct feed_channel *channel, const struct reset *reset) {
    struct feed *feed = channel->feed;
    metrics_add(&feed->service->metrics->resets[reset->reason], 1);
    feed->ops->on_reset(channel, reset);
}

// Gives out what the channel has, as far as the socket takes.
static void pull(struct feed_channel *channel) {
    struct feed *feed = channel->feed;
    struct delivery delivery;
    while (!is_blocked(feed)) {
        switch (subscriber_next(&channel->subscriber, &delivery)) {
        case NEXT_MESSAGE:
            feed->ops->on_message(channel, delivery.entry);
            break;
        case NEXT_RESET:
            feed_tell_reset(channel, &delivery.reset);
            break;
        case NEXT_NOTHING:
            return;
        }
    }
}

// From another channel each time, so that a busy one does not starve the others of a slow client.
static void pull_all(struct feed *feed) {
    for (uint32_t i = 0; i < feed->count && !is_blocked(feed); i++) {
        struct feed_channel *channel = &feed->channels[(feed->pull_at + i) % feed->count];
        if (feed->ops->waits_for_all || channel->is_told) {
            pull(channel);
        }
    }
    feed->pull_at = (feed->pull_at + 1) % feed->count;
}

// A cursor that the client brought is known at once.
static bool is_known(const struct feed_channel *channel) {
    return subscriber_is_started(&channel->subscriber) ||
           !position_is_none(channel->subscriber.cursor);
}

static void greet_all(struct feed *feed) {
    while (feed->known < feed->count && is_known(&feed->channels[feed->known])) {
        feed->known++;
    }
    if (feed->known == feed->count && !feed->is_talking) {
        feed->is_talking = true;
        wheel_stop(&feed->patience);
        send_head(feed);
        feed->ops->on_all_known(feed);
        pull_all(feed);
    }
}

static void greet_one(struct feed_channel *channel) {
    if (!channel->is_told && subscriber_is_started(&channel->subscriber)) {
        channel->is_told = true;
        send_head(channel->feed);
        channel->feed->ops->on_started(channel);
    }
}

static void advance(struct feed_channel *channel) {
    struct feed *feed = channel->feed;
    if (feed->ops->waits_for_all) {
        if (feed->is_talking) {
            pull(channel);
        } else {
            greet_all(feed);
        }
        return;
    }
    greet_one(channel);
    if (channel->is_told) {
        pull(channel);
    }
}

static void on_news(struct subscriber *subscriber) {
    struct feed_channel *channel = CONTAINER_OF(subscriber, struct feed_channel, subscriber);
    CHECK_OBJ(channel->feed, FEED_MAGIC);
    advance(channel);
}

static void on_refused(struct subscriber *subscriber, int error) {
    struct feed *feed = CONTAINER_OF(subscriber, struct feed_channel, subscriber)->feed;
    CHECK_OBJ(feed, FEED_MAGIC);
    struct exchange *exchange = feed->exchange;
    const struct service *service = feed->service;
    if (feed->ops->can_refuse && !feed->is_head_sent) {
        release(feed);
        refusal_answer_busy(exchange, service, error);
    } else {
        end(feed, refusal_count(service, error), retry_delay_ms(service->config));
    }
}

static const struct subscriber_ops subscriber_ops = {
    .on_news = on_news,
    .on_refused = on_refused,
};

static void on_impatient(struct wheel_timer *timer);

static void start_patience(struct feed *feed) {
    wheel_start(feed->service->wheel, &feed->patience, wheel_jitter(JOIN_PATIENCE_MS),
                on_impatient);
}

// Some channel cannot be joined though Redis is there: whoever comes back may find it better. While
// Redis is away everybody waits.
static void on_impatient(struct wheel_timer *timer) {
    struct feed *feed = CONTAINER_OF(timer, struct feed, patience);
    CHECK_OBJ(feed, FEED_MAGIC);
    if (hub_stale_seconds(feed->service->hub) > 0) {
        start_patience(feed);
    } else {
        end(feed, refusal_count(feed->service, E_LATE), retry_delay_ms(feed->service->config));
    }
}

// The watcher tells it first, and tells its end to whoever was told: a heartbeat only repeats it.
static bool is_told_stale(const struct feed *feed) {
    return feed->watcher.was_told_stale &&
           hub_stale_seconds(feed->service->hub) >= STALE_SECONDS_STREAM;
}

static void on_heartbeat(struct wheel_timer *timer) {
    struct feed *feed = CONTAINER_OF(timer, struct feed, heartbeat);
    CHECK_OBJ(feed, FEED_MAGIC);
    if (permitted_ms(feed) <= 0) {
        end(feed, "token", retry_delay_ms(feed->service->config));
        return;
    }
    if (!feed->is_head_sent) {
        send_head(feed);
        return;
    }
    if (!is_blocked(feed)) { // else it has enough to read
        feed->ops->on_heartbeat(feed);
        if (is_told_stale(feed)) {
            feed->ops->on_stale(feed, hub_stale_seconds(feed->service->hub));
        }
    }
    start_heartbeat(feed);
}

static void on_stale(struct watcher *watcher, uint64_t seconds) {
    struct feed *feed = CONTAINER_OF(watcher, struct feed, watcher);
    CHECK_OBJ(feed, FEED_MAGIC);
    send_head(feed);
    feed->ops->on_stale(feed, seconds);
    if (wheel_is_running(&feed->patience)) {
        start_patience(feed); // anew: Redis has just come back, or gone
    }
}

static void on_drain(struct watcher *watcher) {
    struct feed *feed = CONTAINER_OF(watcher, struct feed, watcher);
    CHECK_OBJ(feed, FEED_MAGIC);
    end(feed, "drain", drain_delay_ms(feed->service->config));
}

static const struct watcher_ops watcher_ops = {.on_stale = on_stale, .on_drain = on_drain};

static void on_writable(void *state) {
    struct feed *feed = state;
    CHECK_OBJ(feed, FEED_MAGIC);
    if (!feed->ops->waits_for_all || feed->is_talking) {
        pull_all(feed);
    }
}

static void on_gone(void *state) {
    release(state);
}

static const struct exchange_ops exchange_ops = {.on_writable = on_writable, .on_gone = on_gone};

static struct feed *create(struct exchange *exchange, const struct service *service,
                           const struct feed_ops *ops, const struct open_request *open) {
    struct feed *feed = mem_alloc(sizeof(*feed) + open->count * sizeof(feed->channels[0]));
    feed->magic = FEED_MAGIC;
    feed->is_post = open->is_post;
    feed->is_envelope = open->is_envelope;
    feed->is_foreign = open->is_foreign;
    feed->ops = ops;
    feed->exchange = exchange;
    feed->service = service;
    feed->ends_ms = open->ends_ms;
    feed->count = (uint32_t)open->count;
    exchange_attach(exchange, &exchange_ops, feed);
    watcher_open(&feed->watcher, service->hub, &watcher_ops);
    metrics_add(&service->metrics->connections[ops->transport], 1);
    for (uint32_t i = 0; i < feed->count; i++) {
        struct subscriber_start start = open_request_start(open, i);
        start.is_patient = true;
        feed->channels[i].feed = feed;
        subscriber_open(&feed->channels[i].subscriber, service->hub, open->channels[i].name, &start,
                        ops->transport, &subscriber_ops);
    }
    return feed;
}

void feed_open(struct exchange *exchange, const struct service *service,
               const struct feed_ops *ops) {
    struct open_request open;
    if (!open_or_refuse(exchange, service, ops->use, &open)) {
        return;
    }
    struct feed *feed = create(exchange, service, ops, &open);
    open_request_release(&open);
    exchange_forget_request(exchange);
    if (!ops->can_refuse) {
        send_head(feed);
    } else {
        wheel_start(service->wheel, &feed->heartbeat, HEAD_WAIT_MS, on_heartbeat);
    }
    if (ops->waits_for_all) {
        start_patience(feed);
        greet_all(feed);
        return;
    }
    for (uint32_t i = 0; i < feed->count; i++) {
        greet_one(&feed->channels[i]);
    }
    pull_all(feed);
}

void feed_write_entry(struct feed_channel *channel, struct entry *entry, enum frame_kind kind,
                      struct frame *(*encode)(struct slice channel,
                                              const struct message *message)) {
    struct feed *feed = channel->feed;
    const struct service *service = feed->service;
    struct frame *frame =
        entry_frame(service->hub, entry, kind, subscriber_channel(&channel->subscriber), encode);
    exchange_write_frame(feed->exchange, frame);
    metrics_delivery(service->metrics, feed->ops->transport, entry->message->time_ms,
                     hub_wall_ms(service->hub));
}

void feed_write(struct feed *feed, struct bytes *bytes) {
    exchange_write(feed->exchange, bytes_slice(bytes));
    bytes_release(bytes);
}
