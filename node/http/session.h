// One client connection's HTTP side. Internal to node/http: handlers see exchange.h only.
//
//   IDLE ─first byte─> HEAD ─head whole─> BODY ─body whole─> BUSY ─exchange over─> IDLE
//                      HEAD ─no body─────────────────────> BUSY
//   any ─refuse, timeout, last answer, peer gone─> CLOSING
//
// A session that was upgraded stays BUSY to its end.
//
// One exchange at a time: what a client pipelines meanwhile is kept, up to head_bytes or what one
// read brought, then reading stops. Nor is anything read on while the client does not take its
// answers.
#ifndef FRESHET_NODE_HTTP_SESSION_H
#define FRESHET_NODE_HTTP_SESSION_H

#include "cluster/base/bytes.h"
#include "cluster/base/list.h"
#include "node/http/exchange.h"
#include "node/http/http.h"
#include "node/http/parser.h"
#include "node/http/response.h"
#include "node/net/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http {
    struct http_options options;
    struct list sessions; // struct session.node
    size_t session_count;
    size_t body_budget;       // bytes that request bodies may take up still
    bool is_leaving;          // every answer is its connection's last
    bool is_closing;          // freed with its last session
    struct frame *last_chunk; // counted
    struct bytes scratch;     // owned; for heads while they are made
    int64_t date_s;           // what `date` says
    char date[RESPONSE_DATE_BYTES + 1];
};

struct exchange {
    const struct exchange_ops *ops; // borrowed; NULL: nothing is attached
    void *state;                    // borrowed
    struct bytes fields;            // owned; of the coming head
    bool is_open;
    bool is_started; // the head of an answer without length is out
    bool is_chunked;
    bool is_head;     // answers carry no body
    bool is_upgraded; // no HTTP any more: bytes go to on_data
    uint8_t http_minor;
};

enum session_state { SESSION_IDLE, SESSION_HEAD, SESSION_BODY, SESSION_BUSY, SESSION_CLOSING };

struct session {
    uint32_t magic;
    uint8_t state; // enum session_state
    bool is_keep_alive;
    bool is_refused;     // to be told so, and closed
    uint8_t refused_for; // enum refuse_reason
    bool is_proxied;     // by a trusted proxy, whose address is not the client's
    bool is_fresh;       // no request was whole yet
    bool is_taking;      // in take(): it goes on by itself
    bool is_at_eof;
    uint32_t body_seen;     // at the last look for progress
    struct holder *by_ip;   // counted for the connection, or while is_proxied for its exchange
    struct holder *by_user; // counted for the exchange
    struct http *http;      // borrowed
    struct list node;       // in http->sessions
    struct parser *parser;  // owned; NULL while no request is read or needed
    struct bytes early;     // owned; input that has to wait
    struct wheel_timer timer;
    struct net_task task; // goes on with `early`, or ends the answer to a HEAD
    struct exchange exchange;
    struct conn conn;
};

void session_open(struct http *http, int fd, const struct arrival *arrival);

// For exchange.c: the answer is complete.
void session_exchange_over(struct session *session);
// Gives back what exchange_hold counted (exchange_hold.c).
void session_let_go(struct session *session);
// For exchange.c: an upgraded exchange is to be given what came, soon.
void session_resume(struct session *session);
// Drain: see http_shutdown.
void session_shutdown(struct session *session);

// The current second as a Date field's value.
struct slice http_date(struct http *http);
void http_session_closed(struct http *http, struct session *session);

#endif
