// What an exchange holds of its client's share, and what a client hears who holds enough.
#include "node/http/exchange.h"

#include <inttypes.h>
#include <stdio.h>

#include "cluster/base/clock.h"
#include "node/http/forwarded.h"
#include "node/http/session.h"

// Who is turned away comes back within `retry` and so many times that: together they are too many.
enum { RETRY_SPREAD = 5 };

static struct session *session_of(struct exchange *exchange) {
    CHECK(exchange->is_open);
    return CONTAINER_OF(exchange, struct session, exchange);
}

static struct metrics *metrics_of(const struct session *session) {
    return session->http->options.net->metrics;
}

static struct address client_of(struct session *session) {
    const struct admission *admission = session->http->options.admission;
    struct address peer = {{0}};
    (void)address_parse(slice_of(conn_peer(&session->conn)), &peer); // zeros when it has gone
    return forwarded_client(parser_request(session->parser), &peer, admission_trusted(admission));
}

void session_let_go(struct session *session) {
    struct admission *admission = session->http->options.admission;
    if (session->by_user != NULL) {
        admission_drop_user(admission, &session->by_user, metrics_of(session));
    }
    if (session->is_proxied && session->by_ip != NULL) {
        admission_drop_ip(admission, &session->by_ip, metrics_of(session));
    }
}

bool exchange_hold(struct exchange *exchange, struct slice user, enum refuse_reason *why_r) {
    struct session *session = session_of(exchange);
    struct admission *admission = session->http->options.admission;
    struct metrics *metrics = metrics_of(session);
    CHECK(session->by_user == NULL);
    if (admission == NULL) {
        return true;
    }
    if (session->is_proxied) {
        struct address client = client_of(session);
        CHECK(session->by_ip == NULL);
        if (!admission_hold_ip(admission, &client, metrics, &session->by_ip)) {
            *why_r = REFUSE_PER_IP;
            metrics_add(&metrics->refused[REFUSE_PER_IP], 1);
            return false;
        }
    }
    if (!admission_hold_user(admission, user, metrics, &session->by_user)) {
        *why_r = REFUSE_PER_USER;
        metrics_add(&metrics->refused[REFUSE_PER_USER], 1);
        session_let_go(session);
        return false;
    }
    return true;
}

bool exchange_hold_for(struct exchange *exchange, struct slice user) {
    struct session *session = session_of(exchange);
    struct admission *admission = session->http->options.admission;
    struct holder *holder = NULL;
    if (admission == NULL || holder_is(session->by_user, user)) {
        return true;
    }
    if (!admission_hold_user(admission, user, metrics_of(session), &holder)) {
        metrics_add(&metrics_of(session)->refused[REFUSE_PER_USER], 1);
        return false;
    }
    admission_drop_user(admission, &session->by_user, metrics_of(session));
    session->by_user = holder;
    return true;
}

// ---- Turning away -------------------------------------------------------------------------------

static const char *words_for(enum refuse_reason reason) {
    return reason == REFUSE_PER_IP     ? "This address has as many connections as it may."
           : reason == REFUSE_PER_USER ? "This user has as many connections as it may."
           : reason == REFUSE_ACCEPT_RATE
               ? "More connections come in this second than this node takes."
               : "This node has as many connections as it may.";
}

void exchange_turn_away(struct exchange *exchange, enum refuse_reason reason) {
    struct session *session = session_of(exchange);
    const struct http_options *options = &session->http->options;
    const struct route *route = router_find(options->router, exchange_request(exchange));
    uint64_t retry_ms =
        options->retry_ms + clock_random((RETRY_SPREAD - 1) * options->retry_ms + 1);
    if (route != NULL && (route->flags & ROUTE_EVENT_STREAM) != 0) {
        char text[64];
        int len = snprintf(text, sizeof(text), "retry: %" PRIu64 "\n\n", retry_ms);
        exchange_field(exchange, "Cache-Control", SLICE("no-store"));
        exchange_answer(exchange, 200, "text/event-stream", slice_make(text, (size_t)len));
        return;
    }
    bool is_its_own = reason == REFUSE_PER_IP || reason == REFUSE_PER_USER;
    exchange_field_format(exchange, "Retry-After", "%" PRIu64, (retry_ms + 999) / 1000);
    exchange_problem(exchange, is_its_own ? 429 : 503, is_its_own ? "too-many" : "overloaded", "%s",
                     words_for(reason));
}
