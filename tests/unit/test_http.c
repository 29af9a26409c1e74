// HTTP over real sockets: what a well-behaved client sees.
#include "http_fixture.h"

#define H     "Host: h\r\n"
#define CLOSE "Connection: close\r\n"

static int setup(void **state) {
    (void)state;
    return start_server(&(struct fixture_options){0});
}

static size_t count_of(const char *text, const char *what) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}

static void an_answer_has_its_head_and_body(void **state) {
    (void)state;
    struct bytes answer = ask("GET /hello?world HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_starts(answer.data, "HTTP/1.1 200 OK\r\nDate: ");
    assert_non_null(strstr(answer.data, "\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
                                        "Connection: close\r\n\r\nworld"));
    bytes_release(&answer);
}

static void a_connection_is_kept_alive(void **state) {
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        struct bytes answer = {0};
        say(fd, "GET /hello?again HTTP/1.1\r\n" H "\r\n");
        assert_null(strstr(hear(fd, &answer, "\r\n\r\nagain"), "Connection:"));
        bytes_release(&answer);
    }
    close(fd);
    assert_int_equal(atomic_load(&server.metrics.accepted), 1);
    assert_int_equal(atomic_load(&server.metrics.requests), 3);
}

static void http_1_0_is_kept_alive_only_when_it_asks(void **state) {
    (void)state;
    int fd = dial();
    struct bytes answer = {0};
    say(fd, "GET /hello?a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(hear(fd, &answer, "\r\n\r\na"), "\r\nConnection: keep-alive\r\n"));
    say(fd, "GET /hello?b HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(hear(fd, &answer, NULL), "\r\nConnection: close\r\n\r\nb"));
    bytes_release(&answer);
    close(fd);
}

static void fifty_pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    struct bytes requests = {0};
    for (int i = 0; i < 50; i++) { // every fifth is answered later, which holds up the rest
        bytes_append_format(&requests, "GET /%s?n%02d HTTP/1.1\r\n" H "%s\r\n",
                            i % 5 == 0 ? "later" : "hello", i, i == 49 ? CLOSE : "");
    }
    bytes_append_char(&requests, '\0');
    struct bytes answers = ask(requests.data);
    assert_int_equal(count_of(answers.data, "HTTP/1.1 200 OK"), 50);
    const char *at = answers.data;
    for (int i = 0; i < 50; i++) {
        char wanted[24];
        snprintf(wanted, sizeof(wanted), "\r\n\r\nn%02d", i);
        at = strstr(at, wanted);
        assert_non_null(at);
    }
    bytes_release(&requests);
    bytes_release(&answers);
}

static void pipelining_may_go_beyond_what_is_kept(void **state) {
    (void)state;
    enum { REQUESTS = 3000 }; // of 36 bytes: several times head_bytes
    struct bytes requests = {0};
    bytes_append(&requests, SLICE("GET /later?first HTTP/1.1\r\n" H "\r\n"));
    for (int i = 0; i < REQUESTS; i++) {
        bytes_append(&requests, SLICE("GET /hello?x HTTP/1.1\r\n" H "\r\n"));
    }
    bytes_append(&requests, SLICE("GET /hello?x HTTP/1.1\r\n" H CLOSE "\r\n"));
    bytes_append_char(&requests, '\0');
    struct bytes answers = ask(requests.data);
    assert_int_equal(count_of(answers.data, "HTTP/1.1 200 OK"), REQUESTS + 2);
    bytes_release(&requests);
    bytes_release(&answers);
}

static void a_client_that_ends_its_side_still_gets_its_answers(void **state) {
    (void)state;
    enum { REQUESTS = 40 }; // more than one turn's worth
    int fd = dial();
    struct bytes bytes = {0};
    for (int i = 0; i < REQUESTS; i++) {
        bytes_append(&bytes, SLICE("GET /hello?a HTTP/1.1\r\n" H "\r\n"));
    }
    bytes_append_char(&bytes, '\0');
    say(fd, bytes.data);
    shutdown(fd, SHUT_WR);
    bytes_clear(&bytes);
    assert_int_equal(count_of(hear(fd, &bytes, NULL), "HTTP/1.1 200 OK"), REQUESTS);
    bytes_release(&bytes);
    close(fd);
}

static void a_head_request_gets_no_body(void **state) {
    (void)state;
    struct bytes answer = ask("HEAD /hello?body HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_non_null(strstr(answer.data, "Content-Length: 4\r\n"));
    assert_string_equal(strstr(answer.data, "\r\n\r\n"), "\r\n\r\n");
    bytes_release(&answer);
}

static void a_head_request_for_a_stream_ends_with_the_head(void **state) {
    (void)state;
    struct bytes answer = ask("HEAD /endless HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_starts(answer.data, "HTTP/1.1 200 OK");
    assert_string_equal(strstr(answer.data, "\r\n\r\n"), "\r\n\r\n");
    await_gone(1);
    bytes_release(&answer);
}

static void not_modified_has_neither_body_nor_length(void **state) {
    (void)state;
    struct bytes answer = ask("GET /not-modified HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_starts(answer.data, "HTTP/1.1 304 Not Modified\r\n");
    assert_non_null(strstr(answer.data, "\r\nETag: \"1\"\r\n"));
    assert_null(strstr(answer.data, "Content-Length"));
    assert_string_equal(strstr(answer.data, "\r\n\r\n"), "\r\n\r\n");
    bytes_release(&answer);
}

static void a_stream_is_chunked_and_the_connection_lives_on(void **state) {
    (void)state;
    int fd = dial();
    struct bytes answer = {0};
    say(fd, "GET /stream HTTP/1.1\r\n" H "\r\n");
    const char *text = hear(fd, &answer, "0\r\n\r\n");
    assert_non_null(strstr(text, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(text, "\r\n\r\n4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"));
    say(fd, "GET /hello?after HTTP/1.1\r\n" H "\r\n");
    hear(fd, &answer, "\r\n\r\nafter");
    bytes_release(&answer);
    close(fd);
}

static void a_stream_to_http_1_0_ends_with_the_connection(void **state) {
    (void)state;
    struct bytes answer = ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_null(strstr(answer.data, "chunked"));
    assert_non_null(strstr(answer.data, "\r\nConnection: close\r\n"));
    assert_string_equal(strstr(answer.data, "\r\n\r\n"), "\r\n\r\none two three");
    bytes_release(&answer);
}

static void an_answer_may_be_gathered_from_frames_and_text(void **state) {
    (void)state;
    struct bytes answer = ask("GET /parts HTTP/1.1\r\n" H CLOSE "\r\n");
    const char *body = strstr(answer.data, "\r\n\r\n") + 4;
    assert_int_equal(strlen(body), 2 * FLOOD_FRAME_BYTES + 8);
    assert_int_equal(body[0], '[');
    assert_memory_equal(body + 1 + FLOOD_FRAME_BYTES, ",small", 6);
    assert_int_equal(strspn(body + 7 + FLOOD_FRAME_BYTES, "x"), FLOOD_FRAME_BYTES);
    assert_int_equal(body[strlen(body) - 1], ']');
    bytes_release(&answer);
}

static void a_client_that_expects_100_is_told_to_go_on(void **state) {
    (void)state;
    int fd = dial();
    struct bytes answer = {0};
    say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(hear(fd, &answer, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "hello");
    hear(fd, &answer, "\r\n\r\nhello");
    bytes_release(&answer);
    close(fd);
}

static void a_chunked_body_arrives_whole(void **state) {
    (void)state;
    struct bytes answer = ask("POST /echo HTTP/1.1\r\n" H CLOSE "Transfer-Encoding: chunked\r\n\r\n"
                              "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    assert_string_equal(strstr(answer.data, "\r\n\r\n"), "\r\n\r\nhello");
    bytes_release(&answer);
}

static void unknown_paths_and_methods_are_problems(void **state) {
    (void)state;
    struct bytes answer = ask("GET /nowhere HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_starts(answer.data, "HTTP/1.1 404 Not Found\r\n");
    assert_non_null(strstr(answer.data, "\r\nContent-Type: application/problem+json\r\n"));
    assert_non_null(strstr(answer.data, "\"code\":\"not-found\""));
    bytes_release(&answer);
    answer = ask("DELETE /hello HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_starts(answer.data, "HTTP/1.1 405 Method Not Allowed\r\n");
    assert_non_null(strstr(answer.data, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    bytes_release(&answer);
    answer = ask("OPTIONS /echo HTTP/1.1\r\n" H CLOSE "\r\n");
    assert_starts(answer.data, "HTTP/1.1 204 No Content\r\n");
    assert_non_null(strstr(answer.data, "\r\nAllow: POST, OPTIONS\r\n"));
    bytes_release(&answer);
}

static void shutdown_closes_idle_connections_and_lets_busy_ones_finish(void **state) {
    (void)state;
    struct bytes answer = {0};
    int idle = dial();
    int busy = dial();
    say(idle, "GET /hello?idle HTTP/1.1\r\n" H "\r\n");
    hear(idle, &answer, "\r\n\r\nidle");
    say(busy, "GET /later?busy HTTP/1.1\r\n" H "\r\n");
    await(&server.metrics.requests, 2);
    uv_async_send(&server.shutdown);
    bytes_clear(&answer);
    assert_string_equal(hear(idle, &answer, NULL), "");
    hear(busy, &answer, NULL);
    assert_non_null(strstr(answer.data, "\r\nConnection: close\r\n\r\nbusy"));
    bytes_release(&answer);
    close(idle);
    close(busy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, stop_server)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_its_head_and_body),
        TEST(a_connection_is_kept_alive),
        TEST(http_1_0_is_kept_alive_only_when_it_asks),
        TEST(fifty_pipelined_requests_are_answered_in_order),
        TEST(pipelining_may_go_beyond_what_is_kept),
        TEST(a_client_that_ends_its_side_still_gets_its_answers),
        TEST(a_head_request_gets_no_body),
        TEST(a_head_request_for_a_stream_ends_with_the_head),
        TEST(not_modified_has_neither_body_nor_length),
        TEST(a_stream_is_chunked_and_the_connection_lives_on),
        TEST(a_stream_to_http_1_0_ends_with_the_connection),
        TEST(an_answer_may_be_gathered_from_frames_and_text),
        TEST(a_client_that_expects_100_is_told_to_go_on),
        TEST(a_chunked_body_arrives_whole),
        TEST(unknown_paths_and_methods_are_problems),
        TEST(shutdown_closes_idle_connections_and_lets_busy_ones_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
