// Questions about borrowed bytes.
#include "cluster/base/slice.h"

#include <uv.h>

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool slice_equal_nocase(struct slice a, struct slice b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && slice_equal((struct slice){s.data, prefix.len}, prefix);
}

struct slice slice_cut(struct slice *rest, char separator) {
    struct slice whole = *rest;
    const char *at = whole.len > 0 ? memchr(whole.data, separator, whole.len) : NULL;
    if (at == NULL) {
        *rest = SLICE_NONE;
        return whole;
    }
    size_t before = (size_t)(at - whole.data);
    *rest = (struct slice){at + 1, whole.len - before - 1};
    return (struct slice){whole.data, before};
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s) {
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

int slice_to_u64(struct slice s, uint64_t max, uint64_t *value_r) {
    if (s.len == 0) {
        return UV_EINVAL;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return UV_EINVAL;
        }
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (value > max / 10 || digit > max - value * 10) {
            return UV_EINVAL;
        }
        value = value * 10 + digit;
    }
    *value_r = value;
    return 0;
}

// The table of well-formed sequences (Unicode 15, table 3-7) is: the first byte fixes the length
// and narrows the second byte; all further bytes are 80..BF.
size_t slice_utf8_length(struct slice s) {
    if (s.len == 0) {
        return 0;
    }
    const unsigned char *at = (const unsigned char *)s.data;
    unsigned char first = at[0];
    if (first < 0x80) {
        return 1;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || s.len < length) {
        return 0;
    }
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return 0;
        }
    }
    return length;
}

// Most text is ASCII: eight bytes at a time.
static size_t ascii_words(struct slice s) {
    size_t at = 0;
    while (s.len - at >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, s.data + at, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += sizeof(word);
    }
    return at;
}

bool slice_is_utf8(struct slice s) {
    while (s.len > 0) {
        size_t length = ascii_words(s);
        if (length == 0) {
            length = slice_utf8_length(s);
        }
        if (length == 0) {
            return false;
        }
        s.data += length;
        s.len -= length;
    }
    return true;
}
