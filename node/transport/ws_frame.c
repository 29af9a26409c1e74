// WebSocket frames, RFC 6455 to the letter. Section numbers are that RFC's.
#include "node/transport/ws_frame.h"

#include "cluster/base/check.h"

// ---- UTF-8, byte by byte ------------------------------------------------------------------------
//
// RFC 3629 as a machine, so that a bad octet fails the connection when it comes and not when its
// message ends (section 8.1). The state says what the next byte may be.

enum utf8_state {
    UTF8_START,
    UTF8_TAIL_1, // one continuation byte to come
    UTF8_TAIL_2,
    UTF8_TAIL_3,
    UTF8_AFTER_E0, // the next must be A0-BF: no overlong form
    UTF8_AFTER_ED, // 80-9F: no surrogate
    UTF8_AFTER_F0, // 90-BF: no overlong form
    UTF8_AFTER_F4, // 80-8F: nothing above U+10FFFF
    UTF8_BAD,
};

static enum utf8_state utf8_lead(uint8_t byte) {
    if (byte < 0x80) {
        return UTF8_START;
    }
    if (byte >= 0xc2 && byte <= 0xdf) {
        return UTF8_TAIL_1;
    }
    if (byte == 0xe0 || byte == 0xed) {
        return byte == 0xe0 ? UTF8_AFTER_E0 : UTF8_AFTER_ED;
    }
    if (byte >= 0xe1 && byte <= 0xef) {
        return UTF8_TAIL_2;
    }
    if (byte == 0xf0 || byte == 0xf4) {
        return byte == 0xf0 ? UTF8_AFTER_F0 : UTF8_AFTER_F4;
    }
    return byte >= 0xf1 && byte <= 0xf3 ? UTF8_TAIL_3 : UTF8_BAD;
}

static enum utf8_state utf8_next(enum utf8_state state, uint8_t byte) {
    static const struct {
        uint8_t from;
        uint8_t to;
        enum utf8_state next;
    } steps[] = {
        [UTF8_TAIL_1] = {0x80, 0xbf, UTF8_START},    [UTF8_TAIL_2] = {0x80, 0xbf, UTF8_TAIL_1},
        [UTF8_TAIL_3] = {0x80, 0xbf, UTF8_TAIL_2},   [UTF8_AFTER_E0] = {0xa0, 0xbf, UTF8_TAIL_1},
        [UTF8_AFTER_ED] = {0x80, 0x9f, UTF8_TAIL_1}, [UTF8_AFTER_F0] = {0x90, 0xbf, UTF8_TAIL_2},
        [UTF8_AFTER_F4] = {0x80, 0x8f, UTF8_TAIL_2},
    };
    if (state == UTF8_START) {
        return utf8_lead(byte);
    }
    bool is_in_range = byte >= steps[state].from && byte <= steps[state].to;
    return is_in_range ? steps[state].next : UTF8_BAD;
}

static bool utf8_feed(uint8_t *state, const uint8_t *bytes, size_t len) {
    enum utf8_state at = *state;
    for (size_t i = 0; i < len && at != UTF8_BAD; i++) {
        at = at == UTF8_START && bytes[i] < 0x80 ? UTF8_START : utf8_next(at, bytes[i]);
    }
    *state = (uint8_t)at;
    return at != UTF8_BAD;
}

// ---- Headers ------------------------------------------------------------------------------------

static bool is_control(uint8_t opcode) {
    return (opcode & 0x8) != 0;
}

static bool is_known(uint8_t opcode) {
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

// What can be refused as soon as the first two bytes are there.
static int check_start(struct ws_reader *reader) {
    uint8_t first = reader->header[0];
    uint8_t second = reader->header[1];
    uint8_t opcode = first & 0x0f;
    bool is_final = (first & 0x80) != 0;
    uint8_t short_len = second & 0x7f;
    if ((first & 0x70) != 0 || !is_known(opcode) || (second & 0x80) == 0) {
        return -WS_CLOSE_PROTOCOL; // sections 5.2 (RSV, opcode) and 5.1 (mask)
    }
    if (is_control(opcode) && (!is_final || short_len > WS_CONTROL_BYTES_MAX)) {
        return -WS_CLOSE_PROTOCOL; // section 5.5
    }
    bool is_inside_message = reader->message_opcode != 0;
    if (!is_control(opcode) && is_inside_message != (opcode == WS_CONTINUATION)) {
        return -WS_CLOSE_PROTOCOL; // section 5.4
    }
    reader->opcode = opcode;
    reader->is_final = is_final;
    size_t length_bytes = short_len == 126 ? 2 : short_len == 127 ? 8 : 0;
    reader->header_need = (uint8_t)(2 + length_bytes + 4);
    return 0;
}

static int begin_payload(struct ws_reader *reader) {
    size_t length_bytes = (size_t)reader->header_need - 6;
    uint64_t len = length_bytes == 0 ? reader->header[1] & 0x7f : 0;
    for (size_t i = 0; i < length_bytes; i++) {
        len = len << 8 | reader->header[2 + i];
    }
    bool is_minimal = length_bytes == 0 || len > (length_bytes == 2 ? 125 : 0xffff);
    if (!is_minimal || len >> 63 != 0) {
        return -WS_CLOSE_PROTOCOL; // section 5.2: the minimal number of bytes, the top bit 0
    }
    memcpy(reader->mask, reader->header + reader->header_need - 4, 4);
    reader->mask_at = 0;
    reader->payload_left = len;
    reader->is_in_payload = true;
    if (is_control(reader->opcode)) {
        return 0;
    }
    if (len > reader->message_bytes_max - reader->message.len) {
        return -WS_CLOSE_TOO_BIG; // before a byte of it is kept
    }
    if (reader->opcode != WS_CONTINUATION) {
        reader->message_opcode = reader->opcode;
        reader->fragments = 0;
    }
    return ++reader->fragments > WS_FRAGMENTS_MAX ? -WS_CLOSE_POLICY : 0;
}

static int read_header(struct ws_reader *reader, struct slice *input) {
    while (reader->header_len < reader->header_need) {
        if (input->len == 0) {
            return 0;
        }
        reader->header[reader->header_len++] = (uint8_t)input->data[0];
        *input = slice_from(*input, 1);
        if (reader->header_len == 2) {
            int error = check_start(reader);
            if (error != 0) {
                return error;
            }
        }
    }
    return begin_payload(reader);
}

// ---- Payloads -----------------------------------------------------------------------------------

// Section 5.3, eight bytes at a time.
static void unmask(struct ws_reader *reader, const char *from, uint8_t *to, size_t len) {
    uint8_t mask[sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof(mask); i++) {
        mask[i] = reader->mask[(reader->mask_at + i) & 3];
    }
    uint64_t mask_word;
    memcpy(&mask_word, mask, sizeof(mask_word));
    size_t at = 0;
    for (; len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, from + at, sizeof(word));
        word ^= mask_word;
        memcpy(to + at, &word, sizeof(word));
    }
    for (; at < len; at++) {
        to[at] = (uint8_t)from[at] ^ mask[at & 7];
    }
    reader->mask_at = (uint8_t)((reader->mask_at + len) & 3);
}

static int read_payload(struct ws_reader *reader, struct slice *input) {
    size_t len = input->len < reader->payload_left ? input->len : (size_t)reader->payload_left;
    if (len == 0) {
        return 0;
    }
    bool is_message = !is_control(reader->opcode);
    struct bytes *payload = is_message ? &reader->message : &reader->control;
    uint8_t *to = (uint8_t *)bytes_reserve(payload, len);
    payload->len += len;
    unmask(reader, input->data, to, len);
    reader->payload_left -= len;
    *input = slice_from(*input, len);
    if (is_message && reader->message_opcode == WS_TEXT &&
        !utf8_feed(&reader->utf8_state, to, len)) {
        return -WS_CLOSE_BAD_DATA;
    }
    return 0;
}

bool ws_close_code_is_valid(uint16_t code) {
    bool is_registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    return is_registered || (code >= 3000 && code <= 4999);
}

static int end_close(struct ws_reader *reader, struct ws_event *event_r) {
    struct slice body = bytes_slice(&reader->control);
    event_r->close_code = WS_CLOSE_NO_CODE;
    event_r->payload = slice_from(body, 2);
    if (body.len == 0) {
        return 1;
    }
    if (body.len == 1) {
        return -WS_CLOSE_PROTOCOL; // section 5.5.1: two bytes of code, if anything
    }
    event_r->close_code = (uint16_t)((uint8_t)body.data[0] << 8 | (uint8_t)body.data[1]);
    if (!ws_close_code_is_valid(event_r->close_code)) {
        return -WS_CLOSE_PROTOCOL;
    }
    return slice_is_utf8(event_r->payload) ? 1 : -WS_CLOSE_BAD_DATA;
}

// The frame is whole: 1 with an event, 0 when its message goes on.
static int end_frame(struct ws_reader *reader, struct ws_event *event_r) {
    reader->is_in_payload = false;
    reader->header_len = 0;
    reader->header_need = 2;
    event_r->opcode = reader->opcode;
    if (reader->opcode == WS_CLOSE) {
        return end_close(reader, event_r);
    }
    if (is_control(reader->opcode)) {
        event_r->payload = bytes_slice(&reader->control);
        return 1;
    }
    if (!reader->is_final) {
        return 0;
    }
    if (reader->message_opcode == WS_TEXT && reader->utf8_state != UTF8_START) {
        return -WS_CLOSE_BAD_DATA;
    }
    event_r->opcode = reader->message_opcode;
    event_r->payload = bytes_slice(&reader->message);
    reader->message_opcode = 0;
    return 1;
}

// ---- The reader ---------------------------------------------------------------------------------

void ws_reader_init(struct ws_reader *reader, size_t message_bytes_max) {
    *reader = (struct ws_reader){.message_bytes_max = message_bytes_max, .header_need = 2};
}

void ws_reader_release(struct ws_reader *reader) {
    bytes_release(&reader->message);
    bytes_release(&reader->control);
}

void ws_reader_rest(struct ws_reader *reader) {
    if (reader->message_opcode == 0) {
        bytes_release(&reader->message);
    }
    if (!reader->is_in_payload) {
        bytes_release(&reader->control);
    }
}

int ws_reader_feed(struct ws_reader *reader, struct slice *input, struct ws_event *event_r) {
    ws_reader_rest(reader);
    for (;;) {
        int result =
            reader->is_in_payload ? read_payload(reader, input) : read_header(reader, input);
        if (result != 0) {
            return result;
        }
        if (reader->is_in_payload && reader->payload_left == 0) {
            result = end_frame(reader, event_r);
            if (result != 0) {
                return result;
            }
        }
        if (input->len == 0) {
            return 0;
        }
    }
}

size_t ws_header_encode(enum ws_opcode opcode, size_t payload_len,
                        uint8_t header_r[static WS_HEADER_BYTES_MAX]) {
    header_r[0] = (uint8_t)(0x80 | opcode);
    if (payload_len <= 125) {
        header_r[1] = (uint8_t)payload_len;
        return 2;
    }
    size_t length_bytes = payload_len <= 0xffff ? 2 : 8;
    header_r[1] = length_bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < length_bytes; i++) {
        header_r[2 + i] = (uint8_t)((uint64_t)payload_len >> (8 * (length_bytes - 1 - i)));
    }
    return 2 + length_bytes;
}

struct frame *ws_frame_create(enum ws_opcode opcode, struct slice payload) {
    uint8_t header[WS_HEADER_BYTES_MAX];
    size_t len = ws_header_encode(opcode, payload.len, header);
    return frame_create_with_head(slice_make(header, len), payload);
}

struct frame *ws_frame_create_close(uint16_t code, struct slice reason) {
    if (code == WS_CLOSE_NO_CODE) {
        return ws_frame_create(WS_CLOSE, SLICE_NONE);
    }
    char body[WS_CONTROL_BYTES_MAX] = {(char)(code >> 8), (char)(code & 0xff)};
    reason.len = reason.len < WS_CLOSE_REASON_MAX ? reason.len : WS_CLOSE_REASON_MAX;
    while (!slice_is_utf8(reason)) {
        reason.len--; // cut in the middle of a character
    }
    if (reason.len > 0) {
        memcpy(body + 2, reason.data, reason.len);
    }
    return ws_frame_create(WS_CLOSE, slice_make(body, 2 + reason.len));
}
