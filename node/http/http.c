// Counts sessions, and turns away those that are too many.
#include "node/http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/http/session.h"

enum {
    BODY_BUDGET_BYTES = 64 * 1024 * 1024, // but at least one body of the allowed size
    OVER_CAP_MAX = 1024,                  // connections that are only told that they are too many
    OVERLOAD_RETRY_S = 5,
};

void http_open(const struct http_options *options, struct http **http_r) {
    struct http *http = mem_alloc(sizeof(*http));
    http->options = *options;
    http->body_budget =
        options->body_bytes > BODY_BUDGET_BYTES ? options->body_bytes : BODY_BUDGET_BYTES;
    http->last_chunk = frame_create(SLICE("0\r\n\r\n"));
    http->date_s = -1;
    list_init(&http->sessions);
    *http_r = http;
}

static void destroy(struct http *http) {
    frame_unref(&http->last_chunk);
    bytes_release(&http->scratch);
    mem_free(http);
}

void http_accept(void *context, int fd) {
    struct http *http = context;
    const struct http_options *options = &http->options;
    bool is_over_cap = false;
    if (options->connections != NULL) {
        long long before = atomic_fetch_add_explicit(options->connections, 1, memory_order_relaxed);
        long long max = (long long)options->connections_max;
        if (before >= max) {
            metrics_add(&options->net->metrics->refused[REFUSE_CONNECTIONS], 1);
            is_over_cap = true;
        }
        if (before >= max + OVER_CAP_MAX) {
            atomic_fetch_sub_explicit(options->connections, 1, memory_order_relaxed);
            close(fd);
            return;
        }
    }
    session_open(http, fd, is_over_cap);
}

void http_session_closed(struct http *http, struct session *session) {
    list_remove(&session->node);
    http->session_count--;
    if (http->options.connections != NULL) {
        atomic_fetch_sub_explicit(http->options.connections, 1, memory_order_relaxed);
    }
    if (http->is_closing && http->session_count == 0) {
        destroy(http);
    }
}

void http_leave(struct http *http) {
    http->is_leaving = true;
    LIST_FOREACH(node, &http->sessions) {
        LIST_ENTRY(node, struct session, node)->is_keep_alive = false;
    }
}

void http_shutdown(struct http *http) {
    http_leave(http);
    LIST_FOREACH(node, &http->sessions) {
        session_shutdown(LIST_ENTRY(node, struct session, node));
    }
}

size_t http_session_count(const struct http *http) {
    return http->session_count;
}

void http_close(struct http **http) {
    struct http *mine = *http;
    *http = NULL;
    mine->is_leaving = true;
    mine->is_closing = true;
    LIST_FOREACH(node, &mine->sessions) {
        conn_close(&LIST_ENTRY(node, struct session, node)->conn, CLOSE_DRAIN);
    }
    if (mine->session_count == 0) {
        destroy(mine);
    }
}

struct slice http_date(struct http *http) {
    int64_t now_s = clock_wall_ms() / 1000;
    if (now_s != http->date_s) {
        http->date_s = now_s;
        response_format_date(now_s, http->date);
    }
    return slice_make(http->date, RESPONSE_DATE_BYTES);
}

// A 503 ends an EventSource for good; a stream that ends makes it come back, after `retry`.
void http_refuse_overload(struct http *http, struct exchange *exchange) {
    const struct request *request = exchange_request(exchange);
    if (request->method == HTTP_METHOD_GET && slice_equal(request->path, SLICE("/sse"))) {
        uint64_t retry_ms = http->options.retry_ms;
        char text[64];
        int len = snprintf(text, sizeof(text), "retry: %" PRIu64 "\n\n",
                           retry_ms + clock_random(retry_ms + 1));
        exchange_field(exchange, "Cache-Control", SLICE("no-store"));
        exchange_answer(exchange, 200, "text/event-stream", slice_make(text, (size_t)len));
        return;
    }
    exchange_field_format(exchange, "Retry-After", "%d", OVERLOAD_RETRY_S);
    exchange_problem(exchange, 503, "overloaded", "This node has as many connections as it may.");
}
