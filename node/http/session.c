// Reads requests off a connection and hands them to the router, one at a time.
#include "node/http/session.h"

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

enum {
    MAGIC = 0x73657373,
    REQUESTS_PER_TURN = 16,     // of one connection, so that pipelining holds nobody up
    BODY_PATIENCE = 3,          // in so many header timeouts a body must
    BODY_PROGRESS_BYTES = 1024, // have come on by so much, or be whole
    REFUSED_HEADER_TIMEOUT_MS = 2000,
    SHUTDOWN_PATIENCE_MS = 1000, // with a connection that has not asked anything yet
};

static struct session *session_of_conn(struct conn *conn) {
    struct session *session = CONTAINER_OF(conn, struct session, conn);
    CHECK_OBJ(session, MAGIC);
    return session;
}

static void on_timeout(struct wheel_timer *timer);

static uint64_t header_timeout_ms(const struct session *session) {
    return session->is_refused ? REFUSED_HEADER_TIMEOUT_MS
                               : session->http->options.header_timeout_ms;
}

static void start_body_timer(struct session *session) {
    wheel_start(session->conn.net->wheel, &session->timer,
                BODY_PATIENCE * session->http->options.header_timeout_ms, on_timeout);
}

// The one place where a session changes state; each state has its deadline.
static void set_state(struct session *session, enum session_state state) {
    struct wheel *wheel = session->conn.net->wheel;
    CHECK(session->state != SESSION_CLOSING || state == SESSION_CLOSING);
    session->state = (uint8_t)state;
    wheel_stop(&session->timer);
    switch (state) {
    case SESSION_IDLE:
        wheel_start(wheel, &session->timer,
                    session->is_fresh ? header_timeout_ms(session)
                                      : wheel_jitter(session->http->options.keep_alive_ms),
                    on_timeout);
        break;
    case SESSION_HEAD:
        wheel_start(wheel, &session->timer, header_timeout_ms(session), on_timeout);
        break;
    case SESSION_BODY:
        session->body_seen = 0;
        start_body_timer(session);
        break;
    case SESSION_BUSY:
    case SESSION_CLOSING:
        break;
    }
}

static void finish(struct session *session, enum close_reason reason) {
    set_state(session, SESSION_CLOSING);
    conn_finish(&session->conn, reason);
}

// For one answer. Of a request that is refused not even the head need be known.
static void open_exchange(struct session *session) {
    bool has_head = parser_has_head(session->parser);
    const struct request *request = has_head ? parser_request(session->parser) : NULL;
    session->exchange = (struct exchange){
        .is_open = true,
        .is_head = has_head && request->method == HTTP_METHOD_HEAD,
        .http_minor = has_head ? request->http_minor : 1,
    };
}

// A page is to read why as it reads any answer, as soon as the head tells whose page it is.
static void answer_failure(struct session *session, const struct http_failure *failure) {
    struct exchange *exchange = &session->exchange;
    open_exchange(session);
    if (parser_has_head(session->parser) &&
        !router_admit(session->http->options.router, exchange)) {
        return;
    }
    metrics_add(&session->conn.net->metrics->refused[REFUSE_BAD_REQUEST], 1);
    if (failure->status == 503) {
        exchange_field(exchange, "Retry-After", SLICE("1"));
    }
    exchange_problem(exchange, failure->status, failure->code, "%s", failure->detail);
}

// Answers what did not become a whole request, and closes: where the next one would begin nobody
// knows.
static void refuse(struct session *session, const struct http_failure *failure,
                   enum close_reason reason) {
    session->is_keep_alive = false;
    set_state(session, SESSION_CLOSING);
    answer_failure(session, failure);
    finish(session, reason);
}

static bool has_body_progress(struct session *session) {
    size_t seen = parser_body_bytes(session->parser);
    bool has_progress = seen >= (size_t)session->body_seen + BODY_PROGRESS_BYTES;
    session->body_seen = (uint32_t)seen;
    return has_progress;
}

static void on_timeout(struct wheel_timer *timer) {
    struct session *session = CONTAINER_OF(timer, struct session, timer);
    CHECK_OBJ(session, MAGIC);
    static const struct http_failure TIMEOUT = {408, "timeout",
                                                "The request did not come in time."};
    switch ((enum session_state)session->state) {
    case SESSION_IDLE:
        if (conn_is_blocked(&session->conn)) {
            set_state(session, SESSION_IDLE); // still taking its last answer: not idle
        } else {
            // In silence: a client that opened a connection to have it ready asked nothing.
            finish(session, session->is_fresh ? CLOSE_HEADER_TIMEOUT : CLOSE_IDLE);
        }
        break;
    case SESSION_HEAD:
        if (parser_has_begun(session->parser)) {
            refuse(session, &TIMEOUT, CLOSE_HEADER_TIMEOUT);
        } else {
            finish(session, CLOSE_HEADER_TIMEOUT);
        }
        break;
    case SESSION_BODY:
        if (has_body_progress(session)) {
            start_body_timer(session);
        } else {
            refuse(session, &TIMEOUT, CLOSE_BAD_REQUEST);
        }
        break;
    case SESSION_BUSY:
    case SESSION_CLOSING:
        CHECK(false);
    }
}

// Whoever asks whether the node lives asks for all its clients: were it refused because the node is
// full, its balancer would send all of them to the other nodes.
static bool asks_for_health(const struct session *session) {
    const struct route *route =
        router_find(session->http->options.router, parser_request(session->parser));
    return route != NULL && (route->flags & ROUTE_HEALTH) != 0;
}

static void begin_exchange(struct session *session) {
    struct http *http = session->http;
    const struct request *request = parser_request(session->parser);
    metrics_add(&session->conn.net->metrics->requests, 1);
    session->is_fresh = false;
    session->is_keep_alive = request->is_keep_alive && !http->is_leaving && !session->is_refused;
    open_exchange(session);
    set_state(session, SESSION_BUSY);
    if (!router_admit(http->options.router, &session->exchange)) {
        return;
    }
    if (session->is_refused && !asks_for_health(session)) {
        exchange_turn_away(&session->exchange, (enum refuse_reason)session->refused_for);
    } else {
        router_handle(http->options.router, &session->exchange);
    }
}

static void send_continue(struct session *session) {
    struct frame *frame = frame_create(SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    conn_write(&session->conn, frame, 0, frame->len);
    frame_unref(&frame);
}

// Feeds the parser, making it first if need be, and does what comes of it.
static void read_on(struct session *session, struct slice *input) {
    struct http *http = session->http;
    if (session->state == SESSION_IDLE) {
        session->parser = parser_create(&(struct parser_limits){
            .head_bytes = http->options.head_bytes,
            .body_bytes = http->options.body_bytes,
            .body_budget = &http->body_budget,
        });
        set_state(session, SESSION_HEAD);
    }
    switch (parser_feed(session->parser, input)) {
    case PARSER_MORE:
        if (session->state == SESSION_HEAD && parser_has_head(session->parser)) {
            if (session->is_refused) { // its body would only take room from those who got in
                begin_exchange(session);
                break;
            }
            set_state(session, SESSION_BODY);
        }
        if (parser_take_continue(session->parser)) {
            send_continue(session);
        }
        break;
    case PARSER_DONE:
        begin_exchange(session);
        break;
    case PARSER_FAILED:
        refuse(session, parser_failure(session->parser), CLOSE_BAD_REQUEST);
        break;
    }
}

static bool may_read_on(const struct session *session) {
    return session->state < SESSION_BUSY && conn_is_open(&session->conn) &&
           !conn_is_blocked(&session->conn);
}

static void go_on(struct net_task *task);

// Keeps what has to wait, and lets no more come than there is room for.
static void keep(struct session *session, struct slice rest) {
    size_t room = session->http->options.head_bytes;
    bytes_append(&session->early, rest);
    if (may_read_on(session) && session->early.len > 0) {
        net_defer(session->conn.net, &session->task, go_on);
    }
    if (may_read_on(session) && session->early.len == 0) {
        room = NET_READ_MAX;
    } else {
        room -= session->early.len < room ? session->early.len : room;
    }
    conn_read(&session->conn, room);
}

// The peer has ended its side. What it asked before is answered, but nobody waits with it: an
// exchange that is not over at once is gone.
static void settle_eof(struct session *session) {
    if (session->state == SESSION_BUSY) {
        set_state(session, SESSION_CLOSING);
        conn_close(&session->conn, CLOSE_CLIENT);
    } else if (session->state != SESSION_CLOSING && session->early.len == 0) {
        finish(session, CLOSE_CLIENT);
    }
}

// Gives an upgraded exchange what came, and keeps what it does not take.
static void hand_over(struct session *session, struct slice input) {
    struct exchange *exchange = &session->exchange;
    size_t taken = 0;
    if (input.len > 0) {
        taken = exchange->ops->on_data(exchange->state, input);
    }
    if (exchange->is_open) {
        bytes_append(&session->early, slice_from(input, taken));
        conn_read(&session->conn, session->early.len == 0 ? NET_READ_MAX : 0);
    }
}

static void take(struct session *session, struct slice input) {
    session->is_taking = true;
    for (int i = 0; i < REQUESTS_PER_TURN && input.len > 0 && may_read_on(session); i++) {
        read_on(session, &input);
    }
    session->is_taking = false;
    if (session->state == SESSION_CLOSING) {
        return;
    }
    if (session->exchange.is_upgraded) {
        hand_over(session, input);
    } else {
        keep(session, input);
    }
    if (session->is_at_eof) {
        settle_eof(session);
    }
}

static void go_on(struct net_task *task) {
    struct session *session = CONTAINER_OF(task, struct session, task);
    CHECK_OBJ(session, MAGIC);
    struct bytes input = session->early;
    session->early = (struct bytes){0};
    take(session, bytes_slice(&input));
    bytes_release(&input);
}

static void on_data(struct conn *conn, struct slice data) {
    struct session *session = session_of_conn(conn);
    bool may_take = session->exchange.is_upgraded || may_read_on(session);
    if (session->early.len > 0 || !may_take) {
        keep(session, data);
    } else {
        take(session, data);
    }
}

static void on_eof(struct conn *conn) {
    struct session *session = session_of_conn(conn);
    session->is_at_eof = true;
    settle_eof(session);
}

static void on_drained(struct conn *conn) {
    struct session *session = session_of_conn(conn);
    const struct exchange *exchange = &session->exchange;
    if (!exchange->is_open) {
        net_cancel(&session->task);
        go_on(&session->task);
    } else if (exchange->ops != NULL && exchange->ops->on_writable != NULL) {
        exchange->ops->on_writable(exchange->state);
    }
}

// No callback comes after this one.
static void close_exchange(struct session *session) {
    session_let_go(session);
    session->exchange.is_open = false;
    session->exchange.is_upgraded = false;
    session->exchange.ops = NULL;
    bytes_release(&session->exchange.fields);
    if (session->parser != NULL) {
        parser_destroy(&session->parser);
    }
}

static void on_closed(struct conn *conn, enum close_reason reason) {
    (void)reason; // counted by the connection
    struct session *session = session_of_conn(conn);
    struct exchange exchange = session->exchange;
    wheel_stop(&session->timer);
    net_cancel(&session->task);
    if (exchange.is_open && exchange.ops != NULL) {
        session->exchange.is_open = false;
        exchange.ops->on_gone(exchange.state);
    }
    close_exchange(session);
    bytes_release(&session->early);
    session->magic = 0;
    http_session_closed(session->http, session);
    mem_free(session);
}

static const struct conn_ops OPS = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

void session_open(struct http *http, int fd, const struct arrival *arrival) {
    struct session *session = mem_alloc(sizeof(*session));
    session->magic = MAGIC;
    session->http = http;
    session->by_ip = arrival->by_ip;
    session->is_proxied = arrival->is_proxied;
    session->is_refused = arrival->is_refused;
    session->refused_for = arrival->refused_for;
    session->is_fresh = true;
    list_append(&http->sessions, &session->node);
    http->session_count++;
    conn_open(&session->conn, http->options.net, fd, &OPS);
    if (conn_is_open(&session->conn)) {
        set_state(session, SESSION_IDLE);
    }
}

void session_exchange_over(struct session *session) {
    CHECK_OBJ(session, MAGIC);
    CHECK(session->exchange.is_open);
    close_exchange(session);
    net_cancel(&session->task);
    if (session->state == SESSION_CLOSING) {
        return;
    }
    if (!conn_is_open(&session->conn)) {
        set_state(session, SESSION_CLOSING);
    } else if (!session->is_keep_alive) {
        finish(session, session->http->is_leaving ? CLOSE_DRAIN : CLOSE_DONE);
    } else {
        set_state(session, SESSION_IDLE);
        if (!session->is_taking) {
            keep(session, SLICE_NONE);
        }
    }
}

void session_resume(struct session *session) {
    CHECK_OBJ(session, MAGIC);
    net_defer(session->conn.net, &session->task, go_on);
}

void session_shutdown(struct session *session) {
    CHECK_OBJ(session, MAGIC);
    if (session->state != SESSION_IDLE || session->early.len > 0) {
        return;
    }
    if (session->is_fresh) { // its request may be on the way
        wheel_start(session->conn.net->wheel, &session->timer, SHUTDOWN_PATIENCE_MS, on_timeout);
    } else {
        finish(session, CLOSE_DRAIN);
    }
}
