// Walks over JSON that json_is_valid has let pass: the members of an object, the elements of an
// array, strings. Only decoded strings are copied. Sans-I/O.
#ifndef FRESHET_CLUSTER_BASE_JSON_WALK_H
#define FRESHET_CLUSTER_BASE_JSON_WALK_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>

enum json_kind {
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY,
    JSON_KIND_STRING,
    JSON_KIND_NUMBER,
    JSON_KIND_BOOLEAN,
    JSON_KIND_NULL
};

// Of a value as json_walk_* or json_find_member give it, or of a whole text.
enum json_kind json_kind(struct slice value);

struct json_walk {
    struct slice rest;
};

// `value` must be an object or an array.
struct json_walk json_walk_into(struct slice value);

// The next one; false at the end. *name_r is what stands between the quotes, escapes unresolved.
bool json_walk_member(struct json_walk *walk, struct slice *name_r, struct slice *value_r);
bool json_walk_element(struct json_walk *walk, struct slice *value_r);

// Appends a string's content with escapes resolved, never more bytes than `value` has. UV_EINVAL,
// with nothing appended, when the value is no string or holds half of a surrogate pair (which no
// UTF-8 can say).
int json_decode_string(struct bytes *bytes, struct slice value);

#endif
