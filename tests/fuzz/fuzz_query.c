// What a client wants to read. The first byte chooses: its last two bits the transport, the next one
// a query ("0" to "3") or a JSON body ("4" to "7"). A query is followed by lines for Last-Event-ID,
// If-None-Match and Prefer.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "node/transport/open_request.h"

enum { CHANNELS_IN_URL = 4, CHANNELS_IN_BODY = 6, PAGE = 1000 };

static char *patterns[] = {"*"};

static const struct config config = {
    .anonymous = {patterns, 1},
    .long_poll_wait_ms = 25000,
    .page_messages = PAGE,
    .page_bytes = 1 << 20,
    .channels_per_request = CHANNELS_IN_URL,
    .channels_per_connection = CHANNELS_IN_BODY,
};

static void walk_query(struct slice query) {
    struct bytes arena = {0};
    const char *first = bytes_reserve(&arena, query.len);
    struct slice name;
    struct slice value;
    size_t room = query.len;
    while (query_next(&query, &arena, &name, &value) > 0) {
        CHECK(arena.data == first && arena.len <= room); // so the slices stay where they are
        CHECK(fuzz_lies_within(name, bytes_slice(&arena)));
        CHECK(fuzz_lies_within(value, bytes_slice(&arena)));
    }
    bytes_release(&arena);
}

static void check_open(const struct open_request *open, enum open_use use) {
    CHECK(open->count > 0 || (use == OPEN_WEBSOCKET && !open->is_post));
    CHECK(open->count <= (open->is_post ? CHANNELS_IN_BODY : CHANNELS_IN_URL));
    CHECK(open->limit <= PAGE && open->rewind <= PAGE);
    CHECK(open->wait_ms <= WAIT_S_MAX * 1000);
    CHECK(!open->is_foreign || use == OPEN_SSE);
    for (size_t i = 0; i < open->count; i++) {
        const struct open_channel *channel = &open->channels[i];
        struct subscriber_start start = open_request_start(open, i);
        CHECK(channel_name_is_valid(channel->name));
        CHECK((channel->item.kind == CURSOR_SINCE) == !position_is_none(channel->item.position));
        CHECK(start.kind != CURSOR_REWIND || start.rewind > 0);
        for (size_t j = 0; j < i; j++) {
            CHECK(!slice_equal(channel->name, open->channels[j].name));
        }
    }
}

static void add_field(struct request *request, struct slice name, struct slice *lines) {
    if (lines->data != NULL) {
        struct slice value = slice_trim(slice_cut(lines, '\n'));
        request->fields[request->field_count++] = (struct http_field){name, value};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct grant everybody = {.config = &config};
    struct slice input = slice_make(data, size);
    uint8_t choice = fuzz_take_byte(&input);
    enum open_use use = (enum open_use)(choice & 3);
    struct request request = {.method = HTTP_METHOD_GET};
    if ((choice & 4) != 0 && use != OPEN_WEBSOCKET) {
        request.method = HTTP_METHOD_POST;
        request.body = input;
    } else {
        request.query = slice_cut(&input, '\n');
        add_field(&request, SLICE("Last-Event-ID"), &input);
        add_field(&request, SLICE("If-None-Match"), &input);
        add_field(&request, SLICE("Prefer"), &input);
    }
    walk_query(request.query);
    struct open_request open;
    struct open_problem problem = {0};
    if (open_request_read(&open, &request, use, &everybody, &problem) == 0) {
        check_open(&open, use);
    } else {
        CHECK(problem.status == 400 && problem.code != NULL && problem.detail[0] != '\0');
    }
    open_request_release(&open);
    return 0;
}
