// A connection on one end of a socket pair, which, unlike TCP, has no timeout of the kernel's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cluster/base/bytes.h"
#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/net/conn.h"

enum { STALL_MS = 400, FRAME_BYTES = 100 * 1000, FRAMES = 40 };

static uv_loop_t loop;
static struct metrics metrics;
static struct net *net;
static struct conn conn;
static int peer; // the other end
static unsigned drained;
static int reason; // it was closed for; -1: not yet
static struct bytes heard;
static bool stops_reading; // at the first data

static void on_data(struct conn *from, struct slice data) {
    assert_ptr_equal(from, &conn);
    bytes_append(&heard, data);
    if (stops_reading) {
        conn_read(from, 0);
    }
}

static void on_eof(struct conn *from) {
    conn_finish(from, CLOSE_CLIENT);
}

static void on_drained(struct conn *from) {
    assert_false(conn_is_blocked(from));
    drained++;
}

static void on_closed(struct conn *from, enum close_reason why) {
    assert_ptr_equal(from, &conn);
    assert_int_equal(reason, -1); // once
    reason = (int)why;
}

static const struct conn_ops OPS = {on_data, on_eof, on_drained, on_closed};

static int setup(void **state) {
    (void)state;
    int fds[2];
    memset(&metrics, 0, sizeof(metrics));
    drained = 0;
    reason = -1;
    stops_reading = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer = fds[1];
    assert_int_equal(uv_loop_init(&loop), 0);
    const struct net_options options = {.loop = &loop, .metrics = &metrics, .stall_ms = STALL_MS};
    assert_int_equal(net_open(&options, &net), 0);
    conn_open(&conn, net, fds[0], &OPS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (reason < 0) {
        conn_close(&conn, CLOSE_DONE);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(net->conn_count, 0);
    net_close(&net);
    uv_run(&loop, UV_RUN_DEFAULT);
    bytes_release(&heard);
    close(peer);
    return uv_loop_close(&loop);
}

static void write_much(void) {
    char *text = mem_alloc(FRAME_BYTES);
    struct frame *frame = frame_create(slice_make(text, FRAME_BYTES));
    for (int i = 0; i < FRAMES; i++) {
        conn_write(&conn, frame, 0, frame->len);
    }
    frame_unref(&frame);
    mem_free(text);
}

static size_t take(size_t max) {
    static char buffer[FRAME_BYTES];
    ssize_t len = recv(peer, buffer, max < sizeof(buffer) ? max : sizeof(buffer), MSG_DONTWAIT);
    return len > 0 ? (size_t)len : 0;
}

static void what_is_written_in_a_turn_leaves_in_one_piece_at_its_end(void **state) {
    (void)state;
    struct frame *frame = frame_create(SLICE("0123456789"));
    conn_write(&conn, frame, 0, 3);
    conn_write(&conn, frame, 7, 3);
    assert_int_equal(take(100), 0); // not before
    uv_run(&loop, UV_RUN_NOWAIT);
    char text[100];
    assert_int_equal(recv(peer, text, sizeof(text), MSG_DONTWAIT), 6);
    assert_memory_equal(text, "012789", 6);
    assert_int_equal(frame->refs, 1);
    assert_int_equal(drained, 0); // it was never blocked
    frame_unref(&frame);
}

static void a_full_socket_blocks_and_drained_comes_when_all_was_taken(void **state) {
    (void)state;
    write_much();
    assert_true(conn_is_blocked(&conn));
    size_t taken = 0;
    while (drained == 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
        taken += take(FRAME_BYTES);
    }
    while (taken < (size_t)FRAMES * FRAME_BYTES) {
        size_t more = take(FRAME_BYTES);
        assert_true(more > 0); // nothing is left in the queue
        taken += more;
    }
    assert_int_equal(drained, 1);
    assert_int_equal(reason, -1);
}

static void a_peer_that_takes_nothing_is_cut_after_the_stall_time(void **state) {
    (void)state;
    write_much();
    uint64_t start_ms = clock_mono_ms();
    while (reason < 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(reason, CLOSE_STALL);
    assert_true(clock_mono_ms() - start_ms >= STALL_MS);
    assert_int_equal(atomic_load(&metrics.closed[CLOSE_STALL]), 1);
}

static void a_peer_that_takes_a_little_now_and_then_is_not_cut(void **state) {
    (void)state;
    write_much();
    for (uint64_t start_ms = clock_mono_ms(); clock_mono_ms() - start_ms < 4 * STALL_MS;) {
        take(20 * 1000);
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(20 * 1000);
    }
    assert_int_equal(reason, -1);
    assert_true(conn_is_blocked(&conn));
}

static void who_writes_on_although_blocked_is_cut_at_the_maximum(void **state) {
    (void)state;
    for (int i = 0; i < 2 * CONN_QUEUE_MAX / (FRAMES * FRAME_BYTES) && reason < 0; i++) {
        write_much();
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(reason, CLOSE_MEMORY);
}

static void finishing_writes_the_rest_and_waits_for_the_peers_end(void **state) {
    (void)state;
    struct frame *frame = frame_create(SLICE("bye"));
    conn_write(&conn, frame, 0, 3);
    conn_finish(&conn, CLOSE_DRAIN);
    conn_write(&conn, frame, 0, 3); // too late
    frame_unref(&frame);
    uv_run(&loop, UV_RUN_NOWAIT);
    char text[10];
    assert_int_equal(recv(peer, text, sizeof(text), 0), 3);
    assert_int_equal(recv(peer, text, sizeof(text), 0), 0);
    assert_int_equal(reason, -1);
    assert_int_equal(send(peer, "late", 4, 0), 4);
    shutdown(peer, SHUT_WR);
    while (reason < 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(reason, CLOSE_DRAIN);
    assert_int_equal(heard.len, 0);
}

static void reading_takes_no_more_than_it_may_and_stops(void **state) {
    (void)state;
    stops_reading = true;
    conn_read(&conn, 4);
    assert_int_equal(send(peer, "0123456789", 10, 0), 10);
    for (int i = 0; i < 10; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_true(slice_equal(bytes_slice(&heard), SLICE("0123")));
    stops_reading = false;
    conn_read(&conn, NET_READ_MAX);
    while (heard.len < 10) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(slice_equal(bytes_slice(&heard), SLICE("0123456789")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_in_a_turn_leaves_in_one_piece_at_its_end),
        TEST(a_full_socket_blocks_and_drained_comes_when_all_was_taken),
        TEST(a_peer_that_takes_nothing_is_cut_after_the_stall_time),
        TEST(a_peer_that_takes_a_little_now_and_then_is_not_cut),
        TEST(who_writes_on_although_blocked_is_cut_at_the_maximum),
        TEST(finishing_writes_the_rest_and_waits_for_the_peers_end),
        TEST(reading_takes_no_more_than_it_may_and_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
