// Character classes by table, everything else by hand: none of it is longer than its grammar.
#include "node/http/syntax.h"

#include <string.h>

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

bool syntax_is_token_char(char c) {
    return is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

bool syntax_is_token(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!syntax_is_token_char(text.data[i])) {
            return false;
        }
    }
    return text.len > 0;
}

static bool all_are(struct slice text, const char *set) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alnum(text.data[i]) && !is_one_of(text.data[i], set)) {
            return false;
        }
    }
    return true;
}

static bool is_port(struct slice text) {
    uint64_t port;
    return text.len == 0 || slice_to_u64(text, UINT16_MAX, &port) == 0;
}

bool syntax_is_host(struct slice text) {
    struct slice rest = text;
    if (text.len > 0 && text.data[0] == '[') {
        struct slice address = slice_cut(&rest, ']');
        bool is_closed = rest.data != NULL;
        return is_closed && address.len > 1 && all_are(slice_from(address, 1), ":.") &&
               (rest.len == 0 || (rest.data[0] == ':' && is_port(slice_from(rest, 1))));
    }
    struct slice name = slice_cut(&rest, ':');
    return name.len > 0 && all_are(name, "-._~%!$&'()*+,;=") && is_port(rest);
}

struct slice syntax_unquote(struct slice text) {
    bool is_quoted = text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"';
    return is_quoted ? slice_make(text.data + 1, text.len - 2) : text;
}

bool syntax_list_has(struct slice list, struct slice token) {
    while (list.len > 0) {
        if (slice_equal_nocase(slice_trim(slice_cut(&list, ',')), token)) {
            return true;
        }
    }
    return false;
}
