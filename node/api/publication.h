// What POST /publish asks for, read from the request without any I/O: JSON, an array of such, or a
// raw body with its parameters in the URL.
#ifndef FRESHET_NODE_API_PUBLICATION_H
#define FRESHET_NODE_API_PUBLICATION_H

#include "cluster/base/bytes.h"
#include "cluster/base/check.h"
#include "cluster/base/slice.h"
#include "cluster/cluster.h"

#include <stdbool.h>
#include <stddef.h>

enum { PUBLICATIONS_MAX = 1000 };

// Why a publication, or the whole request, was turned away.
struct fault {
    int status;       // of HTTP; 0: nothing is wrong
    const char *code; // static
    char detail[160];
};

// Always returns UV_EINVAL, so that `return fault_set(...)` reads well.
int fault_set(struct fault *fault, int status, const char *code, const char *format, ...)
    PRINTF_LIKE(4, 5);

struct publication {
    struct publish_call call; // channel, data and options are set; they point into the request
    struct fault fault;       // of this one alone: the others of an array go ahead
    void *owner;              // the publisher's
};

struct publish_source {
    struct slice query;
    struct slice body;
    struct slice content_type;    // empty: none
    struct slice idempotency_key; // data NULL: none
};

struct publish_request {
    bool is_array;
    struct publication *items; // owned
    size_t count;
    struct bytes memory; // owned: a copy of the body, then what was decoded
};

// Copies what it needs: the client may go away while Redis is asked. UV_EINVAL: the whole request is
// wrong, *fault_r says why, and there is nothing to release.
int publish_request_read(const struct publish_source *source, struct publish_request *request_r,
                         struct fault *fault_r);
void publish_request_release(struct publish_request *request);

#endif
