// One request and its answer on one connection: all that a handler sees of HTTP.
//
// A handler answers at once (exchange_answer, exchange_problem), or attaches a state and answers
// later (a long poll), or starts a stream and goes on writing. What was written during a loop turn
// leaves in one gathered write at its end. After exchange_answer*, exchange_problem, exchange_end
// and exchange_abort the exchange must not be used again, and no callback comes any more: the
// handler releases its state itself. When the client goes away first, on_gone tells it, always from
// the loop, never from within a call. A HEAD needs no care: its answer loses the body, and a stream
// that was started for it gets on_gone at the end of the turn.
#ifndef FRESHET_NODE_HTTP_EXCHANGE_H
#define FRESHET_NODE_HTTP_EXCHANGE_H

#include "cluster/base/check.h"
#include "cluster/base/slice.h"
#include "node/http/request.h"
#include "node/metrics.h"
#include "node/net/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

struct exchange_ops {
    // The socket took all that was written: go on. Only after exchange_is_blocked was true.
    void (*on_writable)(void *state);
    // The client is gone, or the connection was closed: release the state. The last callback.
    void (*on_gone)(void *state);
    // What an upgraded connection brings, those bytes included that came behind the request; never
    // empty, borrowed for the call. Returns how many were taken: the others are kept, and no more
    // is read, until exchange_resume. NULL unless exchange_upgrade is called.
    size_t (*on_data)(void *state, struct slice bytes);
};

// The request; valid until exchange_forget_request or the end of the exchange.
const struct request *exchange_request(const struct exchange *exchange);

// Frees the request's bytes: an idle stream needs none of them.
void exchange_forget_request(struct exchange *exchange);

// The peer's address as text, "" for none; valid until the next call. For logs.
const char *exchange_peer(const struct exchange *exchange);

void exchange_attach(struct exchange *exchange, const struct exchange_ops *ops, void *state);

// Adds a field to the coming answer's head. Name and value must be free of CR and LF (asserted:
// what a client sent must have been validated before it gets here).
void exchange_field(struct exchange *exchange, const char *name, struct slice value);
void exchange_field_format(struct exchange *exchange, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);

// The whole answer, with Date and Content-Length; HEAD sends no body; 304 and 204 neither body nor
// length. content_type NULL: none.
void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct slice body);

// The same with a body made of frames' payloads and literal slices, gathered without copying any
// but the smallest frames. `parts` is borrowed during the call. A part is a frame (referenced) or
// else text (copied).
struct body_part {
    struct frame *frame;
    struct slice text;
};
void exchange_answer_parts(struct exchange *exchange, int status, const char *content_type,
                           const struct body_part *parts, size_t count);

// application/problem+json (RFC 9457): {"type":"about:blank","title":...,"status":...,"code":...,
// "detail":...}. `title` is the status's phrase. `detail` tells what to do; it is cut at 511 bytes.
// Not to be kept by caches, unless a Cache-Control field was added before.
void exchange_problem(struct exchange *exchange, int status, const char *code, const char *format,
                      ...) PRINTF_LIKE(4, 5);

// Counts the exchange, until its end, among what its client holds: by the address for which a
// trusted proxy asks (else its connection is counted already), and by `user` (empty: nobody in
// particular). False: one of them holds its share already; *why_r says which, the refusal is counted
// in the metrics, and the exchange is to be turned away. Needs the request.
bool exchange_hold(struct exchange *exchange, struct slice user, enum refuse_reason *why_r);

// It is another user's from now on, or nobody's. False: that one holds its share already; the
// refusal is counted, and nothing has changed.
bool exchange_hold_for(struct exchange *exchange, struct slice user);

// Turns the client away for load: 503 `overloaded`, or 429 `too-many` when it is the client's own. An
// EventSource gets 200, `retry` and the end: any other status ends it for good. Needs the request.
void exchange_turn_away(struct exchange *exchange, enum refuse_reason reason);

// Starts an answer without length: chunked on HTTP/1.1, until close on HTTP/1.0.
void exchange_start(struct exchange *exchange, int status, const char *content_type);
void exchange_write_frame(struct exchange *exchange,
                          struct frame *frame);                     // takes its own reference
void exchange_write(struct exchange *exchange, struct slice bytes); // copies

// Answers 101 and leaves HTTP for `protocol` (RFC 9110, section 7.8), in the hands of the state
// that is attached: what comes goes to its on_data, and exchange_write* write without chunks, frames
// with their heads. Ends with exchange_finish or exchange_abort, or with on_gone, which also tells that
// the peer has ended its side. HTTP/1.1 only, and not for a HEAD.
void exchange_upgrade(struct exchange *exchange, const char *protocol);

// On with what on_data did not take, in a later loop turn.
void exchange_resume(struct exchange *exchange);

// Ends an upgraded connection: what was written leaves, then our side is shut. Counted as `reason`.
void exchange_finish(struct exchange *exchange, enum close_reason reason);

// Of all that was ever written to the connection: how many bytes, and how many of them have reached
// the peer's machine.
uint64_t exchange_written(const struct exchange *exchange);
uint64_t exchange_acknowledged(const struct exchange *exchange);

// More is queued than the socket took, or much (256 KiB) in this turn: write no more until
// on_writable. Who goes on regardless is cut at 16 MiB.
bool exchange_is_blocked(const struct exchange *exchange);

// Ends a started answer politely (last chunk). The connection lives on for the next request unless
// it was told to close.
void exchange_end(struct exchange *exchange);

// The connection is to be closed after this answer (drain).
void exchange_close_after(struct exchange *exchange);

// Cuts the connection without more words; counted as `reason`.
void exchange_abort(struct exchange *exchange, enum close_reason reason);

#endif
