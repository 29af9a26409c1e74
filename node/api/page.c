// GET / and GET /client.js.
#include "node/api/page.h"

#include "node/api/api.h"

// Nothing from elsewhere, and talk to this node alone.
#define PAGE_POLICY                                                                                \
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; "           \
    "connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'"

static bool has_it(const struct request *request, const struct asset *asset) {
    struct slice field;
    return request_field(request, SLICE("If-None-Match"), &field) &&
           slice_equal(field, asset->etag);
}

static void answer(struct exchange *exchange, const struct asset *asset, const char *type) {
    exchange_field(exchange, "Cache-Control", SLICE("no-cache"));
    exchange_field(exchange, "ETag", asset->etag);
    exchange_field(exchange, "X-Content-Type-Options", SLICE("nosniff"));
    if (has_it(exchange_request(exchange), asset)) {
        exchange_answer(exchange, 304, NULL, SLICE_NONE);
    } else {
        exchange_answer(exchange, 200, type, asset->bytes);
    }
}

void page_handle(struct exchange *exchange, void *context) {
    (void)context;
    exchange_field(exchange, "Content-Security-Policy", SLICE(PAGE_POLICY));
    answer(exchange, &asset_page, "text/html; charset=utf-8");
}

void client_handle(struct exchange *exchange, void *context) {
    (void)context;
    answer(exchange, &asset_client, "text/javascript; charset=utf-8");
}
