// A table of paths. Who handles what is the worker's to say: this file knows no handler.
#ifndef FRESHET_NODE_HTTP_ROUTER_H
#define FRESHET_NODE_HTTP_ROUTER_H

#include "node/http/exchange.h"

#include <stdbool.h>
#include <stddef.h>

#define METHOD_BIT(method) (1u << (method))

struct route {
    const char *path; // exact
    unsigned methods; // METHOD_BITs; HEAD is allowed where GET is
    void (*handle)(struct exchange *exchange, void *context);
};

struct router {
    const struct route *routes; // borrowed
    size_t count;
    void *context; // borrowed; given to every handler
    // Looks at every request before it is routed or turned away for load; false: it has answered.
    // NULL: all are let in.
    bool (*admit)(struct exchange *exchange, void *context);
};

bool router_admit(const struct router *router, struct exchange *exchange);

// For a request that was admitted. Calls the handler, or answers 404 (code `not-found`), 405 with Allow (code `method`), or OPTIONS
// with 204 and Allow.
void router_handle(const struct router *router, struct exchange *exchange);

#endif
