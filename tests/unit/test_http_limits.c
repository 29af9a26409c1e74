// HTTP over real sockets: clients that are slow, gone, too many or hostile.
#include "http_fixture.h"

#include <sys/resource.h>

#define H     "Host: h\r\n"
#define CLOSE "Connection: close\r\n"

static int setup(void **state) {
    (void)state;
    return start_server(&(struct fixture_options){0});
}

static int setup_hasty(void **state) {
    (void)state;
    return start_server(
        &(struct fixture_options){.stall_ms = 400, .header_timeout_ms = 300, .keep_alive_ms = 300});
}

static int setup_small(void **state) {
    (void)state;
    return start_server(&(struct fixture_options){.admission = {.connections_max = 2}});
}

static long long closed(enum close_reason reason) {
    return atomic_load(&server.metrics.closed[reason]);
}

// A client sees the end before the node has counted it.
static void assert_closed(enum close_reason reason, long long count) {
    for (int ms = 0; closed(reason) < count && ms < 5000; ms++) {
        usleep(1000);
    }
    assert_int_equal(closed(reason), count);
}

static void a_client_that_leaves_ends_its_exchange(void **state) {
    (void)state;
    static const char *const REQUESTS[] = {"GET /wait HTTP/1.1\r\n" H "\r\n",
                                           "GET /endless HTTP/1.1\r\n" H "\r\n",
                                           "GET /endless HTTP/1.0\r\n\r\n"};
    for (int i = 0; i < 6; i++) {
        int fd = dial();
        say(fd, REQUESTS[i / 2]);
        await(&server.metrics.requests, i + 1);
        if (i % 2 == 1) { // by a reset
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                       sizeof(struct linger));
        }
        close(fd);
        await_gone(i + 1);
    }
    assert_closed(CLOSE_CLIENT, 6);
}

static void a_client_that_leaves_in_the_middle_of_a_flood_ends_it(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    say(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
    hear(fd, &bytes, "xxxx");
    close(fd);
    await_gone(1);
    bytes_release(&bytes);
}

static void a_slow_reader_gets_every_byte(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    say(fd, "GET /flood HTTP/1.0\r\n\r\n");
    hear(fd, &bytes, "xxxx");
    usleep(100 * 1000); // long enough for the socket to be full, whatever its size
    const char *text = hear(fd, &bytes, NULL);
    const char *body = strstr(text, "\r\n\r\n") + 4;
    assert_int_equal(strspn(body, "x"), (size_t)FLOOD_FRAMES * FLOOD_FRAME_BYTES);
    bytes_release(&bytes);
    close(fd);
}

static void a_reader_that_takes_nothing_is_cut(void **state) {
    (void)state;
    int fd = dial();
    say(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
    await_gone(1);
    assert_closed(CLOSE_STALL, 1);
    close(fd);
}

static void a_head_that_does_not_come_is_answered_with_408(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    say(fd, "GET / HT");
    assert_starts(hear(fd, &bytes, NULL), "HTTP/1.1 408 Request Timeout\r\n");
    bytes_release(&bytes);
    close(fd);
    await(&server.metrics.closed[CLOSE_HEADER_TIMEOUT], 1);
}

static void a_body_that_does_not_come_on_is_answered_with_408(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\n");
    for (int i = 0; i < 4; i++) { // a drip is no progress
        usleep(100 * 1000);
        say(fd, "x");
    }
    assert_starts(hear(fd, &bytes, NULL), "HTTP/1.1 408 Request Timeout\r\n");
    bytes_release(&bytes);
    close(fd);
}

static void a_connection_that_asks_nothing_is_closed_in_silence(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    assert_string_equal(hear(fd, &bytes, NULL), "");
    await(&server.metrics.closed[CLOSE_HEADER_TIMEOUT], 1);
    close(fd);
    fd = dial();
    say(fd, "GET /hello?kept HTTP/1.1\r\n" H "\r\n");
    assert_string_equal(strstr(hear(fd, &bytes, NULL), "\r\n\r\n"), "\r\n\r\nkept");
    await(&server.metrics.closed[CLOSE_IDLE], 1);
    bytes_release(&bytes);
    close(fd);
}

static void what_cannot_be_understood_is_a_problem_and_the_end(void **state) {
    (void)state;
    struct bytes answer = ask("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                              "GET /hello?smuggled HTTP/1.1\r\n" H "\r\n");
    assert_starts(answer.data, "HTTP/1.1 400 Bad Request\r\n");
    assert_non_null(strstr(answer.data, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(answer.data, "\r\nContent-Type: application/problem+json\r\n"));
    assert_non_null(strstr(answer.data, "\"code\":\"bad-request\""));
    assert_null(strstr(answer.data, "smuggled"));
    bytes_release(&answer);
    assert_asked("\x16\x03\x01", "HTTP/1.1 400 ");
    assert_asked("GET / HTTP/2.0\r\n", "HTTP/1.1 505 ");
    assert_asked("POST /echo HTTP/1.1\r\n" H "Expect: foo\r\n\r\n", "HTTP/1.1 417 ");
    assert_int_equal(atomic_load(&server.metrics.refused[REFUSE_BAD_REQUEST]), 4);
}

// ---- Refused before it was whole ----------------------------------------------------------------

// Pages of one origin stay outside, the others are told that they may read.
static bool admit(struct exchange *exchange, void *context) {
    (void)context;
    struct slice origin;
    exchange_field(exchange, "Vary", SLICE("Origin"));
    if (request_field(exchange_request(exchange), SLICE("Origin"), &origin) &&
        slice_equal(origin, SLICE("foreign"))) {
        exchange_problem(exchange, 403, "origin", "elsewhere");
        return false;
    }
    return true;
}

static int setup_admitting(void **state) {
    (void)state;
    static struct router router;
    router = ROUTER;
    router.admit = admit;
    return start_server(&(struct fixture_options){.header_timeout_ms = 300, .router = &router});
}

// What is wrong with each is not its head.
static const struct {
    const char *start; // of the request, up to the Origin
    const char *end;
    const char *status;
} BAD_REQUESTS[] = {
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 4000000\r\n", "\r\n", "413"},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n", "\r\n", "400"},
    {"POST /echo HTTP/1.1\r\n" H, "Transfer-Encoding: chunked\r\n\r\nx", "400"},
    {"POST /echo HTTP/1.1\r\n" H, "Transfer-Encoding: chunked\r\n\r\nffffff\r\n", "413"},
    {"POST /echo HTTP/1.1\r\n" H, "Expect: foo\r\n\r\n", "417"},
    {"POST /echo HTTP/1.1\r\n" H, "Content-Length: 9\r\n\r\nslow", "408"},
};

static struct bytes ask_badly(size_t i, const char *origin) {
    struct bytes request = {0};
    bytes_append_format(&request, "%sOrigin: %s\r\n%s", BAD_REQUESTS[i].start, origin,
                        BAD_REQUESTS[i].end);
    bytes_append_char(&request, '\0');
    struct bytes answer = ask(request.data);
    bytes_release(&request);
    return answer;
}

static void a_page_may_read_why_its_request_is_refused(void **state) {
    (void)state;
    enum { COUNT = sizeof(BAD_REQUESTS) / sizeof(BAD_REQUESTS[0]) };
    for (size_t i = 0; i < COUNT; i++) {
        struct bytes answer = ask_badly(i, "listed");
        assert_starts(answer.data, "HTTP/1.1 ");
        assert_starts(answer.data + 9, BAD_REQUESTS[i].status);
        assert_non_null(strstr(answer.data, "\r\nVary: Origin\r\n"));
        assert_non_null(strstr(answer.data, "\r\nCache-Control: no-store\r\n"));
        assert_non_null(strstr(answer.data, "\r\nConnection: close\r\n"));
        bytes_release(&answer);
        answer = ask_badly(i, "foreign");
        assert_starts(answer.data, "HTTP/1.1 403 ");
        bytes_release(&answer);
    }
    assert_int_equal(atomic_load(&server.metrics.refused[REFUSE_BAD_REQUEST]), COUNT);
    assert_closed(CLOSE_BAD_REQUEST, 2 * COUNT);
    assert_int_equal(closed(CLOSE_DONE), 0);
}

static void no_cache_keeps_a_refusal_whose_head_nobody_could_read(void **state) {
    (void)state;
    static const char *const REQUESTS[] = {
        "GET / HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\nOrigin: listed\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Origin: foreign\r\nbad(: y\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Origin: foreign\r\nhalf",
    };
    for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
        struct bytes answer = ask(REQUESTS[i]);
        assert_non_null(strstr(answer.data, "\r\nCache-Control: no-store\r\n"));
        assert_null(strstr(answer.data, "Vary"));
        assert_null(strstr(answer.data, "HTTP/1.1 403 "));
        bytes_release(&answer);
    }
}

static void a_head_request_gets_no_body_when_it_is_refused_either(void **state) {
    (void)state;
    struct bytes answer = ask("HEAD /hello HTTP/1.1\r\n" H "Expect: foo\r\n\r\n");
    assert_starts(answer.data, "HTTP/1.1 417 ");
    assert_string_equal(strstr(answer.data, "\r\n\r\n"), "\r\n\r\n");
    bytes_release(&answer);
}

static void a_body_too_large_is_refused_unread_and_the_client_can_read_why(void **state) {
    (void)state;
    int fd = dial();
    struct bytes answer = {0};
    say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n");
    // Sent in spite of the answer, as most clients do: it must not destroy it by a reset.
    char *body = mem_alloc(4000000);
    memset(body, ' ', 4000000);
    memcpy(body, "GET /hello?smuggled HTTP/1.1\r\n" H "\r\n", 39);
    send(fd, body, 4000000, MSG_NOSIGNAL);
    mem_free(body);
    assert_starts(hear(fd, &answer, NULL), "HTTP/1.1 413 Content Too Large\r\n");
    assert_null(strstr(answer.data, "100 Continue"));
    assert_null(strstr(answer.data, "smuggled"));
    bytes_release(&answer);
    close(fd);
}

static void a_client_that_speaks_on_after_its_last_answer_is_not_reset(void **state) {
    (void)state;
    int fd = dial();
    struct bytes answer = {0};
    say(fd, "GET / HTTP/2.0\r\n");
    assert_starts(hear(fd, &answer, NULL), "HTTP/1.1 505 ");
    for (int i = 0; i < 10; i++) {
        say(fd, "more of what nobody wants to hear");
        usleep(5 * 1000); // a reset would be here by then
    }
    bytes_release(&answer);
    close(fd);
}

static void no_more_than_a_head_is_read_while_an_answer_is_due(void **state) {
    (void)state;
    int fd = dial();
    say(fd, "GET /wait HTTP/1.1\r\n" H "\r\n");
    await(&server.metrics.requests, 1);
    // The kernel's buffers take some megabytes; then sending stalls, because nobody reads.
    struct timeval patience = {.tv_usec = 300 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    size_t sent = 0;
    char junk[64 * 1024] = {0};
    for (ssize_t len; (len = send(fd, junk, sizeof(junk), MSG_NOSIGNAL)) > 0 || errno == EINTR;) {
        sent += len > 0 ? (size_t)len : 0;
        assert_true(sent < 64 * 1024 * 1024);
    }
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

static void an_aborted_exchange_is_a_reset(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    say(fd, "GET /abort HTTP/1.1\r\n" H "\r\n");
    assert_null(hear(fd, &bytes, NULL));
    assert_closed(CLOSE_MEMORY, 1);
    bytes_release(&bytes);
    close(fd);
}

static void beyond_the_cap_requests_are_refused_and_event_sources_come_back(void **state) {
    (void)state;
    int first = dial();
    int second = dial();
    await(&server.metrics.connections_open, 2);
    struct bytes answer = ask("GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_starts(answer.data, "HTTP/1.1 503 Service Unavailable\r\n");
    assert_non_null(strstr(answer.data, "\r\nRetry-After: "));
    bytes_release(&answer);
    answer = ask("GET /events HTTP/1.1\r\n" H "\r\n");
    assert_starts(answer.data, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(answer.data, "\r\nContent-Type: text/event-stream\r\n"));
    assert_starts(strstr(answer.data, "\r\n\r\n"), "\r\n\r\nretry: ");
    bytes_release(&answer);
    assert_asked("GET /health HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n"); // full, but alive
    assert_int_equal(atomic_load(&server.metrics.refused[REFUSE_CONNECTIONS]), 3);
    close(first);
    close(second);
    for (int ms = 0; admission_connections(server.admission) > 0; ms++) {
        assert_true(ms < PATIENCE_MS);
        usleep(1000);
    }
    assert_asked("GET /hello HTTP/1.1\r\n" H CLOSE "\r\n", "HTTP/1.1 200 OK\r\n");
}

static void without_descriptors_clients_are_turned_away_and_later_served(void **state) {
    (void)state;
    int client = make_socket();
    int other = make_socket();
    int highest = dup(client);
    close(highest);
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit tight = {.rlim_cur = (rlim_t)highest, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    connect_socket(client);
    struct bytes bytes = {0};
    hear(client, &bytes, NULL); // the end, or a reset: at once in either case
    assert_int_equal(bytes.len, 0);
    assert_true(atomic_load(&server.metrics.refused[REFUSE_CONNECTIONS]) >= 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    connect_socket(other);
    say(other, "GET /hello?fine HTTP/1.1\r\n" H "\r\n");
    hear(other, &bytes, "\r\n\r\nfine");
    bytes_release(&bytes);
    close(client);
    close(other);
}

static void a_port_that_is_taken_is_seen_before_it_is_shared(void **state) {
    (void)state;
    assert_int_equal(listener_probe("127.0.0.1", server.port), UV_EADDRINUSE);
    assert_int_equal(listener_probe("127.0.0.1", 0), 0);
    assert_int_equal(listener_probe("no such host", 80), UV_EAI_NONAME);
    assert_int_equal(listener_probe("192.0.2.1", 0), UV_EADDRNOTAVAIL);
}

#define TEST(name)           cmocka_unit_test_setup_teardown(name, setup, stop_server)
#define TEST_HASTY(name)     cmocka_unit_test_setup_teardown(name, setup_hasty, stop_server)
#define TEST_ADMITTING(name) cmocka_unit_test_setup_teardown(name, setup_admitting, stop_server)
#define TEST_SMALL(name)     cmocka_unit_test_setup_teardown(name, setup_small, stop_server)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_client_that_leaves_ends_its_exchange),
        TEST(a_client_that_leaves_in_the_middle_of_a_flood_ends_it),
        TEST(a_slow_reader_gets_every_byte),
        TEST_HASTY(a_reader_that_takes_nothing_is_cut),
        TEST_HASTY(a_head_that_does_not_come_is_answered_with_408),
        TEST_HASTY(a_body_that_does_not_come_on_is_answered_with_408),
        TEST_HASTY(a_connection_that_asks_nothing_is_closed_in_silence),
        TEST(what_cannot_be_understood_is_a_problem_and_the_end),
        TEST_ADMITTING(a_page_may_read_why_its_request_is_refused),
        TEST_ADMITTING(no_cache_keeps_a_refusal_whose_head_nobody_could_read),
        TEST(a_head_request_gets_no_body_when_it_is_refused_either),
        TEST(a_body_too_large_is_refused_unread_and_the_client_can_read_why),
        TEST(a_client_that_speaks_on_after_its_last_answer_is_not_reset),
        TEST(no_more_than_a_head_is_read_while_an_answer_is_due),
        TEST(an_aborted_exchange_is_a_reset),
        TEST_SMALL(beyond_the_cap_requests_are_refused_and_event_sources_come_back),
        TEST(without_descriptors_clients_are_turned_away_and_later_served),
        TEST(a_port_that_is_taken_is_seen_before_it_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
