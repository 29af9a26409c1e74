// A poll's answer while it is put together: messages as shared frames, resets, bounds. Knows no
// socket and no hub beyond the entries it is given.
#ifndef FRESHET_NODE_TRANSPORT_ANSWER_H
#define FRESHET_NODE_TRANSPORT_ANSWER_H

#include "cluster/base/bytes.h"
#include "cluster/message.h"
#include "node/http/exchange.h"
#include "node/net/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Zeroed memory plus the bounds is an empty answer.
struct answer {
    size_t limit;     // messages
    size_t bytes_max; // of messages; the first one always fits
    struct answered {
        struct frame *frame; // counted
        int64_t time_ms;     // of the message, for the delivery's lag
    } * messages;            // owned
    size_t count;
    size_t capacity;
    size_t bytes;
    struct bytes resets; // the objects, joined by commas
    bool has_more;
    bool has_ephemeral;
};

void answer_release(struct answer *answer);

static inline bool answer_is_empty(const struct answer *answer) {
    return answer->count == 0 && answer->resets.len == 0 && !answer->has_more;
}

// Whatever comes next does not fit.
bool answer_is_full(const struct answer *answer);

// False when the bounds leave no room for it.
bool answer_add_message(struct answer *answer, struct frame *object, const struct message *message);
void answer_add_reset(struct answer *answer, struct slice channel, const struct reset *reset,
                      uint64_t spread_ms);

// 200, with the body {"cursor":...,"messages":[...],"resets":[...]?,"more":true?}. `cursor` is JSON.
void answer_send(const struct answer *answer, struct exchange *exchange, struct slice cursor);

#endif
