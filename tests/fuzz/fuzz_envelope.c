// What anybody may PUBLISH to a channel. An envelope that is taken is read a second time, by the
// node's own reader of msgpack: two programs must see the same message in the same bytes.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/base/json.h"
#include "cluster/envelope.h"
#include "node/transport/ws_msgpack.h"

enum { FIELDS = 8, NOW_MS = 1000 };

static void check_number(const struct ws_msgpack_token *token, uint64_t number) {
    bool is_whole = token->kind == WS_MSGPACK_UINT;
    CHECK(is_whole ? token->number == number : token->kind == WS_MSGPACK_FLOAT);
}

static void check_envelope(struct slice payload, const struct message *message) {
    struct ws_msgpack_token tokens[1 + FIELDS];
    for (size_t i = 0; i < 1 + FIELDS; i++) {
        CHECK(ws_msgpack_next(&payload, &tokens[i]) == 0);
    }
    CHECK(payload.len == 0);
    CHECK(tokens[0].kind == WS_MSGPACK_ARRAY && tokens[0].number == FIELDS);
    check_number(&tokens[1], 1);
    check_number(&tokens[2], message->position.epoch);
    check_number(&tokens[3], message->position.version);
    CHECK((tokens[4].kind == WS_MSGPACK_NIL) == position_is_none(message->fork));
    CHECK(slice_equal(tokens[6].bytes, message->event));
    check_number(&tokens[7], (uint64_t)message->time_ms);
    CHECK(slice_equal(tokens[8].bytes, message->data));
}

static void check_message(const struct message *message) {
    CHECK(message->type != MESSAGE_JSON || json_is_valid(message->data));
    CHECK(message->type != MESSAGE_TEXT || slice_is_utf8(message->data));
    CHECK(message->event.len == 0 || event_name_is_valid(message->event));
    CHECK(message->data.len <= DATA_BYTES_MAX || message_is_ephemeral(message));
    char text[POSITION_TEXT_MAX];
    position_format(message->position, text); // asserts that both numbers are below 2^53
    position_format(message->fork, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice payload = slice_make(data, size);
    enum envelope_refusal refusal = ENVELOPE_MALFORMED;
    bool was_demoted;
    struct message *message = envelope_decode(payload, NOW_MS, &refusal, &was_demoted);
    if (message == NULL) {
        CHECK(refusal <= ENVELOPE_SIZE);
        return 0;
    }
    check_message(message);
    if (message_is_ephemeral(message)) {
        CHECK(message->type == MESSAGE_TEXT && slice_equal(message->data, payload));
    } else {
        CHECK(message->position.version > 0);
        check_envelope(payload, message);
    }
    message_unref(&message);
    return 0;
}
