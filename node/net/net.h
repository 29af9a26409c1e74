// What all connections of one worker share: the loop, the timer wheel, the buffer that reads land
// in, and the work that is done once per loop turn, just before the loop sleeps. First the tasks
// that were put off run, then every connection that was written to is flushed.
#ifndef FRESHET_NODE_NET_NET_H
#define FRESHET_NODE_NET_NET_H

#include "cluster/base/list.h"
#include "node/metrics.h"
#include "node/net/outq.h"
#include "node/net/wheel.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { NET_READ_MAX = 64 * 1024 };

struct net_options {
    uv_loop_t *loop;         // borrowed
    struct metrics *metrics; // borrowed
    uint64_t stall_ms;       // a peer that takes no byte for so long is cut
};

// Open to node/net and node/http; `loop`, `wheel` and `metrics` are for all.
struct net {
    uv_loop_t *loop;         // borrowed
    struct wheel *wheel;     // owned
    struct metrics *metrics; // borrowed
    uint64_t stall_ms;
    size_t conn_count; // connections whose memory is still in use
    struct outq_pool pool;
    struct list tasks;    // struct net_task.node
    struct list dirty;    // struct conn.dirty: to be flushed
    char *read_buffer;    // owned; NET_READ_MAX bytes
    char peer_text[64];   // what conn_peer returned last
    uv_prepare_t prepare; // does the work of a turn
    uv_idle_t idle;       // keeps the loop from sleeping while tasks wait
    int closing_handles;
};

// Something to be done from a clean stack, soon. Zeroed memory is one that does not wait.
struct net_task {
    struct list node;
    void (*run)(struct net_task *task);
};

// Sets SIGPIPE to be ignored: libuv writes with writev, which raises it.
int net_open(const struct net_options *options, struct net **net_r);

// After every connection (conn_count is 0) and listener has gone and every timer was stopped. The
// memory goes when the loop has run the close callbacks.
void net_close(struct net **net);

// `run` is called once before the loop sleeps. Does nothing for a task that waits already. A task
// may be freed in its callback.
void net_defer(struct net *net, struct net_task *task, void (*run)(struct net_task *task));
void net_cancel(struct net_task *task); // fine when it does not wait

#endif
