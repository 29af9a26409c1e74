// The bodies of answers that never end: the lines of an event stream or of NDJSON, the frames of a
// WebSocket.
// What a read cut in two is kept with the client (`carry`) until the rest has come.
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

enum { CARRY_MAX = 4 * 1024 * 1024 };

bool carry_add(struct client *client, const char *bytes, size_t length) {
    size_t total = client->carry_bytes + length;
    if (total > CARRY_MAX) {
        return false;
    }
    if (length == 0) {
        return true;
    }
    char *carry = realloc(client->carry, total);
    if (carry == NULL) {
        die("out of memory");
    }
    memcpy(carry + client->carry_bytes, bytes, length);
    client->carry = carry;
    client->carry_bytes = total;
    return true;
}

char *carry_take(struct client *client, const char *bytes, size_t length, size_t *total_r) {
    if (!carry_add(client, bytes, length)) {
        return NULL;
    }
    char *carry = client->carry;
    *total_r = client->carry_bytes;
    client->carry = NULL;
    client->carry_bytes = 0;
    return carry;
}

// An empty line of NDJSON is a heartbeat.
static enum outcome take_line(struct client *client, const char *line, const char *end) {
    if (client->transport == TRANSPORT_SSE) {
        answer_sse_line(client, line, end);
        return OUTCOME_MORE;
    }
    return line == end ? OUTCOME_MORE : answer_object(client, line, (size_t)(end - line));
}

enum outcome body_lines(struct client *client, const char *body, size_t length) {
    char *owned = NULL;
    if (client->carry != NULL) {
        owned = carry_take(client, body, length, &length);
        if (owned == NULL) {
            return OUTCOME_WRONG;
        }
        body = owned;
    }
    enum outcome outcome = OUTCOME_MORE;
    const char *end = body + length;
    for (const char *line_end;
         outcome == OUTCOME_MORE && (line_end = memchr(body, '\n', (size_t)(end - body))) != NULL;
         body = line_end + 1) {
        outcome = take_line(client, body, line_end);
    }
    if (outcome == OUTCOME_MORE && !carry_add(client, body, (size_t)(end - body))) {
        outcome = OUTCOME_WRONG;
    }
    free(owned);
    return outcome;
}

// A message that came in one piece is read where it lies.
static enum outcome take_ws_message(struct client *client, const struct ws_piece *piece) {
    if (piece->is_whole) {
        return answer_object(client, piece->bytes, piece->length);
    }
    if (!carry_add(client, piece->bytes, piece->length)) {
        return OUTCOME_WRONG;
    }
    if (!piece->is_end) {
        return OUTCOME_MORE;
    }
    size_t length = 0;
    char *owned = carry_take(client, NULL, 0, &length);
    enum outcome outcome = owned == NULL ? OUTCOME_WRONG : answer_object(client, owned, length);
    free(owned);
    return outcome;
}

// A node goes away with 1001; every other code says that this client did wrong, and it did not.
static enum outcome take_ws_close(const struct ws_piece *piece) {
    static const char going_away[] = {0x03, (char)0xe9};
    bool is_going = piece->length >= 2 && memcmp(piece->bytes, going_away, 2) == 0;
    return is_going ? OUTCOME_END : OUTCOME_WRONG;
}

// Pongs are all that a client writes, so the socket's buffer always has room for one.
static enum outcome take_ws_control(struct client *client, const struct ws_piece *piece) {
    if (piece->opcode == WS_CLOSE) {
        return take_ws_close(piece);
    }
    if (piece->opcode == WS_PONG) {
        return OUTCOME_MORE;
    }
    char frame[WS_CONTROL_FRAME_MAX];
    size_t length =
        ws_control_encode(WS_PONG, piece->bytes, piece->length, (uint32_t)uv_hrtime(), frame);
    uv_buf_t buf = uv_buf_init(frame, (unsigned)length);
    bool is_sent = uv_try_write((uv_stream_t *)&client->tcp, &buf, 1) == (int)length;
    return is_sent ? OUTCOME_MORE : OUTCOME_END;
}

enum outcome body_ws(struct client *client, const char *body, size_t length) {
    for (;;) {
        struct ws_piece piece = ws_in_next(&client->ws, body, length);
        enum outcome outcome = OUTCOME_MORE;
        body += piece.taken;
        length -= piece.taken;
        switch (piece.kind) {
        case WS_NEED_MORE:
            if (length == 0) {
                return OUTCOME_MORE;
            }
            break;
        case WS_MESSAGE:
            outcome = take_ws_message(client, &piece);
            break;
        case WS_CONTROL:
            outcome = take_ws_control(client, &piece);
            break;
        case WS_BAD:
            return OUTCOME_WRONG;
        }
        if (outcome != OUTCOME_MORE) {
            return outcome;
        }
    }
}
