// A borrowed run of bytes. It owns nothing and dies with whatever gave it.
#ifndef FRESHET_CLUSTER_BASE_SLICE_H
#define FRESHET_CLUSTER_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; // borrowed; may be NULL when len is 0
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE     ((struct slice){NULL, 0})

// For printf: "%.*s", SLICE_ARGS(s)
#define SLICE_ARGS(s) (int)(s).len, ((s).len > 0 ? (s).data : "")

static inline struct slice slice_make(const void *data, size_t len) {
    return (struct slice){data, len};
}

static inline struct slice slice_of(const char *text) {
    return (struct slice){text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline struct slice slice_from(struct slice s, size_t offset) {
    return offset >= s.len ? SLICE_NONE : (struct slice){s.data + offset, s.len - offset};
}

// ASCII only, as in HTTP field names (RFC 9110, section 5.1).
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);

// Cuts the part before the first `separator` off *rest and returns it. Returns the whole when there
// is none, and leaves rest->data NULL then, which tells "no more" from "an empty last part":
//     while (rest.data != NULL) { struct slice part = slice_cut(&rest, ','); ... }
struct slice slice_cut(struct slice *rest, char separator);

// Without leading and trailing spaces and tabs (OWS, RFC 9110, section 5.6.3).
struct slice slice_trim(struct slice s);

// Decimal digits only, no sign, no blanks. UV_EINVAL when it is none or above max.
int slice_to_u64(struct slice s, uint64_t max, uint64_t *value_r);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool slice_is_utf8(struct slice s);

// Bytes of the UTF-8 sequence that s begins with, 1 to 4; 0 when it is empty or begins with none.
size_t slice_utf8_length(struct slice s);

#endif
