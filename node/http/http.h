// HTTP/1.1 on one worker's connections, for one port: what its sessions share, and their number.
#ifndef FRESHET_NODE_HTTP_HTTP_H
#define FRESHET_NODE_HTTP_HTTP_H

#include "node/http/router.h"
#include "node/net/admission.h"
#include "node/net/net.h"

#include <stddef.h>
#include <stdint.h>

struct http_options {
    struct net *net;             // borrowed
    const struct router *router; // borrowed
    // Of all workers together. NULL: everybody gets in (the admin port must answer when the client
    // port is full). Borrowed.
    struct admission *admission;
    size_t head_bytes;
    size_t body_bytes;          // of one request
    uint64_t header_timeout_ms; // for a whole head; a body must come on by 1 KiB in three of them
    uint64_t keep_alive_ms;
    uint64_t retry_ms; // the soonest that a client who was turned away is to come back
};

struct http;

void http_open(const struct http_options *options, struct http **http_r);

// For listener_open, with the struct http as context. Who does not get in is still heard, so that
// it can be told (exchange_turn_away). Beyond a margin (admission.h) it is cut.
void http_accept(void *http, int fd);

// The balancer is to take this node for gone soon: each answer from now on asks for the connection to
// be closed, so that none is reused when http_shutdown closes it.
void http_leave(struct http *http);

// Drain: idle connections close, all others after the answer they are busy with. Streams are ended
// by their owners.
void http_shutdown(struct http *http);

size_t http_session_count(const struct http *http);

// Cuts every connection; each exchange hears on_gone from the loop. The memory goes with the last
// session, so the loop has to run on until the net's conn_count is 0.
void http_close(struct http **http);

#endif
