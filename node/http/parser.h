// Bytes to one request. Sans-I/O: it exists from the first byte of a request until nobody needs the
// request any more, and is refused a second one.
//
// llhttp reads the fields; what it lets pass and a proxy in front might read in another way is
// refused here, so that nothing can be smuggled: any version but 1.0 and 1.1, bare CR or LF, folded
// lines, Host missing, repeated or malformed, Content-Length beside Transfer-Encoding, repeated or
// not plain digits, any coding but `chunked` once, chunks on HTTP/1.0. The same bytes get the same
// verdict however they are cut.
#ifndef FRESHET_NODE_HTTP_PARSER_H
#define FRESHET_NODE_HTTP_PARSER_H

#include "cluster/base/slice.h"
#include "node/http/head.h"
#include "node/http/request.h"

#include <stdbool.h>
#include <stddef.h>

struct parser;

struct parser_limits {
    size_t head_bytes;   // of request line and fields
    size_t body_bytes;   // of one body
    size_t *body_budget; // borrowed; bytes that all bodies of the worker may take up still
};

enum parser_result {
    PARSER_MORE,  // input is used up
    PARSER_DONE,  // the request is whole; the rest of input is not its
    PARSER_FAILED // for good: answer as parser_failure says, and close
};

struct parser *parser_create(const struct parser_limits *limits);
void parser_destroy(struct parser **parser); // the request dies with it

// Takes what belongs to the request off *input.
enum parser_result parser_feed(struct parser *parser, struct slice *input);

// Once parser_has_head, until parser_destroy; its body is whole from PARSER_DONE on.
const struct request *parser_request(const struct parser *parser);
// After PARSER_FAILED.
const struct http_failure *parser_failure(const struct parser *parser);

// Whether anything came but the empty line that may precede a request (RFC 9112, section 2.2).
bool parser_has_begun(const struct parser *parser);
// Whether the head is whole and could be read: also after PARSER_FAILED, when the fault lay in what
// the head says of the body, or in the body.
bool parser_has_head(const struct parser *parser);
size_t parser_body_bytes(const struct parser *parser); // received until now

// True once, when the client waits for "100 Continue" and its body is welcome.
bool parser_take_continue(struct parser *parser);

#endif
