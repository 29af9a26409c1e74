// What a client asks for when it opens a poll or a stream: the common reading of the query or the
// JSON body, with every refusal that depends on the request alone. Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_OPEN_REQUEST_H
#define FRESHET_NODE_TRANSPORT_OPEN_REQUEST_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "node/auth/grant.h"
#include "node/http/request.h"
#include "node/transport/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct open_channel {
    struct slice name;       // borrowed from the open_request
    struct cursor_item item; // where to begin
    struct position min;     // or none
};

enum { WAIT_S_MAX = 60 };

struct open_request {
    struct open_channel *channels; // owned
    size_t count;
    bool is_post;   // the cursor is an object, and there are no ids
    bool has_since; // in the URL
    bool has_min;
    bool is_envelope;
    bool is_foreign;        // SSE: the list has another length than the channels
    bool is_wait_preferred; // by the Prefer field
    bool is_public;         // everybody may read all of these channels
    int64_t ends_ms;        // of the right to read them, by the wall clock; INT64_MAX: never
    uint64_t rewind;
    uint64_t limit;
    uint64_t wait_ms;
    struct bytes arena; // owned: what the slices point into
    void *json;         // owned
};

// Which parts of the request count.
enum open_use { OPEN_POLL, OPEN_SSE, OPEN_STREAM, OPEN_WEBSOCKET, OPEN_HISTORY };

struct open_problem {
    int status;       // 400, 401 or 403
    const char *code; // static
    char detail[512];
};

// UV_EINVAL: *problem_r says why. Release the request in any case. It keeps nothing of the grant.
int open_request_read(struct open_request *open_r, const struct request *request, enum open_use use,
                      const struct grant *grant, struct open_problem *problem_r);
void open_request_release(struct open_request *open);

// How the subscriber of a channel starts.
struct subscriber_start open_request_start(const struct open_request *open, size_t index);

#endif
