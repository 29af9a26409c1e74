// Positions and messages: the words that everything else speaks in (DESIGN.md, sections 1 and 6).
#ifndef FRESHET_CLUSTER_MESSAGE_H
#define FRESHET_CLUSTER_MESSAGE_H

#include "cluster/base/bytes.h"
#include "cluster/base/ref.h"
#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHANNEL_NAME_BYTES_MAX = 200,
    POSITION_TEXT_MAX = 34, // two numbers of 16 digits, a dash, and a NUL
    EVENT_BYTES_MAX = 64,
    DATA_BYTES_MAX = 1 << 20,
    ONCE_BYTES_MAX = 200,
};

// A place in a channel's log. Epoch 0 is no position; (epoch, 0) is the place before the first
// message of that epoch. Both numbers stay below 2^53 (CONTRACT.md, section 1).
struct position {
    uint64_t epoch;
    uint64_t version;
};

#define POSITION_NONE ((struct position){0, 0})

static inline bool position_is_none(struct position p) {
    return p.epoch == 0;
}

static inline bool position_equal(struct position a, struct position b) {
    return a.epoch == b.epoch && a.version == b.version;
}

// <0, 0, >0, by epoch and then version: the order of ids in a Redis stream.
static inline int position_compare(struct position a, struct position b) {
    if (a.epoch != b.epoch) {
        return a.epoch < b.epoch ? -1 : 1;
    }
    return a.version == b.version ? 0 : a.version < b.version ? -1 : 1;
}

// `E-V` in decimal. UV_EINVAL for anything else: signs, blanks, leading zeros, epoch 0, 2^53.
int position_parse(struct slice text, struct position *position_r);

// Appends `E-V`; nothing for none.
void position_append(struct bytes *bytes, struct position position);

// The same into an array, with a NUL; returns the length.
size_t position_format(struct position position, char text_r[static POSITION_TEXT_MAX]);

enum message_type { MESSAGE_JSON, MESSAGE_TEXT, MESSAGE_BINARY };

const char *message_type_name(enum message_type type); // "json", "text", "binary"
int message_type_parse(struct slice name, enum message_type *type_r);

// One message, immutable once made and shared between threads by reference. All its bytes lie in
// the same allocation. An ephemeral message has no position.
struct message {
    struct ref ref;
    enum message_type type;
    struct position position;
    struct position fork;  // of the first message of an epoch that took over a log; else none
    int64_t time_ms;       // wall clock of the Redis that published it
    struct slice event;    // empty: none
    struct slice data;
    size_t size;           // of the whole allocation, for budgets
};

// Copies event and data. `type` json is checked here, once: what is not JSON becomes text, and
// *was_demoted_r says so. The caller owns one reference.
struct message *message_create(const struct message *fields, bool *was_demoted_r);
struct message *message_ref(struct message *message);
void message_unref(struct message **message);

static inline bool message_is_ephemeral(const struct message *message) {
    return position_is_none(message->position);
}

// The continuity rule (CONTRACT.md, section 1): whether `message` comes next for whoever stands at
// `cursor`, with nothing missing in between.
bool message_follows(const struct message *message, struct position cursor);

// CONTRACT.md, section 3: 1-200 bytes of UTF-8 without control characters, space, braces.
bool channel_name_is_valid(struct slice name);

// 1-64 bytes of 0x20-0x7e and none of the names that transports use themselves.
bool event_name_is_valid(struct slice name);

enum reset_reason { RESET_LOST, RESET_EXPIRED, RESET_FOREIGN };

#define RESET_REASONS 3

const char *reset_reason_name(enum reset_reason reason); // "lost", "expired", "foreign"

// Continuity broke: whoever stood at `from` stands at `to` from now on.
struct reset {
    struct position from;
    struct position to;
    enum reset_reason reason;
};

// What a Redis says of a channel at one moment.
struct channel_head {
    struct position head; // the higher of the HASH's position and the log's last id; or none
    struct position fork; // the HASH's
};

#endif
