// One Redis (or Sentinel) to dial, and the URLs that name one. Sans-I/O, any thread.
#ifndef FRESHET_CLUSTER_REDIS_ADDRESS_H
#define FRESHET_CLUSTER_REDIS_ADDRESS_H

#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    REDIS_DESCRIPTION_MAX =
        320, // holds every address: a host of 255 bytes, brackets, port, database
};

// What ROLE must say before a connection is of use. Whoever may not ask is believed.
enum redis_role { REDIS_ROLE_ANY, REDIS_ROLE_MASTER, REDIS_ROLE_SENTINEL };

struct redis_address {
    char *host;        // owned; NULL for a unix socket, and while Sentinel has named no master
    char *port;        // owned, decimal; NULL where host is
    char *socket_path; // owned; NULL for TCP
    char *user;        // owned; NULL: none
    char *password;    // owned; NULL: none, and never NULL beside a user
    unsigned database;
    enum redis_role role;
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

// "redis://host:port/db", "sentinel://host:port" or "unix:/path?db=N" without user and password, for
// logs. Writes at most size bytes with NUL.
void redis_address_describe(const struct redis_address *address, char *text_r, size_t size);

static inline bool redis_address_is_known(const struct redis_address *address) {
    return address->host != NULL || address->socket_path != NULL;
}

// ---- Parts, for whoever reads other URLs -----------------------------------------------------------

enum { REDIS_HOST_BYTES_MAX = 255, REDIS_PORT_BYTES_MAX = 5 };

// Letters, digits, - _ . : and % (a zone): what a resolver may be given.
bool redis_host_is_valid(struct slice host);

// Copies both; the port is decimal. What was there is freed.
void redis_address_set_server(struct redis_address *address, const char *host, const char *port);

// As redis_address_parse, from `host[:port]`, `[[user]:password]`, two percent-encoded words, digits.
int redis_address_read_server(struct redis_address *address, struct slice text, unsigned port,
                              const char **why_r);
int redis_address_read_userinfo(struct redis_address *address, struct slice text,
                                const char **why_r);
int redis_address_read_credentials(struct redis_address *address, struct slice user,
                                   struct slice password, const char **why_r);
int redis_address_read_database(struct redis_address *address, struct slice text,
                                const char **why_r);

#endif
