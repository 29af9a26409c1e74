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

// From now on no new connection is made, and those that were being made, or wait in the kernel's
// queue, are still accepted. Closed LISTENER_DRAIN_MS later, nobody who got through is turned away.
enum { LISTENER_DRAIN_MS = 250 }; // for a handshake's last packet to arrive
void listener_drain(struct listener *listener);

// Accepts what the kernel has queued, and stops. Without a drain before, who connects at this very
// moment is reset.
void listener_close(struct listener **listener);

#endif
