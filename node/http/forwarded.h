// Whom a trusted proxy speaks for. Sans-I/O.
//
// X-Forwarded-For and nothing else: it is what balancers write unless told otherwise, and a second
// field (Forwarded, RFC 7239) that one of them passes on unread would let clients forge.
#ifndef FRESHET_NODE_HTTP_FORWARDED_H
#define FRESHET_NODE_HTTP_FORWARDED_H

#include "node/config_network.h"
#include "node/http/request.h"

// The last address of X-Forwarded-For that is no trusted proxy's: each proxy adds at the end whom it
// heard, so what stands before an untrusted one may be invented. Where an item is no address, or
// there are no more, the hop that told it counts. `peer` is the trusted proxy that we hear.
struct address forwarded_client(const struct request *request, const struct address *peer,
                                const struct network_list *trusted);

#endif
