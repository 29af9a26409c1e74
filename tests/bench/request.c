// What a client asks, by each transport: from its cursor on once it has one, else from the head.
#include <inttypes.h>
#include <stdio.h>

#include "tests/bench/load.h"

enum { WAIT_S = 25, POSITION_MAX = 48 };

// Whoever never had an answer has no position, and prints none.
static const char *print_position(const struct client *client, const char *before,
                                  const char *after, char *text_r) {
    text_r[0] = '\0';
    if (client->is_started) {
        snprintf(text_r, POSITION_MAX + 32, "%s%" PRIu64 "-%" PRIu64 "%s", before,
                 client->cursor.epoch, client->cursor.version, after);
    }
    return text_r;
}

int request_print(const struct client *client, char *request_r, size_t size) {
    const char *name = client->channel->name;
    char since[POSITION_MAX + 32], field[POSITION_MAX + 32] = "";
    print_position(client, "&since=", "", since);
    switch (client->transport) {
    case TRANSPORT_SSE:
        print_position(client, "Last-Event-ID: ", "\r\n", field);
        return snprintf(request_r, size,
                        "GET /sse?channel=%s HTTP/1.1\r\nHost: node\r\n"
                        "Accept: text/event-stream\r\n%s\r\n",
                        name, field);
    case TRANSPORT_STREAM:
        return snprintf(request_r, size, "GET /stream?channel=%s%s HTTP/1.1\r\nHost: node\r\n\r\n",
                        name, since);
    case TRANSPORT_WS: // any key will do, and this one is RFC 6455's own
        return snprintf(request_r, size,
                        "GET /ws?channel=%s%s HTTP/1.1\r\nHost: node\r\n"
                        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        "Sec-WebSocket-Protocol: freshet.v1\r\n\r\n",
                        name, since);
    case TRANSPORT_LONG_POLL:
        if (client->is_started) {
            return snprintf(request_r, size,
                            "GET /poll?channel=%s%s&wait=%d HTTP/1.1\r\nHost: node\r\n\r\n", name,
                            since, WAIT_S);
        }
        break;
    default:
        break;
    }
    if (client->has_etag) {
        print_position(client, "If-None-Match: \"", "\"\r\n", field);
    }
    return snprintf(request_r, size, "GET /poll?channel=%s%s HTTP/1.1\r\nHost: node\r\n%s\r\n",
                    name, since, field);
}
