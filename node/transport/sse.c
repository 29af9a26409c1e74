// Server-sent events (WHATWG HTML, section 9.2). The stream begins with its own `retry`, says hello
// with the cursor once the start of every channel is known, and then carries each message with the
// whole cursor behind it as `id:`, so that an EventSource that comes back anywhere goes on from
// there. One channel: the bare payload, the same bytes for all its readers. Several, or envelope=1:
// the message object, of which only the `id:` line is the stream's own. POST: no ids at all.
#include "cluster/base/json.h"
#include "node/transport/encode.h"
#include "node/transport/feed.h"
#include "node/transport/refusal.h"

static void append_cursor(struct bytes *bytes, const struct feed *feed) {
    for (uint32_t i = 0; i < feed->count; i++) {
        cursor_append_item(bytes, i, feed->channels[i].subscriber.cursor);
    }
}

static void append_id(struct bytes *bytes, const struct feed *feed) {
    if (!feed->is_post) {
        bytes_append(bytes, SLICE("id: "));
        append_cursor(bytes, feed);
        bytes_append_char(bytes, '\n');
    }
}

static void append_retry(struct bytes *bytes, uint64_t retry_ms) {
    bytes_append(bytes, SLICE("retry: "));
    bytes_append_u64(bytes, retry_ms);
    bytes_append(bytes, SLICE("\n\n"));
}

static void on_open(struct feed *feed) {
    struct bytes bytes = {0};
    append_retry(&bytes, retry_delay_ms(feed->service->config));
    feed_write(feed, &bytes);
}

// The cursor as hello tells it: text, or after a POST an object like `channels`.
static void append_hello_cursor(struct bytes *bytes, const struct feed *feed) {
    if (!feed->is_post) {
        bytes_append_char(bytes, '"');
        append_cursor(bytes, feed);
        bytes_append_char(bytes, '"');
        return;
    }
    for (uint32_t i = 0; i < feed->count; i++) {
        const struct subscriber *subscriber = &feed->channels[i].subscriber;
        bytes_append_char(bytes, i == 0 ? '{' : ',');
        json_append_string(bytes, subscriber_channel(subscriber));
        bytes_append(bytes, SLICE(":\""));
        position_append(bytes, subscriber->cursor);
        bytes_append_char(bytes, '"');
    }
    bytes_append_char(bytes, '}');
}

static void on_reset(struct feed_channel *channel, const struct reset *reset) {
    const struct feed *feed = channel->feed;
    struct bytes bytes = {0};
    append_id(&bytes, feed);
    bytes_append(&bytes, SLICE("event: reset\ndata: "));
    encode_reset(&bytes, OBJECT_JSON, subscriber_channel(&channel->subscriber), reset,
                 feed->service->config->reset_spread_ms);
    bytes_append(&bytes, SLICE("\n\n"));
    feed_write(channel->feed, &bytes);
}

// Last-Event-ID belonged to another list of channels: nothing of it can be trusted.
static void tell_foreign(struct feed *feed) {
    for (uint32_t i = 0; i < feed->count; i++) {
        struct reset reset = {.to = feed->channels[i].subscriber.cursor, .reason = RESET_FOREIGN};
        feed_tell_reset(&feed->channels[i], &reset);
    }
}

static void on_all_known(struct feed *feed) {
    const struct config *config = feed->service->config;
    struct bytes bytes = {0};
    append_id(&bytes, feed);
    bytes_append(&bytes, SLICE("event: hello\ndata: {\"cursor\":"));
    append_hello_cursor(&bytes, feed);
    bytes_append(&bytes, SLICE(",\"heartbeat\":"));
    bytes_append_u64(&bytes, config->heartbeat_ms);
    bytes_append(&bytes, SLICE(",\"node\":"));
    json_append_string(&bytes, slice_of(config->node_id));
    bytes_append(&bytes, SLICE("}\n\n"));
    feed_write(feed, &bytes);
    if (feed->is_foreign) {
        tell_foreign(feed);
    }
}

static void on_message(struct feed_channel *channel, struct entry *entry) {
    struct feed *feed = channel->feed;
    if (feed->count == 1 && !feed->is_envelope && !feed->is_post) {
        feed_write_entry(channel, entry, FRAME_EVENT, encode_event);
        return;
    }
    if (!feed->is_post && !message_is_ephemeral(entry->message)) {
        struct bytes bytes = {0};
        append_id(&bytes, feed);
        feed_write(feed, &bytes);
    }
    feed_write_entry(channel, entry, FRAME_EVENT_ENVELOPE, encode_event_envelope);
}

// Also before the hello: while Redis is away it is all that there is to tell.
static void on_stale(struct feed *feed, uint64_t seconds) {
    struct bytes bytes = {0};
    bytes_append(&bytes, SLICE("event: stale\ndata: "));
    encode_stale(&bytes, OBJECT_JSON, seconds);
    bytes_append(&bytes, SLICE("\n\n"));
    feed_write(feed, &bytes);
}

static void on_heartbeat(struct feed *feed) {
    exchange_write(feed->exchange, SLICE(":\n\n"));
}

static void on_end(struct feed *feed, const char *reason, uint64_t retry_ms) {
    (void)reason; // an EventSource comes back whatever it was
    struct bytes bytes = {0};
    append_retry(&bytes, retry_ms);
    feed_write(feed, &bytes);
}

static const struct feed_ops ops = {
    .transport = TRANSPORT_SSE,
    .content_type = "text/event-stream",
    .use = OPEN_SSE,
    .waits_for_all = true,
    .on_open = on_open,
    .on_all_known = on_all_known,
    .on_message = on_message,
    .on_reset = on_reset,
    .on_stale = on_stale,
    .on_heartbeat = on_heartbeat,
    .on_end = on_end,
};

void sse_handle(struct exchange *exchange, void *context) {
    feed_open(exchange, context, &ops);
}
