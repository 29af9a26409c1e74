// Decodes a chunked body (RFC 9112, section 7.1), as strictly as the grammar allows and with bounds
// on what is not body: this is where request smuggling lives. Sans-I/O. llhttp's own decoder is not
// used: what it lets pass differs between the versions we build with.
#ifndef FRESHET_NODE_HTTP_CHUNKED_H
#define FRESHET_NODE_HTTP_CHUNKED_H

#include "cluster/base/slice.h"

#include <stdint.h>

enum {
    CHUNKED_SIZE_LINE_MAX = 256, // bytes of a chunk's size and extensions
    CHUNKED_TRAILERS_MAX = 4096, // bytes of the trailer section, which is thrown away
};

enum chunked_state {
    CHUNKED_SIZE,
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER_START,
    CHUNKED_TRAILER,
    CHUNKED_TRAILER_LF,
    CHUNKED_LAST_LF,
    CHUNKED_END,
};

// Zeroed memory is a decoder before its first byte.
struct chunked {
    enum chunked_state state;
    uint64_t left;       // of the chunk's data
    uint32_t line_bytes; // of the size line
    uint32_t trailer_bytes;
};

// Takes bytes off *input until there is body to hand out, the body has ended, or nothing is left.
// *data_r borrows from input and may be empty. At the end (state CHUNKED_END) the rest of *input
// belongs to the next request. UV_EINVAL: malformed, or beyond the bounds.
int chunked_feed(struct chunked *chunked, struct slice *input, struct slice *data_r);

#endif
