// POST /publish. Three lines for the query, Content-Type and Idempotency-Key, then the body.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/base/json.h"
#include "node/api/publication.h"

static void check_publication(const struct publish_call *call, struct slice memory) {
    const struct slice parts[] = {call->channel, call->data, call->event, call->once,
                                  call->if_head};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        CHECK(fuzz_lies_within(parts[i], memory));
    }
    CHECK(channel_name_is_valid(call->channel));
    CHECK(call->event.len == 0 || event_name_is_valid(call->event));
    CHECK(call->once.len <= ONCE_BYTES_MAX);
    CHECK(call->data.len <= DATA_BYTES_MAX);
    CHECK(call->type != MESSAGE_TEXT || slice_is_utf8(call->data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_make(data, size);
    struct publish_source source;
    source.query = slice_cut(&rest, '\n');
    source.content_type = slice_cut(&rest, '\n');
    struct slice key = slice_cut(&rest, '\n');
    source.idempotency_key = key.len > 0 ? key : SLICE_NONE;
    source.body = rest;
    struct publish_request request;
    struct fault fault = {0};
    if (publish_request_read(&source, &request, &fault) < 0) {
        CHECK(fault.status >= 400 && fault.code != NULL && fault.detail[0] != '\0');
        return 0;
    }
    CHECK(request.count <= PUBLICATIONS_MAX && (request.is_array || request.count == 1));
    for (size_t i = 0; i < request.count; i++) {
        const struct publication *item = &request.items[i];
        if (item->fault.status == 0) {
            check_publication(&item->call, bytes_slice(&request.memory));
        }
    }
    publish_request_release(&request);
    return 0;
}
