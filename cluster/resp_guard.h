// Watches a RESP2 byte stream in front of hiredis's reader and refuses headers that nobody should
// believe: hiredis 0.14 takes `*536870912` and asks for 4 GiB. Sans-I/O, no allocation; works on
// any split of the bytes, and the split never changes the verdict.
//
// It is stricter than the reader: a line ends in CRLF and holds no other CR or LF, a bulk string is
// followed by CRLF, numbers are plain decimals. So the two can never disagree on where a reply
// ends.
#ifndef FRESHET_CLUSTER_RESP_GUARD_H
#define FRESHET_CLUSTER_RESP_GUARD_H

#include "cluster/base/slice.h"

#include <stdint.h>

enum {
    RESP_BULK_BYTES_MAX = 8 << 20,
    RESP_ARRAY_ITEMS_MAX = 1 << 16, // in one array, and in all arrays of one reply
    RESP_DEPTH_MAX = 6,             // of nested arrays; hiredis 0.14 has room for 7
    RESP_LINE_BYTES_MAX = 64 << 10, // of a status or an error, without type and CRLF
    RESP_REPLY_BYTES_MAX = 96 << 20,
    RESP_NUMBER_DIGITS_MAX = 20, // "-9223372036854775808"
};

// Zeroed memory is a valid guard in front of a stream's first byte.
struct resp_guard {
    uint64_t bulk_left;                  // bytes of the bulk string and its CRLF still to pass
    uint64_t reply_bytes;                // of the reply being read, so far
    uint32_t items_left[RESP_DEPTH_MAX]; // per open array
    uint32_t items_total;                // announced by all arrays of the reply
    uint32_t line_len;                   // without type, CR and LF
    uint8_t depth;                       // open arrays
    bool saw_cr;                         // LF must come next
    char type;                           // of the line being read; 0 between items
    char number[RESP_NUMBER_DIGITS_MAX]; // the line so far, of those types that hold a number
};

void resp_guard_init(struct resp_guard *guard);

// 0, or E_PROTOCOL when the bytes hold a header over a limit or no RESP2 at all; *why_r is then a
// short static text. After an error the stream is unusable.
int resp_guard_feed(struct resp_guard *guard, struct slice bytes, const char **why_r);

#endif
