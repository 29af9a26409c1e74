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

// The value of the line's field when that is its name, else NULL.
static const char *field_value(const char *line, const char *end, const char *name) {
    size_t length = strlen(name);
    if ((size_t)(end - line) < length || strncasecmp(line, name, length) != 0) {
        return NULL;
    }
    line += length;
    while (line < end && *line == ' ') {
        line++;
    }
    return line;
}

static uint64_t number_in(const char *text, const char *end) {
    uint64_t number = 0;
    for (; text < end && *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
    }
    return number;
}

// One header line: where the body ends, and what a client has to heed.
static void read_header(struct http_in *http, const char *line, const char *end) {
    const char *value;
    if ((value = field_value(line, end, "content-length:")) != NULL) {
        http->state = HTTP_LENGTH;
        http->left = number_in(value, end);
    } else if (field_value(line, end, "transfer-encoding:") != NULL) {
        http->state = HTTP_CHUNK_SIZE;
        http->left = 0;
    } else if ((value = field_value(line, end, "connection:")) != NULL) {
        http->is_last = end - value == 5 && strncasecmp(value, "close", 5) == 0;
    } else if ((value = field_value(line, end, "retry-after:")) != NULL) {
        http->retry_after_s = (uint32_t)number_in(value, end);
    } else if (field_value(line, end, "freshet-stale:") != NULL) {
        http->is_stale = true;
    } else if ((value = field_value(line, end, "etag:")) != NULL && end - value < HTTP_ETAG_MAX) {
        memcpy(http->etag, value, (size_t)(end - value));
        http->etag[end - value] = '\0';
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
    // A balancer's own refusal may be of version 1.0.
    if (end - bytes < 12 || memcmp(bytes, "HTTP/1.", 7) != 0 || bytes[8] != ' ') {
        return piece_bad();
    }
    http_in_init(http);
    http->status = (bytes[9] - '0') * 100 + (bytes[10] - '0') * 10 + (bytes[11] - '0');
    http->state = HTTP_UNTIL_CLOSE;
    const char *line = bytes;
    while (line < end) {
        const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        read_header(http, line, line_end);
        line = line_end + 2;
    }
    size_t taken = (size_t)(end - bytes) + 4;
    bool is_without_body = http->status == 304; // whatever its Content-Length
    if (is_without_body || (http->state == HTTP_LENGTH && http->left == 0)) {
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
