// A handful of paths: a walk along the table is as quick as anything.
#include "node/http/router.h"

#include <string.h>

static bool is_allowed(const struct route *route, enum http_method method) {
    unsigned methods = route->flags;
    if (methods & METHOD_BIT(HTTP_METHOD_GET)) {
        methods |= METHOD_BIT(HTTP_METHOD_HEAD);
    }
    return (methods & METHOD_BIT(method)) != 0;
}

static void add_allow(const struct route *route, struct exchange *exchange) {
    static const struct {
        enum http_method method;
        const char *text;
    } NAMES[] = {
        {HTTP_METHOD_GET, "GET, "}, {HTTP_METHOD_HEAD, "HEAD, "}, {HTTP_METHOD_POST, "POST, "}};
    char value[64] = "";
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (is_allowed(route, NAMES[i].method)) {
            strcat(value, NAMES[i].text);
        }
    }
    strcat(value, "OPTIONS");
    exchange_field(exchange, "Allow", slice_of(value));
}

static const struct route *find(const struct router *router, struct slice path) {
    for (size_t i = 0; i < router->count; i++) {
        if (slice_equal(slice_of(router->routes[i].path), path)) {
            return &router->routes[i];
        }
    }
    return NULL;
}

const struct route *router_find(const struct router *router, const struct request *request) {
    const struct route *route = find(router, request->path);
    bool is_handled =
        route != NULL && request->method != HTTP_METHOD_OTHER && is_allowed(route, request->method);
    return is_handled ? route : NULL;
}

bool router_admit(const struct router *router, struct exchange *exchange) {
    return router->admit == NULL || router->admit(exchange, router->context);
}

void router_handle(const struct router *router, struct exchange *exchange) {
    const struct request *request = exchange_request(exchange);
    const struct route *route = find(router, request->path);
    if (router_find(router, request) != NULL) {
        route->handle(exchange, router->context);
    } else if (request->method == HTTP_METHOD_OPTIONS &&
               (route != NULL || slice_equal(request->path, SLICE("*")))) {
        if (route != NULL) {
            add_allow(route, exchange);
        }
        exchange_answer(exchange, 204, NULL, SLICE_NONE);
    } else if (route != NULL) {
        add_allow(route, exchange);
        exchange_problem(exchange, 405, "method", "This path does not take that method.");
    } else {
        exchange_problem(exchange, 404, "not-found", "There is nothing at this path.");
    }
}
