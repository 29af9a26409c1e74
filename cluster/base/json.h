// A JSON scanner (RFC 8259): says whether bytes are one JSON value, without building anything, and
// finds the raw bytes of an object's members. Sans-I/O, no allocation, no recursion, bounded depth.
//
// Why beside jansson: payloads are passed on byte for byte, and validated once per message on the
// hot path. jansson gives no offsets, rewrites numbers, and refuses some that the RFC allows.
#ifndef FRESHET_CLUSTER_BASE_JSON_H
#define FRESHET_CLUSTER_BASE_JSON_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>

// Redis (cjson) takes a payload of 1,000 levels, and so does what it comes in: an object in an
// array.
enum { JSON_PAYLOAD_DEPTH_MAX = 1000, JSON_DEPTH_MAX = JSON_PAYLOAD_DEPTH_MAX + 2 };

// One value with optional white space around it, strings in valid UTF-8. UV_EINVAL: it is none.
// E_TOO_LARGE: more than JSON_DEPTH_MAX nested arrays and objects; what follows was not looked at.
int json_check(struct slice text);

static inline bool json_is_valid(struct slice text) {
    return json_check(text) == 0;
}

// What json_check has found, for people: "not JSON", or too deep for a payload, with the limit.
const char *json_problem(int error);

// The raw bytes of member `name` of the object `text`; the last one when the name is repeated. In
// text that is not valid JSON members are found as far as it is. False when text is no object or has
// no such member. `name` is compared with the member's raw name, so escapes in it are not resolved.
bool json_find_member(struct slice text, struct slice name, struct slice *value_r);

// Appends a JSON string with its quotes. `text` must be valid UTF-8.
void json_append_string(struct bytes *bytes, struct slice text);

#endif
