// Heads and problem documents, byte for byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/http/response.h"

static void assert_head(const struct response *response, const char *wanted) {
    struct bytes bytes = {0};
    response_append_head(&bytes, response);
    bytes_append_char(&bytes, '\0');
    assert_string_equal(bytes.data, wanted);
    bytes_release(&bytes);
}

static void a_plain_answer_has_status_date_type_and_length(void **state) {
    (void)state;
    assert_head(
        &(struct response){
            .status = 200,
            .http_minor = 1,
            .is_keep_alive = true,
            .body = RESPONSE_LENGTH,
            .length = 12,
            .content_type = "text/plain",
            .date = SLICE("D"),
            .fields = SLICE("ETag: \"x\"\r\n"),
        },
        "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
        "ETag: \"x\"\r\n\r\n");
}

static void not_modified_says_nothing_of_a_body(void **state) {
    (void)state;
    assert_head(&(struct response){.status = 304,
                                   .http_minor = 1,
                                   .is_keep_alive = true,
                                   .body = RESPONSE_NO_BODY,
                                   .date = SLICE("D")},
                "HTTP/1.1 304 Not Modified\r\nDate: D\r\n\r\n");
}

static void a_stream_is_chunked_on_1_1_and_ends_with_the_connection_on_1_0(void **state) {
    (void)state;
    assert_head(&(struct response){.status = 200,
                                   .http_minor = 1,
                                   .is_keep_alive = true,
                                   .body = RESPONSE_CHUNKED,
                                   .date = SLICE("D")},
                "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_head(
        &(struct response){
            .status = 200, .http_minor = 0, .body = RESPONSE_UNTIL_CLOSE, .date = SLICE("D")},
        "HTTP/1.1 200 OK\r\nDate: D\r\nConnection: close\r\n\r\n");
}

static void keep_alive_is_said_on_1_0_only(void **state) {
    (void)state;
    assert_head(&(struct response){.status = 200,
                                   .http_minor = 0,
                                   .is_keep_alive = true,
                                   .body = RESPONSE_LENGTH,
                                   .date = SLICE("D")},
                "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\n"
                "Connection: keep-alive\r\n\r\n");
}

static void a_problem_is_json_whatever_the_detail_holds(void **state) {
    (void)state;
    struct bytes bytes = {0};
    response_append_problem(&bytes, 400, "bad-request", SLICE("say \"a\"\n\xc3"));
    bytes_append_char(&bytes, '\0');
    assert_string_equal(bytes.data, "{\"type\":\"about:blank\",\"title\":\"Bad Request\","
                                    "\"status\":400,\"code\":\"bad-request\","
                                    "\"detail\":\"say \\\"a\\\"\\n\"}\n");
    bytes_release(&bytes);
}

static void dates_are_imf_fixdates(void **state) {
    (void)state;
    char date[RESPONSE_DATE_BYTES + 1];
    response_format_date(784111777, date);
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT"); // RFC 9110, section 5.6.7
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_answer_has_status_date_type_and_length),
        cmocka_unit_test(not_modified_says_nothing_of_a_body),
        cmocka_unit_test(a_stream_is_chunked_on_1_1_and_ends_with_the_connection_on_1_0),
        cmocka_unit_test(keep_alive_is_said_on_1_0_only),
        cmocka_unit_test(a_problem_is_json_whatever_the_detail_holds),
        cmocka_unit_test(dates_are_imf_fixdates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
