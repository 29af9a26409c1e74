// Bytes ready for sockets, shared by reference within one worker: a message is encoded once per
// frame kind and written to any number of connections. Not for other threads.
//
// A frame is head + payload + tail: over HTTP/1.1 head and tail are the chunk's size line and CRLF
// (RFC 9112, section 7.1); a connection without chunks writes the payload alone. Of a WebSocket the
// head is the frame's header (RFC 6455, section 5.2).
#ifndef FRESHET_NODE_NET_FRAME_H
#define FRESHET_NODE_NET_FRAME_H

#include "cluster/base/slice.h"

#include <stdint.h>

struct frame {
    uint32_t refs;
    uint32_t len;  // of data
    uint16_t head; // bytes before the payload
    uint16_t tail; // bytes behind it
    char data[];
};

// Copies `payload` as it is; head and tail are 0. The caller owns one reference.
struct frame *frame_create(struct slice payload);
// The same behind a head.
struct frame *frame_create_with_head(struct slice head, struct slice payload);
// The same as one HTTP chunk. `payload` must not be empty (that would end the body).
struct frame *frame_create_chunk(struct slice payload);
struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame **frame);

static inline struct slice frame_payload(const struct frame *frame) {
    return slice_make(frame->data + frame->head, frame->len - frame->head - frame->tail);
}

static inline struct slice frame_whole(const struct frame *frame) {
    return slice_make(frame->data, frame->len);
}

#endif
