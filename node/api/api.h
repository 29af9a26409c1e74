// Handlers that read or write once and are done; the worker routes to them. `context` is a
// struct service (node/transport/transport.h) or, on the admin port, a struct admin.
#ifndef FRESHET_NODE_API_API_H
#define FRESHET_NODE_API_API_H

#include "node/transport/transport.h"

#include <stddef.h>

void publish_handle(struct exchange *exchange, void *context); // POST /publish
void history_handle(struct exchange *exchange, void *context); // GET /history
void page_handle(struct exchange *exchange, void *context);    // GET /
void client_handle(struct exchange *exchange, void *context);  // GET /client.js
void healthz_handle(struct exchange *exchange, void *context); // GET /healthz: the process lives
void readyz_handle(struct exchange *exchange, void *context);  // GET /readyz: status only

// From now on every port of this process says that it is not ready. Any thread.
void readyz_leave(void);
// The cluster's state, with that in mind.
void node_state(const struct cluster *cluster, struct cluster_state *state_r);

// The admin port sees all workers.
struct admin {
    struct service service; // of the worker that runs the port; first, so that handlers are shared
    const struct metrics *const *workers; // borrowed
    size_t worker_count;
    void (*ask_drain)(void *server); // any thread, any number of times
    void *server;                    // borrowed
};

void admin_publish_handle(struct exchange *exchange, void *context); // trusted
void admin_readyz_handle(struct exchange *exchange, void *context);  // with reasons
void admin_metrics_handle(struct exchange *exchange, void *context);
void admin_channels_handle(struct exchange *exchange, void *context);
void admin_drain_handle(struct exchange *exchange, void *context); // POST /drain: like SIGTERM

#endif
