// Polls, plain and long. The answer is a function of the URL and the log: since (or head, oldest,
// rewind), then what follows, within the bounds, channel by channel. What the backlogs hold is
// answered from within the handler.
#include "node/transport/poll.h"

#include "cluster/base/error.h"
#include "cluster/base/json.h"
#include "cluster/base/mem.h"
#include "node/transport/encode.h"
#include "node/transport/etag.h"
#include "node/transport/refusal.h"

#define POLL_MAGIC UINT32_C(0x706f6c6c)

enum {
    PATIENCE_MS = 2000,       // for a channel to be joined, or a page to be read
    STALE_PATIENCE_MS = 100,  // while Redis is not heard: only another worker's backlog can help
    MIN_PATIENCE_MS = 1000,   // for `min` to be reached, or `wait` when that is more
    MIN_STEP_MS = 200,        // between two looks into Redis for it
    PAGE_BYTES_LEAST = 65536, // of history for each of several channels
};

static void release(struct poll *poll) {
    CHECK_OBJ(poll, POLL_MAGIC);
    for (uint32_t i = 0; i < poll->count; i++) {
        subscriber_close(&poll->channels[i].subscriber);
    }
    watcher_close(&poll->watcher);
    wheel_stop(&poll->timer);
    metrics_add(&poll->service->metrics->connections[poll->transport], -1);
    bytes_release(&poll->if_none_match);
    answer_release(&poll->answer);
    poll->magic = 0;
    mem_free(poll);
}

// ---- Answering ---------------------------------------------------------------------------------

static void append_cursor(struct bytes *bytes, const struct poll *poll) {
    for (uint32_t i = 0; i < poll->count; i++) {
        cursor_append_item(bytes, i, poll->channels[i].position);
    }
}

// As JSON: text, or after a POST an object like `channels`.
static void append_cursor_json(struct bytes *bytes, const struct poll *poll) {
    if (poll->has_etag) {
        bytes_append_char(bytes, '"');
        append_cursor(bytes, poll);
        bytes_append_char(bytes, '"');
        return;
    }
    for (uint32_t i = 0; i < poll->count; i++) {
        const struct poll_channel *channel = &poll->channels[i];
        bytes_append_char(bytes, i == 0 ? '{' : ',');
        json_append_string(bytes, subscriber_channel(&channel->subscriber));
        bytes_append(bytes, SLICE(":\""));
        position_append(bytes, channel->position);
        bytes_append_char(bytes, '"');
    }
    bytes_append_char(bytes, '}');
}

static struct slice cache_control(const struct poll *poll, bool is_storable) {
    if (!is_storable || !poll->has_since) {
        return SLICE("no-store");
    }
    return poll->is_public ? SLICE("public, no-cache") : SLICE("private, no-cache");
}

// The fields of a 200 or 304; whether it is a 304.
static bool add_fields(const struct poll *poll) {
    struct exchange *exchange = poll->exchange;
    uint64_t stale_seconds = hub_stale_seconds(poll->service->hub);
    bool is_storable = poll->has_etag && stale_seconds == 0 && !poll->answer.has_ephemeral;
    bool is_match = false;
    exchange_field(exchange, "Cache-Control", cache_control(poll, is_storable));
    if (stale_seconds > 0) {
        exchange_field_format(exchange, "Freshet-Stale", "%llu", (unsigned long long)stale_seconds);
    }
    if (poll->is_wait_preferred) {
        exchange_field_format(exchange, "Preference-Applied", "wait=%llu",
                              (unsigned long long)(poll->wait_ms / 1000));
    }
    if (is_storable) {
        struct bytes tag = {0};
        bytes_append_char(&tag, '"');
        append_cursor(&tag, poll);
        bytes_append_char(&tag, '"');
        exchange_field(exchange, "ETag", bytes_slice(&tag));
        is_match = etag_list_matches(bytes_slice(&poll->if_none_match),
                                     slice_make(tag.data + 1, tag.len - 2));
        bytes_release(&tag);
    }
    return is_match;
}

static void count_deliveries(const struct poll *poll) {
    const struct service *service = poll->service;
    for (size_t i = 0; i < poll->answer.count; i++) {
        metrics_delivery(service->metrics, poll->transport, poll->answer.messages[i].time_ms,
                         hub_wall_ms(service->hub));
    }
}

void poll_answer(struct poll *poll) {
    struct exchange *exchange = poll->exchange;
    if (hub_is_draining(poll->service->hub)) {
        exchange_close_after(exchange);
    }
    if (add_fields(poll)) {
        exchange_answer(exchange, 304, NULL, SLICE_NONE);
    } else {
        struct bytes cursor = {0};
        append_cursor_json(&cursor, poll);
        count_deliveries(poll);
        answer_send(&poll->answer, exchange, bytes_slice(&cursor));
        bytes_release(&cursor);
    }
    release(poll);
}

static void refuse(struct poll *poll, int error) {
    struct exchange *exchange = poll->exchange;
    const struct service *service = poll->service;
    release(poll);
    refusal_answer_busy(exchange, service, error);
}

static void refuse_behind(struct poll *poll) {
    struct exchange *exchange = poll->exchange;
    const struct service *service = poll->service;
    if (hub_is_draining(service->hub)) {
        exchange_close_after(exchange);
    }
    release(poll);
    refusal_answer_behind(exchange, service);
}

void poll_refuse_ended(struct poll *poll) {
    struct exchange *exchange = poll->exchange;
    const struct service *service = poll->service;
    release(poll);
    refusal_answer_ended(exchange, service);
}

// ---- Collecting --------------------------------------------------------------------------------

// Takes what the channel has. False when a page of its history is still on its way.
static bool collect_channel(struct poll *poll, struct poll_channel *channel) {
    const struct service *service = poll->service;
    struct subscriber *subscriber = &channel->subscriber;
    struct delivery delivery;
    for (;;) {
        if (answer_is_full(&poll->answer) && subscriber_is_between_pages(subscriber)) {
            poll->answer.has_more = true;
            return true;
        }
        enum next next = subscriber_next(subscriber, &delivery);
        if (next == NEXT_NOTHING) {
            return subscriber_is_at_head(subscriber);
        }
        if (next == NEXT_RESET) {
            answer_add_reset(&poll->answer, subscriber_channel(subscriber), &delivery.reset,
                             service->config->reset_spread_ms);
            metrics_add(&service->metrics->resets[delivery.reset.reason], 1);
            channel->position = delivery.reset.to;
            continue;
        }
        struct frame *object = entry_frame(service->hub, delivery.entry, FRAME_OBJECT,
                                           subscriber_channel(subscriber), encode_object);
        if (answer_add_message(&poll->answer, object, delivery.entry->message)) {
            channel->position = subscriber->cursor;
        } else if (!message_is_ephemeral(delivery.entry->message)) {
            poll->answer.has_more = true;
            return true;
        }
    }
}

static bool collect(struct poll *poll) {
    while (poll->collected < poll->count && !poll->answer.has_more) {
        if (!collect_channel(poll, &poll->channels[poll->collected])) {
            return false;
        }
        poll->collected++;
    }
    return true;
}

// ---- Phases ------------------------------------------------------------------------------------

static void on_timeout(struct wheel_timer *timer);

static void set_timer(struct poll *poll, uint64_t after_ms) {
    wheel_start(poll->service->wheel, &poll->timer, after_ms, on_timeout);
}

bool poll_advance(struct poll *poll) {
    CHECK_OBJ(poll, POLL_MAGIC);
    if (poll->phase == POLL_STARTING) {
        enum started started = poll_look_at_starts(poll);
        if (started == STARTED_NEVER) {
            refuse_behind(poll);
            return true;
        }
        if (started == STARTED_NOT_YET) {
            return false;
        }
    }
    if (poll->phase != POLL_COLLECTING) {
        poll->phase = POLL_COLLECTING;
        poll->collected = 0;
    }
    if (!collect(poll)) {
        set_timer(poll, PATIENCE_MS);
        return false;
    }
    if (answer_is_empty(&poll->answer) && long_poll_hold(poll)) {
        return false;
    }
    poll_answer(poll);
    return true;
}

// Every channel before it is started, and this one is joined and has a min.
static bool is_waiting_for_min(const struct poll *poll) {
    const struct poll_channel *channel = &poll->channels[poll->started];
    return poll->phase == POLL_STARTING && !position_is_none(channel->min) &&
           !position_is_none(subscriber_head(&channel->subscriber));
}

// Looks into Redis again, until its time is over.
static void wait_for_min(struct poll *poll) {
    uint64_t patience_ms = poll->wait_ms > MIN_PATIENCE_MS ? poll->wait_ms : MIN_PATIENCE_MS;
    if (hub_is_draining(poll->service->hub) ||
        uv_now(poll->service->loop) >= poll->opened_ms + patience_ms) {
        refuse_behind(poll);
        return;
    }
    struct poll_channel *channel = &poll->channels[poll->started];
    if (subscriber_is_started(&channel->subscriber)) {
        poll_read_again(channel);
    }
    set_timer(poll, MIN_STEP_MS);
}

// Time is up for what is waited for, unless it is `min`.
static void on_timeout(struct wheel_timer *timer) {
    struct poll *poll = CONTAINER_OF(timer, struct poll, timer);
    CHECK_OBJ(poll, POLL_MAGIC);
    if (poll->phase == POLL_COLLECTING && !answer_is_empty(&poll->answer)) {
        poll->answer.has_more = true; // a page did not come in time: the next poll begins with it
        poll_answer(poll);
    } else if (is_waiting_for_min(poll)) {
        wait_for_min(poll);
    } else {
        refuse(poll, hub_stale_seconds(poll->service->hub) > 0 ? E_UNAVAILABLE : E_LATE);
    }
}

static void on_news(struct subscriber *subscriber) {
    poll_advance(CONTAINER_OF(subscriber, struct poll_channel, subscriber)->poll);
}

static void on_refused(struct subscriber *subscriber, int error) {
    struct poll_channel *channel = CONTAINER_OF(subscriber, struct poll_channel, subscriber);
    CHECK_OBJ(channel->poll, POLL_MAGIC);
    refuse(channel->poll, error);
}

const struct subscriber_ops poll_subscriber_ops = {
    .on_news = on_news,
    .on_refused = on_refused,
};

// ---- Opening -----------------------------------------------------------------------------------

static void on_drain(struct watcher *watcher) {
    struct poll *poll = CONTAINER_OF(watcher, struct poll, watcher);
    CHECK_OBJ(poll, POLL_MAGIC);
    if (is_waiting_for_min(poll)) {
        refuse_behind(poll);
    } else {
        long_poll_stop(poll);
    }
}

static void on_stale(struct watcher *watcher, uint64_t seconds) {
    (void)watcher;
    (void)seconds; // the answer will say it
}

static const struct watcher_ops watcher_ops = {.on_stale = on_stale, .on_drain = on_drain};

static void on_writable(void *state) {
    (void)state; // nothing is written before the answer
}

static void on_gone(void *state) {
    release(state);
}

static const struct exchange_ops exchange_ops = {.on_writable = on_writable, .on_gone = on_gone};

static void copy_if_none_match(struct poll *poll, const struct request *request) {
    struct slice field;
    size_t at = 0;
    while (poll->has_etag && request_field_next(request, SLICE("If-None-Match"), &at, &field)) {
        if (poll->if_none_match.len > 0) {
            bytes_append_char(&poll->if_none_match, ',');
        }
        bytes_append(&poll->if_none_match, field);
    }
}

static struct poll *create(struct exchange *exchange, const struct service *service,
                           const struct open_request *open) {
    const struct config *config = service->config;
    struct poll *poll = mem_alloc(sizeof(*poll) + open->count * sizeof(poll->channels[0]));
    poll->magic = POLL_MAGIC;
    poll->transport = open->wait_ms > 0 ? TRANSPORT_LONG_POLL : TRANSPORT_POLL;
    poll->has_etag = !open->is_post;
    poll->has_since = open->has_since;
    poll->has_min = open->has_min;
    poll->is_public = open->is_public;
    poll->is_wait_preferred = open->is_wait_preferred;
    poll->exchange = exchange;
    poll->service = service;
    poll->wait_ms = open->wait_ms;
    poll->opened_ms = uv_now(service->loop);
    poll->ends_ms = open->ends_ms;
    poll->answer.limit = open->limit;
    poll->answer.bytes_max = config->page_bytes;
    poll->count = (uint32_t)open->count;
    copy_if_none_match(poll, exchange_request(exchange));
    metrics_add(&service->metrics->connections[poll->transport], 1);
    size_t share = config->page_bytes / open->count;
    for (uint32_t i = 0; i < poll->count; i++) {
        struct poll_channel *channel = &poll->channels[i];
        channel->poll = poll;
        channel->min = open->channels[i].min;
        channel->start = open_request_start(open, i);
        channel->start.page = (uint32_t)open->limit + 1; // one more tells whether there is `more`
        channel->start.page_bytes = (uint32_t)(share > PAGE_BYTES_LEAST ? share : PAGE_BYTES_LEAST);
        poll_open_channel(channel, open->channels[i].name, &channel->start);
    }
    return poll;
}

static bool is_all_joined(const struct poll *poll) {
    for (uint32_t i = 0; i < poll->count; i++) {
        if (position_is_none(subscriber_head(&poll->channels[i].subscriber))) {
            return false;
        }
    }
    return true;
}

// It could not be answered at once.
static void wait_on(struct poll *poll) {
    const struct service *service = poll->service;
    if (poll->phase != POLL_HELD && hub_stale_seconds(service->hub) > 0 && !poll->has_min) {
        set_timer(poll, STALE_PATIENCE_MS);
    } else if (poll->phase == POLL_STARTING) {
        set_timer(poll, poll->has_min && is_all_joined(poll) ? MIN_STEP_MS : PATIENCE_MS);
    }
    exchange_attach(poll->exchange, &exchange_ops, poll);
    exchange_forget_request(poll->exchange);
    watcher_open(&poll->watcher, service->hub, &watcher_ops);
}

void poll_handle(struct exchange *exchange, void *context) {
    const struct service *service = context;
    struct open_request open;
    if (!open_or_refuse(exchange, service, OPEN_POLL, &open)) {
        return;
    }
    struct poll *poll = create(exchange, service, &open);
    open_request_release(&open);
    if (!poll_advance(poll)) {
        wait_on(poll);
    }
}
