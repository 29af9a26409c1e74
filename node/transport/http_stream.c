// NDJSON over one long answer: the objects that a WebSocket would carry, one a line. Each channel
// begins with its own `ok`; the others do not wait for it.
#include "node/transport/encode.h"
#include "node/transport/feed.h"

static void write_line(struct feed *feed, struct bytes *bytes) {
    bytes_append_char(bytes, '\n');
    feed_write(feed, bytes);
}

static void on_open(struct feed *feed) {
    const struct config *config = feed->service->config;
    struct bytes bytes = {0};
    encode_hello(&bytes, OBJECT_JSON, slice_of(config->node_id), config->heartbeat_ms);
    write_line(feed, &bytes);
}

static void on_started(struct feed_channel *channel) {
    struct bytes bytes = {0};
    encode_ok(&bytes, OBJECT_JSON, SLICE_NONE, subscriber_channel(&channel->subscriber),
              channel->subscriber.began);
    write_line(channel->feed, &bytes);
}

static void on_message(struct feed_channel *channel, struct entry *entry) {
    feed_write_entry(channel, entry, FRAME_LINE, encode_line);
}

static void on_reset(struct feed_channel *channel, const struct reset *reset) {
    struct bytes bytes = {0};
    encode_reset(&bytes, OBJECT_JSON, subscriber_channel(&channel->subscriber), reset,
                 channel->feed->service->config->reset_spread_ms);
    write_line(channel->feed, &bytes);
}

static void on_stale(struct feed *feed, uint64_t seconds) {
    struct bytes bytes = {0};
    encode_stale(&bytes, OBJECT_JSON, seconds);
    write_line(feed, &bytes);
}

static void on_heartbeat(struct feed *feed) {
    exchange_write(feed->exchange, SLICE("\n"));
}

static void on_end(struct feed *feed, const char *reason, uint64_t retry_ms) {
    struct bytes bytes = {0};
    encode_bye(&bytes, OBJECT_JSON, reason, retry_ms);
    write_line(feed, &bytes);
}

static const struct feed_ops ops = {
    .transport = TRANSPORT_STREAM,
    .content_type = "application/x-ndjson",
    .use = OPEN_STREAM,
    .can_refuse = true,
    .on_open = on_open,
    .on_started = on_started,
    .on_message = on_message,
    .on_reset = on_reset,
    .on_stale = on_stale,
    .on_heartbeat = on_heartbeat,
    .on_end = on_end,
};

void stream_handle(struct exchange *exchange, void *context) {
    feed_open(exchange, context, &ops);
}
