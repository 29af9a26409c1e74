// Putting a poll's answer together. The messages' frames are not copied: they are parts of the body.
#include "node/transport/answer.h"

#include "cluster/base/mem.h"
#include "node/transport/encode.h"

enum { CAPACITY_FIRST = 8, PARTS_AROUND = 2 };

void answer_release(struct answer *answer) {
    for (size_t i = 0; i < answer->count; i++) {
        frame_unref(&answer->messages[i].frame);
    }
    mem_free(answer->messages);
    bytes_release(&answer->resets);
    *answer = (struct answer){0};
}

bool answer_is_full(const struct answer *answer) {
    return answer->count == answer->limit ||
           (answer->count > 0 && answer->bytes >= answer->bytes_max);
}

bool answer_add_message(struct answer *answer, struct frame *object,
                        const struct message *message) {
    size_t bytes = frame_payload(object).len;
    if (answer->count == answer->limit ||
        (answer->count > 0 && answer->bytes + bytes > answer->bytes_max)) {
        return false;
    }
    if (answer->count == answer->capacity) {
        answer->capacity = answer->capacity > 0 ? answer->capacity * 2 : CAPACITY_FIRST;
        answer->messages =
            mem_realloc(answer->messages, answer->capacity * sizeof(*answer->messages));
    }
    answer->messages[answer->count].frame = frame_ref(object);
    answer->messages[answer->count].time_ms = message->time_ms;
    answer->count++;
    answer->bytes += bytes;
    answer->has_ephemeral = answer->has_ephemeral || message_is_ephemeral(message);
    return true;
}

void answer_add_reset(struct answer *answer, struct slice channel, const struct reset *reset,
                      uint64_t spread_ms) {
    if (answer->resets.len > 0) {
        bytes_append_char(&answer->resets, ',');
    }
    encode_reset(&answer->resets, OBJECT_JSON, channel, reset, spread_ms);
}

void answer_send(const struct answer *answer, struct exchange *exchange, struct slice cursor) {
    struct body_part *parts =
        mem_alloc_array(2 * answer->count + PARTS_AROUND, sizeof(struct body_part));
    size_t count = 0;
    struct bytes head = {0};
    bytes_append(&head, SLICE("{\"cursor\":"));
    bytes_append(&head, cursor);
    bytes_append(&head, SLICE(",\"messages\":["));
    parts[count++].text = bytes_slice(&head);
    for (size_t i = 0; i < answer->count; i++) {
        if (i > 0) {
            parts[count++].text = SLICE(",");
        }
        parts[count++].frame = answer->messages[i].frame;
    }
    struct bytes tail = {0};
    bytes_append_char(&tail, ']');
    if (answer->resets.len > 0) {
        bytes_append(&tail, SLICE(",\"resets\":["));
        bytes_append(&tail, bytes_slice(&answer->resets));
        bytes_append_char(&tail, ']');
    }
    if (answer->has_more) {
        bytes_append(&tail, SLICE(",\"more\":true"));
    }
    bytes_append_char(&tail, '}');
    parts[count++].text = bytes_slice(&tail);
    exchange_answer_parts(exchange, 200, "application/json", parts, count);
    bytes_release(&head);
    bytes_release(&tail);
    mem_free(parts);
}
