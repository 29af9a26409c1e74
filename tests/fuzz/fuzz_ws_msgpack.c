// MessagePack, token by token: each lies in the input and moves on, and what can be written again is
// read as the same.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "node/transport/ws_msgpack.h"

// False for what this server never says.
static bool write_token(struct bytes *bytes, const struct ws_msgpack_token *token) {
    switch (token->kind) {
    case WS_MSGPACK_BOOL:
        ws_msgpack_append_bool(bytes, token->number != 0);
        return true;
    case WS_MSGPACK_UINT:
        ws_msgpack_append_uint(bytes, token->number);
        return true;
    case WS_MSGPACK_STR:
        ws_msgpack_append_str(bytes, token->bytes);
        return true;
    case WS_MSGPACK_BIN:
        ws_msgpack_append_bin(bytes, token->bytes);
        return true;
    case WS_MSGPACK_ARRAY:
        ws_msgpack_append_array(bytes, token->number);
        return true;
    case WS_MSGPACK_MAP:
        ws_msgpack_append_map(bytes, token->number);
        return true;
    case WS_MSGPACK_NIL:
    case WS_MSGPACK_NEGATIVE:
    case WS_MSGPACK_FLOAT:
    case WS_MSGPACK_EXT:
        break;
    }
    return false;
}

static void check_round_trip(const struct ws_msgpack_token *token) {
    struct bytes bytes = {0};
    if (write_token(&bytes, token)) {
        struct slice rest = bytes_slice(&bytes);
        struct ws_msgpack_token again;
        CHECK(rest.len <= token->raw.len); // the shortest form
        CHECK(ws_msgpack_next(&rest, &again) == 0 && rest.len == 0);
        CHECK(again.kind == token->kind);
        bool has_bytes = token->kind == WS_MSGPACK_STR || token->kind == WS_MSGPACK_BIN;
        CHECK(has_bytes ? slice_equal(again.bytes, token->bytes) : again.number == token->number);
    }
    bytes_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_make(data, size);
    struct slice before = rest;
    struct ws_msgpack_token token;
    while (ws_msgpack_next(&rest, &token) == 0) {
        CHECK(token.raw.data == before.data && token.raw.len > 0);
        CHECK(token.raw.len + rest.len == before.len);
        CHECK(fuzz_lies_within(token.bytes, token.raw));
        check_round_trip(&token);
        before = rest;
    }
    return 0;
}
