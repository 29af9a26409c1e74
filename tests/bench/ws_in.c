// WebSocket frames in pieces: see ws_in.h. Sections are those of RFC 6455.
#include "tests/bench/ws_in.h"

#include <string.h>

static const uint8_t final_bit = 0x80, reserved_bits = 0x70, opcode_bits = 0x0f;
static const uint8_t mask_bit = 0x80, length_bits = 0x7f;

static bool is_final(const struct ws_in *ws) {
    return (ws->head[0] & final_bit) != 0;
}

static uint8_t opcode_of(const struct ws_in *ws) {
    return ws->head[0] & opcode_bits;
}

static bool is_control(const struct ws_in *ws) {
    return opcode_of(ws) >= WS_CLOSE;
}

static size_t head_need(const struct ws_in *ws) {
    if (ws->head_bytes < 2) {
        return 2;
    }
    uint8_t length = ws->head[1] & length_bits;
    return length < 126 ? 2 : length == 126 ? 4 : 10;
}

// Takes bytes of a head. Returns how many; the head is whole when it needs no more.
static size_t take_head(struct ws_in *ws, const char *bytes, size_t length) {
    size_t taken = 0;
    while (taken < length && ws->head_bytes < head_need(ws)) {
        ws->head[ws->head_bytes++] = (uint8_t)bytes[taken++];
    }
    return taken;
}

static uint64_t payload_bytes(const struct ws_in *ws) {
    size_t need = head_need(ws);
    if (need == 2) {
        return ws->head[1] & length_bits;
    }
    uint64_t length = 0;
    for (size_t i = 2; i < need; i++) {
        length = length << 8 | ws->head[i];
    }
    return length;
}

// 5.1: a server does not mask; 5.2: no extension was agreed, lengths are minimal; 5.4: fragments
// of one message at a time; 5.5: control frames are whole and short. Binary was not agreed either.
static bool head_is_valid(const struct ws_in *ws) {
    if ((ws->head[0] & reserved_bits) != 0 || (ws->head[1] & mask_bit) != 0) {
        return false;
    }
    uint64_t length = payload_bytes(ws);
    size_t need = head_need(ws);
    if ((need == 4 && length < 126) || (need == 10 && (length <= UINT16_MAX || length >> 63))) {
        return false;
    }
    switch (opcode_of(ws)) {
    case WS_TEXT:
        return !ws->is_in_message;
    case WS_CONTINUATION:
        return ws->is_in_message;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return is_final(ws) && need == 2;
    default:
        return false;
    }
}

static void begin_payload(struct ws_in *ws) {
    ws->is_in_payload = true;
    ws->left = payload_bytes(ws);
    ws->control_bytes = 0;
    if (opcode_of(ws) == WS_TEXT) {
        ws->is_in_message = true;
        ws->has_given = false;
    }
}

static void end_frame(struct ws_in *ws) {
    ws->is_in_payload = false;
    ws->head_bytes = 0;
}

static void take_control(struct ws_in *ws, struct ws_piece *piece, const char *bytes,
                         size_t count) {
    memcpy(ws->control + ws->control_bytes, bytes, count);
    ws->control_bytes = (uint8_t)(ws->control_bytes + count);
    if (ws->left != 0) {
        return;
    }
    piece->kind = WS_CONTROL;
    piece->opcode = (enum ws_opcode)opcode_of(ws);
    piece->bytes = ws->control;
    piece->length = ws->control_bytes;
}

static void take_message(struct ws_in *ws, struct ws_piece *piece, const char *bytes,
                         size_t count) {
    piece->kind = WS_MESSAGE;
    piece->bytes = bytes;
    piece->length = count;
    piece->is_end = ws->left == 0 && is_final(ws);
    piece->is_whole = piece->is_end && !ws->has_given;
    ws->has_given = true;
    if (piece->is_end) {
        ws->is_in_message = false;
    }
}

struct ws_piece ws_in_next(struct ws_in *ws, const char *bytes, size_t length) {
    struct ws_piece piece = {.kind = WS_NEED_MORE};
    if (!ws->is_in_payload) {
        piece.taken = take_head(ws, bytes, length);
        if (ws->head_bytes < head_need(ws)) {
            return piece;
        }
        if (!head_is_valid(ws)) {
            piece.kind = WS_BAD;
            return piece;
        }
        begin_payload(ws);
    }

    size_t count = length - piece.taken;
    if (count == 0 && ws->left != 0) {
        return piece;
    }
    if (count > ws->left) {
        count = (size_t)ws->left;
    }
    ws->left -= count;
    if (is_control(ws)) {
        take_control(ws, &piece, bytes + piece.taken, count);
    } else {
        take_message(ws, &piece, bytes + piece.taken, count);
    }
    piece.taken += count;
    if (ws->left == 0) {
        end_frame(ws);
    }
    return piece;
}

size_t ws_control_encode(enum ws_opcode opcode, const char *payload, size_t length, uint32_t mask,
                         char frame_r[WS_CONTROL_FRAME_MAX]) {
    char key[4];
    memcpy(key, &mask, sizeof(key));
    frame_r[0] = (char)(final_bit | (uint8_t)opcode);
    frame_r[1] = (char)(mask_bit | (uint8_t)length);
    memcpy(frame_r + 2, key, sizeof(key));
    for (size_t i = 0; i < length; i++) {
        frame_r[6 + i] = (char)(payload[i] ^ key[i % 4]);
    }
    return 6 + length;
}
