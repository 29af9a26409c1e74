// Which Redis to speak to: the parsed form of option `redis`. Today one server; Sentinel and
// Cluster have their place here. Sans-I/O, any thread.
#ifndef FRESHET_CLUSTER_TOPOLOGY_H
#define FRESHET_CLUSTER_TOPOLOGY_H

#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    REDIS_DESCRIPTION_MAX =
        320, // holds every address: a host of 255 bytes, brackets, port, database
};

struct redis_address {
    char *host;        // owned; NULL for a unix socket
    char *port;        // owned, decimal; NULL for a unix socket
    char *socket_path; // owned; NULL for TCP
    char *user;        // owned; NULL: none
    char *password;    // owned; NULL: none, and never NULL beside a user
    unsigned database;
};

// `redis://[[user]:password@]host[:port][/db]` (percent-encoded user and password; host may be an
// IPv6 address in brackets; `redis://:password@host` has no user) or
// `unix:/path/to.sock[?db=N&user=U&password=P]` (all percent-encoded).
//
// A user without a colon is refused: redis-cli takes `redis://x@host` for a password, others take
// it for a user, and a guess would send a secret as a name. `redis://user:@host` is a user with an
// empty password; an empty user with an empty password is none of both.
//
// On UV_EINVAL `*why_r` (static) tells a person what is wrong, without any secret; nothing is
// allocated then.
int redis_address_parse(struct slice url, struct redis_address *address_r, const char **why_r);
void redis_address_release(struct redis_address *address);

// "redis://host:port/db" or "unix:/path?db=N" without user and password, for logs. Writes at most
// size bytes with NUL.
void redis_address_describe(const struct redis_address *address, char *text_r, size_t size);

#endif
