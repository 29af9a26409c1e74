// The life of a client of the load generator: one connection, for ever by the same transport.
//
// Whoever is cut off or sent away comes back with its cursor, so that loss is known apart from
// disconnects: a second later, or with --reconnects when the node wants it, to the next node.
// Nothing is allocated for a message: reads land in one buffer for all, and only what a read cut
// in two is kept (`carry`). The timer has one purpose at a time:
//
//   away (not open)       until client_open
//   waiting for a head    until the client gives up; only with --reconnects
//   between two polls     until the next request
#include "tests/bench/load.h"

#include <stdlib.h>
#include <string.h>

enum {
    REQUEST_MAX = 512,
    READ_BYTES = 256 * 1024,
    SOURCE_HOST_MAX = 16,
    AWAY_MS = 1000,
    AWAY_MS_SHORT = 250, // with --reconnects, when the node did not say
    AWAY_MS_MAX = 5000,
    ANSWER_MS_MAX = 10000,
    HELD_MS_MAX = 40000, // for a long poll
};

static char read_buffer[READ_BYTES]; // one thread, and no callback reads while another does

static void on_timer(uv_timer_t *timer);

// --- losing a connection --------------------------------------------------------------------

// What the node asked for, or a short while that differs for each.
static uint64_t away_ms(struct client *client) {
    uint64_t told_ms = client->retry_ms;
    client->retry_ms = 0;
    if (!client->load->options.reconnects) {
        return AWAY_MS;
    }
    if (told_ms != 0) {
        return told_ms < AWAY_MS_MAX ? told_ms : AWAY_MS_MAX;
    }
    return AWAY_MS_SHORT / 2 + (uint64_t)random() % AWAY_MS_SHORT;
}

static void on_close(uv_handle_t *handle) {
    struct client *client = handle->data;
    const struct options *options = &client->load->options;
    free(client->carry);
    client->carry = NULL;
    client->carry_bytes = 0;
    if (client->load->is_over) {
        return;
    }
    if (options->reconnects) {
        client->node = (client->node + 1) % (uint32_t)options->node_count;
    }
    uv_timer_start(&client->timer, on_timer, away_ms(client), 0);
}

static void leave(struct client *client) {
    client->is_open = false;
    client->load->connected[client->transport] -= client->is_connected;
    client->is_connected = false;
    uv_timer_stop(&client->timer);
    uv_close((uv_handle_t *)&client->tcp, on_close);
}

// Ends a connection that the other side ended, or never took.
static void client_lose(struct client *client) {
    struct tally *tally = client_tally(client);
    if (!client->is_open) {
        return;
    }
    if (!client->is_started) {
        tally->refused++;
    } else if (client->load->options.reconnects) {
        tally->reconnects++;
    } else {
        tally->disconnects++;
    }
    leave(client);
}

// Ends a connection because of what the node said on it: no fault elsewhere excuses that.
static void client_reject(struct client *client) {
    if (!client->is_open) {
        return;
    }
    if (client->is_started) {
        client_tally(client)->disconnects++;
    } else {
        client_tally(client)->refused++;
    }
    leave(client);
}

static void client_settle(struct client *client, enum outcome outcome) {
    if (outcome == OUTCOME_END) {
        client_lose(client);
    } else if (outcome == OUTCOME_WRONG) {
        client_reject(client);
    }
}

// --- asking ---------------------------------------------------------------------------------

// A node that is gone without a word never answers.
static void await_head(struct client *client, uint64_t at_most_ms) {
    client->is_waiting = true;
    if (client->load->options.reconnects) {
        uv_timer_start(&client->timer, on_timer, at_most_ms, 0);
    }
}

static void send_request(struct client *client) {
    char request[REQUEST_MAX];
    int length = request_print(client, request, sizeof(request));
    await_head(client, client->transport == TRANSPORT_LONG_POLL ? HELD_MS_MAX : ANSWER_MS_MAX);
    // At most one request is under way, so the socket's buffer always has room for it.
    uv_buf_t buf = uv_buf_init(request, (unsigned)length);
    if (uv_try_write((uv_stream_t *)&client->tcp, &buf, 1) != length) {
        client_lose(client);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct client *client = timer->data;
    if (!client->is_open) {
        client_open(client);
    } else if (client->is_waiting) {
        client_lose(client);
    } else {
        send_request(client);
    }
}

// --- answers ---------------------------------------------------------------------------------

static bool is_good_status(const struct client *client) {
    switch (client->transport) {
    case TRANSPORT_WS:
        return client->http.status == 101;
    case TRANSPORT_POLL:
        return client->http.status == 200 || client->http.status == 304;
    default:
        return client->http.status == 200;
    }
}

static enum outcome answer_end(struct client *client) {
    bool polls = client->transport == TRANSPORT_LONG_POLL || client->transport == TRANSPORT_POLL;
    if (!polls || !is_good_status(client)) {
        return OUTCOME_END;
    }
    size_t length = 0;
    char *body = carry_take(client, NULL, 0, &length);
    if (client->http.status == 304) {
        client->is_answered = answer_unchanged(client);
    } else if (body != NULL) {
        client->is_answered = answer_poll(client, body, length);
    }
    free(body);
    if (!client->is_answered) {
        return OUTCOME_WRONG;
    }
    client->is_answered = false;
    if (client->http.is_last) {
        return OUTCOME_END;
    }
    if (client->transport == TRANSPORT_POLL && !client->has_more) {
        uv_timer_start(&client->timer, on_timer, client->load->options.poll_interval_ms, 0);
    } else {
        send_request(client);
    }
    return OUTCOME_MORE;
}

static enum outcome answer_body(struct client *client, const struct http_piece *piece) {
    if (!is_good_status(client)) {
        return OUTCOME_MORE; // the end of it is what counts
    }
    switch (client->transport) {
    case TRANSPORT_SSE:
    case TRANSPORT_STREAM:
        return body_lines(client, piece->body, piece->body_bytes);
    case TRANSPORT_WS:
        return body_ws(client, piece->body, piece->body_bytes);
    default:
        break;
    }
    if (piece->is_whole) {
        client->is_answered = answer_poll(client, piece->body, piece->body_bytes);
        return client->is_answered ? OUTCOME_MORE : OUTCOME_WRONG;
    }
    return carry_add(client, piece->body, piece->body_bytes) ? OUTCOME_MORE : OUTCOME_WRONG;
}

// Any other status fails the run once the client has started; before, it comes back.
static void on_head(struct client *client) {
    client->is_waiting = false;
    uv_timer_stop(&client->timer);
    if (is_good_status(client)) {
        return;
    }
    client->retry_ms = client->http.retry_after_s * 1000;
    client_tally(client)->last_status = client->http.status;
    if (client->is_started) {
        client_tally(client)->http_errors++;
    }
}

static enum outcome client_feed(struct client *client, const char *bytes, size_t length) {
    while (client->is_open) {
        bool was_head = client->http.state == HTTP_HEAD;
        struct http_piece piece = http_in_next(&client->http, bytes, length);
        enum outcome outcome = OUTCOME_MORE;
        if (was_head && piece.taken > 0) {
            on_head(client);
        }
        bytes += piece.taken;
        length -= piece.taken;
        switch (piece.kind) {
        case HTTP_BAD:
            return OUTCOME_WRONG;
        case HTTP_NEED_MORE:
            return client->http.state != HTTP_HEAD || carry_add(client, bytes, length)
                       ? OUTCOME_MORE
                       : OUTCOME_WRONG;
        case HTTP_BODY:
            outcome = answer_body(client, &piece);
            break;
        case HTTP_END:
            outcome = answer_end(client);
            break;
        }
        if (outcome != OUTCOME_MORE) {
            return outcome;
        }
    }
    return OUTCOME_MORE;
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
        client_settle(client, client_feed(client, buf->base, length));
        return;
    }
    char *owned = carry_take(client, buf->base, length, &length);
    client_settle(client, owned == NULL ? OUTCOME_WRONG : client_feed(client, owned, length));
    free(owned);
}

// --- dialling -------------------------------------------------------------------------------

// Before anybody has been served, a node that cannot be reached is a mistake of the caller.
static void dial_failed(struct client *client, int error) {
    if (client->load->started == 0) {
        die("cannot connect to a node: %s", uv_strerror(error));
    }
    client_lose(client);
}

static void on_connect(uv_connect_t *request, int status) {
    struct client *client = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    if (status < 0) {
        dial_failed(client, status);
        return;
    }
    client->is_connected = true;
    client->load->connected[client->transport]++;
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
    client->is_open = true;
    client->is_answered = false;
    client->event_kind = EVENT_MESSAGE;
    client->event_payload = (struct payload){0};
    client->ws = (struct ws_in){0};
    client->stage = STAGE_SILENT;
    await_head(client, ANSWER_MS_MAX);
    int error = dial(client);
    // All ephemeral ports of this source are in use: go on from 127.0.0.2, 127.0.0.3 ...
    for (; is_out_of_ports(error) && load->source_host < SOURCE_HOST_MAX; error = dial(client)) {
        load->source_host = load->source_host == 0 ? 2 : load->source_host + 1;
    }
    if (error != 0) {
        dial_failed(client, error);
    }
}

void client_init(struct client *client, struct load *load, uint32_t index) {
    *client = (struct client){.load = load};
    uint32_t below = load->options.clients[0];
    while (index >= below) {
        below += load->options.clients[++client->transport];
    }
    client->channel = &load->channels[index % load->options.channels];
    client->node = index % (uint32_t)load->options.node_count;
    client->tcp.data = client->connect.data = client->timer.data = client;
    progress_init(&client->progress);
    uv_timer_init(load->loop, &client->timer);
}

void client_close(struct client *client) {
    uv_close((uv_handle_t *)&client->timer, NULL);
    if (client->is_open) {
        client->is_open = false;
        uv_close((uv_handle_t *)&client->tcp, on_close);
    }
}

// --- all of them ----------------------------------------------------------------------------

uint32_t clients_connected(const struct load *load) {
    uint32_t total = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        total += load->connected[i];
    }
    return total;
}

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
        tally->behind += !position_equals(client->cursor, channel->last);
    }
}
