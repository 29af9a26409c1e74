// One command of a WebSocket client. The first byte says in which language: odd ("m") msgpack, even
// ("j") JSON.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/base/json.h"
#include "cluster/base/json_walk.h"
#include "node/transport/ws_command.h"
#include "node/transport/ws_msgpack.h"

// It is put into the answer as it came, so it must be one whole value.
static void check_ref(struct slice ref, enum ws_protocol protocol) {
    struct ws_msgpack_token token;
    if (ref.len == 0) {
        return;
    }
    CHECK(ref.len <= WS_REF_BYTES_MAX);
    if (protocol == WS_JSON) {
        CHECK(json_is_valid(ref));
        CHECK(json_kind(ref) == JSON_KIND_STRING || json_kind(ref) == JSON_KIND_NUMBER);
    } else {
        CHECK(ws_msgpack_next(&ref, &token) == 0 && ref.len == 0);
        CHECK(token.kind == WS_MSGPACK_STR || token.kind == WS_MSGPACK_UINT);
    }
}

static void check_data(const struct ws_command *command, enum ws_protocol protocol) {
    CHECK(command->data.len <= DATA_BYTES_MAX);
    if (command->data_type == MESSAGE_TEXT) {
        CHECK(slice_is_utf8(command->data));
    } else if (command->data_type == MESSAGE_JSON && protocol == WS_JSON) {
        CHECK(json_is_valid(command->data));
    }
}

static void check_command(const struct ws_command *command, enum ws_protocol protocol) {
    CHECK(command->type < WS_COMMANDS);
    bool has_channel = command->type != WS_AUTH && command->type != WS_PING_COMMAND;
    CHECK(has_channel ? channel_name_is_valid(command->channel) : command->channel.len == 0);
    CHECK(command->event.len == 0 || event_name_is_valid(command->event));
    CHECK(command->once.len <= ONCE_BYTES_MAX && slice_is_utf8(command->once));
    CHECK(slice_is_utf8(command->token));
    CHECK(command->since.kind != CURSOR_SINCE || !position_is_none(command->since.position));
    if (command->type == WS_PUBLISH) {
        check_data(command, protocol);
    }
}

static void check_memory(const struct ws_command *command) {
    const struct slice memory = bytes_slice(&command->memory);
    const struct slice parts[] = {command->channel, command->data,    command->event,
                                  command->once,    command->if_head, command->token};
    CHECK(fuzz_lies_within(command->ref, memory));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        CHECK(fuzz_lies_within(parts[i], memory));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size);
    enum ws_protocol protocol = (fuzz_take_byte(&input) & 1) != 0 ? WS_MSGPACK : WS_JSON;
    struct ws_command command;
    struct ws_fault fault = {0};
    if (ws_command_read(input, protocol, &command, &fault) == 0) {
        check_command(&command, protocol);
        check_memory(&command);
    } else {
        CHECK(fault.code != NULL && fault.message != NULL);
    }
    check_ref(command.ref, protocol);
    ws_command_release(&command);
    return 0;
}
