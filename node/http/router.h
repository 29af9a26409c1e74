// A table of paths. Who handles what is the worker's to say: this file knows no handler.
#ifndef FRESHET_NODE_HTTP_ROUTER_H
#define FRESHET_NODE_HTTP_ROUTER_H

#include "node/http/exchange.h"

#include <stdbool.h>
#include <stddef.h>

#define METHOD_BIT(method) (1u << (method))

// What else there is to know of a route.
enum {
    ROUTE_EVENT_STREAM = 1 << 8, // turned away as an EventSource understands it
    ROUTE_HEALTH = 1 << 9,       // balancers ask: answered also when the node is full
};

struct route {
    const char *path; // exact
    unsigned flags;   // METHOD_BITs (HEAD is allowed where GET is), ROUTE_*
    void (*handle)(struct exchange *exchange, void *context);
};

struct router {
    const struct route *routes; // borrowed
    size_t count;
    void *context; // borrowed; given to every handler
    // Looks at every request before it is routed, turned away for load or refused for its body;
    // false: it has answered. NULL: all are let in.
    bool (*admit)(struct exchange *exchange, void *context);
};

// Who would handle the request; NULL: nobody.
const struct route *router_find(const struct router *router, const struct request *request);

bool router_admit(const struct router *router, struct exchange *exchange);

// For a request that was admitted. Calls the handler, or answers 404 (code `not-found`), 405 with
// Allow (code `method`), or OPTIONS with 204 and Allow.
void router_handle(const struct router *router, struct exchange *exchange);

#endif
