// Query strings, item by item.
#include <uv.h>

#include "node/http/request.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// RFC 3986, section 2.1. Decodes once only: "%2541" is "%41".
static int percent_decode(struct slice text, struct bytes *arena, struct slice *decoded_r) {
    char *start = bytes_reserve(arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            start[len++] = text.data[i];
            continue;
        }
        if (text.len - i < 3) {
            return UV_EINVAL;
        }
        int high = hex_digit(text.data[i + 1]);
        int low = hex_digit(text.data[i + 2]);
        if (high < 0 || low < 0) {
            return UV_EINVAL;
        }
        start[len++] = (char)(high << 4 | low);
        i += 2;
    }
    arena->len += len;
    *decoded_r = slice_make(start, len);
    return 0;
}

int query_next(struct slice *query, struct bytes *arena, struct slice *name_r,
               struct slice *value_r) {
    while (query->len > 0) {
        struct slice value = slice_cut(query, '&');
        if (value.len == 0) {
            continue; // "a&&b"
        }
        struct slice name = slice_cut(&value, '=');
        int err = percent_decode(name, arena, name_r);
        if (err == 0) {
            err = percent_decode(value, arena, value_r);
        }
        return err == 0 ? 1 : err;
    }
    return 0;
}
