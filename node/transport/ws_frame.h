// WebSocket frames (RFC 6455, section 5): bytes from a client become messages and control frames,
// and what the server says becomes frames. Sans-I/O; works on any split of its input.
#ifndef FRESHET_NODE_TRANSPORT_WS_FRAME_H
#define FRESHET_NODE_TRANSPORT_WS_FRAME_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "node/net/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xa,
};

// Section 7.4.1. Our own codes, 4000-4999, are in websocket.h.
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NO_CODE = 1005, // never on the wire: a close frame without one
    WS_CLOSE_BAD_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
};

enum {
    WS_CONTROL_BYTES_MAX = 125, // section 5.5
    WS_FRAGMENTS_MAX = 16384,   // of one message: empty ones cost us as much as full ones
    WS_HEADER_BYTES_MAX = 10,   // of a frame that the server sends
    WS_CLOSE_REASON_MAX = WS_CONTROL_BYTES_MAX - 2,
};

// One whole message or control frame. The payload is the reader's, valid until the next feed.
struct ws_event {
    enum ws_opcode opcode;
    struct slice payload; // of a close frame: its reason
    uint16_t close_code;  // WS_CLOSE: what the peer sent, or WS_CLOSE_NO_CODE
};

struct ws_reader {
    size_t message_bytes_max;
    struct bytes message; // the message being put together; no memory between messages
    struct bytes control; // the same for a control frame, which may come between two fragments
    uint64_t payload_left;
    uint32_t fragments;
    uint8_t header[14];
    uint8_t header_len;
    uint8_t header_need; // bytes of header known to be needed so far
    uint8_t mask[4];
    uint8_t mask_at;
    uint8_t opcode;         // of the frame being read
    uint8_t message_opcode; // of the message being put together; 0: none
    uint8_t utf8_state;
    bool is_final;
    bool is_in_payload;
};

void ws_reader_init(struct ws_reader *reader, size_t message_bytes_max);
void ws_reader_release(struct ws_reader *reader);

// Takes bytes from the front of *input. 1: *event_r is whole, call again for more; 0: all input was
// taken; negative: the connection must be failed with the close code -result (1002, 1007, 1008,
// 1009), and the reader is unusable.
int ws_reader_feed(struct ws_reader *reader, struct slice *input, struct ws_event *event_r);

// The last event is over: frees what its payload lies in. The next feed does so too.
void ws_reader_rest(struct ws_reader *reader);

// An unmasked frame, final, without extensions. The caller owns one reference.
struct frame *ws_frame_create(enum ws_opcode opcode, struct slice payload);

// Its header alone; returns the length.
size_t ws_header_encode(enum ws_opcode opcode, size_t payload_len,
                        uint8_t header_r[static WS_HEADER_BYTES_MAX]);

// A close frame. The reason, UTF-8, is cut where it does not fit; a frame without code has none.
struct frame *ws_frame_create_close(uint16_t code, struct slice reason);

// Whether a client may send this code in a close frame (section 7.4).
bool ws_close_code_is_valid(uint16_t code);

#endif
