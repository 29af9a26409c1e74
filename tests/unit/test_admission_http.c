// Admission as HTTP shows it: whom a proxy speaks for, what an exchange holds and for how long, and
// what those hear who are turned away.
#include "http_fixture.h"

#include "node/http/forwarded.h"

#define H     "Host: h\r\n"
#define CLOSE "Connection: close\r\n"

static struct address address(const char *text) {
    struct address address;
    assert_int_equal(address_parse(slice_of(text), &address), 0);
    return address;
}

static struct network loopback;
static struct network_list proxies = {&loopback, 1};

static int start(struct admission_options admission) {
    assert_int_equal(network_parse(SLICE("127.0.0.0/8"), &loopback), 0);
    return start_server(&(struct fixture_options){.admission = admission});
}

// ---- Whom a proxy speaks for --------------------------------------------------------------------

// The fields of the request, the client's address; the peer is 10.0.0.1, trusted as 10.0.0.0/8 and
// fd00::/8 are.
static const struct {
    const char *fields[3];
    const char *client;
} FORWARDED[] = {
    {{NULL}, "10.0.0.1"},
    {{"192.0.2.7"}, "192.0.2.7"},
    {{"  192.0.2.7\t"}, "192.0.2.7"},
    {{"203.0.113.9, 192.0.2.7"}, "192.0.2.7"}, // the first may be invented
    {{"203.0.113.9,192.0.2.7,10.0.0.2"}, "192.0.2.7"},
    {{"203.0.113.9", "192.0.2.7, 10.0.0.2", "10.0.0.3"}, "192.0.2.7"},
    {{"10.0.0.4, 10.0.0.3"}, "10.0.0.4"}, // all are ours: the farthest
    {{"203.0.113.9", "10.0.0.3"}, "203.0.113.9"},
    {{"2001:db8::7, fd00::2"}, "2001:db8::7"},
    {{"::ffff:192.0.2.7"}, "192.0.2.7"},
    {{"192.0.2.7:4711"}, "192.0.2.7"},
    {{"[2001:db8::7]:4711"}, "2001:db8::7"},
    {{"[2001:db8::7]"}, "2001:db8::7"},
    {{""}, "10.0.0.1"}, // what is no address: the hop that told it
    {{","}, "10.0.0.1"},
    {{"192.0.2.7,"}, "10.0.0.1"},
    {{"unknown"}, "10.0.0.1"},
    {{"192.0.2.7, unknown, 10.0.0.2"}, "10.0.0.2"},
    {{"192.0.2.7", "", "10.0.0.2"}, "10.0.0.2"},
    {{"1.2.3"}, "10.0.0.1"},
    {{"["}, "10.0.0.1"},
    {{"]"}, "10.0.0.1"},
    {{":"}, "10.0.0.1"},
    {{"[]:1"}, "10.0.0.1"},
    {{"\xff\xfe"}, "10.0.0.1"},
};

static void the_client_is_the_last_that_is_no_proxy(void **state) {
    (void)state;
    struct network trusted[2];
    assert_int_equal(network_parse(SLICE("10.0.0.0/8"), &trusted[0]), 0);
    assert_int_equal(network_parse(SLICE("fd00::/8"), &trusted[1]), 0);
    struct network_list list = {trusted, 2};
    struct address peer = address("10.0.0.1");
    for (size_t i = 0; i < sizeof(FORWARDED) / sizeof(FORWARDED[0]); i++) {
        static struct request request;
        request = (struct request){0};
        for (size_t j = 0; j < 3 && FORWARDED[i].fields[j] != NULL; j++) {
            request.fields[request.field_count++] = (struct http_field){
                SLICE("x-forwarded-For"), slice_trim(slice_of(FORWARDED[i].fields[j]))};
        }
        request.fields[request.field_count++] =
            (struct http_field){SLICE("Forwarded"), SLICE("for=198.51.100.1")};
        struct address wanted = address(FORWARDED[i].client);
        struct address found = forwarded_client(&request, &peer, &list);
        if (memcmp(&found, &wanted, sizeof(wanted)) != 0) {
            fail_msg("case %zu: not %s", i, FORWARDED[i].client);
        }
    }
}

static void a_list_as_long_as_can_be_is_read(void **state) {
    (void)state;
    static struct request request;
    struct address peer = address("10.0.0.1");
    struct network all;
    assert_int_equal(network_parse(SLICE("0.0.0.0/0"), &all), 0);
    for (size_t i = 0; i < REQUEST_FIELDS_MAX; i++) {
        request.fields[i] =
            (struct http_field){SLICE("X-Forwarded-For"), i == 0 ? SLICE("192.0.2.7, 192.0.2.8")
                                                                 : SLICE("10.0.0.2, 10.0.0.3")};
    }
    request.field_count = REQUEST_FIELDS_MAX;
    struct address found = forwarded_client(&request, &peer, &(struct network_list){&all, 1});
    struct address wanted = address("192.0.2.7");
    assert_memory_equal(&found, &wanted, sizeof(wanted));
}

// ---- Connections --------------------------------------------------------------------------------

static int setup_per_ip(void **state) {
    (void)state;
    return start((struct admission_options){.per_ip_max = 1});
}

static void an_address_that_has_its_share_is_told_429_but_health_is_told(void **state) {
    (void)state;
    int first = dial();
    await(&server.metrics.connections_open, 1);
    struct bytes answer = ask("GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_starts(answer.data, "HTTP/1.1 429 Too Many Requests\r\n");
    assert_non_null(strstr(answer.data, "\r\nRetry-After: "));
    assert_non_null(strstr(answer.data, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(answer.data, "\"code\":\"too-many\""));
    bytes_release(&answer);
    static const char *const EVENT_SOURCES[] = {"GET /events HTTP/1.1\r\n" H "\r\n",
                                                "POST /events HTTP/1.1\r\n" H
                                                "Content-Length: 2\r\n\r\n{}"};
    for (int i = 0; i < 2; i++) {
        answer = ask(EVENT_SOURCES[i]);
        assert_starts(answer.data, "HTTP/1.1 200 OK\r\n");
        assert_non_null(strstr(answer.data, "\r\nContent-Type: text/event-stream\r\n"));
        unsigned retry_ms = 0;
        assert_int_equal(sscanf(strstr(answer.data, "\r\n\r\n"), " retry: %u", &retry_ms), 1);
        assert_in_range(retry_ms, 3000, 15000);
        bytes_release(&answer);
    }
    // A method that the path does not take is no EventSource.
    assert_asked("DELETE /events HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 429 ");
    answer = ask("GET /health?fine HTTP/1.1\r\n" H "\r\n");
    assert_starts(answer.data, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(answer.data, "\r\nConnection: close\r\n"));
    bytes_release(&answer);
    assert_int_equal(atomic_load(&server.metrics.refused[REFUSE_PER_IP]), 5);
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 1);
    close(first);
    await(&server.metrics.closed[CLOSE_CLIENT], 1);
    for (int ms = 0; admission_connections(server.admission) > 0; ms++) {
        assert_true(ms < PATIENCE_MS);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 0);
    assert_asked("GET /hello HTTP/1.1\r\n" H CLOSE "\r\n", "HTTP/1.1 200 OK\r\n");
}

static int setup_rate(void **state) {
    (void)state;
    return start((struct admission_options){.accept_rate = 1});
}

static void too_many_in_a_second_are_told_503_but_health_is_told(void **state) {
    (void)state;
    int first = dial();
    await(&server.metrics.connections_open, 1);
    while (atomic_load(&server.metrics.refused[REFUSE_ACCEPT_RATE]) == 0) {
        struct bytes answer = ask("GET /hello HTTP/1.1\r\n" H CLOSE "\r\n");
        if (atomic_load(&server.metrics.refused[REFUSE_ACCEPT_RATE]) > 0) {
            assert_starts(answer.data, "HTTP/1.1 503 Service Unavailable\r\n");
            assert_non_null(strstr(answer.data, "\"code\":\"overloaded\""));
            assert_non_null(strstr(answer.data, "\r\nRetry-After: "));
        }
        bytes_release(&answer);
    }
    for (int i = 0; i < 20; i++) {
        struct bytes answer = ask("GET /health?fine HTTP/1.1\r\n" H CLOSE "\r\n");
        assert_starts(answer.data, "HTTP/1.1 200 OK\r\n");
        bytes_release(&answer);
    }
    assert_true(atomic_load(&server.metrics.refused[REFUSE_ACCEPT_RATE]) > 2);
    close(first);
}

// ---- What lasts ---------------------------------------------------------------------------------

static int setup_proxied(void **state) {
    (void)state;
    return start((struct admission_options){
        .per_ip_max = 1, .per_user_max = 2, .trusted_proxies = &proxies});
}

// Asks for what lasts, from that address for that user.
static int hold(const char *client, const char *user) {
    char request[256];
    snprintf(request, sizeof(request), "GET /hold?%s HTTP/1.1\r\n" H "X-Forwarded-For: %s\r\n\r\n",
             user, client);
    long long before = atomic_load(&server.metrics.requests);
    int fd = dial();
    say(fd, request);
    await(&server.metrics.requests, before + 1);
    return fd;
}

static void assert_turned_away(int fd, const char *words) {
    struct bytes answer = {0};
    assert_starts(hear(fd, &answer, "}"), "HTTP/1.1 429 Too Many Requests\r\n");
    assert_non_null(strstr(answer.data, words));
    assert_non_null(strstr(answer.data, "\"code\":\"too-many\""));
    bytes_release(&answer);
    close(fd);
}

static void behind_a_proxy_exchanges_count_for_their_clients(void **state) {
    (void)state;
    int first = hold("192.0.2.1", "");
    int second = hold("192.0.2.2", "");
    assert_turned_away(hold("192.0.2.1", ""), "This address");
    assert_turned_away(hold("203.0.113.1, 192.0.2.2", ""), "This address");
    assert_int_equal(atomic_load(&server.metrics.refused[REFUSE_PER_IP]), 2);
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 2);
    close(first);
    await_gone(1);
    int third = hold("192.0.2.1", "");
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 2);
    close(second);
    close(third);
    await_gone(3);
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 0);
}

static void users_count_wherever_they_come_from(void **state) {
    (void)state;
    int first = hold("192.0.2.1", "ann");
    int second = hold("192.0.2.2", "ann");
    int other = hold("192.0.2.3", "bob");
    assert_turned_away(hold("192.0.2.4", "ann"), "This user");
    assert_int_equal(atomic_load(&server.metrics.refused[REFUSE_PER_USER]), 1);
    assert_int_equal(atomic_load(&server.metrics.held_by_users), 2);
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 3); // the refused one's was undone
    close(first);
    await_gone(1);
    int third = hold("192.0.2.4", "ann");
    close(second);
    close(third);
    close(other);
    await_gone(4);
    assert_int_equal(atomic_load(&server.metrics.held_by_users), 0);
    assert_int_equal(atomic_load(&server.metrics.held_by_ips), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_last_that_is_no_proxy),
        cmocka_unit_test(a_list_as_long_as_can_be_is_read),
        cmocka_unit_test_setup_teardown(
            an_address_that_has_its_share_is_told_429_but_health_is_told, setup_per_ip,
            stop_server),
        cmocka_unit_test_setup_teardown(too_many_in_a_second_are_told_503_but_health_is_told,
                                        setup_rate, stop_server),
        cmocka_unit_test_setup_teardown(behind_a_proxy_exchanges_count_for_their_clients,
                                        setup_proxied, stop_server),
        cmocka_unit_test_setup_teardown(users_count_wherever_they_come_from, setup_proxied,
                                        stop_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
