// What a client sends over a WebSocket: the same events and the same end however it is cut.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "node/transport/ws_frame.h"

enum { MESSAGE_BYTES_MAX = 1024 };

static void check_event(const struct ws_event *event) {
    switch (event->opcode) {
    case WS_TEXT:
        CHECK(slice_is_utf8(event->payload)); // told by another machine than the reader's own
        CHECK(event->payload.len <= MESSAGE_BYTES_MAX);
        break;
    case WS_BINARY:
        CHECK(event->payload.len <= MESSAGE_BYTES_MAX);
        break;
    case WS_CLOSE:
        CHECK(event->payload.len <= WS_CLOSE_REASON_MAX && slice_is_utf8(event->payload));
        CHECK(event->close_code == WS_CLOSE_NO_CODE || ws_close_code_is_valid(event->close_code));
        break;
    case WS_PING:
    case WS_PONG:
        CHECK(event->payload.len <= WS_CONTROL_BYTES_MAX);
        break;
    case WS_CONTINUATION:
        CHECK(event->opcode != WS_CONTINUATION); // a fragment alone is no event
    }
}

// The frame that a server would send with it says the same again.
static void check_answer(const struct ws_event *event) {
    bool is_close = event->opcode == WS_CLOSE;
    struct frame *frame = is_close ? ws_frame_create_close(event->close_code, event->payload)
                                   : ws_frame_create(event->opcode, event->payload);
    struct slice payload = frame_payload(frame);
    CHECK((uint8_t)frame->data[0] == (0x80 | event->opcode));
    if (is_close) {
        CHECK(payload.len == (event->close_code == WS_CLOSE_NO_CODE ? 0 : 2 + event->payload.len));
        payload = slice_from(payload, 2);
    }
    CHECK(slice_equal(payload, event->payload));
    frame_unref(&frame);
}

static void read_frames(struct pieces *pieces, struct bytes *transcript) {
    struct ws_reader reader;
    struct ws_event event;
    struct slice piece;
    int result = 0;
    ws_reader_init(&reader, MESSAGE_BYTES_MAX);
    while (result >= 0 && pieces_next(pieces, &piece)) {
        while ((result = ws_reader_feed(&reader, &piece, &event)) == 1) {
            check_event(&event);
            check_answer(&event);
            bytes_append_format(transcript, "%d %d %zu:", (int)event.opcode,
                                event.opcode == WS_CLOSE ? event.close_code : 0, event.payload.len);
            bytes_append(transcript, event.payload);
        }
        CHECK(result < 0 || piece.len == 0);
    }
    CHECK(result == 0 || result == -WS_CLOSE_PROTOCOL || result == -WS_CLOSE_BAD_DATA ||
          result == -WS_CLOSE_POLICY || result == -WS_CLOSE_TOO_BIG);
    bytes_append_format(transcript, "end %d", result);
    ws_reader_release(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_cuts(slice_make(data, size), read_frames);
    return 0;
}
