// Commands of WebSocket clients, in JSON or msgpack (CONTRACT.md, section 3). Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_WS_COMMAND_H
#define FRESHET_NODE_TRANSPORT_WS_COMMAND_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "cluster/message.h"
#include "node/transport/cursor.h"
#include "node/transport/ws_handshake.h"

#include <stdbool.h>
#include <stdint.h>

enum ws_command_type {
    WS_SUBSCRIBE,
    WS_UNSUBSCRIBE,
    WS_PUBLISH,
    WS_HISTORY,
    WS_PRESENCE,
    WS_AUTH,
    WS_PING_COMMAND,
    WS_COMMANDS
};

enum { WS_REF_BYTES_MAX = 64 };

struct ws_command {
    enum ws_command_type type;
    struct slice ref; // as it came, in the client's language; empty: none
    struct slice channel;
    struct cursor_item since; // CURSOR_HEAD when not given
    bool has_since;
    uint64_t rewind; // 0: not given
    uint64_t limit;
    bool has_limit;
    struct slice data;
    enum message_type data_type;
    struct slice event;
    struct slice once;
    struct slice if_head; // a position or "none"
    struct slice token;
    struct bytes memory; // owned: what the slices point into
};

// What is wrong with a command, in static words.
struct ws_fault {
    const char *code;
    const char *message;
};

// Copies what it needs of the payload. UV_EINVAL: *fault_r says why, and of the command only `ref`
// is of use. Release it in any case.
int ws_command_read(struct slice payload, enum ws_protocol protocol, struct ws_command *command_r,
                    struct ws_fault *fault_r);
void ws_command_release(struct ws_command *command);

#endif
