// The clients of the load generator: one connection each, for ever by the same transport.
//
// Whoever is cut off or sent away comes back a second later with its cursor, so that loss is
// known apart from disconnects. Nothing is allocated for a message: reads land in one buffer for
// all, and only what a read cut in two is kept (`carry`).
#include "tests/bench/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    REQUEST_MAX = 512,
    READ_BYTES = 256 * 1024,
    WAIT_S = 25,
    SOURCE_HOST_MAX = 16,
};
static const uint64_t retry_ns = UINT64_C(1000000000);

static char read_buffer[READ_BYTES]; // one thread, and no callback reads while another does

void client_init(struct client *client, struct load *load, uint32_t index) {
    *client = (struct client){.load = load};
    uint32_t below = load->options.clients[0];
    while (index >= below) {
        below += load->options.clients[++client->transport];
    }
    client->channel = &load->channels[index % load->options.channels];
    client->node = index % (uint32_t)load->options.node_count;
    progress_init(&client->progress);
}

// --- losing a connection --------------------------------------------------------------------

static void retry_later(struct client *client) {
    struct load *load = client->load;
    client->retry_at_ns = uv_hrtime() + retry_ns;
    client->next_retry = NULL;
    if (load->retry_last == NULL) {
        load->retry_first = client;
    } else {
        load->retry_last->next_retry = client;
    }
    load->retry_last = client;
}

static void on_close(uv_handle_t *handle) {
    struct client *client = handle->data;
    free(client->carry);
    client->carry = NULL;
    client->carry_bytes = 0;
    if (!client->load->is_over) {
        retry_later(client);
    }
}

void client_close(struct client *client) {
    if (!client->is_open) {
        return;
    }
    client->is_open = false;
    if (!uv_is_closing((uv_handle_t *)&client->tcp)) {
        uv_close((uv_handle_t *)&client->tcp, on_close);
    }
}

// Ends a connection that the node ended, or that can no longer be used.
static void client_lose(struct client *client) {
    if (!client->is_open) {
        return;
    }
    if (client->is_started) {
        client_tally(client)->disconnects++;
    } else {
        client_tally(client)->refused++;
    }
    client->load->connected--;
    client_close(client);
}

void client_retry_due(struct load *load, uint64_t now_ns) {
    while (load->retry_first != NULL && load->retry_first->retry_at_ns <= now_ns) {
        struct client *client = load->retry_first;
        load->retry_first = client->next_retry;
        if (load->retry_first == NULL) {
            load->retry_last = NULL;
        }
        client_open(client);
    }
}

// --- asking ---------------------------------------------------------------------------------

// The position asked for, or nothing: whoever never had an answer starts at the head.
static const char *since_text(const struct client *client, const char *before, char *text_r,
                              size_t size) {
    text_r[0] = '\0';
    if (client->is_started) {
        snprintf(text_r, size, "%s%" PRIu64 "-%" PRIu64, before, client->cursor.epoch,
                 client->cursor.version);
    }
    return text_r;
}

// Any key will do, and this one is RFC 6455's own.
static int print_handshake(const struct client *client, char *request_r, size_t size) {
    char since[64];
    return snprintf(request_r, size,
                    "GET /ws?channel=%s%s HTTP/1.1\r\nHost: node\r\n"
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    "Sec-WebSocket-Protocol: freshet.v1\r\n\r\n",
                    client->channel->name, since_text(client, "&since=", since, sizeof(since)));
}

static void send_request(struct client *client) {
    char request[REQUEST_MAX];
    char since[64];
    int length;
    if (client->transport == TRANSPORT_WS) {
        length = print_handshake(client, request, sizeof(request));
    } else if (client->transport == TRANSPORT_SSE) {
        length = snprintf(request, sizeof(request),
                          "GET /sse?channel=%s HTTP/1.1\r\nHost: node\r\n"
                          "Accept: text/event-stream%s\r\n\r\n",
                          client->channel->name,
                          since_text(client, "\r\nLast-Event-ID: ", since, sizeof(since)));
    } else if (client->is_started) {
        length = snprintf(request, sizeof(request),
                          "GET /poll?channel=%s%s&wait=%d HTTP/1.1\r\nHost: node\r\n\r\n",
                          client->channel->name,
                          since_text(client, "&since=", since, sizeof(since)), WAIT_S);
    } else {
        length =
            snprintf(request, sizeof(request),
                     "GET /poll?channel=%s HTTP/1.1\r\nHost: node\r\n\r\n", client->channel->name);
    }
    // At most one request is under way, so the socket's buffer always has room for it.
    uv_buf_t buf = uv_buf_init(request, (unsigned)length);
    int sent = uv_try_write((uv_stream_t *)&client->tcp, &buf, 1);
    if (sent != length) {
        client_lose(client);
    }
}

// --- answers ---------------------------------------------------------------------------------

static int good_status(const struct client *client) {
    return client->transport == TRANSPORT_WS ? 101 : 200;
}

static bool answer_end(struct client *client) {
    if (client->transport != TRANSPORT_LONG_POLL || client->http.status != 200) {
        return false;
    }
    size_t length = 0;
    char *body = carry_take(client, NULL, 0, &length);
    if (body != NULL) {
        client->is_answered = answer_poll(client, body, length);
    }
    free(body);
    if (!client->is_answered) {
        return false;
    }
    client->is_answered = false;
    send_request(client);
    return true;
}

static bool answer_body(struct client *client, const struct http_piece *piece) {
    if (client->http.status != good_status(client)) {
        return true; // the end of it is what counts
    }
    if (client->transport == TRANSPORT_SSE) {
        return body_sse(client, piece->body, piece->body_bytes);
    }
    if (client->transport == TRANSPORT_WS) {
        return body_ws(client, piece->body, piece->body_bytes);
    }
    if (piece->is_whole) {
        client->is_answered = answer_poll(client, piece->body, piece->body_bytes);
        return client->is_answered;
    }
    return carry_add(client, piece->body, piece->body_bytes);
}

// Any other status fails the run once the client has started; before, it comes back.
static void note_status(struct client *client) {
    if (client->http.status == good_status(client)) {
        return;
    }
    client_tally(client)->last_status = client->http.status;
    if (client->is_started) {
        client_tally(client)->http_errors++;
    }
}

static bool client_feed(struct client *client, const char *bytes, size_t length) {
    while (client->is_open) {
        bool was_head = client->http.state == HTTP_HEAD;
        struct http_piece piece = http_in_next(&client->http, bytes, length);
        if (was_head && piece.taken > 0) {
            note_status(client);
        }
        bytes += piece.taken;
        length -= piece.taken;
        if (piece.kind == HTTP_BAD) {
            return false;
        }
        if (piece.kind == HTTP_NEED_MORE) {
            return client->http.state != HTTP_HEAD || carry_add(client, bytes, length);
        }
        if (piece.kind == HTTP_BODY && !answer_body(client, &piece)) {
            return false;
        }
        if (piece.kind == HTTP_END && !answer_end(client)) {
            return false;
        }
    }
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    struct client *client = stream->data;
    if (count == 0) {
        return;
    }
    if (count < 0) {
        client_lose(client);
        return;
    }
    size_t length = (size_t)count;
    if (client->http.state != HTTP_HEAD || client->carry == NULL) {
        if (!client_feed(client, buf->base, length)) {
            client_lose(client);
        }
        return;
    }
    char *owned = carry_take(client, buf->base, length, &length);
    if (owned == NULL || !client_feed(client, owned, length)) {
        client_lose(client);
    }
    free(owned);
}

// --- dialling -------------------------------------------------------------------------------

static void on_connect(uv_connect_t *request, int status) {
    struct client *client = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    client->load->connected++;
    if (status < 0) {
        if (client->load->started == 0) {
            die("cannot connect to a node: %s", uv_strerror(status));
        }
        client_lose(client);
        return;
    }
    uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read);
    send_request(client);
}

// libuv keeps the failure of a bind to itself until the connect; asking for the name shows it.
static int bind_source(struct client *client, uint32_t host) {
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
    int error = uv_tcp_bind(&client->tcp, (const struct sockaddr *)&source, 0);
    int length = sizeof(source);
    if (error != 0) {
        return error;
    }
    return uv_tcp_getsockname(&client->tcp, (struct sockaddr *)&source, &length);
}

static int dial(struct client *client) {
    const struct load *load = client->load;
    int error = load->source_host == 0 ? 0 : bind_source(client, load->source_host);
    if (error != 0) {
        return error;
    }
    const struct sockaddr *node = (const struct sockaddr *)&load->options.nodes[client->node];
    return uv_tcp_connect(&client->connect, &client->tcp, node, on_connect);
}

static bool is_out_of_ports(int error) {
    return error == UV_EADDRNOTAVAIL || error == UV_EADDRINUSE;
}

void client_open(struct client *client) {
    struct load *load = client->load;
    http_in_init(&client->http);
    uv_tcp_init(load->loop, &client->tcp);
    client->tcp.data = client;
    client->connect.data = client;
    client->is_open = true;
    client->is_answered = false;
    client->event_kind = EVENT_MESSAGE;
    client->ws = (struct ws_in){0};
    client->ws_stage = WS_SILENT;
    int error = dial(client);
    // All ephemeral ports of this source are in use: go on from 127.0.0.2, 127.0.0.3 ...
    for (; is_out_of_ports(error) && load->source_host < SOURCE_HOST_MAX; error = dial(client)) {
        load->source_host = load->source_host == 0 ? 2 : load->source_host + 1;
    }
    if (error != 0) {
        die("cannot dial a node: %s", uv_strerror(error));
    }
}

// --- all of them ----------------------------------------------------------------------------

uint64_t clients_received(const struct load *load) {
    uint64_t total = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        total += load->tallies[i].received;
    }
    return total;
}

uint64_t clients_missing(const struct load *load) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < load->client_count; i++) {
        const struct client *client = &load->clients[i];
        if (client->progress.unique < client->channel->answered) {
            total += client->channel->answered - client->progress.unique;
        }
    }
    return total;
}

void clients_judge(struct load *load) {
    for (uint32_t i = 0; i < load->client_count; i++) {
        const struct client *client = &load->clients[i];
        struct tally *tally = &load->tallies[client->transport];
        const struct channel *channel = client->channel;
        if (client->progress.unique < channel->answered) {
            tally->lost += channel->answered - client->progress.unique;
        }
        tally->behind += client->cursor.epoch != channel->last.epoch ||
                         client->cursor.version != channel->last.version;
    }
}
