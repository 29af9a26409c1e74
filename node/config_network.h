// IP addresses and networks, as options name them and sockets report them. IPv4 is held in its
// mapped form (RFC 4291, section 2.5.5.2), so that a client is the same one on either kind of socket.
#ifndef FRESHET_NODE_CONFIG_NETWORK_H
#define FRESHET_NODE_CONFIG_NETWORK_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

struct address {
    unsigned char bytes[16];
};

struct network {
    struct address base;
    uint8_t prefix; // bits, of the mapped form for IPv4
};

struct network_list {
    struct network *items; // owned
    size_t count;
};

// UV_EINVAL: it is none.
int address_parse(struct slice text, struct address *address_r);

// Of a socket's peer; all zeros when it is neither IPv4 nor IPv6.
struct address address_of(const struct sockaddr *socket_address);

bool address_is_v4(const struct address *address);

// `10.0.0.0/8`, `fd00::/8`, or one address. Bits behind the prefix do not count. UV_EINVAL: it is
// none.
int network_parse(struct slice text, struct network *network_r);
void network_append(struct bytes *bytes, const struct network *network);
void network_list_append(struct bytes *bytes, const struct network_list *networks); // by spaces

// Whether one of them holds the address. `::/0` is all of IPv6, and nothing of IPv4.
bool network_list_holds(const struct network_list *networks, const struct address *address);

#endif
