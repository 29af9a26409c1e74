// Messages and notices as JSON objects and as blocks of an event stream.
#include "node/transport/encode.h"

#include "cluster/base/base64.h"
#include "cluster/base/json.h"

// The name of the following member, which is not the first.
static void append_name(struct bytes *bytes, const char *name) {
    bytes_append(bytes, SLICE(",\""));
    bytes_append(bytes, slice_of(name));
    bytes_append(bytes, SLICE("\":"));
}

static void append_position(struct bytes *bytes, struct position position) {
    bytes_append_char(bytes, '"');
    position_append(bytes, position);
    bytes_append_char(bytes, '"');
}

static void append_data(struct bytes *bytes, const struct message *message) {
    append_name(bytes, "data");
    switch (message->type) {
    case MESSAGE_JSON:
        bytes_append(bytes, message->data);
        break;
    case MESSAGE_TEXT:
        json_append_string(bytes, message->data);
        break;
    case MESSAGE_BINARY:
        bytes_append_char(bytes, '"');
        base64_append(bytes, message->data);
        bytes_append(bytes, SLICE("\",\"encoding\":\"base64\""));
        break;
    }
}

static void append_object(struct bytes *bytes, struct slice channel,
                          const struct message *message) {
    bytes_append(bytes, SLICE("{\"channel\":"));
    json_append_string(bytes, channel);
    if (!message_is_ephemeral(message)) {
        append_name(bytes, "id");
        append_position(bytes, message->position);
    }
    append_name(bytes, "time");
    bytes_append_u64(bytes, message->time_ms > 0 ? (uint64_t)message->time_ms : 0);
    if (message->event.len > 0) {
        append_name(bytes, "event");
        json_append_string(bytes, message->event);
    }
    if (!position_is_none(message->fork)) {
        append_name(bytes, "fork");
        append_position(bytes, message->fork);
    }
    append_data(bytes, message);
    bytes_append_char(bytes, '}');
}

struct frame *encode_object(struct slice channel, const struct message *message) {
    struct bytes bytes = {0};
    append_object(&bytes, channel, message);
    struct frame *frame = frame_create(bytes_slice(&bytes));
    bytes_release(&bytes);
    return frame;
}

static struct frame *to_chunk(struct bytes *bytes) {
    struct frame *frame = frame_create_chunk(bytes_slice(bytes));
    bytes_release(bytes);
    return frame;
}

struct frame *encode_line(struct slice channel, const struct message *message) {
    struct bytes bytes = {0};
    append_object(&bytes, channel, message);
    for (size_t i = 0; i < bytes.len; i++) { // only the publisher's white space has them raw
        if (bytes.data[i] == '\r' || bytes.data[i] == '\n') {
            bytes.data[i] = ' ';
        }
    }
    bytes_append_char(&bytes, '\n');
    return to_chunk(&bytes);
}

void encode_sse_data(struct bytes *bytes, struct slice text) {
    size_t at = 0;
    for (;;) {
        size_t end = at;
        while (end < text.len && text.data[end] != '\r' && text.data[end] != '\n') {
            end++;
        }
        bytes_append(bytes, SLICE("data: "));
        bytes_append(bytes, slice_make(text.len > 0 ? text.data + at : "", end - at));
        bytes_append_char(bytes, '\n');
        if (end == text.len) {
            return;
        }
        bool is_crlf = text.data[end] == '\r' && end + 1 < text.len && text.data[end + 1] == '\n';
        at = end + (is_crlf ? 2 : 1);
    }
}

static void append_event_name(struct bytes *bytes, const struct message *message) {
    if (message->event.len > 0) {
        bytes_append(bytes, SLICE("event: "));
        bytes_append(bytes, message->event);
        bytes_append_char(bytes, '\n');
    }
}

struct frame *encode_event(struct slice channel, const struct message *message) {
    (void)channel; // the stream has only one
    struct bytes bytes = {0};
    if (!message_is_ephemeral(message)) {
        bytes_append(&bytes, SLICE("id: "));
        position_append(&bytes, message->position);
        bytes_append_char(&bytes, '\n');
    }
    append_event_name(&bytes, message);
    if (message->type == MESSAGE_BINARY) {
        bytes_append(&bytes, SLICE("data: "));
        base64_append(&bytes, message->data);
        bytes_append_char(&bytes, '\n');
    } else {
        encode_sse_data(&bytes, message->data);
    }
    bytes_append_char(&bytes, '\n');
    return to_chunk(&bytes);
}

struct frame *encode_event_envelope(struct slice channel, const struct message *message) {
    struct bytes object = {0};
    struct bytes bytes = {0};
    append_object(&object, channel, message);
    append_event_name(&bytes, message);
    encode_sse_data(&bytes, bytes_slice(&object));
    bytes_append_char(&bytes, '\n');
    bytes_release(&object);
    return to_chunk(&bytes);
}

void encode_reset(struct bytes *bytes, struct slice channel, const struct reset *reset,
                  uint64_t spread_ms) {
    bytes_append(bytes, SLICE("{\"type\":\"reset\",\"channel\":"));
    json_append_string(bytes, channel);
    append_name(bytes, "from");
    append_position(bytes, reset->from);
    append_name(bytes, "to");
    append_position(bytes, reset->to);
    append_name(bytes, "reason");
    json_append_string(bytes, slice_of(reset_reason_name(reset->reason)));
    append_name(bytes, "spread");
    bytes_append_u64(bytes, spread_ms);
    bytes_append_char(bytes, '}');
}

void encode_hello(struct bytes *bytes, struct slice node, uint64_t heartbeat_ms) {
    bytes_append(bytes, SLICE("{\"type\":\"hello\",\"node\":"));
    json_append_string(bytes, node);
    append_name(bytes, "heartbeat");
    bytes_append_u64(bytes, heartbeat_ms);
    bytes_append_char(bytes, '}');
}

void encode_ok(struct bytes *bytes, struct slice channel, struct position position) {
    bytes_append(bytes, SLICE("{\"type\":\"ok\",\"channel\":"));
    json_append_string(bytes, channel);
    append_name(bytes, "position");
    append_position(bytes, position);
    bytes_append_char(bytes, '}');
}

void encode_stale(struct bytes *bytes, uint64_t seconds) {
    bytes_append(bytes, SLICE("{\"type\":\"stale\",\"seconds\":"));
    bytes_append_u64(bytes, seconds);
    bytes_append_char(bytes, '}');
}

void encode_bye(struct bytes *bytes, const char *reason, uint64_t retry_ms) {
    bytes_append(bytes, SLICE("{\"type\":\"bye\",\"reason\":"));
    json_append_string(bytes, slice_of(reason));
    append_name(bytes, "retry");
    bytes_append_u64(bytes, retry_ms);
    bytes_append_char(bytes, '}');
}
