// The opening handshake: the RFC's own example, and whom it turns away.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/transport/ws_handshake.h"

static struct request good(void) {
    return (struct request){
        .method = HTTP_METHOD_GET,
        .http_minor = 1,
        .field_count = 5,
        .fields = {{SLICE("Upgrade"), SLICE("websocket")},
                   {SLICE("Connection"), SLICE("keep-alive, Upgrade")},
                   {SLICE("Sec-WebSocket-Version"), SLICE("13")},
                   {SLICE("Sec-WebSocket-Key"), SLICE("dGhlIHNhbXBsZSBub25jZQ==")},
                   {SLICE("Sec-WebSocket-Protocol"), SLICE("chat, freshet.v1")}},
    };
}

static void the_example_of_the_rfc(void **state) {
    (void)state;
    struct request request = good();
    char accept[WS_ACCEPT_BYTES];
    ws_handshake_accept(&request, accept);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WS_ACCEPT_BYTES); // section 1.3
}

static void expect_protocol(const char *offer, int expected) {
    struct request request = good();
    struct open_problem problem = {0};
    enum ws_protocol protocol = WS_RAW;
    if (offer == NULL) {
        request.field_count = 4;
    } else {
        request.fields[4].value = slice_of(offer);
    }
    int error = ws_handshake_read(&request, &protocol, &problem);
    if (expected < 0) {
        assert_true(error < 0);
        assert_int_equal(problem.status, 400);
        assert_string_equal(problem.code, "subprotocol");
    } else {
        assert_int_equal(error, 0);
        assert_int_equal(protocol, expected);
    }
}

static void the_first_known_subprotocol_is_chosen(void **state) {
    (void)state;
    expect_protocol(NULL, WS_RAW);
    expect_protocol("freshet.v1", WS_JSON);
    expect_protocol("freshet.v1.msgpack", WS_MSGPACK);
    expect_protocol("freshet.v1.msgpack,freshet.v1", WS_MSGPACK);
    expect_protocol("freshet.v1\t, freshet.v1.msgpack", WS_JSON);
    expect_protocol("a,b ,, freshet.v1.msgpack", WS_MSGPACK);
    expect_protocol("", -1);
    expect_protocol("freshet.v2", -1);
    expect_protocol("Freshet.V1", -1);
    expect_protocol("freshet.v1.msgpack2, xfreshet.v1", -1);
}

static void protocols_in_several_fields(void **state) {
    (void)state;
    struct request request = good();
    struct open_problem problem;
    enum ws_protocol protocol;
    request.fields[4].value = SLICE("chat");
    request.fields[5] = (struct http_field){SLICE("sec-websocket-protocol"), SLICE("freshet.v1")};
    request.field_count = 6;
    assert_int_equal(ws_handshake_read(&request, &protocol, &problem), 0);
    assert_int_equal(protocol, WS_JSON);
}

static void expect_refused(const struct request *request, int status) {
    struct open_problem problem = {0};
    enum ws_protocol protocol;
    assert_true(ws_handshake_read(request, &protocol, &problem) < 0);
    assert_int_equal(problem.status, status);
    assert_true(problem.detail[0] != '\0');
}

static void who_is_no_websocket_client_is_refused(void **state) {
    (void)state;
    struct request request = good();
    request.method = HTTP_METHOD_HEAD;
    expect_refused(&request, 400);
    request = good();
    request.http_minor = 0;
    expect_refused(&request, 400);
    for (size_t field = 0; field < 3; field++) {
        request = good();
        request.fields[field].name = SLICE("X");
        expect_refused(&request, 426);
    }
    request = good();
    request.fields[1].value = SLICE("keep-alive");
    expect_refused(&request, 426);
    static const char *const versions[] = {"", "12", "14", "013", "13, 8", "13.0"};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        request = good();
        request.fields[2].value = slice_of(versions[i]);
        expect_refused(&request, 426);
    }
}

static void keys_have_16_bytes(void **state) {
    (void)state;
    static const char *const keys[] = {
        "",
        "dGhlIHNhbXBsZSBub25j",      // 15
        "dGhlIHNhbXBsZSBub25jZQ",    // without padding
        "dGhlIHNhbXBsZSBub25jZWU=",  // 17
        "dGhlIHNhbXBsZSBub25jZQ== ", // trimming is the parser's
        "????????????????????????",
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct request request = good();
        request.fields[3].value = slice_of(keys[i]);
        expect_refused(&request, 400);
    }
    struct request request = good();
    request.fields[5] = request.fields[3]; // twice
    request.field_count = 6;
    expect_refused(&request, 400);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(the_first_known_subprotocol_is_chosen),
        cmocka_unit_test(protocols_in_several_fields),
        cmocka_unit_test(who_is_no_websocket_client_is_refused),
        cmocka_unit_test(keys_have_16_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
