// What is published on PREFIX:{CH}:now (CONTRACT.md, section 2). Sans-I/O; input is not trusted.
#ifndef FRESHET_CLUSTER_ENVELOPE_H
#define FRESHET_CLUSTER_ENVELOPE_H

#include "cluster/base/slice.h"
#include "cluster/message.h"

#include <stdbool.h>

#define ENVELOPE_REFUSAL_MAP(X)                                                                    \
    X(MALFORMED, "malformed") /* begins like an envelope and is none */                            \
    X(VERSION, "version")     /* of a format that this build does not know */                      \
    X(TEXT, "text")           /* neither an envelope nor UTF-8 */                                  \
    X(SIZE, "size")

#define ENVELOPE_REFUSAL_ENUM(name, text) ENVELOPE_##name,
enum envelope_refusal { ENVELOPE_REFUSAL_MAP(ENVELOPE_REFUSAL_ENUM) };
#undef ENVELOPE_REFUSAL_ENUM

// A payload whose first byte is 0x80-0xBF must be a whole envelope; any other is the text of an
// ephemeral message, which gets `now_ms` as its time. NULL: refused, *refusal_r says why. The caller
// owns the reference.
struct message *envelope_decode(struct slice payload, int64_t now_ms,
                                enum envelope_refusal *refusal_r, bool *was_demoted_r);

#endif
