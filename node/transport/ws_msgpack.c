// MessagePack by its specification: a first byte that says the kind and often the length, a length
// of 1, 2, 4 or 8 bytes in network order, then the content.
#include "node/transport/ws_msgpack.h"

#include "cluster/base/check.h"

#include <uv.h>

// ---- Reading ------------------------------------------------------------------------------------

// First bytes 0xc0 to 0xdf: what follows them.
struct form {
    uint8_t kind;      // enum ws_msgpack_kind
    uint8_t number;    // bytes of a number or length that follow
    uint8_t skip;      // bytes of content that follow whatever it says: floats, the type of an ext
    uint8_t is_length; // the number says how many bytes of content follow
};

static const struct form forms[32] = {
    [0x00] = {WS_MSGPACK_NIL, 0, 0, 0},      [0x02] = {WS_MSGPACK_BOOL, 0, 0, 0},
    [0x03] = {WS_MSGPACK_BOOL, 0, 0, 0},     [0x04] = {WS_MSGPACK_BIN, 1, 0, 1},
    [0x05] = {WS_MSGPACK_BIN, 2, 0, 1},      [0x06] = {WS_MSGPACK_BIN, 4, 0, 1},
    [0x07] = {WS_MSGPACK_EXT, 1, 1, 1},      [0x08] = {WS_MSGPACK_EXT, 2, 1, 1},
    [0x09] = {WS_MSGPACK_EXT, 4, 1, 1},      [0x0a] = {WS_MSGPACK_FLOAT, 0, 4, 0},
    [0x0b] = {WS_MSGPACK_FLOAT, 0, 8, 0},    [0x0c] = {WS_MSGPACK_UINT, 1, 0, 0},
    [0x0d] = {WS_MSGPACK_UINT, 2, 0, 0},     [0x0e] = {WS_MSGPACK_UINT, 4, 0, 0},
    [0x0f] = {WS_MSGPACK_UINT, 8, 0, 0},     [0x10] = {WS_MSGPACK_NEGATIVE, 1, 0, 0},
    [0x11] = {WS_MSGPACK_NEGATIVE, 2, 0, 0}, [0x12] = {WS_MSGPACK_NEGATIVE, 4, 0, 0},
    [0x13] = {WS_MSGPACK_NEGATIVE, 8, 0, 0}, [0x14] = {WS_MSGPACK_EXT, 0, 2, 0},
    [0x15] = {WS_MSGPACK_EXT, 0, 3, 0},      [0x16] = {WS_MSGPACK_EXT, 0, 5, 0},
    [0x17] = {WS_MSGPACK_EXT, 0, 9, 0},      [0x18] = {WS_MSGPACK_EXT, 0, 17, 0},
    [0x19] = {WS_MSGPACK_STR, 1, 0, 1},      [0x1a] = {WS_MSGPACK_STR, 2, 0, 1},
    [0x1b] = {WS_MSGPACK_STR, 4, 0, 1},      [0x1c] = {WS_MSGPACK_ARRAY, 2, 0, 0},
    [0x1d] = {WS_MSGPACK_ARRAY, 4, 0, 0},    [0x1e] = {WS_MSGPACK_MAP, 2, 0, 0},
    [0x1f] = {WS_MSGPACK_MAP, 4, 0, 0},
};

static bool take(struct slice *input, uint64_t len, struct slice *taken_r) {
    if (len > input->len) {
        return false;
    }
    *taken_r = slice_make(input->data, (size_t)len);
    *input = slice_make(input->data + len, input->len - (size_t)len);
    return true;
}

static uint64_t big_endian(struct slice bytes) {
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        number = number << 8 | (uint8_t)bytes.data[i];
    }
    return number;
}

// Signed forms may hold what is not negative.
static void settle_sign(struct ws_msgpack_token *token, size_t bytes) {
    if ((token->number >> (8 * bytes - 1)) == 0) {
        token->kind = WS_MSGPACK_UINT;
    } else {
        token->number = 0;
    }
}

static bool read_long(struct slice *input, uint8_t first, struct ws_msgpack_token *token) {
    const struct form *form = &forms[first - 0xc0];
    struct slice number;
    if (first == 0xc1 || !take(input, form->number, &number)) {
        return false;
    }
    token->kind = form->kind;
    token->number = big_endian(number);
    if (token->kind == WS_MSGPACK_BOOL) {
        token->number = first == 0xc3;
    } else if (token->kind == WS_MSGPACK_NEGATIVE) {
        settle_sign(token, form->number);
    }
    return take(input, (form->is_length ? token->number : 0) + form->skip, &token->bytes);
}

// Kinds whose first byte holds the number or length itself.
static bool read_short(struct slice *input, uint8_t first, struct ws_msgpack_token *token) {
    if (first < 0x80) {
        token->kind = WS_MSGPACK_UINT;
        token->number = first;
    } else if (first < 0x90) {
        token->kind = WS_MSGPACK_MAP;
        token->number = first & 0x0f;
    } else if (first < 0xa0) {
        token->kind = WS_MSGPACK_ARRAY;
        token->number = first & 0x0f;
    } else if (first < 0xc0) {
        token->kind = WS_MSGPACK_STR;
        return take(input, first & 0x1f, &token->bytes);
    } else {
        token->kind = WS_MSGPACK_NEGATIVE;
    }
    return true;
}

int ws_msgpack_next(struct slice *input, struct ws_msgpack_token *token_r) {
    struct slice start = *input;
    struct slice first;
    *token_r = (struct ws_msgpack_token){0};
    if (!take(input, 1, &first)) {
        return UV_EINVAL;
    }
    uint8_t byte = (uint8_t)first.data[0];
    bool is_long = byte >= 0xc0 && byte < 0xe0;
    if (!(is_long ? read_long(input, byte, token_r) : read_short(input, byte, token_r))) {
        return UV_EINVAL;
    }
    token_r->raw = slice_make(start.data, start.len - input->len);
    return 0;
}

// ---- Writing ------------------------------------------------------------------------------------

static void append_big_endian(struct bytes *bytes, uint8_t first, uint64_t number, size_t len) {
    bytes_append_char(bytes, (char)first);
    for (size_t i = len; i > 0; i--) {
        bytes_append_char(bytes, (char)(number >> (8 * (i - 1))));
    }
}

// In the shortest form: inside the first byte below `short_max`, else behind one of the first bytes
// for 1, 2, 4 and 8 bytes (0: there is none).
static void append_number(struct bytes *bytes, uint64_t number, uint8_t short_first,
                          uint64_t short_max, const uint8_t firsts[static 4]) {
    if (number <= short_max) {
        bytes_append_char(bytes, (char)(short_first | number));
    } else if (number <= UINT8_MAX && firsts[0] != 0) {
        append_big_endian(bytes, firsts[0], number, 1);
    } else if (number <= UINT16_MAX) {
        append_big_endian(bytes, firsts[1], number, 2);
    } else if (number <= UINT32_MAX) {
        append_big_endian(bytes, firsts[2], number, 4);
    } else {
        CHECK(firsts[3] != 0);
        append_big_endian(bytes, firsts[3], number, 8);
    }
}

void ws_msgpack_append_map(struct bytes *bytes, size_t count) {
    append_number(bytes, count, 0x80, 15, (const uint8_t[]){0, 0xde, 0xdf, 0});
}

void ws_msgpack_append_array(struct bytes *bytes, size_t count) {
    append_number(bytes, count, 0x90, 15, (const uint8_t[]){0, 0xdc, 0xdd, 0});
}

void ws_msgpack_append_str(struct bytes *bytes, struct slice text) {
    append_number(bytes, text.len, 0xa0, 31, (const uint8_t[]){0xd9, 0xda, 0xdb, 0});
    bytes_append(bytes, text);
}

void ws_msgpack_append_bin(struct bytes *bytes, struct slice data) {
    static const uint8_t firsts[] = {0xc4, 0xc5, 0xc6, 0};
    if (data.len == 0) { // there is no short form
        append_big_endian(bytes, firsts[0], 0, 1);
        return;
    }
    append_number(bytes, data.len, 0, 0, firsts);
    bytes_append(bytes, data);
}

void ws_msgpack_append_uint(struct bytes *bytes, uint64_t number) {
    append_number(bytes, number, 0x00, 127, (const uint8_t[]){0xcc, 0xcd, 0xce, 0xcf});
}

void ws_msgpack_append_bool(struct bytes *bytes, bool is_true) {
    bytes_append_char(bytes, is_true ? (char)0xc3 : (char)0xc2);
}
