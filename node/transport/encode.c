// Messages and notices as objects, and messages as blocks of an event stream.
#include "node/transport/encode.h"

#include "cluster/base/base64.h"

static void append_data(struct object *object, const struct message *message) {
    switch (message->type) {
    case MESSAGE_JSON:
        if (object->is_msgpack) {
            object_text(object, "data", message->data);
            object_text(object, "encoding", SLICE("json"));
        } else {
            object_raw(object, "data", message->data);
        }
        break;
    case MESSAGE_TEXT:
        object_text(object, "data", message->data);
        break;
    case MESSAGE_BINARY:
        object_binary(object, "data", message->data);
        break;
    }
}

void encode_message(struct bytes *bytes, enum object_language language, struct slice channel,
                    const struct message *message) {
    struct object object = object_begin(bytes, language);
    object_text(&object, "channel", channel);
    if (!message_is_ephemeral(message)) {
        object_position(&object, "id", message->position);
    }
    object_number(&object, "time", message->time_ms > 0 ? (uint64_t)message->time_ms : 0);
    if (message->event.len > 0) {
        object_text(&object, "event", message->event);
    }
    if (!position_is_none(message->fork)) {
        object_position(&object, "fork", message->fork);
    }
    append_data(&object, message);
    object_end(&object);
}

struct frame *encode_object(struct slice channel, const struct message *message) {
    struct bytes bytes = {0};
    encode_message(&bytes, OBJECT_JSON, channel, message);
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
    encode_message(&bytes, OBJECT_JSON, channel, message);
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
    encode_message(&object, OBJECT_JSON, channel, message);
    append_event_name(&bytes, message);
    encode_sse_data(&bytes, bytes_slice(&object));
    bytes_append_char(&bytes, '\n');
    bytes_release(&object);
    return to_chunk(&bytes);
}

void encode_reset(struct bytes *bytes, enum object_language language, struct slice channel,
                  const struct reset *reset, uint64_t spread_ms) {
    struct object object = object_begin(bytes, language);
    object_text(&object, "type", SLICE("reset"));
    object_text(&object, "channel", channel);
    object_position(&object, "from", reset->from);
    object_position(&object, "to", reset->to);
    object_text(&object, "reason", slice_of(reset_reason_name(reset->reason)));
    object_number(&object, "spread", spread_ms);
    object_end(&object);
}

void encode_hello(struct bytes *bytes, enum object_language language, struct slice node,
                  uint64_t heartbeat_ms) {
    struct object object = object_begin(bytes, language);
    object_text(&object, "type", SLICE("hello"));
    object_text(&object, "node", node);
    object_number(&object, "heartbeat", heartbeat_ms);
    object_end(&object);
}

void encode_ok(struct bytes *bytes, enum object_language language, struct slice ref,
               struct slice channel, struct position position) {
    struct object object = object_begin(bytes, language);
    if (ref.len > 0) {
        object_raw(&object, "ref", ref);
    }
    object_text(&object, "type", SLICE("ok"));
    object_text(&object, "channel", channel);
    object_position(&object, "position", position);
    object_end(&object);
}

void encode_stale(struct bytes *bytes, enum object_language language, uint64_t seconds) {
    struct object object = object_begin(bytes, language);
    object_text(&object, "type", SLICE("stale"));
    object_number(&object, "seconds", seconds);
    object_end(&object);
}

void encode_bye(struct bytes *bytes, enum object_language language, const char *reason,
                uint64_t retry_ms) {
    struct object object = object_begin(bytes, language);
    object_text(&object, "type", SLICE("bye"));
    object_text(&object, "reason", slice_of(reason));
    object_number(&object, "retry", retry_ms);
    object_end(&object);
}
