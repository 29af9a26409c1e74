// One connection to Redis on libuv and hiredis's redisReader: RESP2, pipelined, healing itself.
//
// It dials, authenticates, selects, names itself, asks run_id and role, and says on_up. When it breaks, for
// whatever reason, every command that waits is completed with an error, on_down is called once, and
// it dials again after a jittered backoff from 50 to 500 ms (which starts anew after a link that
// stood for a second). Everything runs on the loop's thread. All commands of one loop turn leave in
// one write, before the loop waits again.
//
// Deadlines: 2 s for name and connect, 2 s for the whole handshake, 3 s for the next answer while
// commands wait (a stopped Redis still accepts TCP; one that works off a long queue slowly is not
// cut, which would only make it start over). They are counted in turns of a 100 ms timer: time in
// which this process itself stood still is not held against Redis. Bounds: 65,536 commands and 64
// MiB not yet written; beyond them a command is refused with E_OVERLOADED.
//
// Every function may be called from within every callback. The process must ignore SIGPIPE (libuv
// writes without MSG_NOSIGNAL).
#ifndef FRESHET_CLUSTER_REDIS_CONN_H
#define FRESHET_CLUSTER_REDIS_CONN_H

#include "cluster/base/slice.h"
#include "cluster/redis_address.h"
#include "cluster/redis_queue.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum redis_link { REDIS_LINK_COMMAND, REDIS_LINK_PUBSUB };

#define REDIS_LINKS 2

const char *redis_link_name(enum redis_link link); // "command", "pubsub"

struct redis_conn_events {
    void (*on_up)(void *owner);
    // After every waiting command was completed. `error` is a UV_E* or E_* number.
    void (*on_down)(void *owner, int error);
    // REDIS_LINK_PUBSUB only: messages and the acknowledgements of (S)SUBSCRIBE and (S)UNSUBSCRIBE.
    // An array of three: one of "message", "subscribe", "unsubscribe" ("smessage", ...), a channel,
    // and a string (message) or a number (acknowledgement). The shape was checked.
    void (*on_push)(void *owner, const redisReply *reply);
    void *owner; // borrowed
};

struct redis_conn;

// Starts dialling; on_up comes later. `address` and `client_name` are borrowed and must outlive the
// connection. 0; there is nothing that can fail at once (what fails is tried again).
//
// The address may change between two dials; redis_conn_redial makes it count. While it is not known
// (redis_address_is_known) nothing is dialled. Its role is proven in the handshake: a link to a
// server of another one never is up.
int redis_conn_open(uv_loop_t *loop, enum redis_link link, const struct redis_address *address,
                    const char *client_name, const struct redis_conn_events *events,
                    struct redis_conn **conn_r);

// Completes what waits (E_UNAVAILABLE or E_UNKNOWN_OUTCOME) without on_down, then frees when the
// loop has run its close callbacks. NULLs *conn.
void redis_conn_close(struct redis_conn **conn);

// Queues one command; its words are copied. 0: the handler is called exactly once, never from
// within this call. E_UNAVAILABLE while the link is not up, E_OVERLOADED at the bound: it is not
// called.
//
// The handler's status 0: `reply` is Redis's answer, an error reply included (REDIS_REPLY_ERROR);
// it dies with the callback. E_UNAVAILABLE: nothing of the command was handed to the socket.
// E_UNKNOWN_OUTCOME: it was, and the link broke before the answer; reply is NULL in both.
//
// On a pub/sub link only SUBSCRIBE, UNSUBSCRIBE, SSUBSCRIBE, SUNSUBSCRIBE (each with a channel at
// least) and PING may be sent. The acknowledgements of the first four go to on_push, one a channel;
// the handler, which may be NULL, is then called with the last of them, or with the error reply
// that refused them all. Refused without a handler, the link is cut: nobody else would know that it
// is deaf. PING is answered by a status or, once subscribed, by an array of two.
int redis_conn_command(struct redis_conn *conn, size_t count, const struct slice *words,
                       struct redis_reply_handler handler);

// Cuts the link as if it had broken, and dials again at once (the first backoff step). on_down and
// the waiting handlers are called from within. Nothing happens while no link stands or is dialled.
void redis_conn_cut(struct redis_conn *conn, int error, const char *why);

// The address is another one: leaves the old link, if any, as redis_conn_cut does, and dials in the
// next turn of the loop.
void redis_conn_redial(struct redis_conn *conn, const char *why);

bool redis_conn_is_up(const struct redis_conn *conn);

// Of the process behind the current handshake; "" when INFO is not permitted, or not up.
const char *redis_conn_run_id(const struct redis_conn *conn);

struct redis_conn_stats {
    uint64_t reconnects; // handshakes after the first
    uint64_t commands;   // accepted by redis_conn_command
    size_t waiting;      // commands not yet answered
};

struct redis_conn_stats redis_conn_stats(const struct redis_conn *conn);

// What Redis said last when it refused the handshake ("WRONGPASS ...", "LOADING ..."), or why the
// link broke or the last dial failed; "" while up and before the first failure. Printable ASCII,
// without secrets. For readiness reasons.
const char *redis_conn_trouble(const struct redis_conn *conn);

#endif
