// What a worker counts. Each worker has its own struct and only adds to it; the admin port sums
// them. Relaxed atomics: any thread may read.
#ifndef FRESHET_NODE_METRICS_H
#define FRESHET_NODE_METRICS_H

#include "cluster/base/bytes.h"
#include "cluster/cluster.h"
#include "cluster/message.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSPORT_MAP(X)                                                                           \
    X(POLL, "poll")                                                                                \
    X(LONG_POLL, "long_poll")                                                                      \
    X(SSE, "sse")                                                                                  \
    X(STREAM, "stream")                                                                            \
    X(WS, "ws")

// What a message can be encoded as.
#define FRAME_KIND_MAP(X)                                                                          \
    X(OBJECT, "object")                 /* the message object: polls */                            \
    X(LINE, "line")                     /* the same on a line of its own: stream */                \
    X(EVENT, "event")                   /* SSE with one channel */                                 \
    X(EVENT_ENVELOPE, "event_envelope") /* SSE with the message object as data */                  \
    X(WS_JSON, "ws_json")               /* WebSocket: the message object, text */                  \
    X(WS_MSGPACK, "ws_msgpack")         /* WebSocket: the same map, binary */                      \
    X(WS_RAW, "ws_raw")                 /* WebSocket: the bare payload */

// Why a connection was closed.
#define CLOSE_REASON_MAP(X)                                                                        \
    X(CLIENT, "client") /* the peer closed or reset it */                                          \
    X(DONE, "done")     /* answered with Connection: close */                                      \
    X(IDLE, "idle")     /* keep-alive ran out */                                                   \
    X(HEADER_TIMEOUT, "header_timeout")                                                            \
    X(STALL, "stall") /* took no byte for `stall` */                                               \
    X(BAD_REQUEST, "bad_request")                                                                  \
    X(DRAIN, "drain")                                                                              \
    X(MEMORY, "memory")                                                                            \
    X(DEAD_PEER, "dead_peer") /* a ping was not answered */                                        \
    X(TOKEN, "token")         /* its token has ended */                                            \
    X(PROTOCOL, "protocol")   /* broke RFC 6455, or a limit of ours on messages */                 \
    X(RESET, "reset")         /* raw WebSocket: continuity is broken */                            \
    X(TOO_MANY, "too_many")   /* WebSocket: showed the token of a user who has enough */

// Why a connection or a request was turned away.
#define REFUSE_REASON_MAP(X)                                                                       \
    X(CONNECTIONS, "connections") /* cap reached */                                                \
    X(ACCEPT_RATE, "accept_rate") /* too many new connections in a second */                       \
    X(PER_IP, "per_ip")           /* its address holds its share */                                \
    X(PER_USER, "per_user")       /* its user does */                                              \
    X(JOINS, "joins")             /* too many new channels a second */                             \
    X(TOKEN, "token")             /* missing, or not accepted */                                   \
    X(FORBIDDEN, "forbidden")                                                                      \
    X(ORIGIN, "origin")                                                                            \
    X(UNAVAILABLE, "unavailable") /* Redis is away */                                              \
    X(BEHIND, "behind")           /* `min` not reached */                                          \
    X(BAD_REQUEST, "bad_request")

#define METRICS_ENUM_TRANSPORT(name, text) TRANSPORT_##name,
#define METRICS_ENUM_FRAME(name, text)     FRAME_##name,
#define METRICS_ENUM_CLOSE(name, text)     CLOSE_##name,
#define METRICS_ENUM_REFUSE(name, text)    REFUSE_##name,
enum transport_kind { TRANSPORT_MAP(METRICS_ENUM_TRANSPORT) TRANSPORT_KINDS };
enum frame_kind { FRAME_KIND_MAP(METRICS_ENUM_FRAME) FRAME_KINDS };
enum close_reason { CLOSE_REASON_MAP(METRICS_ENUM_CLOSE) CLOSE_REASONS };
enum refuse_reason { REFUSE_REASON_MAP(METRICS_ENUM_REFUSE) REFUSE_REASONS };
#undef METRICS_ENUM_TRANSPORT
#undef METRICS_ENUM_FRAME
#undef METRICS_ENUM_CLOSE
#undef METRICS_ENUM_REFUSE

enum { LAG_BUCKETS = 14 }; // 1 ms to 10 s, and +Inf

struct metrics {
    // Gauges: added to and subtracted from.
    atomic_llong connections[TRANSPORT_KINDS];
    atomic_llong connections_open; // sockets, whatever they do
    atomic_llong held_by_ips;      // addresses that are being counted, see net/quota.h
    atomic_llong held_by_users;
    atomic_llong subscribers[TRANSPORT_KINDS];
    atomic_llong slow_subscribers; // behind the backlog
    atomic_llong channels;
    atomic_llong backlog_bytes;
    // Counters.
    atomic_llong accepted;
    atomic_llong requests;
    atomic_llong deliveries[TRANSPORT_KINDS];
    atomic_llong resets[RESET_REASONS];
    atomic_llong frames_encoded[FRAME_KINDS];
    atomic_llong ephemeral_dropped; // for a subscriber whose socket was full
    atomic_llong closed[CLOSE_REASONS];
    atomic_llong refused[REFUSE_REASONS];
    // Publish time (Redis's clock) to socket.
    atomic_llong lag_buckets[LAG_BUCKETS];
    atomic_llong lag_sum_ms;
};

static inline void metrics_add(atomic_llong *metric, long long n) {
    atomic_fetch_add_explicit(metric, n, memory_order_relaxed);
}

// One delivery of a message published at time_ms, counted by the wall clock now_ms.
void metrics_delivery(struct metrics *metrics, enum transport_kind transport, int64_t time_ms,
                      int64_t now_ms);

// Appends the text of GET /metrics (Prometheus text format 0.0.4).
void metrics_append(struct bytes *bytes, const struct metrics *const *workers, size_t count,
                    const struct cluster_stats *stats, const struct cluster_state *state);

#endif
