// A real server for the tests of node/net and node/http: one worker loop in a thread of its own,
// with a listener, sessions and a few routes. The tests are its clients, over blocking sockets.
#ifndef FRESHET_TESTS_UNIT_HTTP_FIXTURE_H
#define FRESHET_TESTS_UNIT_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/http/http.h"
#include "node/net/listener.h"

enum { PATIENCE_MS = 20000, FLOOD_FRAMES = 300, FLOOD_FRAME_BYTES = 64 * 1024 };

// Zeros stand for what disturbs no test.
struct fixture_options {
    uint64_t stall_ms;
    uint64_t header_timeout_ms;
    uint64_t keep_alive_ms;
    struct admission_options admission;
    const struct router *router; // NULL: the routes below
};

static struct {
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t stop;
    uv_async_t shutdown;
    struct net *net;
    struct http *http;
    struct listener *listener;
    struct metrics metrics;
    struct admission *admission;
    atomic_int gone; // calls of on_gone
    uint16_t port;
} server;

// What a handler keeps of an exchange that is not over at once.
struct pending {
    struct exchange *exchange;
    struct wheel_timer timer;
    struct frame *frame; // counted
    size_t left;         // times that it is still to be written
};

static void release(struct pending *pending) {
    wheel_stop(&pending->timer);
    if (pending->frame != NULL) {
        frame_unref(&pending->frame);
    }
    mem_free(pending);
}

static void on_gone(void *state) {
    release(state);
    atomic_fetch_add(&server.gone, 1);
}

static void on_writable(void *state);

static struct pending *attach(struct exchange *exchange) {
    static const struct exchange_ops OPS = {.on_writable = on_writable, .on_gone = on_gone};
    struct pending *pending = mem_alloc(sizeof(*pending));
    pending->exchange = exchange;
    exchange_attach(exchange, &OPS, pending);
    return pending;
}

// Says the query back, so that pipelined answers can be told apart.
static void handle_hello(struct exchange *exchange, void *context) {
    (void)context;
    exchange_answer(exchange, 200, "text/plain", exchange_request(exchange)->query);
}

static void handle_echo(struct exchange *exchange, void *context) {
    (void)context;
    exchange_answer(exchange, 200, "text/plain", exchange_request(exchange)->body);
}

static void handle_not_modified(struct exchange *exchange, void *context) {
    (void)context;
    exchange_field(exchange, "ETag", SLICE("\"1\""));
    exchange_answer(exchange, 304, NULL, SLICE("never sent"));
}

// Only the client's end ends it.
static void handle_wait(struct exchange *exchange, void *context) {
    (void)context;
    attach(exchange);
    exchange_forget_request(exchange);
}

static void on_later(struct wheel_timer *timer) {
    struct pending *pending = CONTAINER_OF(timer, struct pending, timer);
    struct exchange *exchange = pending->exchange;
    release(pending);
    handle_hello(exchange, NULL);
}

static void handle_later(struct exchange *exchange, void *context) {
    (void)context;
    wheel_start(server.net->wheel, &attach(exchange)->timer, 50, on_later);
}

static void handle_stream(struct exchange *exchange, void *context) {
    (void)context;
    struct frame *plain = frame_create(SLICE("two "));
    struct frame *chunk = frame_create_chunk(SLICE("three"));
    exchange_start(exchange, 200, "text/plain");
    exchange_write(exchange, SLICE("one "));
    exchange_write_frame(exchange, plain);
    exchange_write_frame(exchange, chunk);
    exchange_end(exchange);
    frame_unref(&plain);
    frame_unref(&chunk);
}

// A stream that goes on until its client goes.
static void handle_endless(struct exchange *exchange, void *context) {
    (void)context;
    attach(exchange);
    exchange_start(exchange, 200, "text/plain");
    exchange_write(exchange, SLICE("begun"));
}

static void on_writable(void *state) {
    struct pending *pending = state;
    struct exchange *exchange = pending->exchange;
    while (pending->left > 0 && !exchange_is_blocked(exchange)) {
        exchange_write_frame(exchange, pending->frame);
        pending->left--;
    }
    if (pending->left == 0) {
        release(pending);
        exchange_end(exchange);
    }
}

static struct frame *flood_frame(void) {
    char *text = mem_alloc(FLOOD_FRAME_BYTES);
    memset(text, 'x', FLOOD_FRAME_BYTES);
    struct frame *frame = frame_create_chunk(slice_make(text, FLOOD_FRAME_BYTES));
    mem_free(text);
    return frame;
}

static void handle_flood(struct exchange *exchange, void *context) {
    (void)context;
    struct pending *pending = attach(exchange);
    pending->frame = flood_frame();
    pending->left = FLOOD_FRAMES;
    exchange_start(exchange, 200, "text/plain");
    on_writable(pending);
}

static void handle_parts(struct exchange *exchange, void *context) {
    (void)context;
    struct frame *large = flood_frame();
    struct frame *small = frame_create_chunk(SLICE("small"));
    const struct body_part parts[] = {
        {.text = SLICE("[")}, {.frame = large}, {.text = SLICE(",")},
        {.frame = small},     {.frame = large}, {.text = SLICE("]")},
    };
    exchange_answer_parts(exchange, 200, "text/plain", parts, sizeof(parts) / sizeof(parts[0]));
    frame_unref(&large);
    frame_unref(&small);
}

static void handle_abort(struct exchange *exchange, void *context) {
    (void)context;
    exchange_abort(exchange, CLOSE_MEMORY);
}

// Lasts, and counts for the user that the query names.
static void handle_hold(struct exchange *exchange, void *context) {
    enum refuse_reason why;
    if (exchange_hold(exchange, exchange_request(exchange)->query, &why)) {
        handle_wait(exchange, context);
    } else {
        exchange_turn_away(exchange, why);
    }
}

static const struct route ROUTES[] = {
    {"/hello", METHOD_BIT(HTTP_METHOD_GET), handle_hello},
    {"/echo", METHOD_BIT(HTTP_METHOD_POST), handle_echo},
    {"/not-modified", METHOD_BIT(HTTP_METHOD_GET), handle_not_modified},
    {"/wait", METHOD_BIT(HTTP_METHOD_GET), handle_wait},
    {"/later", METHOD_BIT(HTTP_METHOD_GET), handle_later},
    {"/stream", METHOD_BIT(HTTP_METHOD_GET), handle_stream},
    {"/endless", METHOD_BIT(HTTP_METHOD_GET), handle_endless},
    {"/flood", METHOD_BIT(HTTP_METHOD_GET), handle_flood},
    {"/parts", METHOD_BIT(HTTP_METHOD_GET), handle_parts},
    {"/abort", METHOD_BIT(HTTP_METHOD_GET), handle_abort},
    {"/events", METHOD_BIT(HTTP_METHOD_GET) | METHOD_BIT(HTTP_METHOD_POST) | ROUTE_EVENT_STREAM,
     handle_hold},
    {"/hold", METHOD_BIT(HTTP_METHOD_GET), handle_hold},
    {"/health", METHOD_BIT(HTTP_METHOD_GET) | ROUTE_HEALTH, handle_hello},
};

static const struct router ROUTER = {.routes = ROUTES, .count = sizeof(ROUTES) / sizeof(ROUTES[0])};

static void on_shutdown(uv_async_t *async) {
    (void)async;
    http_shutdown(server.http);
}

// Closes in the order that the headers ask for.
static void on_stop(uv_async_t *async) {
    if (server.listener != NULL) {
        listener_close(&server.listener);
    }
    http_close(&server.http);
    uv_close((uv_handle_t *)async, NULL);
    uv_close((uv_handle_t *)&server.shutdown, NULL);
}

static void *run_server(void *argument) {
    (void)argument;
    uv_run(&server.loop, UV_RUN_DEFAULT); // until all connections have gone
    net_close(&server.net);
    uv_run(&server.loop, UV_RUN_DEFAULT);
    return NULL;
}

static inline int start_server(const struct fixture_options *options) {
    memset(&server, 0, sizeof(server));
    static const struct network_list NOBODY;
    struct admission_options admission = options->admission;
    admission.connections_max = admission.connections_max > 0 ? admission.connections_max : 1000;
    admission.told_max = ADMISSION_TOLD_MAX;
    admission.trusted_proxies =
        admission.trusted_proxies != NULL ? admission.trusted_proxies : &NOBODY;
    admission_create(&admission, &server.admission);
    assert_int_equal(uv_loop_init(&server.loop), 0);
    uv_async_init(&server.loop, &server.stop, on_stop);
    uv_async_init(&server.loop, &server.shutdown, on_shutdown);
    assert_int_equal(net_open(
                         &(struct net_options){
                             .loop = &server.loop,
                             .metrics = &server.metrics,
                             .stall_ms = options->stall_ms > 0 ? options->stall_ms : 30000,
                         },
                         &server.net),
                     0);
    http_open(
        &(struct http_options){
            .net = server.net,
            .router = options->router != NULL ? options->router : &ROUTER,
            .admission = server.admission,
            .head_bytes = 16 * 1024,
            .body_bytes = 100 * 1024,
            .header_timeout_ms =
                options->header_timeout_ms > 0 ? options->header_timeout_ms : 30000,
            .keep_alive_ms = options->keep_alive_ms > 0 ? options->keep_alive_ms : 30000,
            .retry_ms = 3000,
        },
        &server.http);
    assert_int_equal(
        listener_open(server.net, "127.0.0.1", 0, http_accept, server.http, &server.listener), 0);
    server.port = listener_port(server.listener);
    return pthread_create(&server.thread, NULL, run_server, NULL);
}

// Every connection, timer and frame must be gone by then: ASan and the CHECKs in net_close look.
static inline int stop_server(void **state) {
    (void)state;
    uv_async_send(&server.stop);
    pthread_join(server.thread, NULL);
    assert_int_equal(admission_connections(server.admission), 0);
    admission_destroy(&server.admission);
    assert_int_equal(atomic_load(&server.metrics.connections_open), 0);
    return uv_loop_close(&server.loop);
}

static inline int make_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

static inline void connect_socket(int fd) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(server.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static inline int dial(void) {
    int fd = make_socket();
    connect_socket(fd);
    return fd;
}

static inline void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// A string until `end` has come, or, with NULL, all until the connection's end. NULL: a reset.
static inline const char *hear(int fd, struct bytes *bytes, const char *end) {
    for (;;) {
        *bytes_reserve(bytes, 64 * 1024 + 1) = '\0';
        if (end != NULL && strstr(bytes->data, end) != NULL) {
            return bytes->data;
        }
        ssize_t len = recv(fd, bytes->data + bytes->len, 64 * 1024, 0);
        // No signal: libuv 1.50's io_uring of the test before, as the kernel takes it down late.
        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len <= 0) {
            assert_true(len == 0 || errno == ECONNRESET); // not EAGAIN: patience is over
            assert_null(end);
            return len == 0 ? bytes->data : NULL;
        }
        bytes->len += (size_t)len;
        bytes->data[bytes->len] = '\0';
    }
}

// One request on a connection of its own, all that came back until its end, which the server makes.
static inline struct bytes ask(const char *request) {
    struct bytes bytes = {0};
    int fd = dial();
    say(fd, request);
    assert_non_null(hear(fd, &bytes, NULL));
    close(fd);
    return bytes;
}

static inline void assert_starts(const char *text, const char *start) {
    if (strncmp(text, start, strlen(start)) != 0) {
        fail_msg("wanted %s, got %.300s", start, text);
    }
}

static inline void assert_asked(const char *request, const char *start) {
    struct bytes bytes = ask(request);
    assert_starts(bytes.data, start);
    bytes_release(&bytes);
}

static inline void await(atomic_llong *counter, long long value) {
    for (int ms = 0; atomic_load(counter) < value; ms++) {
        assert_true(ms < PATIENCE_MS);
        usleep(1000);
    }
}

static inline void await_gone(int value) {
    for (int ms = 0; atomic_load(&server.gone) < value; ms++) {
        assert_true(ms < PATIENCE_MS);
        usleep(1000);
    }
}

#endif
