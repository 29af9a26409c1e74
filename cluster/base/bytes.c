// The growing buffer: capacity doubles, so that appending costs O(1) a byte.
#include "cluster/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cluster/base/mem.h"

enum { CAPACITY_FIRST = 64 };

void bytes_release(struct bytes *bytes) {
    mem_free(bytes->data);
    *bytes = (struct bytes){0};
}

static void grow(struct bytes *bytes, size_t needed) {
    size_t cap = bytes->cap > 0 ? bytes->cap : CAPACITY_FIRST;
    while (cap < needed) {
        cap *= 2;
    }
    bytes->data = mem_realloc(bytes->data, cap);
    bytes->cap = cap;
}

char *bytes_reserve(struct bytes *bytes, size_t more) {
    CHECK(bytes->len <= bytes->cap);
    CHECK(more <= SIZE_MAX / 4 - bytes->len); // doubling cannot overflow
    if (bytes->data == NULL || bytes->cap - bytes->len < more) {
        grow(bytes, bytes->len + more);
    }
    return bytes->data + bytes->len;
}

void bytes_append(struct bytes *bytes, struct slice s) {
    if (s.len > 0) {
        memcpy(bytes_reserve(bytes, s.len), s.data, s.len);
        bytes->len += s.len;
    }
}

void bytes_append_char(struct bytes *bytes, char c) {
    *bytes_reserve(bytes, 1) = c;
    bytes->len++;
}

void bytes_append_u64(struct bytes *bytes, uint64_t value) {
    char digits[20]; // of 2^64 - 1
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    bytes_append(bytes, slice_make(digits + at, sizeof(digits) - at));
}

void bytes_append_format(struct bytes *bytes, const char *format, ...) {
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    char *at = bytes_reserve(bytes, 1);
    size_t room = bytes->cap - bytes->len;
    int length = vsnprintf(at, room, format, args);
    CHECK(length >= 0);
    if ((size_t)length >= room) {
        at = bytes_reserve(bytes, (size_t)length + 1); // vsnprintf ends with a NUL
        vsnprintf(at, (size_t)length + 1, format, again);
    }
    bytes->len += (size_t)length;
    va_end(again);
    va_end(args);
}

void bytes_consume(struct bytes *bytes, size_t n) {
    CHECK(n <= bytes->len);
    bytes->len -= n;
    if (n > 0 && bytes->len > 0) {
        memmove(bytes->data, bytes->data + n, bytes->len);
    }
}
