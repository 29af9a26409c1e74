// A subscriber: a cursor that finds its place on the channel's backlog, or reads history until it
// can, or is told that continuity is broken.
//
//                  begin            take_page           leave_page
//   JOINING ----------------> READING --------> ON_PAGE ----------> ON_BACKLOG, WAITING
//      |                         ^                                       |
//      |  begin                  |  seek: not on the backlog any more    |
//      +-----> ON_BACKLOG -------+---------------------------------------+
//
// ON_BACKLOG with a next_seq that the backlog does not have (0 is never one): the place must be
// sought. WAITING: a read has proven that Redis holds nothing behind the cursor, but the live
// messages have not come that far; next_seq is then the backlog's end at that time. REFUSED: the
// pump will say so.
#include "cluster/base/clock.h"
#include "cluster/base/error.h"
#include "node/hub/channel.h"
#include "node/hub/history_read.h"
#include "node/hub/internal.h"

enum subscriber_state {
    SUBSCRIBER_CLOSED,
    SUBSCRIBER_JOINING,
    SUBSCRIBER_READING,
    SUBSCRIBER_ON_PAGE,
    SUBSCRIBER_ON_BACKLOG,
    SUBSCRIBER_WAITING,
    SUBSCRIBER_REFUSED,
};

enum { SEQ_UNKNOWN = 0, RETRY_MIN_MS = 250, RETRY_MAX_MS = 1000 };

static struct backlog *backlog_of(const struct subscriber *subscriber) {
    return &subscriber->channel->backlog;
}

static void count_slow(struct subscriber *subscriber, bool is_slow) {
    if (subscriber->is_slow != is_slow) {
        subscriber->is_slow = is_slow;
        metrics_add(&subscriber->channel->hub->options.metrics->slow_subscribers, is_slow ? 1 : -1);
    }
}

static void land(struct subscriber *subscriber, uint64_t seq) {
    subscriber->state = SUBSCRIBER_ON_BACKLOG;
    subscriber->next_seq = seq;
    count_slow(subscriber, false);
}

static void start_at(struct subscriber *subscriber, struct position position, uint64_t seq) {
    subscriber->is_started = true;
    subscriber->began = position;
    subscriber->cursor = position;
    land(subscriber, seq);
}

// What the first read of a subscriber asks for.
static struct history_wish first_wish(const struct subscriber *subscriber) {
    struct history_wish wish = {
        .since = subscriber->cursor,
        .limit = subscriber->page,
        .bytes_max = subscriber->page_bytes,
        .is_fresh = subscriber->must_read,
    };
    switch ((enum cursor_start)subscriber->kind) {
    case CURSOR_HEAD: // only its answer's head is of interest
        wish.since = backlog_head(backlog_of(subscriber));
        wish.limit = 1;
        break;
    case CURSOR_SINCE:
        break;
    case CURSOR_OLDEST:
        wish.start = HISTORY_OLDEST;
        break;
    case CURSOR_REWIND:
        wish.start = HISTORY_REWIND;
        wish.rewind = subscriber->rewind;
        break;
    }
    return wish;
}

static void wait_for_page(struct subscriber *subscriber, uint64_t delay_ms) {
    struct history_wish wish = first_wish(subscriber);
    if (subscriber->is_started) {
        wish = (struct history_wish){
            .since = subscriber->cursor,
            .limit = subscriber->page,
            .bytes_max = subscriber->page_bytes,
        };
    }
    subscriber->state = SUBSCRIBER_READING;
    history_read_join(subscriber, &wish, delay_ms);
}

// The channel was reset from just this cursor, and what followed is still at hand. (Once it is not,
// a read decides anew: the log may have been trimmed beyond `to`.)
static bool knows_reset(const struct subscriber *subscriber, uint64_t *seq_r) {
    const struct reset *reset = &subscriber->channel->last_reset;
    return !position_is_none(reset->from) && position_equal(reset->from, subscriber->cursor) &&
           backlog_find(backlog_of(subscriber), reset->to, seq_r);
}

// The channel is live: finds the start on the backlog if it can.
static void begin(struct subscriber *subscriber, uint64_t delay_ms) {
    struct backlog *backlog = backlog_of(subscriber);
    struct position position = subscriber->cursor;
    uint64_t seq = SEQ_UNKNOWN;
    bool is_known = false;
    switch ((enum cursor_start)subscriber->kind) {
    case CURSOR_HEAD:
        is_known = true;
        position = backlog_head(backlog);
        seq = backlog_end(backlog);
        break;
    case CURSOR_SINCE:
        is_known = backlog_find(backlog, position, &seq);
        if (!is_known && knows_reset(subscriber, &seq)) {
            is_known = true;
            seq = SEQ_UNKNOWN; // its place is found together with the reset
        }
        break;
    case CURSOR_OLDEST:
        break; // only Redis knows what it keeps
    case CURSOR_REWIND:
        is_known = backlog_rewind(backlog, subscriber->rewind, &position, &seq);
        break;
    }
    if (is_known && !subscriber->must_read) {
        start_at(subscriber, position, seq);
    } else {
        wait_for_page(subscriber, delay_ms);
    }
}

// A page without a position to begin at, or a reset to nowhere, comes of a Redis that has lost the
// channel; it will be opened again.
static bool is_page_usable(const struct subscriber *subscriber) {
    const struct history_call *call = &subscriber->read->call;
    if (call->call.status != 0 || (call->has_reset && position_is_none(call->reset.to))) {
        return false;
    }
    if (subscriber->is_started || subscriber->kind == CURSOR_SINCE) {
        return true;
    }
    return !position_is_none(subscriber->kind == CURSOR_HEAD ? call->head : call->position);
}

static void leave_page(struct subscriber *subscriber, bool has_more);

// The read is done.
static void take_page(struct subscriber *subscriber) {
    const struct history_read *read = subscriber->read;
    if (read->state == READ_DROPPED || !is_page_usable(subscriber)) {
        bool has_failed = read->state != READ_DROPPED;
        if (has_failed && !subscriber->is_patient) {
            subscriber->state = SUBSCRIBER_REFUSED;
            return;
        }
        history_read_leave(subscriber);
        uint64_t delay_ms =
            has_failed ? RETRY_MIN_MS + clock_random(RETRY_MAX_MS - RETRY_MIN_MS) : 0;
        if (subscriber->is_started) {
            wait_for_page(subscriber, delay_ms);
        } else {
            begin(subscriber, delay_ms);
        }
        return;
    }
    subscriber->state = SUBSCRIBER_ON_PAGE;
    if (subscriber->is_started) {
        return;
    }
    subscriber->is_started = true;
    if (subscriber->kind == CURSOR_HEAD) {
        subscriber->cursor = read->call.head;
        subscriber->began = subscriber->cursor;
        leave_page(subscriber, false);
        return;
    }
    if (subscriber->kind != CURSOR_SINCE) {
        subscriber->cursor = read->call.position;
    }
    subscriber->began = subscriber->cursor;
}

static void settle(struct subscriber *subscriber) {
    if (subscriber->state == SUBSCRIBER_JOINING && subscriber->channel->state == CHANNEL_LIVE) {
        begin(subscriber, 0);
    } else if (subscriber->state == SUBSCRIBER_READING && subscriber->read->state >= READ_DONE) {
        take_page(subscriber);
    }
}

// The page is used up. Either the backlog goes on from here; or Redis had no more, so the live
// messages will; or another page is needed.
static void leave_page(struct subscriber *subscriber, bool has_more) {
    struct backlog *backlog = backlog_of(subscriber);
    bool is_ahead = position_compare(subscriber->cursor, backlog_head(backlog)) > 0;
    bool is_quiet = subscriber->read->sent_seq == backlog_end(backlog);
    history_read_leave(subscriber);
    uint64_t seq = SEQ_UNKNOWN;
    if (!backlog_find(backlog, subscriber->cursor, &seq) && !has_more && (is_ahead || is_quiet)) {
        land(subscriber, backlog_end(backlog));
        subscriber->state = SUBSCRIBER_WAITING;
    } else {
        land(subscriber, seq);
    }
}

static void give_reset(struct subscriber *subscriber, const struct reset *reset,
                       struct delivery *delivery_r) {
    delivery_r->reset = *reset;
    delivery_r->reset.from = subscriber->cursor;
    subscriber->cursor = reset->to;
}

// Whatever the way a message took, it is the next one by the continuity rule.
static void give_message(struct subscriber *subscriber, struct entry *entry,
                         struct delivery *delivery_r) {
    CHECK(message_follows(entry->message, subscriber->cursor));
    subscriber->cursor = entry->message->position;
    delivery_r->entry = entry;
}

static enum next next_on_page(struct subscriber *subscriber, struct delivery *delivery_r) {
    struct history_read *read = subscriber->read;
    if (read->state == READ_DROPPED) {
        history_read_leave(subscriber);
        subscriber->state = SUBSCRIBER_ON_BACKLOG;
        subscriber->next_seq = SEQ_UNKNOWN;
        return NEXT_NOTHING;
    }
    if (read->call.has_reset && !subscriber->was_reset_told) {
        subscriber->was_reset_told = true;
        give_reset(subscriber, &read->call.reset, delivery_r);
        return NEXT_RESET;
    }
    if (subscriber->page_at < read->call.count) {
        give_message(subscriber, &read->entries[subscriber->page_at++], delivery_r);
        return NEXT_MESSAGE;
    }
    leave_page(subscriber, read->call.has_more);
    return NEXT_NOTHING;
}

// Live messages are still to come, or the situation is the one that the read has judged.
static bool may_wait_on(const struct subscriber *subscriber) {
    const struct backlog *backlog = backlog_of(subscriber);
    return subscriber->next_seq == backlog_end(backlog) ||
           (backlog_has_seq(backlog, subscriber->next_seq) &&
            position_compare(subscriber->cursor, backlog_head(backlog)) > 0);
}

// The place on the backlog is not known, or no longer there.
static enum next seek(struct subscriber *subscriber, struct delivery *delivery_r) {
    uint64_t seq;
    if (backlog_find(backlog_of(subscriber), subscriber->cursor, &seq)) {
        land(subscriber, seq);
        return NEXT_NOTHING;
    }
    if (subscriber->state == SUBSCRIBER_WAITING && may_wait_on(subscriber)) {
        return NEXT_NOTHING;
    }
    if (knows_reset(subscriber, &seq)) {
        give_reset(subscriber, &subscriber->channel->last_reset, delivery_r);
        land(subscriber, seq);
        return NEXT_RESET;
    }
    count_slow(subscriber, true);
    wait_for_page(subscriber, 0);
    return NEXT_NOTHING;
}

static bool next_ephemeral(struct subscriber *subscriber, struct delivery *delivery_r) {
    struct ephemerals *ephemerals = &subscriber->channel->ephemerals;
    if (subscriber->ephemeral_seq < ephemerals->first_seq) {
        metrics_add(&subscriber->channel->hub->options.metrics->ephemeral_dropped,
                    (long long)(ephemerals->first_seq - subscriber->ephemeral_seq));
        subscriber->ephemeral_seq = ephemerals->first_seq;
    }
    if (subscriber->ephemeral_seq == ephemerals_end(ephemerals)) {
        return false;
    }
    struct ephemeral *ephemeral = ephemerals_at(ephemerals, subscriber->ephemeral_seq);
    if (subscriber->state == SUBSCRIBER_ON_BACKLOG && ephemeral->after_seq > subscriber->next_seq) {
        return false; // older messages come first
    }
    subscriber->ephemeral_seq++;
    delivery_r->entry = &ephemeral->entry;
    return true;
}

enum next subscriber_next(struct subscriber *subscriber, struct delivery *delivery_r) {
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    settle(subscriber);
    if (subscriber->state == SUBSCRIBER_ON_PAGE) {
        enum next next = next_on_page(subscriber, delivery_r);
        if (next != NEXT_NOTHING) {
            return next;
        }
    }
    struct backlog *backlog = backlog_of(subscriber);
    if (subscriber->state == SUBSCRIBER_WAITING ||
        (subscriber->state == SUBSCRIBER_ON_BACKLOG &&
         !backlog_has_seq(backlog, subscriber->next_seq))) {
        enum next next = seek(subscriber, delivery_r);
        if (next != NEXT_NOTHING) {
            return next;
        }
    }
    if (subscriber->state != SUBSCRIBER_ON_BACKLOG && subscriber->state != SUBSCRIBER_WAITING) {
        return NEXT_NOTHING;
    }
    if (next_ephemeral(subscriber, delivery_r)) {
        return NEXT_MESSAGE;
    }
    if (subscriber->state == SUBSCRIBER_WAITING || subscriber->next_seq == backlog_end(backlog)) {
        return NEXT_NOTHING;
    }
    give_message(subscriber, backlog_at(backlog, subscriber->next_seq++), delivery_r);
    return NEXT_MESSAGE;
}

void subscriber_wake(struct subscriber *subscriber) {
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    settle(subscriber);
    int error = 0;
    if (subscriber->state == SUBSCRIBER_REFUSED) {
        error = subscriber->read->call.call.status;
        error = error != 0 ? error : E_UNAVAILABLE;
    } else if (subscriber->channel->state == CHANNEL_REFUSED) {
        error = subscriber->channel->error;
    }
    if (error != 0) {
        const struct subscriber_ops *ops = subscriber->ops;
        subscriber_close(subscriber);
        ops->on_refused(subscriber, error);
    } else if (subscriber->state != SUBSCRIBER_JOINING && subscriber->state != SUBSCRIBER_READING) {
        subscriber->ops->on_news(subscriber);
    }
}

void subscriber_open(struct subscriber *subscriber, struct hub *hub, struct slice name,
                     const struct subscriber_start *start, enum transport_kind transport,
                     const struct subscriber_ops *ops) {
    CHECK_OBJ(hub, HUB_MAGIC);
    struct channel *channel = channel_get(hub, name);
    bool is_head = start->kind == CURSOR_REWIND && start->rewind == 0;
    *subscriber = (struct subscriber){
        .magic = SUBSCRIBER_MAGIC,
        .state = SUBSCRIBER_JOINING,
        .transport = (uint8_t)transport,
        .kind = (uint8_t)(is_head ? CURSOR_HEAD : start->kind),
        .is_patient = start->is_patient,
        .must_read = start->must_read,
        .channel = channel,
        .ops = ops,
        .cursor = start->kind == CURSOR_SINCE ? start->since : POSITION_NONE,
        .ephemeral_seq = ephemerals_end(&channel->ephemerals),
        .rewind = start->rewind,
        .page = start->page > 0 ? start->page : STREAM_PAGE_MESSAGES,
        .page_bytes = start->page_bytes > 0 ? start->page_bytes : STREAM_PAGE_BYTES,
    };
    channel_add_subscriber(channel, subscriber);
    metrics_add(&hub->options.metrics->subscribers[transport], 1);
    settle(subscriber);
}

void subscriber_close(struct subscriber *subscriber) {
    if (subscriber->state == SUBSCRIBER_CLOSED) {
        return;
    }
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    if (subscriber->read != NULL) {
        history_read_leave(subscriber);
    }
    count_slow(subscriber, false);
    metrics_add(&subscriber->channel->hub->options.metrics->subscribers[subscriber->transport], -1);
    subscriber->state = SUBSCRIBER_CLOSED;
    channel_remove_subscriber(subscriber->channel, subscriber);
    subscriber->channel = NULL;
}

bool subscriber_is_started(const struct subscriber *subscriber) {
    return subscriber->is_started;
}

bool subscriber_is_at_head(const struct subscriber *subscriber) {
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    return subscriber->state == SUBSCRIBER_WAITING ||
           (subscriber->state == SUBSCRIBER_ON_BACKLOG &&
            subscriber->next_seq == backlog_end(backlog_of(subscriber)));
}

bool subscriber_is_between_pages(const struct subscriber *subscriber) {
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    return subscriber->state == SUBSCRIBER_ON_PAGE &&
           subscriber->page_at == subscriber->read->call.count && subscriber->read->call.has_more;
}

struct slice subscriber_channel(const struct subscriber *subscriber) {
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    return channel_name(subscriber->channel);
}

struct position subscriber_head(const struct subscriber *subscriber) {
    CHECK_OBJ(subscriber, SUBSCRIBER_MAGIC);
    const struct channel *channel = subscriber->channel;
    if (channel->state != CHANNEL_LIVE) {
        return POSITION_NONE;
    }
    struct position head = backlog_head(&channel->backlog);
    return position_compare(channel->read_head, head) > 0 ? channel->read_head : head;
}

static struct position later(struct position a, struct position b) {
    return position_compare(a, b) > 0 ? a : b;
}

// As far as this subscriber comes without another read. What reads of others have seen beyond the
// backlog is not for it.
static struct position reach(const struct subscriber *subscriber) {
    struct position reach = later(backlog_head(backlog_of(subscriber)), subscriber->cursor);
    bool is_on_page = subscriber->state == SUBSCRIBER_ON_PAGE;
    return is_on_page ? later(subscriber->read->call.head, reach) : reach;
}

enum reached subscriber_has_reached(const struct subscriber *subscriber, struct position position) {
    struct position head = reach(subscriber);
    uint64_t seq;
    if (position_compare(position, head) > 0) {
        return REACHED_NOT_YET;
    }
    if (position.epoch == head.epoch || backlog_find(backlog_of(subscriber), position, &seq)) {
        return REACHED_YES;
    }
    return REACHED_UNKNOWN;
}
