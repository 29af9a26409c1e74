// The opening handshake of a WebSocket, the server's side (RFC 6455, section 4.2). Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_WS_HANDSHAKE_H
#define FRESHET_NODE_TRANSPORT_WS_HANDSHAKE_H

#include "cluster/base/slice.h"
#include "node/http/request.h"
#include "node/transport/open_request.h"

// What both sides speak from then on. Nothing offered: raw.
enum ws_protocol { WS_RAW, WS_JSON, WS_MSGPACK };

enum { WS_ACCEPT_BYTES = 28 };

// UV_EINVAL: *problem_r says why. 426 wants Sec-WebSocket-Version beside it.
int ws_handshake_read(const struct request *request, enum ws_protocol *protocol_r,
                      struct open_problem *problem_r);

// What Sec-WebSocket-Accept says to a request that was not refused.
void ws_handshake_accept(const struct request *request, char accept_r[static WS_ACCEPT_BYTES]);

// The name of Sec-WebSocket-Protocol in the answer; empty: none.
struct slice ws_protocol_name(enum ws_protocol protocol);

#endif
