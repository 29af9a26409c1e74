// WebSocket frames of a server, taken in any pieces, and the one frame that a client of the load
// generator sends. No I/O, and nothing is allocated: bytes of messages are handed on where they
// lie, and only the 125 bytes of a control frame are kept, since one may stand between fragments.
//
// Strict where RFC 6455 says what a server may not send, because the node is under test.
#ifndef FRESHET_TESTS_BENCH_WS_IN_H
#define FRESHET_TESTS_BENCH_WS_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WS_CONTROL_MAX = 125, WS_CONTROL_FRAME_MAX = 2 + 4 + WS_CONTROL_MAX };

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_in {
    uint8_t head[10];
    uint8_t head_bytes;
    bool is_in_payload;
    bool is_in_message; // between the fragments of one
    bool has_given;     // a piece of this message was handed on
    uint8_t control_bytes;
    char control[WS_CONTROL_MAX];
    uint64_t left; // of the payload
};

// What ws_in_next found in the bytes it was given.
struct ws_piece {
    enum { WS_NEED_MORE, WS_MESSAGE, WS_CONTROL, WS_BAD } kind;
    enum ws_opcode opcode; // of a control frame
    const char *bytes;     // borrowed: from the bytes given, or from the reader
    size_t length;
    bool is_end;   // the message ends with this piece
    bool is_whole; // this piece is all of the message
    size_t taken;  // bytes of input used up
};

// Takes the next piece. Call again with what was not taken until it needs more.
struct ws_piece ws_in_next(struct ws_in *ws, const char *bytes, size_t length);

// Writes a masked control frame of a client with at most WS_CONTROL_MAX bytes. Returns its length.
size_t ws_control_encode(enum ws_opcode opcode, const char *payload, size_t length, uint32_t mask,
                         char frame_r[WS_CONTROL_FRAME_MAX]);

#endif
