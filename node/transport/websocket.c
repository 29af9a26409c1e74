// The life of a WebSocket: its handshake, its input in bounded turns, and its end.
#include "node/transport/websocket.h"

#include "cluster/base/clock.h"
#include "cluster/base/error.h"
#include "cluster/base/mem.h"
#include "node/transport/encode.h"
#include "node/transport/refusal.h"

enum {
    START_WAIT_MS = 3000, // of a raw one for its position, then 503
    CLOSE_WAIT_MS = 1000, // for the client's close frame
    EVENTS_PER_TURN = 64, // messages and control frames of one client
};

// ---- Its end ------------------------------------------------------------------------------------

static void leave_hub(struct websocket *websocket) {
    websocket_remove_channels(websocket);
    websocket_leave_calls(websocket);
    watcher_close(&websocket->watcher);
}

static void release(struct websocket *websocket) {
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    leave_hub(websocket);
    wheel_stop(&websocket->timer);
    ws_reader_release(&websocket->reader);
    grant_release(&websocket->grant);
    map_release(&websocket->by_name);
    metrics_add(&websocket->service->metrics->connections[TRANSPORT_WS], -1);
    websocket->magic = 0;
    mem_free(websocket);
}

static void finish(struct websocket *websocket, enum close_reason counted) {
    struct exchange *exchange = websocket->exchange;
    release(websocket);
    exchange_finish(exchange, counted);
}

static void send_close(struct websocket *websocket, uint16_t code, struct slice reason) {
    struct frame *frame = ws_frame_create_close(code, reason);
    exchange_write_frame(websocket->exchange, frame);
    frame_unref(&frame);
}

void websocket_fail(struct websocket *websocket, uint16_t code, const char *reason,
                    enum close_reason counted) {
    if (websocket->state == WEBSOCKET_CLOSING) {
        finish(websocket, websocket->closed_as);
        return;
    }
    send_close(websocket, code, slice_of(reason));
    finish(websocket, counted);
}

static void on_close_timeout(struct wheel_timer *timer) {
    struct websocket *websocket = CONTAINER_OF(timer, struct websocket, timer);
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    finish(websocket, websocket->closed_as);
}

void websocket_close(struct websocket *websocket, uint16_t code, struct slice reason,
                     enum close_reason counted) {
    CHECK(websocket->state == WEBSOCKET_OPEN);
    send_close(websocket, code, reason);
    websocket->state = WEBSOCKET_CLOSING;
    websocket->closed_as = (uint8_t)counted;
    leave_hub(websocket);
    websocket_resume(websocket);
    wheel_start(websocket->service->wheel, &websocket->timer, CLOSE_WAIT_MS, on_close_timeout);
}

// ---- What it says -------------------------------------------------------------------------------

void websocket_send(struct websocket *websocket, enum ws_opcode opcode, struct slice payload) {
    if (websocket->state == WEBSOCKET_OPEN) {
        struct frame *frame = ws_frame_create(opcode, payload);
        exchange_write_frame(websocket->exchange, frame);
        frame_unref(&frame);
    }
}

void websocket_send_object(struct websocket *websocket, struct bytes *bytes) {
    websocket_send(websocket, websocket->protocol == WS_MSGPACK ? WS_BINARY : WS_TEXT,
                   bytes_slice(bytes));
    bytes_release(bytes);
}

void websocket_bye(struct websocket *websocket, uint16_t code, const char *reason,
                   uint64_t retry_ms, enum close_reason counted) {
    if (websocket->protocol != WS_RAW) {
        struct bytes bytes = {0};
        encode_bye(&bytes, websocket_language(websocket), reason, retry_ms);
        websocket_send_object(websocket, &bytes);
    }
    websocket_close(websocket, code, slice_of(reason), counted);
}

void websocket_send_stale(struct websocket *websocket, uint64_t seconds) {
    if (websocket->protocol != WS_RAW) {
        struct bytes bytes = {0};
        encode_stale(&bytes, websocket_language(websocket), seconds);
        websocket_send_object(websocket, &bytes);
    }
}

static void send_hello(struct websocket *websocket) {
    if (websocket->protocol != WS_RAW) {
        const struct config *config = websocket->service->config;
        struct bytes bytes = {0};
        encode_hello(&bytes, websocket_language(websocket), slice_of(config->node_id),
                     config->ws_ping_ms);
        websocket_send_object(websocket, &bytes);
    }
}

// ---- What it hears ------------------------------------------------------------------------------

// Answers a message of the client; false when that was the end.
static bool take_message(struct websocket *websocket, const struct ws_event *event) {
    if (websocket->protocol == WS_RAW) {
        websocket_fail(websocket, WS_CLOSE_UNSUPPORTED, "a raw reader only listens",
                       CLOSE_PROTOCOL);
        return false;
    }
    enum ws_opcode opcode = websocket->protocol == WS_MSGPACK ? WS_BINARY : WS_TEXT;
    if (event->opcode != opcode) {
        websocket_fail(websocket, WS_CLOSE_UNSUPPORTED,
                       opcode == WS_TEXT ? "freshet.v1 is text" : "freshet.v1.msgpack is binary",
                       CLOSE_PROTOCOL);
        return false;
    }
    websocket_command(websocket, event->payload);
    return true;
}

// False when that was the end.
static bool take_event(struct websocket *websocket, const struct ws_event *event) {
    if (event->opcode == WS_CLOSE) {
        bool is_answer = websocket->state == WEBSOCKET_CLOSING;
        if (!is_answer) {
            send_close(websocket, event->close_code, SLICE_NONE);
        }
        finish(websocket, is_answer ? websocket->closed_as : CLOSE_CLIENT);
        return false;
    }
    if (websocket->state == WEBSOCKET_CLOSING || event->opcode == WS_PONG) {
        return true;
    }
    if (event->opcode == WS_PING) {
        websocket_send(websocket, WS_PONG, event->payload);
        return true;
    }
    return take_message(websocket, event);
}

// A client that does not read its answers, or waits for many of them, is not read on.
static bool may_take(const struct websocket *websocket) {
    return websocket->state == WEBSOCKET_CLOSING || (!exchange_is_blocked(websocket->exchange) &&
                                                     websocket->calls_weight < WEBSOCKET_CALLS_MAX);
}

static const char *reason_of(int code) {
    return code == WS_CLOSE_BAD_DATA  ? "text must be UTF-8"
           : code == WS_CLOSE_POLICY  ? "too many fragments"
           : code == WS_CLOSE_TOO_BIG ? "message too big"
                                      : "protocol error";
}

static size_t on_data(void *state, struct slice bytes) {
    struct websocket *websocket = state;
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    websocket->is_pong_due = false; // whatever it says, it lives
    struct slice input = bytes;
    struct ws_event event;
    int result = 1;
    for (int i = 0; result == 1 && i < EVENTS_PER_TURN && may_take(websocket); i++) {
        result = ws_reader_feed(&websocket->reader, &input, &event);
        if (result < 0) {
            websocket_fail(websocket, (uint16_t)-result, reason_of(-result), CLOSE_PROTOCOL);
            return 0;
        }
        if (result == 1 && !take_event(websocket, &event)) {
            return 0;
        }
    }
    ws_reader_rest(&websocket->reader);
    websocket->is_paused = input.len > 0;
    websocket_resume(websocket);
    return bytes.len - input.len;
}

void websocket_resume(struct websocket *websocket) {
    if (websocket->is_paused && may_take(websocket)) {
        websocket->is_paused = false;
        exchange_resume(websocket->exchange);
    }
}

static void on_writable(void *state) {
    struct websocket *websocket = state;
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    websocket_pull_lagging(websocket);
    websocket_resume(websocket);
}

static void on_gone(void *state) {
    release(state);
}

static const struct exchange_ops exchange_ops = {
    .on_writable = on_writable,
    .on_gone = on_gone,
    .on_data = on_data,
};

// ---- What the worker tells ----------------------------------------------------------------------

static void on_stale(struct watcher *watcher, uint64_t seconds) {
    struct websocket *websocket = CONTAINER_OF(watcher, struct websocket, watcher);
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    websocket_send_stale(websocket, seconds);
}

static void on_drain(struct watcher *watcher) {
    struct websocket *websocket = CONTAINER_OF(watcher, struct websocket, watcher);
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    if (websocket->state == WEBSOCKET_STARTING) {
        websocket_refuse_raw(websocket, E_UNAVAILABLE);
        return;
    }
    websocket_bye(websocket, WS_CLOSE_GOING_AWAY, "drain",
                  drain_delay_ms(websocket->service->config), CLOSE_DRAIN);
}

static const struct watcher_ops watcher_ops = {.on_stale = on_stale, .on_drain = on_drain};

// ---- Its beginning ------------------------------------------------------------------------------

// Answers 101; from then on the request is not needed any more.
static void answer_handshake(struct websocket *websocket) {
    struct exchange *exchange = websocket->exchange;
    char accept[WS_ACCEPT_BYTES];
    ws_handshake_accept(exchange_request(exchange), accept);
    exchange_field(exchange, "Sec-WebSocket-Accept", slice_make(accept, sizeof(accept)));
    if (websocket->protocol != WS_RAW) {
        exchange_field(exchange, "Sec-WebSocket-Protocol", ws_protocol_name(websocket->protocol));
    }
    exchange_upgrade(exchange, "websocket");
    exchange_forget_request(exchange);
    websocket->state = WEBSOCKET_OPEN;
    websocket_start_pings(websocket);
    send_hello(websocket);
}

void websocket_begin_raw(struct websocket *websocket, struct position began) {
    char text[POSITION_TEXT_MAX];
    size_t len = position_format(began, text);
    exchange_field(websocket->exchange, "Freshet-Cursor", slice_make(text, len));
    answer_handshake(websocket);
}

void websocket_refuse_raw(struct websocket *websocket, int error) {
    CHECK(websocket->state == WEBSOCKET_STARTING);
    struct exchange *exchange = websocket->exchange;
    const struct service *service = websocket->service;
    release(websocket);
    refusal_answer_busy(exchange, service, error);
}

static void on_start_timeout(struct wheel_timer *timer) {
    struct websocket *websocket = CONTAINER_OF(timer, struct websocket, timer);
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    websocket_refuse_raw(websocket, E_UNAVAILABLE);
}

// Takes over the grant.
static void create(struct exchange *exchange, const struct service *service,
                   enum ws_protocol protocol, const struct open_request *open_request,
                   struct grant *grant) {
    struct websocket *websocket = mem_alloc(sizeof(*websocket));
    websocket->magic = WEBSOCKET_MAGIC;
    websocket->protocol = (uint8_t)protocol;
    websocket->exchange = exchange;
    websocket->service = service;
    websocket->grant = *grant;
    *grant = (struct grant){0};
    list_init(&websocket->channels);
    list_init(&websocket->lagging);
    list_init(&websocket->calls);
    ws_reader_init(&websocket->reader, service->config->frame_bytes);
    watcher_open(&websocket->watcher, service->hub, &watcher_ops);
    metrics_add(&service->metrics->connections[TRANSPORT_WS], 1);
    exchange_attach(exchange, &exchange_ops, websocket);
    if (protocol == WS_RAW) {
        wheel_start(service->wheel, &websocket->timer, START_WAIT_MS, on_start_timeout);
    } else {
        answer_handshake(websocket);
    }
    for (size_t i = 0; i < open_request->count; i++) {
        struct subscriber_start start = open_request_start(open_request, i);
        start.is_patient = true;
        websocket_add_channel(websocket, open_request->channels[i].name, SLICE_NONE, &start);
    }
}

static int read_request(const struct request *request, const struct grant *grant,
                        enum ws_protocol *protocol_r, struct open_request *open_r,
                        struct open_problem *problem_r) {
    int error = ws_handshake_read(request, protocol_r, problem_r);
    if (error == 0) {
        error = open_request_read(open_r, request, OPEN_WEBSOCKET, grant, problem_r);
    }
    if (error == 0 && *protocol_r == WS_RAW && open_r->count != 1) {
        *problem_r = (struct open_problem){400, "bad-request",
                                           "without a subprotocol exactly one channel=NAME is "
                                           "needed"};
        error = UV_EINVAL;
    }
    return error;
}

void websocket_handle(struct exchange *exchange, void *context) {
    const struct service *service = context;
    enum ws_protocol protocol;
    struct open_request open_request = {0};
    struct open_problem problem;
    struct grant grant;
    const struct request *request = exchange_request(exchange);
    grant_from_request(request, service->config, hub_wall_ms(service->hub), &grant);
    if (read_request(request, &grant, &protocol, &open_request, &problem) == 0) {
        if (hold_or_turn_away(exchange, &grant)) {
            create(exchange, service, protocol, &open_request, &grant);
        }
    } else {
        if (problem.status == 426) { // RFC 9110, section 15.5.22; RFC 6455, section 4.4
            exchange_field(exchange, "Connection", SLICE("Upgrade"));
            exchange_field(exchange, "Upgrade", SLICE("websocket"));
            exchange_field(exchange, "Sec-WebSocket-Version", SLICE("13"));
        }
        refusal_answer(exchange, service, &problem);
    }
    open_request_release(&open_request);
    grant_release(&grant);
}
