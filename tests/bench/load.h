// The load generator: what its files share.
//
//   load.c       the phases of a run, progress
//   options.c    the command line
//   publisher.c  a RESP connection: FCALL, HMGET, CLIENT KILL, pipelined
//   client.c     clients by SSE, long poll and WebSocket: dialling, requests, answers
//   body.c       event streams and WebSocket frames, in the pieces that reads give
//   answer.c     what an answer means
//   http_in.c    HTTP/1.1 answers, taken in any pieces
//   ws_in.c      WebSocket frames, taken in any pieces
//   tally.c      the judge: each message once, in order, how late; histogram, table, JSON
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
#include "tests/bench/options.h"
#include "tests/bench/tally.h"
#include "tests/bench/ws_in.h"

enum { CHANNEL_NAME_MAX = 64 };

// A channel as its only publisher knows it.
struct channel {
    char name[CHANNEL_NAME_MAX];
    struct position last; // what the latest publish returned
    uint64_t sent;
    uint64_t answered; // publishes that returned a position
};

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct load *load;       // borrowed
    struct channel *channel; // borrowed
    struct client *next_retry;
    uint64_t retry_at_ns;
    enum transport transport;
    uint32_t node;
    bool is_open;
    bool is_started;  // had its hello or first answer: from here everything counts
    bool is_answered; // a poll: the answer being read is understood
    struct http_in http;
    struct position cursor;
    struct progress progress;
    // The SSE event being read.
    struct position event_id;
    enum { EVENT_MESSAGE, EVENT_HELLO, EVENT_RESET, EVENT_OTHER } event_kind;
    struct payload event_payload;
    struct ws_in ws;
    enum { WS_SILENT, WS_GREETED, WS_SUBSCRIBED } ws_stage; // hello, then ok, then messages
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
    uint32_t connected;
    struct tally tallies[TRANSPORT_COUNT];
    struct client *retry_first, *retry_last; // FIFO: all wait equally long
    uint32_t source_host;                    // 0: the kernel chooses; else 127.0.0.N
    bool is_over;                            // closing: ends are no longer disconnects
};

// answer.c
struct tally *client_tally(const struct client *client);
void answer_sse_line(struct client *client, const char *line, const char *end);
// False when it is no answer of a poll.
bool answer_poll(struct client *client, const char *body, size_t length);
// False when it is nothing that a node may say now.
bool answer_ws(struct client *client, const char *text, size_t length);

// body.c: false when the connection can no longer be used
bool body_sse(struct client *client, const char *body, size_t length);
bool body_ws(struct client *client, const char *body, size_t length);
bool carry_add(struct client *client, const char *bytes, size_t length);
// Gives the caller what was carried, with the bytes behind it; the caller frees it.
char *carry_take(struct client *client, const char *bytes, size_t length, size_t *total_r);

// client.c
void client_init(struct client *client, struct load *load, uint32_t index);
void client_open(struct client *client);
void client_close(struct client *client);
void client_retry_due(struct load *load, uint64_t now_ns);
// Over all transports.
uint64_t clients_received(const struct load *load);
// Messages that were published and have not come to some client.
uint64_t clients_missing(const struct load *load);
// Once, when the heads in Redis are known: adds what is lost and who is behind to the tallies.
void clients_judge(struct load *load);

#endif
