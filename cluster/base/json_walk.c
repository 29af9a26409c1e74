// The text was found valid before, so this file only looks for where things end.
#include "cluster/base/json_walk.h"

#include <string.h>
#include <uv.h>

static void skip_space(struct slice *rest) {
    while (rest->len > 0 && strchr(" \n\r\t", rest->data[0]) != NULL) {
        *rest = slice_from(*rest, 1);
    }
}

// Bytes of the string that `text` begins with, quotes included.
static size_t string_length(struct slice text) {
    size_t at = 1;
    while (at < text.len && text.data[at] != '"') {
        at += text.data[at] == '\\' ? 2 : 1;
    }
    return at < text.len ? at + 1 : text.len;
}

static size_t nested_length(struct slice text) {
    size_t depth = 0;
    size_t at = 0;
    while (at < text.len) {
        char c = text.data[at];
        if (c == '"') {
            at += string_length(slice_from(text, at));
            continue;
        }
        at++;
        if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            break;
        }
    }
    return at;
}

// Cuts the value that *rest begins with off it, and the comma or bracket that follows.
static struct slice cut_value(struct slice *rest) {
    size_t len = 0;
    if (rest->data[0] == '"') {
        len = string_length(*rest);
    } else if (rest->data[0] == '{' || rest->data[0] == '[') {
        len = nested_length(*rest);
    } else {
        while (len < rest->len && strchr(" \n\r\t,]}", rest->data[len]) == NULL) {
            len++;
        }
    }
    struct slice value = slice_make(rest->data, len);
    *rest = slice_from(*rest, len);
    skip_space(rest);
    if (rest->len > 0 && rest->data[0] == ',') {
        *rest = slice_from(*rest, 1);
        skip_space(rest);
    }
    return value;
}

enum json_kind json_kind(struct slice value) {
    skip_space(&value);
    switch (value.data[0]) {
    case '{':
        return JSON_KIND_OBJECT;
    case '[':
        return JSON_KIND_ARRAY;
    case '"':
        return JSON_KIND_STRING;
    case 't':
    case 'f':
        return JSON_KIND_BOOLEAN;
    case 'n':
        return JSON_KIND_NULL;
    default:
        return JSON_KIND_NUMBER;
    }
}

struct json_walk json_walk_into(struct slice value) {
    skip_space(&value);
    struct json_walk walk = {slice_from(value, 1)};
    skip_space(&walk.rest);
    return walk;
}

bool json_walk_element(struct json_walk *walk, struct slice *value_r) {
    if (walk->rest.len == 0 || walk->rest.data[0] == ']') {
        return false;
    }
    *value_r = cut_value(&walk->rest);
    return true;
}

bool json_walk_member(struct json_walk *walk, struct slice *name_r, struct slice *value_r) {
    if (walk->rest.len == 0 || walk->rest.data[0] == '}') {
        return false;
    }
    size_t len = string_length(walk->rest);
    *name_r = slice_make(walk->rest.data + 1, len - 2);
    walk->rest = slice_from(walk->rest, len);
    skip_space(&walk->rest);
    walk->rest = slice_from(walk->rest, 1); // the colon
    skip_space(&walk->rest);
    *value_r = cut_value(&walk->rest);
    return true;
}

static unsigned hex4(const char *digits) {
    unsigned value = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = digits[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
        value = value << 4 | digit;
    }
    return value;
}

static void append_utf8(struct bytes *bytes, unsigned code) {
    if (code < 0x80) {
        bytes_append_char(bytes, (char)code);
    } else if (code < 0x800) {
        bytes_append_char(bytes, (char)(0xc0 | code >> 6));
        bytes_append_char(bytes, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        bytes_append_char(bytes, (char)(0xe0 | code >> 12));
        bytes_append_char(bytes, (char)(0x80 | (code >> 6 & 0x3f)));
        bytes_append_char(bytes, (char)(0x80 | (code & 0x3f)));
    } else {
        bytes_append_char(bytes, (char)(0xf0 | code >> 18));
        bytes_append_char(bytes, (char)(0x80 | (code >> 12 & 0x3f)));
        bytes_append_char(bytes, (char)(0x80 | (code >> 6 & 0x3f)));
        bytes_append_char(bytes, (char)(0x80 | (code & 0x3f)));
    }
}

// A \u escape, or the two of a surrogate pair (RFC 8259, section 7). Returns the bytes of `text`
// that it took, 0 for half of a pair. `text` begins behind the backslash.
static size_t decode_unicode(struct bytes *bytes, struct slice text) {
    unsigned code = hex4(text.data + 1);
    if (code < 0xd800 || code > 0xdfff) {
        append_utf8(bytes, code);
        return 5;
    }
    if (code > 0xdbff || text.len < 11 || memcmp(text.data + 5, "\\u", 2) != 0) {
        return 0;
    }
    unsigned low = hex4(text.data + 7);
    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    append_utf8(bytes, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
    return 11;
}

static size_t decode_escape(struct bytes *bytes, struct slice text) {
    static const char names[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    if (text.data[0] == 'u') {
        return decode_unicode(bytes, text);
    }
    const char *name = strchr(names, text.data[0]);
    bytes_append_char(bytes, name == NULL ? text.data[0] : values[name - names]);
    return 1;
}

int json_decode_string(struct bytes *bytes, struct slice value) {
    if (json_kind(value) != JSON_KIND_STRING) {
        return UV_EINVAL;
    }
    skip_space(&value);
    size_t before = bytes->len;
    struct slice text = slice_make(value.data + 1, string_length(value) - 2);
    while (text.len > 0) {
        const char *escape = memchr(text.data, '\\', text.len);
        size_t plain = escape == NULL ? text.len : (size_t)(escape - text.data);
        bytes_append(bytes, slice_make(text.data, plain));
        text = slice_from(text, plain + 1);
        if (escape == NULL) {
            break;
        }
        size_t taken = decode_escape(bytes, text);
        if (taken == 0) {
            bytes->len = before;
            return UV_EINVAL;
        }
        text = slice_from(text, taken);
    }
    return 0;
}
