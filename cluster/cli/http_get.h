// One GET of a node's admin port: a JSON value or nothing. HTTP/1.0 on a connection of its own, so
// that the answer is what comes until the end.
#ifndef FRESHET_CLUSTER_CLI_HTTP_GET_H
#define FRESHET_CLUSTER_CLI_HTTP_GET_H

#include "cluster/base/bytes.h"
#include "cluster/redis_address.h"

enum { HTTP_ADMIN_PORT = 8081, HTTP_BODY_BYTES_MAX = 64 << 20, HTTP_WHY_MAX = 160 };

// `http://host[:port][/]`. UV_EINVAL with *why_r (static).
int http_server_parse(struct slice url, struct redis_address *server_r, const char **why_r);

// Appends the body, valid JSON, of any answer whose status is `status` or 200. Takes a few seconds
// at most. 0, or E_UNAVAILABLE, E_PROTOCOL, E_TOO_LARGE with a text for people.
int http_get(const struct redis_address *server, const char *path, int status, struct bytes *body_r,
             char why_r[static HTTP_WHY_MAX]);

#endif
