// A connection on uv_tcp_t. Writes go straight to the socket; only when it is full a uv_write waits
// for it, so that an idle connection carries neither a request nor a buffer.
#include "node/net/conn.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

enum {
    MAGIC = 0x636f6e6e,
    FLUSH_BUFS = 128, // a gathered write
    FLUSH_ROUNDS = 8, // of them per turn, so that one fast reader does not hold the loop
    STALL_CHECKS = 4, // per stall_ms: a stall is found at most a quarter late
    LINGER_MS = 2000,
};

// A write that waits for the socket. It covers the first `bytes` of the queue, which stay there.
struct conn_write {
    uv_write_t req;
    size_t bytes;
    size_t untaken; // by the socket, at the last check for a stall
};

static uv_stream_t *stream_of(struct conn *conn) {
    return (uv_stream_t *)&conn->tcp;
}

static bool is_dirty(const struct conn *conn) {
    return list_is_linked(&conn->dirty);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct conn *conn = handle->data;
    CHECK_OBJ(conn, MAGIC);
    CHECK(conn->write == NULL); // libuv has cancelled it
    outq_consume(&conn->outq, &conn->net->pool, conn->outq.bytes);
    conn->net->conn_count--;
    conn->magic = 0;
    conn->ops->on_closed(conn, (enum close_reason)conn->close_reason);
}

// A reset frees what the kernel still holds for a peer that does not take it, and tells a peer that
// reads until the end (HTTP/1.0) that this is not it.
static bool is_worth_reset(enum close_reason reason) {
    return reason == CLOSE_STALL || reason == CLOSE_MEMORY;
}

void conn_close(struct conn *conn, enum close_reason reason) {
    CHECK_OBJ(conn, MAGIC);
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (conn->state == CONN_OPEN || is_worth_reset(reason)) {
        conn->close_reason = (uint8_t)reason;
    }
    conn->state = CONN_CLOSED;
    conn->is_blocked = false;
    wheel_stop(&conn->timer);
    net_cancel(&conn->drained);
    list_remove(&conn->dirty);
    metrics_add(&conn->net->metrics->closed[conn->close_reason], 1);
    metrics_add(&conn->net->metrics->connections_open, -1);
    if (!is_worth_reset(reason) || uv_tcp_close_reset(&conn->tcp, on_handle_closed) != 0) {
        uv_close((uv_handle_t *)&conn->tcp, on_handle_closed);
    }
}

// ETIMEDOUT is the kernel's word for a stall, see TCP_USER_TIMEOUT in listener.c.
static enum close_reason reason_of(ssize_t error) {
    return error == UV_ETIMEDOUT ? CLOSE_STALL : CLOSE_CLIENT;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct conn *conn = handle->data;
    *buf = uv_buf_init(conn->net->read_buffer, conn->read_max);
}

static void read_eof(struct conn *conn) {
    conn->is_at_eof = true;
    conn->read_max = 0;
    if (conn->state == CONN_OPEN) {
        conn->ops->on_eof(conn);
    } else if (conn->state == CONN_LINGERING) {
        conn_close(conn, CLOSE_DONE);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct conn *conn = stream->data;
    CHECK_OBJ(conn, MAGIC);
    if (len > 0 && conn->state == CONN_OPEN) {
        conn->ops->on_data(conn, slice_make(buf->base, (size_t)len));
    } else if (len == UV_EOF) {
        read_eof(conn);
    } else if (len < 0) {
        conn_close(conn, reason_of(len));
    }
}

void conn_read(struct conn *conn, size_t max) {
    CHECK_OBJ(conn, MAGIC);
    if (conn->is_at_eof || conn->state == CONN_CLOSED) {
        return;
    }
    bool was_reading = conn->read_max > 0;
    conn->read_max = (uint32_t)(max < NET_READ_MAX ? max : NET_READ_MAX);
    if (conn->read_max == 0) {
        uv_read_stop(stream_of(conn));
    } else if (!was_reading) {
        int err = uv_read_start(stream_of(conn), on_alloc, on_read);
        if (err != 0) {
            conn_close(conn, CLOSE_CLIENT);
        }
    }
}

void conn_open(struct conn *conn, struct net *net, int fd, const struct conn_ops *ops) {
    *conn = (struct conn){.magic = MAGIC, .net = net, .ops = ops, .state = CONN_OPEN};
    list_init(&conn->dirty);
    net->conn_count++;
    metrics_add(&net->metrics->connections_open, 1);
    CHECK(uv_tcp_init(net->loop, &conn->tcp) == 0); // makes no socket, so nothing can fail
    conn->tcp.data = conn;
    if (uv_tcp_open(&conn->tcp, fd) != 0) {
        close(fd);
        conn_close(conn, CLOSE_CLIENT);
        return;
    }
    conn_read(conn, NET_READ_MAX);
}

static void on_lingered(struct wheel_timer *timer) {
    conn_close(CONTAINER_OF(timer, struct conn, timer), CLOSE_DONE);
}

static void linger(struct conn *conn) {
    CHECK(conn->state == CONN_FINISHING && outq_is_empty(&conn->outq));
    conn->state = CONN_LINGERING;
    uv_os_fd_t fd;
    // By hand: uv_shutdown would want a request, to wait for a queue that is empty.
    if (conn->is_at_eof || uv_fileno((uv_handle_t *)&conn->tcp, &fd) != 0 ||
        shutdown(fd, SHUT_WR) != 0) {
        conn_close(conn, CLOSE_DONE);
        return;
    }
    wheel_start(conn->net->wheel, &conn->timer, LINGER_MS, on_lingered);
    conn_read(conn, NET_READ_MAX);
}

static void run_drained(struct net_task *task) {
    struct conn *conn = CONTAINER_OF(task, struct conn, drained);
    CHECK_OBJ(conn, MAGIC);
    conn->is_blocked = false;
    conn->ops->on_drained(conn);
}

// The queue is empty. Flushes happen inside the worker's sweep: the owner hears of it afterwards.
static void queue_emptied(struct conn *conn) {
    wheel_stop(&conn->timer);
    if (conn->state == CONN_FINISHING) {
        linger(conn);
    } else if (conn->is_blocked) {
        net_defer(conn->net, &conn->drained, run_drained);
    }
}

static void on_stall_check(struct wheel_timer *timer) {
    struct conn *conn = CONTAINER_OF(timer, struct conn, timer);
    CHECK_OBJ(conn, MAGIC);
    size_t untaken = uv_stream_get_write_queue_size(stream_of(conn));
    if (untaken < conn->write->untaken) {
        conn->stalled_checks = 0;
    } else if (++conn->stalled_checks == STALL_CHECKS) {
        conn_close(conn, CLOSE_STALL);
        return;
    }
    conn->write->untaken = untaken;
    wheel_start(conn->net->wheel, timer, conn->net->stall_ms / STALL_CHECKS, on_stall_check);
}

static void on_written(uv_write_t *req, int status) {
    struct conn_write *write = (struct conn_write *)req;
    struct conn *conn = req->handle->data;
    CHECK_OBJ(conn, MAGIC);
    conn->write = NULL;
    size_t bytes = write->bytes;
    mem_free(write);
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (status != 0) {
        conn_close(conn, reason_of(status));
        return;
    }
    conn->stalled_checks = 0;
    outq_consume(&conn->outq, &conn->net->pool, bytes);
    conn_flush(conn);
}

static size_t total(const uv_buf_t *bufs, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += bufs[i].len;
    }
    return bytes;
}

// The socket is full: lets libuv write the front of the queue when it can.
static void wait_for_socket(struct conn *conn) {
    uv_buf_t bufs[FLUSH_BUFS];
    size_t count = outq_gather(&conn->outq, bufs, FLUSH_BUFS);
    conn->is_blocked = true;
    conn->write = mem_alloc(sizeof(*conn->write));
    conn->write->bytes = conn->write->untaken = total(bufs, count);
    int err = uv_write(&conn->write->req, stream_of(conn), bufs, (unsigned)count, on_written);
    if (err != 0) {
        mem_free(conn->write);
        conn->write = NULL;
        conn_close(conn, CLOSE_CLIENT);
        return;
    }
    if (!wheel_is_running(&conn->timer)) {
        conn->stalled_checks = 0;
        wheel_start(conn->net->wheel, &conn->timer, conn->net->stall_ms / STALL_CHECKS,
                    on_stall_check);
    }
}

void conn_flush(struct conn *conn) {
    CHECK_OBJ(conn, MAGIC);
    if (conn->write != NULL) {
        return; // its end flushes
    }
    uv_buf_t bufs[FLUSH_BUFS];
    for (int round = 0; round < FLUSH_ROUNDS && !outq_is_empty(&conn->outq); round++) {
        size_t count = outq_gather(&conn->outq, bufs, FLUSH_BUFS);
        size_t offered = total(bufs, count);
        int written = uv_try_write(stream_of(conn), bufs, (unsigned)count);
        if (written < 0 && written != UV_EAGAIN) {
            conn_close(conn, reason_of(written));
            return;
        }
        outq_consume(&conn->outq, &conn->net->pool, written > 0 ? (size_t)written : 0);
        if (written < 0 || (size_t)written < offered) {
            break;
        }
    }
    if (outq_is_empty(&conn->outq)) {
        queue_emptied(conn);
    } else {
        wait_for_socket(conn);
    }
}

void conn_write(struct conn *conn, struct frame *frame, size_t offset, size_t len) {
    CHECK_OBJ(conn, MAGIC);
    if (conn->state != CONN_OPEN) {
        return;
    }
    if (conn->write != NULL && conn->outq.bytes + len > CONN_QUEUE_MAX) {
        conn_close(conn, CLOSE_MEMORY);
        return;
    }
    outq_push(&conn->outq, &conn->net->pool, frame, offset, len);
    conn->queued += len;
    if (conn->outq.bytes >= CONN_QUEUE_MARK) {
        conn->is_blocked = true;
    }
    if (conn->write == NULL && !is_dirty(conn)) {
        list_append(&conn->net->dirty, &conn->dirty);
    }
}

void conn_finish(struct conn *conn, enum close_reason reason) {
    CHECK_OBJ(conn, MAGIC);
    if (conn->state != CONN_OPEN) {
        return;
    }
    conn->state = CONN_FINISHING;
    conn->close_reason = (uint8_t)reason;
    net_cancel(&conn->drained);
    conn_read(conn, NET_READ_MAX);
    // Also with nothing queued the next step is the flush's, from a clean stack.
    if (conn->state == CONN_FINISHING && conn->write == NULL && !is_dirty(conn)) {
        list_append(&conn->net->dirty, &conn->dirty);
    }
}

uint64_t conn_acknowledged(const struct conn *conn) {
    CHECK_OBJ(conn, MAGIC);
    int unacknowledged = 0; // in the kernel, sent or not
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0) {
        (void)ioctl(fd, SIOCOUTQ, &unacknowledged); // cannot fail on a socket of ours
    }
    size_t waiting = conn->outq.bytes;
    if (conn->write != NULL) { // the queue still holds what libuv may have written in part
        const uv_stream_t *stream = (const uv_stream_t *)&conn->tcp;
        waiting -= conn->write->bytes - uv_stream_get_write_queue_size(stream);
    }
    return conn->queued - waiting - (uint64_t)unacknowledged;
}

const char *conn_peer(const struct conn *conn) {
    CHECK_OBJ(conn, MAGIC);
    struct sockaddr_storage address;
    int len = sizeof(address);
    char *text = conn->net->peer_text;
    text[0] = '\0';
    if (conn->state != CONN_CLOSED &&
        uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&address, &len) == 0) {
        uv_ip_name((struct sockaddr *)&address, text, sizeof(conn->net->peer_text));
    }
    return text;
}
