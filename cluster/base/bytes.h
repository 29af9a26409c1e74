// A growing byte buffer, owned by whoever embeds it. Zeroed memory is a valid empty buffer.
//
// Appending dies when memory is short: callers bound what a client may make it hold before they
// append. Not for data that several owners share: see node/net/frame.h.
#ifndef FRESHET_CLUSTER_BASE_BYTES_H
#define FRESHET_CLUSTER_BASE_BYTES_H

#include "cluster/base/check.h"
#include "cluster/base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *data; // owned
    size_t len;
    size_t cap;
};

void bytes_release(struct bytes *bytes); // frees; empty and usable afterwards

// Room for `more` bytes behind len; returns where they go. Add what was used to len.
char *bytes_reserve(struct bytes *bytes, size_t more);

void bytes_append(struct bytes *bytes, struct slice s); // s must not lie in this buffer
void bytes_append_char(struct bytes *bytes, char c);
void bytes_append_u64(struct bytes *bytes, uint64_t value);
void bytes_append_format(struct bytes *bytes, const char *format, ...) PRINTF_LIKE(2, 3);

// Drops the first n bytes and moves the rest to the front.
void bytes_consume(struct bytes *bytes, size_t n);

static inline struct slice bytes_slice(const struct bytes *bytes) {
    return slice_make(bytes->data, bytes->len);
}

static inline void bytes_clear(struct bytes *bytes) {
    bytes->len = 0;
}

#endif
