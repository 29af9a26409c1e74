// The scanner: one function per production of RFC 8259's grammar, each moving over what it names
// and false where the bytes are something else. What is nested is not scanned by recursion: of each
// array or object that is open the scanner keeps one bit.
#include "cluster/base/json.h"

#include "cluster/base/check.h"
#include "cluster/base/error.h"

#include <stdint.h>
#include <string.h>
#include <uv.h>

enum { WORD_BITS = 64 };

struct scanner {
    const char *at;
    const char *end;
    unsigned depth;
    bool is_too_deep;
    uint64_t is_object[(JSON_DEPTH_MAX + WORD_BITS - 1) / WORD_BITS]; // a bit each, else an array
};

// Bytes of a string that stand for themselves: most of any payload goes through this table.
// clang-format off
#define ALL_16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define NONE_16 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
static const unsigned char is_plain[256] = {
    NONE_16, NONE_16,                               // 00 to 1f: only as escapes
    1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, // 20 to 2f, without the quote
    ALL_16, ALL_16,                                 // 30 to 4f
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, // 50 to 5f, without the backslash
    ALL_16, ALL_16,                                 // 60 to 7f: DEL is allowed; beyond is UTF-8
};
// clang-format on

static void skip_space(struct scanner *scanner) {
    while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\n' ||
                                          *scanner->at == '\r' || *scanner->at == '\t')) {
        scanner->at++;
    }
}

static bool scan_char(struct scanner *scanner, char c) {
    if (scanner->at == scanner->end || *scanner->at != c) {
        return false;
    }
    scanner->at++;
    return true;
}

static bool scan_word(struct scanner *scanner, struct slice word) {
    struct slice rest = slice_make(scanner->at, (size_t)(scanner->end - scanner->at));
    if (!slice_starts_with(rest, word)) {
        return false;
    }
    scanner->at += word.len;
    return true;
}

static bool scan_digits(struct scanner *scanner) {
    const char *first = scanner->at;
    while (scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9') {
        scanner->at++;
    }
    return scanner->at > first;
}

static bool scan_number(struct scanner *scanner) {
    scan_char(scanner, '-');
    if (!scan_char(scanner, '0') && !scan_digits(scanner)) {
        return false;
    }
    if (scan_char(scanner, '.') && !scan_digits(scanner)) {
        return false;
    }
    if (scan_char(scanner, 'e') || scan_char(scanner, 'E')) {
        if (!scan_char(scanner, '+')) {
            scan_char(scanner, '-');
        }
        return scan_digits(scanner);
    }
    return true;
}

static bool is_hex_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// What follows a backslash. Lone surrogates pass: the grammar has them (RFC 8259, section 8.2).
static bool scan_escape(struct scanner *scanner) {
    if (scanner->at == scanner->end) {
        return false;
    }
    char c = *scanner->at++;
    if (c != 'u') {
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    }
    for (int i = 0; i < 4; i++, scanner->at++) {
        if (scanner->at == scanner->end || !is_hex_digit(*scanner->at)) {
            return false;
        }
    }
    return true;
}

static bool scan_utf8(struct scanner *scanner) {
    size_t left = (size_t)(scanner->end - scanner->at);
    size_t length = slice_utf8_length(slice_make(scanner->at, left));
    scanner->at += length;
    return length > 0;
}

static bool scan_string(struct scanner *scanner) {
    if (!scan_char(scanner, '"')) {
        return false;
    }
    for (;;) {
        while (scanner->at < scanner->end && is_plain[(unsigned char)*scanner->at]) {
            scanner->at++;
        }
        if (scan_char(scanner, '"')) {
            return true;
        }
        if (scanner->at == scanner->end || (unsigned char)*scanner->at < 0x20) {
            return false;
        }
        bool is_fine = scan_char(scanner, '\\') ? scan_escape(scanner) : scan_utf8(scanner);
        if (!is_fine) {
            return false;
        }
    }
}

// A member up to its value; *name_r is what stands between the quotes.
static bool scan_name(struct scanner *scanner, struct slice *name_r) {
    skip_space(scanner);
    const char *quote = scanner->at;
    if (!scan_string(scanner)) {
        return false;
    }
    *name_r = slice_make(quote + 1, (size_t)(scanner->at - quote) - 2);
    skip_space(scanner);
    if (!scan_char(scanner, ':')) {
        return false;
    }
    skip_space(scanner);
    return true;
}

static bool enter(struct scanner *scanner, bool is_object) {
    if (scanner->depth == JSON_DEPTH_MAX) {
        scanner->is_too_deep = true;
        return false;
    }
    uint64_t bit = UINT64_C(1) << scanner->depth % WORD_BITS;
    uint64_t *word = &scanner->is_object[scanner->depth++ / WORD_BITS];
    *word = is_object ? *word | bit : *word & ~bit;
    return true;
}

static bool is_in_object(const struct scanner *scanner) {
    unsigned level = scanner->depth - 1;
    return (scanner->is_object[level / WORD_BITS] >> level % WORD_BITS & 1) != 0;
}

static bool scan_scalar(struct scanner *scanner) {
    if (scanner->at == scanner->end) {
        return false;
    }
    switch (*scanner->at) {
    case '"':
        return scan_string(scanner);
    case 't':
        return scan_word(scanner, SLICE("true"));
    case 'f':
        return scan_word(scanner, SLICE("false"));
    case 'n':
        return scan_word(scanner, SLICE("null"));
    default:
        return scan_number(scanner);
    }
}

// Down: the beginning of a value, of the first one in it, and so on to one that holds none.
static bool scan_down(struct scanner *scanner) {
    for (;;) {
        struct slice name;
        bool is_object = scan_char(scanner, '{');
        if (!is_object && !scan_char(scanner, '[')) {
            return scan_scalar(scanner);
        }
        if (!enter(scanner, is_object)) {
            return false;
        }
        skip_space(scanner);
        if (scan_char(scanner, is_object ? '}' : ']')) {
            scanner->depth--;
            return true;
        }
        if (is_object && !scan_name(scanner, &name)) {
            return false;
        }
    }
}

// Up: the ends of all that ends behind a value, to where the next one begins.
static bool scan_up(struct scanner *scanner) {
    while (scanner->depth > 0) {
        struct slice name;
        bool is_object = is_in_object(scanner);
        skip_space(scanner);
        if (scan_char(scanner, ',')) {
            skip_space(scanner);
            return !is_object || scan_name(scanner, &name);
        }
        if (!scan_char(scanner, is_object ? '}' : ']')) {
            return false;
        }
        scanner->depth--;
    }
    return true;
}

static bool scan_value(struct scanner *scanner) {
    CHECK(scanner->depth == 0);
    do {
        if (!scan_down(scanner) || !scan_up(scanner)) {
            return false;
        }
    } while (scanner->depth > 0);
    return true;
}

static struct scanner scanner_of(struct slice text) {
    const char *at = text.len > 0 ? text.data : "";
    return (struct scanner){.at = at, .end = at + text.len};
}

int json_check(struct slice text) {
    struct scanner scanner = scanner_of(text);
    skip_space(&scanner);
    if (!scan_value(&scanner)) {
        return scanner.is_too_deep ? E_TOO_LARGE : UV_EINVAL;
    }
    skip_space(&scanner);
    return scanner.at == scanner.end ? 0 : UV_EINVAL;
}

const char *json_problem(int error) {
    return error == E_TOO_LARGE ? "JSON of more than 1000 levels" : "not JSON";
}

bool json_find_member(struct slice text, struct slice name, struct slice *value_r) {
    struct scanner scanner = scanner_of(text);
    skip_space(&scanner);
    if (!scan_char(&scanner, '{')) {
        return false;
    }
    bool is_found = false;
    struct slice member;
    while (scan_name(&scanner, &member)) {
        const char *value = scanner.at;
        if (!scan_value(&scanner)) {
            break;
        }
        if (slice_equal(member, name)) {
            *value_r = slice_make(value, (size_t)(scanner.at - value));
            is_found = true;
        }
        skip_space(&scanner);
        if (!scan_char(&scanner, ',')) {
            break;
        }
    }
    return is_found;
}

static void append_escape(struct bytes *bytes, char c) {
    switch (c) {
    case '"':
        bytes_append(bytes, SLICE("\\\""));
        return;
    case '\\':
        bytes_append(bytes, SLICE("\\\\"));
        return;
    case '\n':
        bytes_append(bytes, SLICE("\\n"));
        return;
    case '\r':
        bytes_append(bytes, SLICE("\\r"));
        return;
    case '\t':
        bytes_append(bytes, SLICE("\\t"));
        return;
    default:
        bytes_append_format(bytes, "\\u%04x", (unsigned)(unsigned char)c);
    }
}

void json_append_string(struct bytes *bytes, struct slice text) {
    bytes_append_char(bytes, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_plain[c] || c >= 0x80) {
            continue;
        }
        bytes_append(bytes, slice_make(text.data + from, i - from));
        append_escape(bytes, text.data[i]);
        from = i + 1;
    }
    if (from < text.len) {
        bytes_append(bytes, slice_make(text.data + from, text.len - from));
    }
    bytes_append_char(bytes, '"');
}
