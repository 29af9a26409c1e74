// What every transport is given, and the handlers the worker routes to. One transport, one file;
// transports never include each other.
#ifndef FRESHET_NODE_TRANSPORT_TRANSPORT_H
#define FRESHET_NODE_TRANSPORT_TRANSPORT_H

#include "cluster/cluster.h"
#include "node/config.h"
#include "node/http/exchange.h"
#include "node/hub/hub.h"
#include "node/metrics.h"
#include "node/net/wheel.h"

#include <uv.h>

// The context of every route's handler. All borrowed from the worker.
struct service {
    uv_loop_t *loop;
    struct wheel *wheel;
    struct hub *hub;
    struct cluster *cluster;
    struct cluster_member *member;
    const struct config *config;
    struct metrics *metrics;
};

// Handlers of the client port; `context` is a struct service.
void poll_handle(struct exchange *exchange, void *context);   // GET, POST /poll, plain and long
void sse_handle(struct exchange *exchange, void *context);    // GET, POST /sse
void stream_handle(struct exchange *exchange, void *context); // GET, POST /stream
void websocket_handle(struct exchange *exchange, void *context); // GET /ws

#endif
