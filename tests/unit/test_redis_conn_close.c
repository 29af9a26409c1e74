// One connection to a real Redis is cut or closed: in every phase and every callback, each command
// is completed once.
#include "redis_fixture.h"

#include "cluster/base/error.h"

static void what_was_not_handed_to_the_socket_is_unavailable_and_the_rest_unknown(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct outcome sent = {0};
    struct outcome unsent = {0};
    assert_int_equal(send_line(&link, "BLPOP nothing 0", &sent), 0);
    RUN_UNTIL(server_info(&redis, "clients", "blocked_clients") == 1, 5000);
    assert_int_equal(send_line(&link, "PING", &unsent), 0);
    redis_conn_cut(link.conn, E_UNPROVEN, "the test says so");
    assert_int_equal(sent.calls, 1);
    assert_int_equal(sent.status, E_UNKNOWN_OUTCOME);
    assert_int_equal(unsent.calls, 1);
    assert_int_equal(unsent.status, E_UNAVAILABLE);
    assert_int_equal(link.downs, 1);
    assert_int_equal(link.down_error, E_UNPROVEN);
    assert_string_equal(redis_conn_trouble(link.conn), "the test says so");
    assert_string_equal(redis_conn_run_id(link.conn), "");
    redis_conn_cut(link.conn, E_UNPROVEN, "again"); // nothing to cut: no event
    assert_int_equal(link.downs, 1);
    uint64_t cut_ms = clock_mono_ms();
    RUN_UNTIL(link.ups == 2, 5000);
    assert_true(clock_mono_ms() - cut_ms < 1500);
    check_answer(&link, "ECHO again", "again");
    assert_int_equal(redis_conn_stats(link.conn).reconnects, 1);
    link_release(&link);
}

static void closing_completes_each_waiting_command_once(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct outcome sent = {0};
    struct outcome unsent = {0};
    for (int i = 0; i < 500; i++) {
        assert_int_equal(send_line(&link, "BLPOP nothing 0", &sent), 0);
    }
    RUN_UNTIL(server_info(&redis, "clients", "blocked_clients") == 1, 5000);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(send_line(&link, "PING", &unsent), 0);
    }
    redis_conn_close(&link.conn);
    assert_null(link.conn);
    assert_int_equal(sent.calls, 500);
    assert_int_equal(sent.status, E_UNKNOWN_OUTCOME);
    assert_int_equal(unsent.calls, 500);
    assert_int_equal(unsent.status, E_UNAVAILABLE);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(sent.calls + unsent.calls, 1000);
    assert_int_equal(link.downs, 0);
    link_release(&link);
}

static void a_link_may_be_closed_in_any_phase_of_its_dial(void **state) {
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "redis://localhost:%u", redis.port);
    const char *const urls[] = {url, redis.tcp_url, redis.unix_url, "unix:/nonexistent"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        for (int turns = 0; turns < 12; turns++) {
            struct link link = {0};
            link_open(&link, REDIS_LINK_COMMAND, urls[i]);
            for (int turn = 0; turn < turns; turn++) {
                uv_run(&loop, UV_RUN_NOWAIT);
            }
            link_release(&link);
        }
    }
}

static void close_link(struct link *link) {
    redis_conn_close(&link->conn);
}

static void cut_link(struct link *link) {
    redis_conn_cut(link->conn, E_UNPROVEN, "cut in a callback");
}

static void on_reply_close(void *owner, int status, const redisReply *reply) {
    struct link *link = owner;
    if (link->conn != NULL) {
        close_link(link);
        assert_int_equal(status, 0);
        assert_string_equal(reply->str, "PONG"); // still there after the close
    }
}

static void on_reply_cut(void *owner, int status, const redisReply *reply) {
    struct link *link = owner;
    struct outcome never = {0};
    cut_link(link);
    assert_int_equal(send_line(link, "PING", &never), E_UNAVAILABLE);
    assert_true(status != 0 || reply->str != NULL);
    assert_int_equal(never.calls, 0);
}

static void a_link_may_be_closed_in_every_callback(void **state) {
    (void)state;
    struct link at_up = {.on_up = close_link};
    link_open(&at_up, REDIS_LINK_COMMAND, redis.unix_url);
    RUN_UNTIL(at_up.ups == 1, 5000);
    link_release(&at_up);

    struct link at_down = {.on_down = NULL};
    link_open_up(&at_down, REDIS_LINK_COMMAND, redis.unix_url);
    at_down.on_down = close_link;
    cut_link(&at_down);
    assert_int_equal(at_down.downs, 1);
    link_release(&at_down);

    struct link at_push = {.on_push = close_link};
    struct outcome acknowledged = {0};
    link_open_up(&at_push, REDIS_LINK_PUBSUB, redis.unix_url);
    assert_int_equal(send_line(&at_push, "SUBSCRIBE a b", &acknowledged), 0);
    RUN_UNTIL(at_push.pushes == 1, 5000);
    assert_int_equal(acknowledged.calls, 1);
    assert_int_equal(acknowledged.status, E_UNKNOWN_OUTCOME);
    link_release(&at_push);

    struct link at_reply = {0};
    struct outcome rest = {0};
    struct redis_reply_handler handler = {on_reply_close, &at_reply};
    struct slice ping = SLICE("PING");
    link_open_up(&at_reply, REDIS_LINK_COMMAND, redis.unix_url);
    assert_int_equal(redis_conn_command(at_reply.conn, 1, &ping, handler), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(send_line(&at_reply, "PING", &rest), 0);
    }
    RUN_UNTIL(at_reply.conn == NULL, 5000);
    assert_int_equal(rest.calls, 100);
    assert_int_equal(rest.status, E_UNKNOWN_OUTCOME);
    link_release(&at_reply);
}

static void a_link_may_be_cut_in_every_callback(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct outcome rest = {0};
    struct redis_reply_handler handler = {on_reply_cut, &link};
    struct slice ping = SLICE("PING");
    for (int i = 0; i < 10; i++) { // the first cuts, the others are told so and try it again
        assert_int_equal(redis_conn_command(link.conn, 1, &ping, handler), 0);
        assert_int_equal(send_line(&link, "PING", &rest), 0);
    }
    RUN_UNTIL(link.downs == 1, 5000);
    assert_int_equal(rest.calls, 10);
    assert_int_equal(rest.status, E_UNKNOWN_OUTCOME);
    link.on_down = cut_link; // nothing to cut any more
    RUN_UNTIL(link.ups == 2, 5000);
    link.on_up = cut_link;
    cut_link(&link);
    RUN_UNTIL(link.ups == 4, 5000);
    assert_int_equal(link.downs, 4);
    link_release(&link);
}

int main(void) {
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(what_was_not_handed_to_the_socket_is_unavailable_and_the_rest_unknown),
        LOOP_TEST(closing_completes_each_waiting_command_once),
        LOOP_TEST(a_link_may_be_closed_in_any_phase_of_its_dial),
        LOOP_TEST(a_link_may_be_closed_in_every_callback),
        LOOP_TEST(a_link_may_be_cut_in_every_callback),
    };
    return cmocka_run_group_tests(tests, redis_start, redis_stop);
}
