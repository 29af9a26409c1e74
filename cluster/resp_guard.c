// Three places where the stream can stand: between items, in a line, in a bulk string. Lines go
// byte by byte (headers are short), bulk strings are jumped over, so a message costs a few dozen
// steps.
#include "cluster/resp_guard.h"

#include "cluster/base/error.h"

static int refuse(const char **why_r, const char *why) {
    *why_r = why;
    return E_PROTOCOL;
}

// A value is whole: so are the arrays that it was the last item of, and then perhaps the reply.
static void end_item(struct resp_guard *guard) {
    while (guard->depth > 0) {
        if (--guard->items_left[guard->depth - 1] > 0) {
            return;
        }
        guard->depth--;
    }
    guard->reply_bytes = 0;
    guard->items_total = 0;
}

static int parse_number(const struct resp_guard *guard, int64_t *value_r) {
    struct slice digits = slice_make(guard->number, guard->line_len);
    bool is_negative = digits.len > 0 && digits.data[0] == '-';
    digits = slice_from(digits, is_negative ? 1 : 0);
    // hiredis refuses "-0" and leading zeros, so the guard does.
    bool is_padded = digits.len > 0 && digits.data[0] == '0' && (is_negative || digits.len > 1);
    uint64_t value = 0;
    uint64_t max = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
    if (is_padded || slice_to_u64(digits, max, &value) != 0) {
        return E_PROTOCOL;
    }
    *value_r = (int64_t)(is_negative ? 0 - value : value);
    return 0;
}

static int open_bulk(struct resp_guard *guard, int64_t len, const char **why_r) {
    if (len == -1) {
        end_item(guard);
        return 0;
    }
    if (len < 0 || len > RESP_BULK_BYTES_MAX) {
        return refuse(why_r, "bulk string over the limit");
    }
    guard->bulk_left = (uint64_t)len + 2;
    if (guard->reply_bytes + guard->bulk_left > RESP_REPLY_BYTES_MAX) {
        return refuse(why_r, "reply over the limit");
    }
    return 0;
}

static int open_array(struct resp_guard *guard, int64_t items, const char **why_r) {
    if (items == -1 || items == 0) {
        end_item(guard);
        return 0;
    }
    if (items < 0 || items > RESP_ARRAY_ITEMS_MAX - (int64_t)guard->items_total) {
        return refuse(why_r, "array over the limit");
    }
    if (guard->depth == RESP_DEPTH_MAX) {
        return refuse(why_r, "arrays nested too deeply");
    }
    guard->items_total += (uint32_t)items;
    guard->items_left[guard->depth++] = (uint32_t)items;
    return 0;
}

static int end_line(struct resp_guard *guard, const char **why_r) {
    char type = guard->type;
    int64_t number = 0;
    if (type != '+' && type != '-' && parse_number(guard, &number) != 0) {
        return refuse(why_r, "not a number in a header");
    }
    guard->type = 0;
    guard->saw_cr = false;
    if (type == '$') {
        return open_bulk(guard, number, why_r);
    }
    if (type == '*') {
        return open_array(guard, number, why_r);
    }
    end_item(guard);
    return 0;
}

static int feed_line(struct resp_guard *guard, char c, const char **why_r) {
    if (guard->saw_cr != (c == '\n')) {
        return refuse(why_r, "line without CRLF");
    }
    if (c == '\n') {
        return end_line(guard, why_r);
    }
    if (c == '\r') {
        guard->saw_cr = true;
        return 0;
    }
    bool is_text = guard->type == '+' || guard->type == '-';
    if (guard->line_len == (is_text ? RESP_LINE_BYTES_MAX : RESP_NUMBER_DIGITS_MAX)) {
        return refuse(why_r, "line over the limit");
    }
    if (!is_text) {
        guard->number[guard->line_len] = c;
    }
    guard->line_len++;
    return 0;
}

static int open_item(struct resp_guard *guard, char type, const char **why_r) {
    if (type != '+' && type != '-' && type != ':' && type != '$' && type != '*') {
        return refuse(why_r, "not a RESP2 reply");
    }
    guard->type = type;
    guard->line_len = 0;
    return 0;
}

// Jumps over what is here of the bulk string; looks only at the CRLF behind it.
static int feed_bulk(struct resp_guard *guard, struct slice bytes, size_t *used_r,
                     const char **why_r) {
    size_t used = bytes.len < guard->bulk_left ? bytes.len : (size_t)guard->bulk_left;
    if (guard->bulk_left > 2 && used > guard->bulk_left - 2) {
        used = (size_t)guard->bulk_left - 2;
    }
    if (guard->bulk_left <= 2) {
        used = 1;
        if (bytes.data[0] != (guard->bulk_left == 2 ? '\r' : '\n')) {
            return refuse(why_r, "bulk string without CRLF");
        }
    }
    guard->bulk_left -= used;
    guard->reply_bytes += used;
    if (guard->bulk_left == 0) {
        end_item(guard);
    }
    *used_r = used;
    return 0;
}

void resp_guard_init(struct resp_guard *guard) {
    *guard = (struct resp_guard){0};
}

int resp_guard_feed(struct resp_guard *guard, struct slice bytes, const char **why_r) {
    while (bytes.len > 0) {
        size_t used = 1;
        int error;
        if (guard->bulk_left > 0) {
            error = feed_bulk(guard, bytes, &used, why_r);
        } else {
            // Counted before the byte is looked at, because the last one may end the reply.
            guard->reply_bytes++;
            error = guard->reply_bytes > RESP_REPLY_BYTES_MAX
                        ? refuse(why_r, "reply over the limit")
                    : guard->type == 0 ? open_item(guard, bytes.data[0], why_r)
                                       : feed_line(guard, bytes.data[0], why_r);
        }
        if (error != 0) {
            return error;
        }
        bytes = slice_from(bytes, used);
    }
    return 0;
}
