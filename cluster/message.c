// Positions as text, and the one allocation that a message lives in.
#include "cluster/message.h"

#include <stdio.h>
#include <uv.h>

#include "cluster/base/json.h"
#include "cluster/base/mem.h"

static const uint64_t NUMBER_MAX = (UINT64_C(1) << 53) - 1;

static const struct slice type_names[] = {
    [MESSAGE_JSON] = {"json", 4},
    [MESSAGE_TEXT] = {"text", 4},
    [MESSAGE_BINARY] = {"binary", 6},
};

// Names that a transport gives to events of its own (CONTRACT.md, section 2).
static const char *const reserved_events[] = {
    "open", "error", "message", "hello", "reset", "bye", "ok", "join", "leave", "stale",
};

// As Redis writes it: no leading zeros, so that a position has one text only.
static int parse_number(struct slice text, uint64_t *number_r) {
    if (text.len > 1 && text.data[0] == '0') {
        return UV_EINVAL;
    }
    return slice_to_u64(text, NUMBER_MAX, number_r);
}

int position_parse(struct slice text, struct position *position_r) {
    struct slice version = text;
    struct slice epoch = slice_cut(&version, '-');
    struct position position;
    if (parse_number(epoch, &position.epoch) < 0 || position.epoch == 0 ||
        parse_number(version, &position.version) < 0) {
        return UV_EINVAL;
    }
    *position_r = position;
    return 0;
}

void position_append(struct bytes *bytes, struct position position) {
    if (!position_is_none(position)) {
        bytes_append_u64(bytes, position.epoch);
        bytes_append_char(bytes, '-');
        bytes_append_u64(bytes, position.version);
    }
}

size_t position_format(struct position position, char text_r[static POSITION_TEXT_MAX]) {
    text_r[0] = '\0';
    if (position_is_none(position)) {
        return 0;
    }
    CHECK(position.epoch <= NUMBER_MAX && position.version <= NUMBER_MAX);
    return (size_t)snprintf(text_r, POSITION_TEXT_MAX, "%llu-%llu",
                            (unsigned long long)position.epoch,
                            (unsigned long long)position.version);
}

const char *message_type_name(enum message_type type) {
    return type_names[type].data;
}

int message_type_parse(struct slice name, enum message_type *type_r) {
    for (enum message_type type = MESSAGE_JSON; type <= MESSAGE_BINARY; type++) {
        if (slice_equal(name, type_names[type])) {
            *type_r = type;
            return 0;
        }
    }
    return UV_EINVAL;
}

// The type that the data can keep: what is not JSON may still be text, and all is binary.
static enum message_type proven_type(enum message_type claimed, struct slice data) {
    if (claimed == MESSAGE_JSON && json_is_valid(data)) {
        return MESSAGE_JSON;
    }
    return claimed != MESSAGE_BINARY && slice_is_utf8(data) ? MESSAGE_TEXT : MESSAGE_BINARY;
}

static struct slice copy_to(char **at, struct slice source) {
    if (source.len == 0) {
        return SLICE_NONE;
    }
    struct slice copy = slice_make(memcpy(*at, source.data, source.len), source.len);
    *at += source.len;
    return copy;
}

struct message *message_create(const struct message *fields, bool *was_demoted_r) {
    size_t size = sizeof(struct message) + fields->event.len + fields->data.len;
    struct message *message = mem_alloc(size);
    char *at = (char *)(message + 1);
    ref_init(&message->ref);
    message->type = proven_type(fields->type, fields->data);
    message->position = fields->position;
    message->fork = fields->fork;
    message->time_ms = fields->time_ms;
    message->event = copy_to(&at, fields->event);
    message->data = copy_to(&at, fields->data);
    message->size = size;
    *was_demoted_r = message->type != fields->type;
    return message;
}

struct message *message_ref(struct message *message) {
    ref_take(&message->ref);
    return message;
}

void message_unref(struct message **message) {
    struct message *dropped = *message;
    *message = NULL;
    if (dropped != NULL && ref_drop(&dropped->ref)) {
        mem_free(dropped);
    }
}

bool message_follows(const struct message *message, struct position cursor) {
    if (message_is_ephemeral(message) || position_is_none(cursor)) {
        return false;
    }
    struct position next = {cursor.epoch, cursor.version + 1};
    return position_equal(message->position, next) ||
           (message->position.version == 1 && position_equal(message->fork, cursor));
}

bool channel_name_is_valid(struct slice name) {
    if (name.len == 0 || name.len > CHANNEL_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= ' ' || c == 0x7f || c == '{' || c == '}') {
            return false;
        }
    }
    return slice_is_utf8(name);
}

bool event_name_is_valid(struct slice name) {
    if (name.len == 0 || name.len > EVENT_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] > 0x7e) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(reserved_events) / sizeof(reserved_events[0]); i++) {
        if (slice_equal(name, slice_of(reserved_events[i]))) {
            return false;
        }
    }
    return true;
}

const char *reset_reason_name(enum reset_reason reason) {
    static const char *const names[RESET_REASONS] = {"lost", "expired", "foreign"};
    return names[reason];
}
