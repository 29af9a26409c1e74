// IP addresses and networks.
#include "node/config_network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <uv.h>

enum { ADDRESS_BITS = 128, V4_BITS = 32, V4_AT = 12 };

static const unsigned char mapped[V4_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct address of_v4(const void *bytes) {
    struct address address;
    memcpy(address.bytes, mapped, V4_AT);
    memcpy(address.bytes + V4_AT, bytes, sizeof(address.bytes) - V4_AT);
    return address;
}

int address_parse(struct slice text, struct address *address_r) {
    char copy[INET6_ADDRSTRLEN];
    unsigned char v4[4];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL) {
        return UV_EINVAL;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, v4) == 1) {
        *address_r = of_v4(v4);
        return 0;
    }
    return inet_pton(AF_INET6, copy, address_r->bytes) == 1 ? 0 : UV_EINVAL;
}

struct address address_of(const struct sockaddr *socket_address) {
    struct address address = {{0}};
    if (socket_address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)socket_address;
        return of_v4(&in->sin_addr);
    }
    if (socket_address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)socket_address;
        memcpy(address.bytes, &in->sin6_addr, sizeof(address.bytes));
    }
    return address;
}

bool address_is_v4(const struct address *address) {
    return memcmp(address->bytes, mapped, V4_AT) == 0;
}

static void clear_behind(struct address *address, unsigned prefix) {
    for (unsigned bit = prefix; bit < ADDRESS_BITS; bit++) {
        address->bytes[bit / 8] &= (unsigned char)~(0x80u >> bit % 8);
    }
}

int network_parse(struct slice text, struct network *network_r) {
    struct slice rest = text;
    struct slice host = slice_cut(&rest, '/');
    if (address_parse(host, &network_r->base) < 0) {
        return UV_EINVAL;
    }
    // By the spelling: ::ffff:10.0.0.0/104 counts its bits from the front, as IPv6 does.
    bool is_v4 = memchr(host.data, ':', host.len) == NULL;
    uint64_t bits = is_v4 ? V4_BITS : ADDRESS_BITS;
    if (rest.data != NULL && slice_to_u64(rest, bits, &bits) < 0) {
        return UV_EINVAL;
    }
    network_r->prefix = (uint8_t)(is_v4 ? bits + ADDRESS_BITS - V4_BITS : bits);
    clear_behind(&network_r->base, network_r->prefix);
    return 0;
}

// A network of IPv6 that merely spans the mapped addresses does not mean IPv4.
static bool is_v4_network(const struct network *network) {
    return network->prefix >= ADDRESS_BITS - V4_BITS && address_is_v4(&network->base);
}

void network_append(struct bytes *bytes, const struct network *network) {
    bool is_v4 = is_v4_network(network);
    char text[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, network->base.bytes + (is_v4 ? V4_AT : 0), text,
              sizeof(text));
    bytes_append_format(bytes, "%s/%u", text,
                        network->prefix - (is_v4 ? ADDRESS_BITS - V4_BITS : 0u));
}

void network_list_append(struct bytes *bytes, const struct network_list *networks) {
    for (size_t i = 0; i < networks->count; i++) {
        bytes_append(bytes, i == 0 ? SLICE("") : SLICE(" "));
        network_append(bytes, &networks->items[i]);
    }
}

static bool holds(const struct network *network, const struct address *address) {
    struct address base = *address;
    clear_behind(&base, network->prefix);
    return is_v4_network(network) == address_is_v4(address) &&
           memcmp(base.bytes, network->base.bytes, sizeof(base.bytes)) == 0;
}

bool network_list_holds(const struct network_list *networks, const struct address *address) {
    for (size_t i = 0; i < networks->count; i++) {
        if (holds(&networks->items[i], address)) {
            return true;
        }
    }
    return false;
}
