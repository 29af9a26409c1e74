// HTTP/1.1 answers in pieces: see http_in.h.
#include "tests/bench/http_in.h"

#include <string.h>
#include <strings.h>

void http_in_init(struct http_in *http) {
    *http = (struct http_in){.state = HTTP_HEAD};
}

static struct http_piece piece_bad(void) {
    return (struct http_piece){.kind = HTTP_BAD};
}

static bool starts_with(const char *line, const char *end, const char *name) {
    size_t length = strlen(name);
    return (size_t)(end - line) >= length && strncasecmp(line, name, length) == 0;
}

// One header line: only what says where the body ends matters.
static void read_header(struct http_in *http, const char *line, const char *end) {
    if (starts_with(line, end, "content-length:")) {
        http->state = HTTP_LENGTH;
        http->left = 0;
        for (const char *at = line + 15; at < end; at++) {
            if (*at >= '0' && *at <= '9') {
                http->left = http->left * 10 + (uint64_t)(*at - '0');
            }
        }
    } else if (starts_with(line, end, "transfer-encoding:")) {
        http->state = HTTP_CHUNK_SIZE;
        http->left = 0;
    }
}

static struct http_piece next_head(struct http_in *http, const char *bytes, size_t length) {
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (length > HTTP_HEAD_MAX) {
            return piece_bad();
        }
        return (struct http_piece){.kind = HTTP_NEED_MORE};
    }
    if (end - bytes < 12 || memcmp(bytes, "HTTP/1.1 ", 9) != 0) {
        return piece_bad();
    }
    http->status = (bytes[9] - '0') * 100 + (bytes[10] - '0') * 10 + (bytes[11] - '0');
    http->state = HTTP_UNTIL_CLOSE;
    const char *line = bytes;
    while (line < end) {
        const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        read_header(http, line, line_end);
        line = line_end + 2;
    }
    size_t taken = (size_t)(end - bytes) + 4;
    if (http->state == HTTP_LENGTH && http->left == 0) {
        http->state = HTTP_HEAD;
        return (struct http_piece){.kind = HTTP_END, .taken = taken};
    }
    struct http_piece piece = http_in_next(http, bytes + taken, length - taken);
    // Content-Length counts the whole body: a first piece of that size is all there is.
    piece.is_whole = piece.kind == HTTP_BODY && http->state == HTTP_LENGTH && http->left == 0;
    piece.taken += taken;
    return piece;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Eats lines of framing until body bytes or the end of the answer are next.
static size_t skip_framing(struct http_in *http, const char *bytes, size_t length, bool *is_end_r) {
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i];
        if (http->state == HTTP_CHUNK_SIZE) {
            int digit = hex_value(c);
            if (digit >= 0) {
                http->left = http->left * 16 + (uint64_t)digit;
            }
            if (c == '\n') {
                http->state = http->left == 0 ? HTTP_LAST_LINE : HTTP_CHUNK;
            }
        } else if (c == '\n') {
            *is_end_r = http->state == HTTP_LAST_LINE;
            http->state = *is_end_r ? HTTP_HEAD : HTTP_CHUNK_SIZE;
            if (*is_end_r) {
                return i + 1;
            }
        }
        if (http->state == HTTP_CHUNK) {
            return i + 1;
        }
    }
    return length;
}

struct http_piece http_in_next(struct http_in *http, const char *bytes, size_t length) {
    if (http->state == HTTP_HEAD) {
        return next_head(http, bytes, length);
    }

    struct http_piece piece = {.kind = HTTP_NEED_MORE};
    if (http->state == HTTP_LENGTH && http->left == 0) {
        http->state = HTTP_HEAD;
        piece.kind = HTTP_END;
        return piece;
    }
    if (http->state == HTTP_CHUNK_SIZE || http->state == HTTP_CHUNK_END ||
        http->state == HTTP_LAST_LINE) {
        bool is_end = false;
        piece.taken = skip_framing(http, bytes, length, &is_end);
        if (is_end) {
            piece.kind = HTTP_END;
            return piece;
        }
    }
    size_t rest = length - piece.taken;
    if (rest == 0) {
        return piece;
    }
    piece.kind = HTTP_BODY;
    piece.body = bytes + piece.taken;
    piece.body_bytes = rest;
    if (http->state == HTTP_UNTIL_CLOSE) {
        piece.taken = length;
        return piece;
    }
    if (piece.body_bytes > http->left) {
        piece.body_bytes = (size_t)http->left;
    }
    http->left -= piece.body_bytes;
    if (http->left == 0 && http->state == HTTP_CHUNK) {
        http->state = HTTP_CHUNK_END;
    }
    piece.taken += piece.body_bytes;
    return piece;
}
