// One byte stream to a Redis, from the name to the last reply: it resolves, connects, writes, and
// cuts what comes in into replies (RESP2). It lives once: when it breaks, or its owner has had
// enough, it is closed and another one is opened. Retrying, deadlines and what a reply means are
// redis_conn's.
//
// Everything runs on the loop's thread. After redis_socket_close there are no more events, and the
// memory goes when libuv has given back what it still holds; so closing is safe in every event.
#ifndef FRESHET_CLUSTER_REDIS_SOCKET_H
#define FRESHET_CLUSTER_REDIS_SOCKET_H

#include "cluster/base/bytes.h"
#include "cluster/redis_address.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <uv.h>

struct redis_socket_events {
    void (*on_connect)(void *owner);
    void (*on_reply)(void *owner, const redisReply *reply); // dies with the callback
    void (*on_writable)(void *owner); // after a write that was answered with UV_EAGAIN
    // At most once, before or after on_connect: a failed dial, a lost link, a malformed stream. The
    // owner must close the socket in it. `why` dies with the callback.
    void (*on_break)(void *owner, int error, const char *why);
    void *owner; // borrowed
};

struct redis_socket;

// Starts resolving and connecting; no event comes from within this call. A name may stand for
// several addresses: all are tried, from number `first` (modulo their count) on, so that a caller
// who counts his attempts gets past an address that swallows packets. 0, or what libuv says at
// once.
int redis_socket_open(uv_loop_t *loop, const struct redis_address *address, unsigned first,
                      const struct redis_socket_events *events, struct redis_socket **socket_r);

// NULLs *socket; NULL in it is fine.
void redis_socket_close(struct redis_socket **socket);

// After on_connect. Takes all bytes of *output and leaves it empty: 0. UV_EAGAIN: the ones before
// are still on their way, nothing was taken, and on_writable will come. Any other error: the socket
// is broken, and the kernel took nothing of these bytes; the owner must close it.
int redis_socket_write(struct redis_socket *socket, struct bytes *output);

// Bytes that were taken and did not yet fit into the kernel's buffer.
size_t redis_socket_unwritten(const struct redis_socket *socket);

#endif
