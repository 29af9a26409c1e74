// Every answer says `Vary: Origin`, those without CORS fields too: a cache must not give them to a
// page that needs the fields.
#include "node/auth/origin.h"

static bool is_listed(const struct config_list *listed, struct slice origin) {
    for (size_t i = 0; i < listed->count; i++) {
        if (slice_equal(slice_of(listed->items[i]), origin)) {
            return true;
        }
    }
    return false;
}

// Browsers write schemes and hosts in lower case (URL standard, section 3.5).
static bool has_upper_case(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 'A' && text.data[i] <= 'Z') {
            return true;
        }
    }
    return false;
}

// Whether `host` is `name` followed by `port`.
static bool is_joined(struct slice host, struct slice name, struct slice port) {
    return slice_starts_with(host, name) && slice_equal(slice_from(host, name.len), port);
}

// Browsers leave a scheme's own port out, in Origin as in Host, but a proxy may write it into Host.
static bool is_own(const struct request *request, struct slice origin) {
    bool is_http = slice_starts_with(origin, SLICE("http://"));
    struct slice host;
    if ((!is_http && !slice_starts_with(origin, SLICE("https://"))) || has_upper_case(origin) ||
        !request_field(request, SLICE("Host"), &host)) {
        return false;
    }
    struct slice name = slice_from(origin, is_http ? 7 : 8);
    return name.len > 0 && (slice_equal(name, host) ||
                            is_joined(host, name, is_http ? SLICE(":80") : SLICE(":443")));
}

enum origin origin_of(const struct request *request, const struct config_list *listed) {
    struct slice origin;
    struct slice another;
    size_t at = 0;
    if (!request_field_next(request, SLICE("Origin"), &at, &origin)) {
        return ORIGIN_NONE;
    }
    if (request_field_next(request, SLICE("Origin"), &at, &another)) {
        return ORIGIN_FOREIGN; // which of them would it be?
    }
    bool is_star = slice_equal(origin, SLICE("*")); // a pattern's spelling is no origin
    return is_listed(listed, origin) && !is_star ? ORIGIN_LISTED
           : is_own(request, origin)             ? ORIGIN_OWN
           : is_listed(listed, SLICE("*"))       ? ORIGIN_ANY
                                                 : ORIGIN_FOREIGN;
}

bool origin_lets_cookies_count(enum origin origin, const struct request *request) {
    struct slice upgrade;
    switch (origin) {
    case ORIGIN_OWN:
    case ORIGIN_LISTED:
        return true;
    case ORIGIN_NONE:
        return (request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD) &&
               !request_field(request, SLICE("Upgrade"), &upgrade);
    case ORIGIN_ANY:
    case ORIGIN_FOREIGN:
        break;
    }
    return false;
}

// Credentials are for those alone whom the operator has named.
static void add_allow_origin(struct exchange *exchange, enum origin origin) {
    struct slice value;
    if (origin == ORIGIN_ANY) {
        exchange_field(exchange, "Access-Control-Allow-Origin", SLICE("*"));
    } else if (request_field(exchange_request(exchange), SLICE("Origin"), &value)) {
        exchange_field(exchange, "Access-Control-Allow-Origin", value);
    }
    if (origin == ORIGIN_LISTED) {
        exchange_field(exchange, "Access-Control-Allow-Credentials", SLICE("true"));
    }
}

static bool is_preflight(const struct request *request) {
    struct slice method;
    return request->method == HTTP_METHOD_OPTIONS &&
           request_field(request, SLICE("Access-Control-Request-Method"), &method);
}

static void answer_preflight(struct exchange *exchange) {
    exchange_field(exchange, "Access-Control-Allow-Methods", SLICE("GET, POST"));
    exchange_field(exchange, "Access-Control-Allow-Headers",
                   SLICE("Authorization, Content-Type, Idempotency-Key, If-None-Match, "
                         "Last-Event-ID, Prefer"));
    exchange_field(exchange, "Access-Control-Max-Age", SLICE("600"));
    exchange_answer(exchange, 204, NULL, SLICE_NONE);
}

static void refuse(struct exchange *exchange, struct metrics *metrics, const char *why) {
    metrics_add(&metrics->refused[REFUSE_ORIGIN], 1);
    exchange_problem(exchange, 403, "origin", "%s", why);
}

bool origin_admit(struct exchange *exchange, const struct config_list *listed,
                  struct metrics *metrics) {
    const struct request *request = exchange_request(exchange);
    enum origin origin = origin_of(request, listed);
    exchange_field(exchange, "Vary", SLICE("Origin"));
    if (origin == ORIGIN_FOREIGN) {
        refuse(exchange, metrics,
               "pages of this origin may not use this node; --origin lists those that may, exactly "
               "as browsers write them");
        return false;
    }
    if (origin == ORIGIN_NONE) {
        return true;
    }
    add_allow_origin(exchange, origin);
    if (is_preflight(request)) {
        answer_preflight(exchange);
        return false;
    }
    exchange_field(exchange, "Access-Control-Expose-Headers",
                   SLICE("ETag, Freshet-Stale, Retry-After"));
    return true;
}

bool origin_admit_none(struct exchange *exchange, struct metrics *metrics) {
    struct slice origin;
    exchange_field(exchange, "Vary", SLICE("Origin"));
    if (request_field(exchange_request(exchange), SLICE("Origin"), &origin)) {
        refuse(exchange, metrics, "no page may use this port");
        return false;
    }
    return true;
}
