// Which pages may speak to a node (RFC 6454, and CORS as the Fetch standard has it), and what
// browsers must be told about it.
//
// An Origin is compared byte for byte with what --origin lists, and with the request's own host
// under http and https (TLS ends in front of us, so either may be true), where the scheme's own port
// may be named. Nothing else is derived: no subdomains, no other ports, no `null`.
#ifndef FRESHET_NODE_AUTH_ORIGIN_H
#define FRESHET_NODE_AUTH_ORIGIN_H

#include "node/config.h"
#include "node/http/exchange.h"
#include "node/http/request.h"
#include "node/metrics.h"

#include <stdbool.h>

enum origin {
    ORIGIN_NONE,    // the request has no Origin: no browser, or a page's own GET
    ORIGIN_OWN,     // the request's own host
    ORIGIN_LISTED,  // by --origin
    ORIGIN_ANY,     // only by --origin '*': without credentials
    ORIGIN_FOREIGN, // any other
};

enum origin origin_of(const struct request *request, const struct config_list *listed);

// Whether a cookie that came with this request was sent by somebody who may use it. Any page in the
// world can make a browser send one, with a form's POST or a WebSocket; what a plain GET answers
// only a page of an allowed origin can read, and browsers send no Origin for a page's own.
bool origin_lets_cookies_count(enum origin origin, const struct request *request);

// To be called before a request is routed. False: it was answered, for it was a preflight, or comes
// from elsewhere (403 `origin`, without any CORS field). True: the fields by which the page may
// read the answer are in place, whatever the answer will be.
bool origin_admit(struct exchange *exchange, const struct config_list *listed,
                  struct metrics *metrics);

// The same for a port that has no pages: whatever has an Origin is refused, its own host's too. That
// host may be any name of a stranger's, bound to our address when his page is loaded already.
bool origin_admit_none(struct exchange *exchange, struct metrics *metrics);

#endif
