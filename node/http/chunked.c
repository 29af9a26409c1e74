// A byte-driven machine, but for the data, which is taken in one piece:
//
//   SIZE ─";"─> EXTENSION            TRAILER_START ─CR─> LAST_LF ──> END
//   SIZE, EXTENSION ─CR─> SIZE_LF    TRAILER_START ─else─> TRAILER ─CR─> TRAILER_LF
//   SIZE_LF ──> DATA ──> DATA_CR     TRAILER_LF ──> TRAILER_START
//   DATA_CR ──> DATA_LF ──> SIZE
//   SIZE_LF, after the size 0 ──> TRAILER_START
#include "node/http/chunked.h"

#include <stdbool.h>
#include <uv.h>

enum { SIZE_DIGITS_MAX = 15 }; // 60 bits: no sum with it overflows

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool is_control(char c) {
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

// Goes on to `next` if c is the one byte that may come here.
static int expect(struct chunked *chunked, char c, char wanted, enum chunked_state next) {
    chunked->state = next;
    return c == wanted ? 0 : UV_EINVAL;
}

static int feed_size(struct chunked *chunked, char c) {
    if (++chunked->line_bytes > CHUNKED_SIZE_LINE_MAX) {
        return UV_EINVAL;
    }
    int digit = hex_digit(c);
    if (chunked->state == CHUNKED_SIZE && digit >= 0) {
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        return chunked->line_bytes <= SIZE_DIGITS_MAX ? 0 : UV_EINVAL;
    }
    bool has_size = chunked->state == CHUNKED_EXTENSION || chunked->line_bytes > 1;
    if (!has_size) {
        return UV_EINVAL;
    }
    if (c == '\r') {
        chunked->state = CHUNKED_SIZE_LF;
        return 0;
    }
    if (chunked->state == CHUNKED_SIZE) {
        return expect(chunked, c, ';', CHUNKED_EXTENSION);
    }
    return is_control(c) ? UV_EINVAL : 0;
}

static int feed_trailer(struct chunked *chunked, char c) {
    if (++chunked->trailer_bytes > CHUNKED_TRAILERS_MAX) {
        return UV_EINVAL;
    }
    if (c == '\r') {
        chunked->state = chunked->state == CHUNKED_TRAILER ? CHUNKED_TRAILER_LF : CHUNKED_LAST_LF;
        return 0;
    }
    bool is_folded = chunked->state == CHUNKED_TRAILER_START && (c == ' ' || c == '\t');
    chunked->state = CHUNKED_TRAILER;
    return is_folded || is_control(c) ? UV_EINVAL : 0;
}

static int feed_byte(struct chunked *chunked, char c) {
    switch (chunked->state) {
    case CHUNKED_SIZE:
    case CHUNKED_EXTENSION:
        return feed_size(chunked, c);
    case CHUNKED_SIZE_LF:
        return expect(chunked, c, '\n', chunked->left > 0 ? CHUNKED_DATA : CHUNKED_TRAILER_START);
    case CHUNKED_DATA_CR:
        return expect(chunked, c, '\r', CHUNKED_DATA_LF);
    case CHUNKED_DATA_LF:
        chunked->line_bytes = 0;
        return expect(chunked, c, '\n', CHUNKED_SIZE);
    case CHUNKED_TRAILER_START:
    case CHUNKED_TRAILER:
        return feed_trailer(chunked, c);
    case CHUNKED_TRAILER_LF:
        return expect(chunked, c, '\n', CHUNKED_TRAILER_START);
    case CHUNKED_LAST_LF:
        return expect(chunked, c, '\n', CHUNKED_END);
    case CHUNKED_DATA:
    case CHUNKED_END:
        break;
    }
    return UV_EINVAL;
}

static struct slice take_data(struct chunked *chunked, struct slice *input) {
    size_t len = input->len < chunked->left ? input->len : (size_t)chunked->left;
    struct slice data = slice_make(input->data, len);
    *input = slice_from(*input, len);
    chunked->left -= len;
    if (chunked->left == 0) {
        chunked->state = CHUNKED_DATA_CR;
    }
    return data;
}

int chunked_feed(struct chunked *chunked, struct slice *input, struct slice *data_r) {
    *data_r = SLICE_NONE;
    while (input->len > 0 && chunked->state != CHUNKED_END) {
        if (chunked->state == CHUNKED_DATA) {
            *data_r = take_data(chunked, input);
            return 0;
        }
        int err = feed_byte(chunked, input->data[0]);
        if (err != 0) {
            return err;
        }
        *input = slice_from(*input, 1);
    }
    return 0;
}
