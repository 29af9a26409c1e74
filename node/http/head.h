// A request's whole head to struct request. Sans-I/O, stateless.
//
// llhttp reads the fields; what it lets pass and a proxy in front might read in another way is
// refused here (see parser.h). The scanner in parser.c has already seen to the lines' ends.
#ifndef FRESHET_NODE_HTTP_HEAD_H
#define FRESHET_NODE_HTTP_HEAD_H

#include "cluster/base/slice.h"
#include "node/http/request.h"

#include <stdbool.h>
#include <stdint.h>

// How to refuse a request that cannot be understood.
struct http_failure {
    int status;
    const char *code;
    const char *detail;
};

// What the head says about the body.
struct head_framing {
    bool is_chunked;
    bool wants_continue; // there is a body, and the client waits for "100 Continue" to send it
    uint64_t length;     // of a body that is not chunked
};

extern const struct http_failure HEAD_BAD_LINE;

// Method and version of the request line, without its end. To be called first: a line that is no
// HTTP should not wait for the rest. NULL, or what is wrong.
const struct http_failure *head_take_line(struct request *request, struct slice line);

// Target and fields. `head` ends with the empty line and is borrowed by the request from then on.
const struct http_failure *head_take(struct request *request, struct slice head);

// Then, of a request whose head was taken, what it says about the body.
const struct http_failure *head_take_framing(const struct request *request,
                                             struct head_framing *framing_r);

#endif
