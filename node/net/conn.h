// One client connection: bytes in, frames out. Knows no HTTP.
//
// Embedded in its owner. It reports through conn_ops, always from the loop and never from within a
// call that the owner makes; on_closed is the last report, and the only place where the owner may
// free it. A connection ends in one of two ways:
//
//   OPEN ──conn_finish──> FINISHING ──queue empty──> LINGERING ──peer's end, or 2 s──> CLOSED
//   any  ──conn_close, broken socket, stall──> CLOSED
//
// Lingering: our side is shut and what still comes is thrown away, because a socket closed with
// unread bytes sends a reset, which can overtake the answer (RFC 9112, section 9.6).
#ifndef FRESHET_NODE_NET_CONN_H
#define FRESHET_NODE_NET_CONN_H

#include "cluster/base/list.h"
#include "cluster/base/slice.h"
#include "node/metrics.h"
#include "node/net/frame.h"
#include "node/net/net.h"
#include "node/net/outq.h"
#include "node/net/wheel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct conn;
struct conn_write;

struct conn_ops {
    void (*on_data)(struct conn *conn, struct slice data); // borrowed for the call
    void (*on_eof)(struct conn *conn);     // the peer ended its side; nothing more will come
    void (*on_drained)(struct conn *conn); // all was taken, after conn_is_blocked became true
    void (*on_closed)(struct conn *conn, enum close_reason reason);
};

enum conn_state { CONN_OPEN, CONN_FINISHING, CONN_LINGERING, CONN_CLOSED };

struct conn {
    uint32_t magic;
    uint8_t state;        // enum conn_state
    uint8_t close_reason; // enum close_reason
    bool is_blocked;
    bool is_at_eof;
    uint8_t stalled_checks;
    uint32_t read_max; // 0: reading is stopped
    uint64_t queued;   // bytes, ever
    uv_tcp_t tcp;
    struct net *net;            // borrowed
    const struct conn_ops *ops; // borrowed
    struct list dirty;          // linked in net->dirty while there is something to flush
    struct outq outq;
    struct conn_write *write; // owned; only while the socket is full
    struct wheel_timer timer; // stall, or the end of lingering
    struct net_task drained;
};

// Takes over the connected socket `fd` and starts to read. Never fails: a broken socket shows in
// on_closed, as always.
void conn_open(struct conn *conn, struct net *net, int fd, const struct conn_ops *ops);

// How many bytes may come at most with the next on_data, up to NET_READ_MAX; 0 stops reading.
void conn_read(struct conn *conn, size_t max);

// Queues a range of a frame (with a reference of its own); it leaves at the end of the loop turn.
// Nothing happens once the connection is finishing or closed. A writer that goes on although the
// connection is blocked is cut at CONN_QUEUE_MAX bytes, with CLOSE_MEMORY.
void conn_write(struct conn *conn, struct frame *frame, size_t offset, size_t len);

// The socket is full, or much was queued: wait for on_drained.
static inline bool conn_is_blocked(const struct conn *conn) {
    return conn->is_blocked;
}

static inline bool conn_is_open(const struct conn *conn) {
    return conn->state == CONN_OPEN;
}

enum { CONN_QUEUE_MARK = 256 * 1024, CONN_QUEUE_MAX = 16 * 1024 * 1024 };

// Writes what is queued, ends our side, and closes when the peer has ended its own. No report comes
// but on_closed.
void conn_finish(struct conn *conn, enum close_reason reason);

// Cuts it. The first reason given counts.
void conn_close(struct conn *conn, enum close_reason reason);

// How many of the bytes that were ever queued (`queued`) have reached the peer's machine.
uint64_t conn_acknowledged(const struct conn *conn);

// The peer's address as text, "" when it is gone. Valid until the next call in this worker.
const char *conn_peer(const struct conn *conn);

// The worker's loop only (net.c): writes what was queued during the turn.
void conn_flush(struct conn *conn);

#endif
