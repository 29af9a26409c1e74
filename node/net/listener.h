// A listening socket of one worker. Every worker opens its own on the same address (SO_REUSEPORT),
// and the kernel deals the connections out.
#ifndef FRESHET_NODE_NET_LISTENER_H
#define FRESHET_NODE_NET_LISTENER_H

#include "node/net/net.h"

#include <stdint.h>

struct listener;

// Whether the address is free. To be asked once, before the workers start: with SO_REUSEPORT a
// second process of the same user would share the port in silence. UV_EADDRINUSE, UV_EACCES,
// UV_EADDRNOTAVAIL, or UV_EAI_* for a host that is none. Blocks: it may ask DNS.
int listener_probe(const char *host, uint16_t port);

// `host` is an address or a name; "::" takes IPv4 as well. Port 0 draws one. Blocks like the probe.
// on_accept owns the descriptor (non-blocking, close-on-exec) from then on.
int listener_open(struct net *net, const char *host, uint16_t port,
                  void (*on_accept)(void *context, int fd), void *context,
                  struct listener **listener_r);

uint16_t listener_port(const struct listener *listener);

// Stops at once: connections that the kernel has queued and nobody accepted are reset.
void listener_close(struct listener **listener);

// Accepts first what the kernel has queued, so that nobody who got through is turned away.
void listener_drain(struct listener **listener);

#endif
