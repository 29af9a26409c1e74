// The bodies of answers that never end: the lines of an event stream, the frames of a WebSocket.
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

bool body_sse(struct client *client, const char *body, size_t length) {
    char *owned = NULL;
    if (client->carry != NULL) {
        owned = carry_take(client, body, length, &length);
        if (owned == NULL) {
            return false;
        }
        body = owned;
    }
    const char *end = body + length;
    for (const char *line_end; (line_end = memchr(body, '\n', (size_t)(end - body))) != NULL;
         body = line_end + 1) {
        answer_sse_line(client, body, line_end);
    }
    bool is_ok = carry_add(client, body, (size_t)(end - body));
    free(owned);
    return is_ok;
}

// A message that came in one piece is read where it lies.
static bool ws_message(struct client *client, const struct ws_piece *piece) {
    if (piece->is_whole) {
        return answer_ws(client, piece->bytes, piece->length);
    }
    if (!carry_add(client, piece->bytes, piece->length)) {
        return false;
    }
    if (!piece->is_end) {
        return true;
    }
    size_t length = 0;
    char *owned = carry_take(client, NULL, 0, &length);
    bool is_ok = owned != NULL && answer_ws(client, owned, length);
    free(owned);
    return is_ok;
}

// Pongs are all that a client writes, so the socket's buffer always has room for one.
static bool ws_control(struct client *client, const struct ws_piece *piece) {
    if (piece->opcode != WS_PING) {
        return piece->opcode == WS_PONG;
    }
    char frame[WS_CONTROL_FRAME_MAX];
    size_t length =
        ws_control_encode(WS_PONG, piece->bytes, piece->length, (uint32_t)uv_hrtime(), frame);
    uv_buf_t buf = uv_buf_init(frame, (unsigned)length);
    return uv_try_write((uv_stream_t *)&client->tcp, &buf, 1) == (int)length;
}

bool body_ws(struct client *client, const char *body, size_t length) {
    for (;;) {
        struct ws_piece piece = ws_in_next(&client->ws, body, length);
        body += piece.taken;
        length -= piece.taken;
        if (piece.kind == WS_NEED_MORE && length == 0) {
            return true;
        }
        if (piece.kind == WS_BAD || (piece.kind == WS_MESSAGE && !ws_message(client, &piece)) ||
            (piece.kind == WS_CONTROL && !ws_control(client, &piece))) {
            return false;
        }
    }
}
