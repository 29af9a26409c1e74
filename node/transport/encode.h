// The bytes that clients see: messages as frames, and the objects around them (CONTRACT.md,
// section 3). Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_ENCODE_H
#define FRESHET_NODE_TRANSPORT_ENCODE_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "cluster/message.h"
#include "node/net/frame.h"
#include "node/transport/object.h"

#include <stdint.h>

// One per frame kind, for entry_frame. The caller owns the reference.
struct frame *encode_object(struct slice channel, const struct message *message);
struct frame *encode_line(struct slice channel, const struct message *message);
struct frame *encode_event(struct slice channel, const struct message *message);
struct frame *encode_event_envelope(struct slice channel, const struct message *message);

// Objects, without a line end. A reset from nowhere (a list of another length) has `from` "". `ref`
// is that of the command which an `ok` answers, in the object's language; empty: none.
void encode_message(struct bytes *bytes, enum object_language language, struct slice channel,
                    const struct message *message);
void encode_reset(struct bytes *bytes, enum object_language language, struct slice channel,
                  const struct reset *reset, uint64_t spread_ms);
void encode_hello(struct bytes *bytes, enum object_language language, struct slice node,
                  uint64_t heartbeat_ms);
void encode_ok(struct bytes *bytes, enum object_language language, struct slice ref,
               struct slice channel, struct position position);
void encode_stale(struct bytes *bytes, enum object_language language, uint64_t seconds);
void encode_bye(struct bytes *bytes, enum object_language language, const char *reason,
                uint64_t retry_ms);

// `data:` lines of an event stream: CR LF, CR and LF in the text all end a line.
void encode_sse_data(struct bytes *bytes, struct slice text);

#endif
