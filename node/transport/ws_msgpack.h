// The part of MessagePack that WebSocket clients and this server speak: maps of strings, bytes and
// whole numbers. Sans-I/O. The reader gives one token at a time, allocates nothing and does not
// recurse: counts are only reported, so there is nothing that a false one could make it reserve.
//
// Why beside msgpack-c: that one belongs to cluster/, builds trees, and takes 5 bytes that claim
// 2^27 elements for a reason to ask for 4 GB.
#ifndef FRESHET_NODE_TRANSPORT_WS_MSGPACK_H
#define FRESHET_NODE_TRANSPORT_WS_MSGPACK_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_msgpack_kind {
    WS_MSGPACK_NIL,
    WS_MSGPACK_BOOL,
    WS_MSGPACK_UINT,
    WS_MSGPACK_NEGATIVE, // a whole number below 0
    WS_MSGPACK_FLOAT,
    WS_MSGPACK_STR, // not yet proven to be UTF-8
    WS_MSGPACK_BIN,
    WS_MSGPACK_EXT,
    WS_MSGPACK_ARRAY, // `number` elements follow
    WS_MSGPACK_MAP    // `number` times a key and a value follow
};

struct ws_msgpack_token {
    enum ws_msgpack_kind kind;
    uint64_t number;    // UINT; BOOL: 0 or 1; ARRAY and MAP: the count that is claimed
    struct slice bytes; // STR, BIN, EXT: borrowed from the input
    struct slice raw;   // the whole token
};

// Takes the next token off *input. UV_EINVAL: it is cut short, or no msgpack (0xc1).
int ws_msgpack_next(struct slice *input, struct ws_msgpack_token *token_r);

void ws_msgpack_append_map(struct bytes *bytes, size_t count);
void ws_msgpack_append_array(struct bytes *bytes, size_t count);
void ws_msgpack_append_str(struct bytes *bytes, struct slice text);
void ws_msgpack_append_bin(struct bytes *bytes, struct slice data);
void ws_msgpack_append_uint(struct bytes *bytes, uint64_t number);
void ws_msgpack_append_bool(struct bytes *bytes, bool is_true);

#endif
