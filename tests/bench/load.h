// The load generator: what its files share.
//
//   load.c       the phases of a run (run.h)
//   options.c    the command line
//   publisher.c  the publisher: channels opened, publishes on time and once, heads read
//   resp.c       a RESP connection, pipelined
//   client.c     the life of a client: dialling, reading, being cut off, coming back
//   request.c    what a client asks, by each transport
//   body.c       lines and WebSocket frames, in the pieces that reads give
//   answer.c     what an answer means
//   object.c     the JSON objects among them
//   http_in.c    HTTP/1.1 answers, taken in any pieces
//   ws_in.c      WebSocket frames, taken in any pieces
//   tally.c      the judge: each message once, in order, how late
//   summary.c    the verdict: table and JSON
//   watch.c      tells each second how it goes, by the next three
//   notes.c      what happens meanwhile, told by the program itself or on standard input
//   view.c       how it goes, for a terminal
//   report.c     how it goes, as messages on a channel
//
// One process, one loop, one thread. A broken set-up ends the program with one line; what the
// node does wrong is counted, never fatal.
#ifndef FRESHET_TESTS_BENCH_LOAD_H
#define FRESHET_TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "tests/bench/http_in.h"
#include "tests/bench/notes.h"
#include "tests/bench/options.h"
#include "tests/bench/tally.h"
#include "tests/bench/ws_in.h"

enum { CHANNEL_NAME_MAX = 64 };

// A channel as its only publisher knows it.
struct channel {
    char name[CHANNEL_NAME_MAX];
    struct position last; // what the latest publish returned
    uint64_t answered;    // publishes that returned a position
};

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_timer_t timer;        // until it comes back, polls again, or gives up waiting
    struct load *load;       // borrowed
    struct channel *channel; // borrowed
    enum transport transport;
    uint32_t node;
    uint32_t retry_ms; // when the node wants it back; 0: not said
    bool is_open;
    bool is_connected;
    bool is_waiting;  // for the head of an answer
    bool is_started;  // had its hello or first answer: from here everything counts
    bool is_answered; // a poll: the answer being read is understood
    bool has_more;    // a poll: that answer was cut short
    bool has_etag;    // a poll: the cursor came with its ETag
    struct http_in http;
    struct position cursor;
    struct progress progress;
    // The SSE event being read.
    struct position event_id;
    enum { EVENT_MESSAGE, EVENT_HELLO, EVENT_RESET, EVENT_OTHER } event_kind;
    struct payload event_payload;
    struct ws_in ws;
    // WebSocket and stream: hello, then ok, then messages.
    enum { STAGE_SILENT, STAGE_GREETED, STAGE_SUBSCRIBED } stage;
    // Bytes of a line or an answer that a read cut in two; NULL most of the time.
    char *carry;
    size_t carry_bytes;
};

struct load {
    uv_loop_t *loop;
    struct options options;
    struct channel *channels;
    struct client *clients;
    uint32_t client_count;
    uint32_t started;
    uint32_t connected[TRANSPORT_COUNT];
    struct tally tallies[TRANSPORT_COUNT];
    struct notes notes;
    uint64_t published_ns; // when publishing began; 0: not yet
    uint32_t source_host;  // 0: the kernel chooses; else 127.0.0.N
    bool is_over;          // closing: ends are no longer disconnects
};

// What bytes of a node lead to.
enum outcome {
    OUTCOME_MORE,  // read on
    OUTCOME_END,   // the node ends this connection, as it may
    OUTCOME_WRONG, // the node said what it may not say now
};

// load.c: seconds since publishing began, 0 before
double load_seconds(const struct load *load);
// Notes something, and prints it where no view shows the notes.
__attribute__((format(printf, 2, 3))) void load_tell(struct load *load, const char *format, ...);

// request.c: returns the bytes of the client's next request.
int request_print(const struct client *client, char *request_r, size_t size);

// answer.c
struct tally *client_tally(const struct client *client);
void answer_start(struct client *client);
// The answer to a resume: it begins at the position asked for, whatever follows.
void answer_resume(struct client *client, struct position position);
void answer_message(struct client *client, const struct message *message);
void answer_reset(struct client *client, struct position to);
void answer_sse_line(struct client *client, const char *line, const char *end);
bool answer_line_is(const char *line, const char *end, const char *text);
bool answer_payload(const char *text, const char *end, struct payload *payload_r);

// object.c
// False when it is no answer of a poll.
bool answer_poll(struct client *client, const char *body, size_t length);
// A poll's 304: nothing but its ETag.
bool answer_unchanged(const struct client *client);
// An object of a WebSocket or a stream.
enum outcome answer_object(struct client *client, const char *text, size_t length);

// body.c
enum outcome body_lines(struct client *client, const char *body, size_t length);
enum outcome body_ws(struct client *client, const char *body, size_t length);
bool carry_add(struct client *client, const char *bytes, size_t length);
// Gives the caller what was carried, with the bytes behind it; the caller frees it.
char *carry_take(struct client *client, const char *bytes, size_t length, size_t *total_r);

// client.c
void client_init(struct client *client, struct load *load, uint32_t index);
void client_open(struct client *client);
void client_close(struct client *client); // for good
uint32_t clients_connected(const struct load *load);
uint64_t clients_received(const struct load *load);
// Messages that were published and have not come to some client.
uint64_t clients_missing(const struct load *load);
// Once, when the heads in Redis are known: adds what is lost and who is behind to the tallies.
void clients_judge(struct load *load);

#endif
