// Counts sessions, and asks admission for each.
#include "node/http/http.h"

#include <sys/socket.h>
#include <unistd.h>

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/http/session.h"

enum { BODY_BUDGET_BYTES = 64 * 1024 * 1024 }; // but at least one body of the allowed size

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

static struct address peer_of(int fd) {
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    // A peer that has reset the connection has none any more: all zeros will do for it.
    (void)getpeername(fd, (struct sockaddr *)&address, &len);
    return address_of((const struct sockaddr *)&address);
}

void http_accept(void *context, int fd) {
    struct http *http = context;
    const struct http_options *options = &http->options;
    struct arrival arrival = {0};
    if (options->admission != NULL) {
        struct address peer = peer_of(fd);
        if (!admission_enter(options->admission, &peer, clock_mono_us(), options->net->metrics,
                             &arrival)) {
            close(fd);
            return;
        }
    }
    session_open(http, fd, &arrival);
}

void http_session_closed(struct http *http, struct session *session) {
    list_remove(&session->node);
    http->session_count--;
    struct admission *admission = http->options.admission;
    if (admission != NULL) {
        admission_drop_ip(admission, &session->by_ip, http->options.net->metrics);
        admission_leave(admission, session->is_refused);
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
