// Reading lists of entity tags.
#include "node/transport/etag.h"

// Cuts the next tag off *rest: W/ and quotes taken away. False at the end or when it is malformed.
static bool next_tag(struct slice *rest, struct slice *tag_r) {
    size_t at = 0;
    while (at < rest->len &&
           (rest->data[at] == ' ' || rest->data[at] == '\t' || rest->data[at] == ',')) {
        at++; // a recipient must accept empty list members (RFC 9110, section 5.6.1.2)
    }
    struct slice text = slice_from(*rest, at);
    if (slice_starts_with(text, SLICE("W/"))) {
        text = slice_from(text, 2);
    }
    if (text.len < 2 || text.data[0] != '"') {
        return false;
    }
    const char *start = text.data + 1;
    const char *end = memchr(start, '"', text.len - 1);
    if (end == NULL) {
        return false;
    }
    *tag_r = slice_make(start, (size_t)(end - start));
    struct slice tail = slice_trim(slice_from(text, tag_r->len + 2));
    if (tail.len > 0 && tail.data[0] != ',') {
        return false;
    }
    *rest = tail;
    return true;
}

bool etag_list_matches(struct slice field, struct slice tag) {
    struct slice rest = slice_trim(field);
    if (slice_equal(rest, SLICE("*"))) {
        return true;
    }
    struct slice candidate;
    while (next_tag(&rest, &candidate)) {
        if (slice_equal(candidate, tag)) {
            return true;
        }
    }
    return false;
}

bool etag_list_single(struct slice field, struct slice *tag_r) {
    struct slice rest = slice_trim(field);
    return next_tag(&rest, tag_r) && rest.len == 0;
}
