// A connection's requests: parsed, and then asked everything that a node asks of the head alone. The
// verdict must not depend on how the bytes were cut.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "node/auth/grant.h"
#include "node/auth/origin.h"
#include "node/http/parser.h"
#include "node/transport/ws_handshake.h"

enum { HEAD_BYTES = 2048, BODY_BYTES = 256, BUDGET_BYTES = 200, NOW_MS = 1000 };

static char *keys[] = {"0123456789abcdef0123456789abcdef"};
static char *origins[] = {"https://app.example.com"};
static char cookie[] = "freshet";

static const struct config config = {
    .auth_keys = {keys, 1},
    .auth_cookie = cookie,
    .origins = {origins, 1},
};

static void append(struct bytes *transcript, struct slice part) {
    bytes_append_u64(transcript, part.len);
    bytes_append_char(transcript, ':');
    bytes_append(transcript, part);
    bytes_append_char(transcript, ' ');
}

// What all routes ask.
static void ask(const struct request *request, struct bytes *transcript) {
    struct grant grant;
    grant_from_request(request, &config, NOW_MS, &grant);
    CHECK(grant.claims == NULL); // nobody signs by chance
    bytes_append_format(transcript, "bad token %d, origin %d, ", grant.is_token_bad,
                        (int)origin_of(request, &config.origins));
    grant_release(&grant);

    enum ws_protocol protocol;
    struct open_problem problem;
    if (ws_handshake_read(request, &protocol, &problem) == 0) {
        char accept[WS_ACCEPT_BYTES];
        ws_handshake_accept(request, accept);
        append(transcript, slice_make(accept, sizeof(accept)));
        append(transcript, ws_protocol_name(protocol));
    } else {
        bytes_append_format(transcript, "%d %s %s\n", problem.status, problem.code, problem.detail);
    }
}

static void append_request(struct bytes *transcript, const struct request *request) {
    bytes_append_format(transcript, "done %d 1.%u %d ", (int)request->method, request->http_minor,
                        request->is_keep_alive);
    append(transcript, request->path);
    append(transcript, request->query);
    append(transcript, request->body);
    CHECK(request->path.len > 0);
    CHECK(request->field_count <= REQUEST_FIELDS_MAX);
    CHECK(request->body.len <= BODY_BYTES);
    for (size_t i = 0; i < request->field_count; i++) {
        append(transcript, request->fields[i].name);
        append(transcript, request->fields[i].value);
    }
    ask(request, transcript);
}

static void append_failure(struct bytes *transcript, const struct http_failure *failure) {
    CHECK(failure->status >= 400 && failure->status <= 599);
    bytes_append_format(transcript, "failed %d %s %s\n", failure->status, failure->code,
                        failure->detail);
}

// One request after the other, as on a connection that is kept alive.
static void read_requests(struct pieces *pieces, struct bytes *transcript) {
    size_t budget = BUDGET_BYTES;
    struct parser_limits limits = {HEAD_BYTES, BODY_BYTES, &budget};
    struct parser *parser = parser_create(&limits);
    enum parser_result result = PARSER_MORE;
    struct slice piece;
    while (result != PARSER_FAILED && pieces_next(pieces, &piece)) {
        while (result != PARSER_FAILED && piece.len > 0) {
            result = parser_feed(parser, &piece);
            CHECK(budget <= BUDGET_BYTES);
            if (result == PARSER_DONE) {
                append_request(transcript, parser_request(parser));
                parser_destroy(&parser);
                parser = parser_create(&limits);
            }
            CHECK(result != PARSER_MORE || piece.len == 0);
        }
    }
    if (result == PARSER_FAILED) {
        append_failure(transcript, parser_failure(parser));
    } else {
        bytes_append_format(transcript, "more %d %d %zu", parser_has_begun(parser),
                            parser_has_head(parser), parser_body_bytes(parser));
    }
    parser_destroy(&parser);
    CHECK(budget == BUDGET_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_cuts(slice_make(data, size), read_requests);
    return 0;
}
