// A parsed HTTP request: slices into the connection's copy of the head, and the body.
#ifndef FRESHET_NODE_HTTP_REQUEST_H
#define FRESHET_NODE_HTTP_REQUEST_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER
};

enum { REQUEST_FIELDS_MAX = 64 };

struct http_field {
    struct slice name;
    struct slice value; // trimmed
};

struct request {
    enum http_method method;
    uint8_t http_minor; // 0 or 1 of HTTP/1.x
    bool is_keep_alive;
    struct slice path;  // percent-encoded, as received, without the query
    struct slice query; // as received, without '?'
    struct slice body;
    size_t field_count;
    struct http_field fields[REQUEST_FIELDS_MAX];
};

// The first field of that name (any case); false when there is none. Start with *at = 0 to walk
// over several of one name.
bool request_field(const struct request *request, struct slice name, struct slice *value_r);
bool request_field_next(const struct request *request, struct slice name, size_t *at,
                        struct slice *value_r);

// Cuts the next `name=value` off *query and percent-decodes both into `arena` ('+' is a plus: names
// of channels may hold it, and browsers' encodeURIComponent writes %2B for it anyway). The slices
// point into memory of `arena` that stays where it is: reserve query.len bytes before the first
// call. 1: an item; 0: no more; UV_EINVAL: broken percent-encoding.
int query_next(struct slice *query, struct bytes *arena, struct slice *name_r,
               struct slice *value_r);

#endif
