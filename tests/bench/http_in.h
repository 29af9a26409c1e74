// HTTP/1.1 answers, taken in any pieces: status, the fields that a client heeds,
// and the body freed of its framing.
//
// Only for the load generator, which knows whom it talks to: no trailers, no 1xx, no limits but
// that of a head. Body bytes are handed on where they lie, so nothing is copied.
#ifndef FRESHET_TESTS_BENCH_HTTP_IN_H
#define FRESHET_TESTS_BENCH_HTTP_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 4096, HTTP_ETAG_MAX = 64 };

struct http_in {
    enum {
        HTTP_HEAD,
        HTTP_LENGTH,     // `left` more bytes of body
        HTTP_CHUNK_SIZE, // in the line with the size of a chunk
        HTTP_CHUNK,      // `left` more bytes of chunk
        HTTP_CHUNK_END,  // CR LF after it
        HTTP_LAST_LINE,  // the empty line after the last chunk
        HTTP_UNTIL_CLOSE,
    } state;
    int status;
    uint64_t left;
    // Of the answer being read, or read last.
    bool is_last;             // Connection: close
    bool is_stale;            // Freshet-Stale
    uint32_t retry_after_s;   // 0: not said
    char etag[HTTP_ETAG_MAX]; // with its quotes; empty: none, or a longer one
};

// What http_in_next found in the bytes it was given.
struct http_piece {
    enum { HTTP_NEED_MORE, HTTP_BODY, HTTP_END, HTTP_BAD } kind;
    const char *body; // HTTP_BODY: borrowed from the bytes given
    size_t body_bytes;
    bool is_whole; // this piece is all of the body
    size_t taken;  // bytes of input used up
};

void http_in_init(struct http_in *http);

// Takes the next piece of an answer. Call again with what was not taken until it needs more; an
// incomplete head is not taken at all and must be given again with more behind it.
struct http_piece http_in_next(struct http_in *http, const char *bytes, size_t length);

#endif
