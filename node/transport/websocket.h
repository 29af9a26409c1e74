// One WebSocket: what its files share. Others know websocket_handle alone (transport.h).
//
//   STARTING ─the start is known (upgrade)─> OPEN ─a close frame was sent (websocket_close)─>
//   CLOSING ─the client's came, or 1 s passed─> gone
//   STARTING ─refused, or not known in time─> gone, with a status
//   OPEN ─the client's close frame, a broken rule (websocket_fail), no pong─> gone
//
// Only a raw one is ever STARTING: its start is told in the head of the answer. Gone: the exchange
// is finished and the struct is freed; who calls something that may end it is told so.
//
// Close codes: those of RFC 6455, and of our own 4000 + the HTTP status that means the same.
#ifndef FRESHET_NODE_TRANSPORT_WEBSOCKET_H
#define FRESHET_NODE_TRANSPORT_WEBSOCKET_H

#include "cluster/base/list.h"
#include "cluster/base/map.h"
#include "node/auth/grant.h"
#include "node/transport/object.h"
#include "node/transport/transport.h"
#include "node/transport/ws_command.h"
#include "node/transport/ws_frame.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WS_CLOSE_TOKEN = 4401,     // its token has ended: come back with a new one
    WS_CLOSE_DEAD_PEER = 4408, // no pong: come back at once, if you live
    WS_CLOSE_RESET = 4409,     // raw: come back with the reason as `since`
    WS_CLOSE_TOO_MANY = 4429,  // its user has as many connections as it may
};

enum websocket_state { WEBSOCKET_STARTING, WEBSOCKET_OPEN, WEBSOCKET_CLOSING };

struct websocket {
    uint32_t magic;
    uint8_t state;      // enum websocket_state
    uint8_t protocol;   // enum ws_protocol
    bool is_paused : 1; // there is input that was not taken
    bool is_pong_due : 1;
    uint8_t closed_as; // enum close_reason, while CLOSING
    uint16_t calls_weight;
    uint32_t channel_count;
    struct exchange *exchange;     // borrowed
    const struct service *service; // borrowed
    struct grant grant;            // what the client may; owned
    struct ws_reader reader;
    struct list channels; // struct ws_channel.node, all of them
    struct list lagging;  // struct ws_channel.lag_node: the socket was full when they were pulled
    struct map by_name;   // while there are more than a few
    struct list calls;    // struct ws_call.node: under way
    struct watcher watcher;
    struct wheel_timer timer;
    uint64_t ping_at_ms; // of the loop's clock
    uint64_t pong_at_ms; // while one is due: until when
    uint64_t ping_end;   // so many bytes were written when the ping was
    uint64_t reached;    // so many of them had reached the client when we last looked
};

#define WEBSOCKET_MAGIC UINT32_C(0x77656273)

// Of the objects that it carries; a raw one carries none.
static inline enum object_language websocket_language(const struct websocket *websocket) {
    return websocket->protocol == WS_MSGPACK ? OBJECT_MSGPACK : OBJECT_JSON;
}

// Sends a frame; nothing once the close frame is out.
void websocket_send(struct websocket *websocket, enum ws_opcode opcode, struct slice payload);
// The same for objects in `bytes`, which it releases.
void websocket_send_object(struct websocket *websocket, struct bytes *bytes);

void websocket_send_stale(struct websocket *websocket, uint64_t seconds);

// Says goodbye: a close frame, and at most a second for the client's own. Channels are left.
void websocket_close(struct websocket *websocket, uint16_t code, struct slice reason,
                     enum close_reason counted);

// The same with a `bye` before it, for those who understand: come back after retry_ms.
void websocket_bye(struct websocket *websocket, uint16_t code, const char *reason,
                   uint64_t retry_ms, enum close_reason counted);

// Fails it (RFC 6455, section 7.1.7): a close frame and no waiting, for whoever broke the rules or
// is dead. It is gone afterwards.
void websocket_fail(struct websocket *websocket, uint16_t code, const char *reason,
                    enum close_reason counted);

// A raw one's start is known: answers the handshake.
void websocket_begin_raw(struct websocket *websocket, struct position began);

// A raw one cannot begin: answers 503, and that was its end.
void websocket_refuse_raw(struct websocket *websocket, int error);

// More input may be taken: the socket took what there was, or calls have completed.
void websocket_resume(struct websocket *websocket);

// ---- The clock (websocket_ping.c) ---------------------------------------------------------------

void websocket_start_pings(struct websocket *websocket);

// Works out anew when to look next: for a ping, a pong, the grant's end.
void websocket_start_tick(struct websocket *websocket);

// ---- Channels (websocket_channel.c) -------------------------------------------------------------

struct ws_channel {
    struct subscriber subscriber;
    struct websocket *websocket; // borrowed
    struct list node;
    struct list lag_node;
    struct bytes ref; // owned: of the subscribe command, until it is answered
    bool is_told;     // its `ok` was sent
    uint8_t name_len;
    char name[];
};

// NULL when it is not subscribed.
struct ws_channel *websocket_find_channel(struct websocket *websocket, struct slice name);

// Subscribes; answered by `ok` with `ref` when the start is known. The name must be new.
void websocket_add_channel(struct websocket *websocket, struct slice name, struct slice ref,
                           const struct subscriber_start *start);
void websocket_remove_channel(struct ws_channel *channel);
void websocket_remove_channels(struct websocket *websocket);

// Gives out what those have that the socket was full for.
void websocket_pull_lagging(struct websocket *websocket);

// ---- Commands (websocket_command.c) -------------------------------------------------------------

// Works on one message of the client.
void websocket_command(struct websocket *websocket, struct slice payload);

void websocket_answer_error(struct websocket *websocket, struct slice ref, struct slice channel,
                            const char *code, const char *message, bool is_worth_retry);

// Counts and answers a command that is not worth trying again.
void websocket_refuse(struct websocket *websocket, const struct ws_command *command,
                      enum refuse_reason counted, const char *code, const char *message);

// ---- Its grant (websocket_grant.c) --------------------------------------------------------------

// Whether the client may do that with the command's channel; false: it was refused.
bool websocket_check_right(struct websocket *websocket, const struct ws_command *command,
                           enum jwt_right right);

// Takes the command's token. False, and answered: it is not accepted, and changed nothing; or its
// user holds as many connections as it may, and this one is being closed.
bool websocket_show_token(struct websocket *websocket, const struct ws_command *command);

// Ends the channels that the client may not read any more, each with an `error`.
void websocket_check_channels(struct websocket *websocket);

// How long its token holds.
int64_t websocket_granted_ms(const struct websocket *websocket);

// The token has ended: false when the client must go, because it reads by it.
bool websocket_outlive_grant(struct websocket *websocket);

// ---- Calls (websocket_call.c) -------------------------------------------------------------------

// So many may be under way: a publish weighs 1, a read of history, whose answer may be large, all.
enum { WEBSOCKET_CALLS_MAX = 32 };

// Both take over the command's memory.
void websocket_publish(struct websocket *websocket, struct ws_command *command);
void websocket_history(struct websocket *websocket, struct ws_command *command);

// The client is gone: what was begun goes on, and is answered to nobody.
void websocket_leave_calls(struct websocket *websocket);

#endif
