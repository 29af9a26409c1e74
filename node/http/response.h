// The bytes of an answer's head, and of problem bodies. Sans-I/O.
#ifndef FRESHET_NODE_HTTP_RESPONSE_H
#define FRESHET_NODE_HTTP_RESPONSE_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum response_body {
    RESPONSE_NO_BODY,    // and no word about one (204, 304)
    RESPONSE_LENGTH,     // Content-Length
    RESPONSE_CHUNKED,    // Transfer-Encoding: chunked
    RESPONSE_UNTIL_CLOSE // HTTP/1.0: the connection's end is the body's
};

struct response {
    int status;
    uint8_t http_minor; // of the request
    bool is_keep_alive;
    enum response_body body;
    uint64_t length;
    const char *content_type; // borrowed; NULL: none
    struct slice date;        // borrowed; an IMF-fixdate
    struct slice fields;      // borrowed; whole lines, with CR LF
};

enum { RESPONSE_DATE_BYTES = 29 };

// The reason phrase of a status; "Unknown" for one we never send.
const char *response_phrase(int status);

void response_append_head(struct bytes *bytes, const struct response *response);

// An application/problem+json document (RFC 9457). `detail` is cut where it is not UTF-8.
void response_append_problem(struct bytes *bytes, int status, const char *code,
                             struct slice detail);

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7), whatever the locale.
void response_format_date(int64_t unix_s, char date_r[static RESPONSE_DATE_BYTES + 1]);

#endif
