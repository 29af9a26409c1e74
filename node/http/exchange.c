// Answers: heads are made in one scratch buffer, bodies are gathered, and all goes to the
// connection's queue. A connection that is already broken takes nothing and says so by on_gone.
#include "node/http/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/http/session.h"

// A payload up to this size is copied: that costs less than a buffer of its own in the gathered
// write.
enum { COPIED_BYTES_MAX = 512 };

enum { DETAIL_BYTES_MAX = 512, SCRATCH_BYTES_KEPT = 64 * 1024 };

static struct session *session_of(const struct exchange *exchange) {
    CHECK(exchange->is_open);
    return CONTAINER_OF((struct exchange *)exchange, struct session, exchange);
}

static struct conn *conn_of(const struct exchange *exchange) {
    return &session_of(exchange)->conn;
}

const struct request *exchange_request(const struct exchange *exchange) {
    return parser_request(session_of(exchange)->parser);
}

void exchange_forget_request(struct exchange *exchange) {
    struct session *session = session_of(exchange);
    if (session->parser != NULL) {
        parser_destroy(&session->parser);
    }
}

const char *exchange_peer(const struct exchange *exchange) {
    return conn_peer(conn_of(exchange));
}

void exchange_attach(struct exchange *exchange, const struct exchange_ops *ops, void *state) {
    CHECK(exchange->is_open && ops->on_gone != NULL);
    exchange->ops = ops;
    exchange->state = state;
}

static bool is_one_line(struct slice text) {
    return text.len == 0 ||
           (memchr(text.data, '\r', text.len) == NULL && memchr(text.data, '\n', text.len) == NULL);
}

void exchange_field(struct exchange *exchange, const char *name, struct slice value) {
    CHECK(exchange->is_open && !exchange->is_started);
    CHECK(is_one_line(slice_of(name)) && is_one_line(value));
    bytes_append(&exchange->fields, slice_of(name));
    bytes_append(&exchange->fields, SLICE(": "));
    bytes_append(&exchange->fields, value);
    bytes_append(&exchange->fields, SLICE("\r\n"));
}

void exchange_field_format(struct exchange *exchange, const char *name, const char *format, ...) {
    char *value;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&value, format, args);
    va_end(args);
    CHECK(len >= 0);
    exchange_field(exchange, name, slice_make(value, (size_t)len));
    free(value);
}

// Writes the head into the scratch buffer.
static struct bytes *make_head(struct exchange *exchange, int status, const char *content_type,
                               enum response_body body, uint64_t length) {
    CHECK(!exchange->is_started);
    struct session *session = session_of(exchange);
    struct http *http = session->http;
    bytes_clear(&http->scratch);
    response_append_head(&http->scratch, &(struct response){
                                             .status = status,
                                             .http_minor = exchange->http_minor,
                                             .is_keep_alive = session->is_keep_alive,
                                             .body = body,
                                             .length = length,
                                             .content_type = content_type,
                                             .date = http_date(http),
                                             .fields = bytes_slice(&exchange->fields),
                                         });
    return &http->scratch;
}

static bool is_copied(const struct body_part *part) {
    return part->frame == NULL || frame_payload(part->frame).len <= COPIED_BYTES_MAX;
}

static struct slice part_slice(const struct body_part *part) {
    return part->frame == NULL ? part->text : frame_payload(part->frame);
}

// Queues head and parts in order. All that is copied lies in one frame, whose ranges alternate with
// the frames that are only referenced.
static void write_parts(struct exchange *exchange, struct bytes *copied,
                        const struct body_part *parts, size_t count) {
    size_t head_len = copied->len;
    for (size_t i = 0; i < count; i++) {
        if (is_copied(&parts[i])) {
            bytes_append(copied, part_slice(&parts[i]));
        }
    }
    struct conn *conn = conn_of(exchange);
    struct frame *glue = frame_create(bytes_slice(copied));
    if (copied->cap > SCRATCH_BYTES_KEPT) {
        bytes_release(copied);
    }
    size_t begin = 0;
    size_t end = head_len;
    for (size_t i = 0; i < count; i++) {
        struct slice payload = part_slice(&parts[i]);
        if (is_copied(&parts[i])) {
            end += payload.len;
            continue;
        }
        conn_write(conn, glue, begin, end - begin);
        begin = end;
        conn_write(conn, parts[i].frame, parts[i].frame->head, payload.len);
    }
    conn_write(conn, glue, begin, end - begin);
    frame_unref(&glue);
}

void exchange_answer_parts(struct exchange *exchange, int status, const char *content_type,
                           const struct body_part *parts, size_t count) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += part_slice(&parts[i]).len;
    }
    bool is_bodyless = status == 204 || status == 304;
    struct bytes *head = make_head(exchange, status, content_type,
                                   is_bodyless ? RESPONSE_NO_BODY : RESPONSE_LENGTH, length);
    write_parts(exchange, head, parts, is_bodyless || exchange->is_head ? 0 : count);
    session_exchange_over(session_of(exchange));
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct slice body) {
    exchange_answer_parts(exchange, status, content_type, &(struct body_part){.text = body}, 1);
}

static bool has_cache_control(const struct exchange *exchange) {
    const struct bytes *fields = &exchange->fields;
    return fields->len > 0 && memmem(fields->data, fields->len, "Cache-Control:", 14) != NULL;
}

void exchange_problem(struct exchange *exchange, int status, const char *code, const char *format,
                      ...) {
    char detail[DETAIL_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    CHECK(len >= 0);
    if (!has_cache_control(exchange)) {
        // 404, 405 and 501 may be kept by caches that are not told (RFC 9110, section 15.1).
        exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    }
    struct bytes body = {0};
    response_append_problem(&body, status, code, slice_of(detail));
    exchange_answer(exchange, status, "application/problem+json", bytes_slice(&body));
    bytes_release(&body);
}

// A HEAD is answered by the head alone. The handler that opened a stream for it is told that its
// client has gone, so that none has to know of HEAD; one without a state ends its answer itself.
static void end_head_answer(struct net_task *task) {
    struct session *session = CONTAINER_OF(task, struct session, task);
    struct exchange exchange = session->exchange;
    if (exchange.ops != NULL) {
        session_exchange_over(session);
        exchange.ops->on_gone(exchange.state);
    }
}

void exchange_start(struct exchange *exchange, int status, const char *content_type) {
    struct session *session = session_of(exchange);
    exchange->is_chunked = exchange->http_minor == 1;
    if (!exchange->is_chunked) {
        session->is_keep_alive = false;
    }
    struct bytes *head =
        make_head(exchange, status, content_type,
                  exchange->is_chunked ? RESPONSE_CHUNKED : RESPONSE_UNTIL_CLOSE, 0);
    write_parts(exchange, head, NULL, 0);
    bytes_release(&exchange->fields);
    exchange->is_started = true;
    if (exchange->is_head) {
        net_defer(session->conn.net, &session->task, end_head_answer);
    }
}

void exchange_write_frame(struct exchange *exchange, struct frame *frame) {
    CHECK(exchange->is_started);
    size_t payload = frame_payload(frame).len;
    if (exchange->is_upgraded) {
        conn_write(conn_of(exchange), frame, 0, frame->len);
        return;
    }
    if (exchange->is_head || payload == 0) {
        return;
    }
    if (exchange->is_chunked && frame->head == 0) {
        struct frame *chunk = frame_create_chunk(frame_payload(frame));
        conn_write(conn_of(exchange), chunk, 0, chunk->len);
        frame_unref(&chunk);
    } else if (exchange->is_chunked) {
        conn_write(conn_of(exchange), frame, 0, frame->len);
    } else {
        conn_write(conn_of(exchange), frame, frame->head, payload);
    }
}

void exchange_write(struct exchange *exchange, struct slice bytes) {
    if (bytes.len == 0) {
        return;
    }
    struct frame *frame = exchange->is_chunked ? frame_create_chunk(bytes) : frame_create(bytes);
    exchange_write_frame(exchange, frame);
    frame_unref(&frame);
}

void exchange_upgrade(struct exchange *exchange, const char *protocol) {
    struct session *session = session_of(exchange);
    CHECK(exchange->ops != NULL && exchange->ops->on_data != NULL);
    CHECK(exchange->http_minor == 1 && !exchange->is_head);
    session->is_keep_alive = true; // nobody is told to close here
    exchange_field(exchange, "Connection", SLICE("Upgrade"));
    exchange_field(exchange, "Upgrade", slice_of(protocol));
    write_parts(exchange, make_head(exchange, 101, NULL, RESPONSE_NO_BODY, 0), NULL, 0);
    bytes_release(&exchange->fields);
    exchange->is_started = true;
    exchange->is_upgraded = true;
    session_resume(session);
}

void exchange_resume(struct exchange *exchange) {
    CHECK(exchange->is_upgraded);
    session_resume(session_of(exchange));
}

void exchange_finish(struct exchange *exchange, enum close_reason reason) {
    CHECK(exchange->is_upgraded);
    struct session *session = session_of(exchange);
    conn_finish(&session->conn, reason);
    session_exchange_over(session);
}

uint64_t exchange_written(const struct exchange *exchange) {
    return conn_of(exchange)->queued;
}

uint64_t exchange_acknowledged(const struct exchange *exchange) {
    return conn_acknowledged(conn_of(exchange));
}

bool exchange_is_blocked(const struct exchange *exchange) {
    return conn_is_blocked(conn_of(exchange));
}

void exchange_end(struct exchange *exchange) {
    CHECK(exchange->is_started);
    struct session *session = session_of(exchange);
    if (exchange->is_chunked && !exchange->is_head) {
        struct frame *last = session->http->last_chunk;
        conn_write(&session->conn, last, 0, last->len);
    }
    session_exchange_over(session);
}

void exchange_close_after(struct exchange *exchange) {
    session_of(exchange)->is_keep_alive = false;
}

void exchange_abort(struct exchange *exchange, enum close_reason reason) {
    struct session *session = session_of(exchange);
    conn_close(&session->conn, reason);
    session_exchange_over(session);
}
