// Four characters for three bytes. What is decoded must be what base64_append would have written.
#include "cluster/base/base64.h"

#include <uv.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Up to three bytes, as if zeros followed.
static uint32_t group_of(const unsigned char *at, size_t len) {
    uint32_t group = (uint32_t)at[0] << 16;
    if (len > 1) {
        group |= (uint32_t)at[1] << 8;
    }
    if (len > 2) {
        group |= at[2];
    }
    return group;
}

void base64_append(struct bytes *bytes, struct slice data) {
    if (data.len == 0) {
        return;
    }
    char *to = bytes_reserve(bytes, (data.len + 2) / 3 * 4);
    for (size_t i = 0; i < data.len; i += 3) {
        size_t len = data.len - i < 3 ? data.len - i : 3;
        uint32_t group = group_of((const unsigned char *)data.data + i, len);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = len > 1 ? alphabet[group >> 6 & 63] : '=';
        *to++ = len > 2 ? alphabet[group & 63] : '=';
    }
    bytes->len += (data.len + 2) / 3 * 4;
}

// 64 for what is not in the alphabet.
static uint32_t value_of(char c) {
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

// `length` characters (2 to 4) of a group of four; false when one is foreign, or when bits are set
// that no byte holds (RFC 4648, section 3.5).
static bool decode_group(const char *at, size_t length, char *to) {
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < length ? value_of(at[i]) : 0;
        if (value == 64) {
            return false;
        }
        group = group << 6 | value;
    }
    uint32_t unused = length == 2 ? 0xffff : length == 3 ? 0xff : 0;
    if ((group & unused) != 0) {
        return false;
    }
    for (size_t i = 0; i + 1 < length; i++) {
        to[i] = (char)(group >> (16 - 8 * i) & 0xff);
    }
    return true;
}

int base64_decode(struct bytes *bytes, struct slice text) {
    if (text.len % 4 != 0) {
        return UV_EINVAL;
    }
    char *to = bytes_reserve(bytes, text.len / 4 * 3);
    size_t written = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t length = 4;
        if (i + 4 == text.len && text.data[i + 3] == '=') {
            length = text.data[i + 2] == '=' ? 2 : 3;
        }
        if (!decode_group(text.data + i, length, to + written)) {
            return UV_EINVAL;
        }
        written += length - 1;
    }
    bytes->len += written;
    return 0;
}
