// If-None-Match (RFC 9110, sections 8.8.3 and 13.1.2). Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_ETAG_H
#define FRESHET_NODE_TRANSPORT_ETAG_H

#include "cluster/base/slice.h"

#include <stdbool.h>

// Whether the field names this tag, by weak comparison, or is `*`. Tags may hold commas. What is
// malformed, and all behind it, matches nothing.
bool etag_list_matches(struct slice field, struct slice tag);

// The tag between its quotes, when the field is exactly one.
bool etag_list_single(struct slice field, struct slice *tag_r);

#endif
