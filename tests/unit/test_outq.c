// The queue of frames, written through a real socket pair in pieces of every size.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "cluster/base/bytes.h"
#include "cluster/base/clock.h"
#include "node/net/outq.h"

static void an_empty_queue_holds_no_memory(void **state) {
    (void)state;
    struct outq_pool pool = {0};
    struct outq outq = {0};
    struct frame *frame = frame_create(SLICE("abc"));
    outq_push(&outq, &pool, frame, 1, 0); // nothing
    assert_null(outq.first);
    outq_push(&outq, &pool, frame, 1, 2);
    assert_non_null(outq.first);
    assert_int_equal(frame->refs, 2);
    outq_consume(&outq, &pool, 2);
    assert_null(outq.first);
    assert_null(outq.last);
    assert_int_equal(frame->refs, 1);
    assert_int_equal(pool.count, 1);
    frame_unref(&frame);
    outq_pool_release(&pool);
}

static void gathering_stops_at_the_maximum_and_respects_ranges(void **state) {
    (void)state;
    struct outq_pool pool = {0};
    struct outq outq = {0};
    struct frame *frame = frame_create(SLICE("0123456789"));
    for (size_t i = 0; i < 40; i++) {
        outq_push(&outq, &pool, frame, i % 10, 1);
    }
    uv_buf_t bufs[40];
    assert_int_equal(outq_gather(&outq, bufs, 3), 3);
    assert_int_equal(outq_gather(&outq, bufs, 40), 40);
    assert_int_equal(bufs[37].len, 1);
    assert_int_equal(bufs[37].base[0], '7');
    outq_consume(&outq, &pool, 40);
    frame_unref(&frame);
    outq_pool_release(&pool);
}

static void the_pool_keeps_a_bounded_number_of_blocks(void **state) {
    (void)state;
    struct outq_pool pool = {0};
    struct outq outq = {0};
    struct frame *frame = frame_create(SLICE("x"));
    for (size_t i = 0; i < 20000; i++) {
        outq_push(&outq, &pool, frame, 0, 1);
    }
    outq_consume(&outq, &pool, 20000);
    assert_in_range(pool.count, 1, 1024);
    frame_unref(&frame);
    outq_pool_release(&pool);
}

static void write_some(struct outq *outq, struct outq_pool *pool, int fd) {
    uv_buf_t bufs[8];
    struct iovec iov[8];
    size_t count = outq_gather(outq, bufs, 8);
    for (size_t i = 0; i < count; i++) {
        size_t most = 1 + clock_random(bufs[i].len);
        iov[i] = (struct iovec){bufs[i].base, most};
        if (most < bufs[i].len) {
            count = i + 1; // a write that ends within a frame
        }
    }
    ssize_t written = writev(fd, iov, (int)count);
    assert_true(written > 0);
    outq_consume(outq, pool, (size_t)written);
}

static void what_is_pushed_comes_out_in_order_however_it_is_cut(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct outq_pool pool = {0};
    struct outq outq = {0};
    struct bytes sent = {0};
    struct bytes received = {0};
    for (unsigned i = 0; i < 3000 || !outq_is_empty(&outq); i++) {
        if (i < 3000) {
            char text[64];
            size_t len = 1 + clock_random(sizeof(text));
            for (size_t at = 0; at < len; at++) {
                text[at] = (char)clock_random(256);
            }
            struct frame *frame = frame_create_chunk(slice_make(text, len));
            bytes_append(&sent, frame_whole(frame));
            outq_push(&outq, &pool, frame, 0, 2);
            outq_push(&outq, &pool, frame, 2, frame->len - 2);
            frame_unref(&frame);
        }
        if (!outq_is_empty(&outq)) {
            write_some(&outq, &pool, fds[0]);
        }
        ssize_t len = recv(fds[1], bytes_reserve(&received, 4096), 4096, MSG_DONTWAIT);
        received.len += len > 0 ? (size_t)len : 0;
    }
    shutdown(fds[0], SHUT_WR);
    for (ssize_t len; (len = recv(fds[1], bytes_reserve(&received, 4096), 4096, 0)) > 0;) {
        received.len += (size_t)len;
    }
    assert_true(slice_equal(bytes_slice(&sent), bytes_slice(&received)));
    bytes_release(&sent);
    bytes_release(&received);
    outq_pool_release(&pool);
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_holds_no_memory),
        cmocka_unit_test(gathering_stops_at_the_maximum_and_respects_ranges),
        cmocka_unit_test(the_pool_keeps_a_bounded_number_of_blocks),
        cmocka_unit_test(what_is_pushed_comes_out_in_order_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
