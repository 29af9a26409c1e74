// A JSON scanner (RFC 8259): says whether bytes are one JSON value, without building anything, and
// finds the raw bytes of an object's members. Sans-I/O, no allocation, bounded depth.
//
// Why beside jansson: payloads are passed on byte for byte, and validated once per message on the
// hot path. jansson gives no offsets, rewrites numbers, and refuses some that the RFC allows.
#ifndef FRESHET_CLUSTER_BASE_JSON_H
#define FRESHET_CLUSTER_BASE_JSON_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>

enum { JSON_DEPTH_MAX = 128 };

// One value with optional white space around it, strings in valid UTF-8, no more than
// JSON_DEPTH_MAX nested arrays and objects.
bool json_is_valid(struct slice text);

// The raw bytes of member `name` of the object `text`, which must be valid JSON; the last one when
// the name is repeated. False when text is no object or has no such member. `name` is compared with
// the member's raw name, so escapes in it are not resolved.
bool json_find_member(struct slice text, struct slice name, struct slice *value_r);

// Appends a JSON string with its quotes. `text` must be valid UTF-8.
void json_append_string(struct bytes *bytes, struct slice text);

#endif
