// One connection to a real Redis: the handshake, commands, pub/sub, bounds. How it is closed is in
// test_redis_conn_close.c, what happens when Redis fails or lies in test_redis_conn_faults.c.
#include "redis_fixture.h"

#include "cluster/base/bytes.h"
#include "cluster/base/error.h"

// ---- the handshake

static void check_link_over(const char *url) {
    struct link link = {0};
    link_open(&link, REDIS_LINK_COMMAND, url);
    assert_false(redis_conn_is_up(link.conn));
    assert_int_equal(link.ups, 0); // nothing is called from within open
    RUN_UNTIL(link.ups == 1, 5000);
    assert_true(redis_conn_is_up(link.conn));
    assert_string_equal(redis_conn_trouble(link.conn), "");
    redisReply *info = control(&redis, "INFO server");
    assert_int_equal(strlen(redis_conn_run_id(link.conn)), 40);
    assert_non_null(strstr(info->str, redis_conn_run_id(link.conn)));
    assert_non_null(strstr(control(&redis, "CLIENT LIST")->str, "name=freshet-test"));
    check_answer(&link, "ECHO hello", "hello");
    assert_int_equal(redis_conn_stats(link.conn).commands, 1);
    assert_int_equal(redis_conn_stats(link.conn).reconnects, 0);
    assert_int_equal(link.downs, 0);
    link_release(&link);
    assert_int_equal(link.downs, 0);
}

static void a_link_comes_up_over_tcp_a_name_and_a_unix_socket(void **state) {
    (void)state;
    char url[64];
    check_link_over(redis.tcp_url);
    check_link_over(redis.unix_url);
    // Redis listens on 127.0.0.1 alone; where the name also stands for ::1 that one is tried first.
    snprintf(url, sizeof(url), "redis://localhost:%u", redis.port);
    check_link_over(url);
}

static void a_user_with_the_right_password_comes_up(void **state) {
    (void)state;
    control(&redis, "ACL SETUSER me on >p%%40ss ~* &* +@all");
    char url[128];
    snprintf(url, sizeof(url), "redis://me:p%%2540ss@127.0.0.1:%u", redis.port);
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, url);
    check_answer(&link, "ACL WHOAMI", "me");
    link_release(&link);
}

static void check_refused_dial(const char *url, const char *trouble) {
    struct link link = {0};
    link_open(&link, REDIS_LINK_COMMAND, url);
    RUN_UNTIL(strncmp(redis_conn_trouble(link.conn), trouble, strlen(trouble)) == 0, 5000);
    uint64_t later_ms = clock_mono_ms() + 300; // some more dials, which all say the same
    while (clock_mono_ms() < later_ms) {
        uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(strncmp(redis_conn_trouble(link.conn), trouble, strlen(trouble)), 0);
    }
    assert_null(strstr(redis_conn_trouble(link.conn), "s3cret"));
    assert_int_equal(link.ups, 0);
    assert_int_equal(link.downs, 0);
    struct outcome outcome = {0};
    assert_int_equal(send_line(&link, "PING", &outcome), E_UNAVAILABLE);
    link_release(&link);
    assert_int_equal(outcome.calls, 0);
}

static void a_refused_handshake_is_told_and_never_up(void **state) {
    (void)state;
    char url[128];
    snprintf(url, sizeof(url), "redis://nobody:s3cret@127.0.0.1:%u", redis.port);
    check_refused_dial(url, "WRONGPASS");
    snprintf(url, sizeof(url), "redis://:s3cret@127.0.0.1:%u", redis.port);
    check_refused_dial(url, "ERR AUTH");
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u/99999", redis.port);
    check_refused_dial(url, "ERR DB index");
    control(&redis, "CONFIG SET requirepass other");
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", redis.port);
    check_refused_dial(url, "NOAUTH");
    snprintf(url, sizeof(url), "redis://:s3cret@127.0.0.1:%u", redis.port);
    check_refused_dial(url, "WRONGPASS");
    snprintf(url, sizeof(url), "redis://:other@127.0.0.1:%u", redis.port);
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, url);
    link_release(&link);
    control(&redis, "CONFIG SET requirepass %s", "");
}

static void a_user_without_the_rights_of_the_handshake_comes_up_without_run_id(void **state) {
    (void)state;
    control(&redis, "ACL SETUSER poor on >pw ~* &* -@all +echo");
    char url[128];
    snprintf(url, sizeof(url), "redis://poor:pw@127.0.0.1:%u", redis.port);
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, url);
    assert_string_equal(redis_conn_run_id(link.conn), "");
    check_answer(&link, "ECHO rich", "rich");
    link_release(&link);
}

static void the_database_of_the_address_is_selected(void **state) {
    (void)state;
    char url[128];
    snprintf(url, sizeof(url), "%s?db=3", redis.unix_url);
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, url);
    check_answer(&link, "SET where three", "OK");
    control(&redis, "SELECT 3");
    assert_string_equal(control(&redis, "GET where")->str, "three");
    control(&redis, "SELECT 0");
    link_release(&link);
}

static void max_clients_is_told_in_redis_own_words(void **state) {
    (void)state;
    redisReply *old = control(&redis, "CONFIG GET maxclients");
    char before[16];
    snprintf(before, sizeof(before), "%s", old->element[1]->str);
    control(&redis, "CONFIG SET maxclients 1");
    check_refused_dial(redis.unix_url, "ERR max number of clients");
    control(&redis, "CONFIG SET maxclients %s", before);
}

// ---- commands

enum { MANY = 10000 };

static int next_expected;

static void on_numbered(void *owner, int status, const redisReply *reply) {
    char digits[16];
    snprintf(digits, sizeof(digits), "%d", next_expected++);
    assert_int_equal(status, 0);
    assert_string_equal(reply->str, digits);
    (void)owner;
}

static void send_numbered(struct link *link, int number) {
    char digits[16];
    snprintf(digits, sizeof(digits), "%d", number);
    struct slice words[] = {SLICE("ECHO"), slice_of(digits)};
    struct redis_reply_handler handler = {on_numbered, NULL};
    assert_int_equal(redis_conn_command(link->conn, 2, words, handler), 0);
}

static void ten_thousand_commands_are_answered_in_order(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.tcp_url);
    next_expected = 0;
    for (int i = 0; i < MANY; i++) {
        send_numbered(&link, i);
    }
    assert_int_equal(next_expected, 0); // nothing is called from within
    assert_int_equal(redis_conn_stats(link.conn).waiting, MANY);
    RUN_UNTIL(next_expected == MANY, 10000);
    assert_int_equal(redis_conn_stats(link.conn).waiting, 0);
    assert_int_equal(redis_conn_stats(link.conn).commands, MANY);
    link_release(&link);
}

static void commands_of_one_loop_turn_leave_in_one_write(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    long long before = server_info(&redis, "stats", "total_reads_processed");
    next_expected = 0;
    for (int i = 0; i < 100; i++) {
        send_numbered(&link, i);
    }
    RUN_UNTIL(next_expected == 100, 5000);
    long long after = server_info(&redis, "stats", "total_reads_processed");
    assert_int_equal(after - before, 2); // ours, and the second INFO
    link_release(&link);
}

static void commands_given_while_a_write_is_under_way_follow_it(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct bytes value = {0};
    size_t len = 6 << 20; // more than a socket's buffer takes at once
    memset(bytes_reserve(&value, len), 'v', len);
    value.len = len;
    struct outcome set = {0};
    struct outcome length = {0};
    struct slice words[] = {SLICE("SET"), SLICE("large"), bytes_slice(&value)};
    struct redis_reply_handler handler = {on_outcome, &set};
    assert_int_equal(redis_conn_command(link.conn, 3, words, handler), 0);
    bytes_release(&value); // the words were copied
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(send_line(&link, "STRLEN large", NULL), 0);
    assert_int_equal(send_line(&link, "GETRANGE large 6291450 -1", &length), 0);
    RUN_UNTIL(length.calls == 1, 10000);
    assert_int_equal(set.calls, 1);
    assert_string_equal(set.text, "OK");
    assert_string_equal(length.text, "vvvvvv");
    struct outcome get = {0};
    assert_int_equal(send_line(&link, "GET large", &get), 0);
    RUN_UNTIL(get.calls == 1, 10000);
    assert_int_equal(get.type, REDIS_REPLY_STRING);
    control(&redis, "DEL large");
    link_release(&link);
}

static void an_error_reply_is_an_answer(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct outcome outcome = {0};
    assert_int_equal(send_line(&link, "NOSUCHCOMMAND", &outcome), 0);
    RUN_UNTIL(outcome.calls == 1, 5000);
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.type, REDIS_REPLY_ERROR);
    check_answer(&link, "ECHO still-up", "still-up");
    assert_int_equal(link.downs, 0);
    link_release(&link);
}

static void commands_beyond_the_bounds_are_refused(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct outcome outcome = {0};
    int accepted = 0;
    while (send_line(&link, "PING", NULL) == 0) {
        accepted++;
    }
    assert_int_equal(accepted, 65536);
    assert_int_equal(send_line(&link, "PING", &outcome), E_OVERLOADED);
    RUN_UNTIL(redis_conn_stats(link.conn).waiting == 0, 10000);
    assert_int_equal(outcome.calls, 0);

    struct bytes block = {0};
    memset(bytes_reserve(&block, 1 << 20), 'v', 1 << 20);
    block.len = 1 << 20;
    struct slice words[] = {SLICE("ECHO"), bytes_slice(&block)};
    struct redis_reply_handler handler = {on_outcome, &outcome};
    accepted = 0;
    while (redis_conn_command(link.conn, 2, words, handler) == 0) {
        accepted++;
    }
    assert_int_equal(accepted, 63); // 64 with their headers are more than 64 MiB
    RUN_UNTIL(redis_conn_stats(link.conn).waiting == 0, 10000);
    assert_int_equal(outcome.calls, 63);
    assert_int_equal(link.downs, 0);
    bytes_release(&block);
    link_release(&link);
}

static void count_active_timers(uv_handle_t *handle, void *count) {
    *(int *)count += handle->type == UV_TIMER && uv_is_active(handle) ? 1 : 0;
}

static int active_timers(void) {
    int count = 0;
    uv_walk(&loop, count_active_timers, &count);
    return count - 1; // the ticker
}

static void an_idle_link_needs_no_timer(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    RUN_UNTIL(active_timers() == 0, 1000);
    assert_int_equal(send_line(&link, "PING", NULL), 0);
    assert_int_equal(active_timers(), 1);
    RUN_UNTIL(active_timers() == 0, 1000);
    link_release(&link);
}

// ---- pub/sub

static void pushes_and_acknowledgements_reach_on_push(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_PUBSUB, redis.tcp_url);
    struct outcome subscribed = {0};
    assert_int_equal(send_line(&link, "SUBSCRIBE a b c", &subscribed), 0);
    RUN_UNTIL(link.pushes == 3, 5000);
    assert_int_equal(subscribed.calls, 1);
    assert_int_equal(subscribed.type, REDIS_REPLY_ARRAY);
    assert_string_equal(link.push[0], "subscribe");
    assert_string_equal(link.push[1], "c");
    assert_string_equal(link.push[2], "3");
    assert_int_equal(redis_conn_stats(link.conn).waiting, 0);
    assert_int_equal(control(&redis, "PUBLISH b hello")->integer, 1);
    RUN_UNTIL(link.pushes == 4, 5000);
    assert_string_equal(link.push[0], "message");
    assert_string_equal(link.push[1], "b");
    assert_string_equal(link.push[2], "hello");
    assert_int_equal(send_line(&link, "unsubscribe b", NULL), 0);
    RUN_UNTIL(link.pushes == 5, 5000);
    assert_string_equal(link.push[0], "unsubscribe");
    assert_int_equal(control(&redis, "PUBLISH b nobody")->integer, 0);
    link_release(&link);
}

static void sharded_channels_work_the_same(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_PUBSUB, redis.unix_url);
    assert_int_equal(send_line(&link, "SSUBSCRIBE {a}1 {a}2", NULL), 0);
    RUN_UNTIL(link.pushes == 2, 5000);
    assert_string_equal(link.push[0], "ssubscribe");
    control(&redis, "SPUBLISH {a}2 hello");
    RUN_UNTIL(link.pushes == 3, 5000);
    assert_string_equal(link.push[0], "smessage");
    assert_int_equal(send_line(&link, "SUNSUBSCRIBE {a}1 {a}2", NULL), 0);
    RUN_UNTIL(link.pushes == 5, 5000);
    assert_int_equal(redis_conn_stats(link.conn).waiting, 0);
    link_release(&link);
}

static void ping_is_answered_before_and_while_subscribed(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_PUBSUB, redis.unix_url);
    check_answer(&link, "PING", "PONG");
    struct outcome pong = {0};
    assert_int_equal(send_line(&link, "SUBSCRIBE a b", NULL), 0);
    assert_int_equal(send_line(&link, "PING", &pong), 0);
    assert_int_equal(send_line(&link, "SUBSCRIBE c", NULL), 0);
    RUN_UNTIL(link.pushes == 3, 5000);
    assert_int_equal(pong.calls, 1);
    assert_int_equal(pong.status, 0);
    assert_int_equal(pong.type, REDIS_REPLY_ARRAY);
    assert_int_equal(pong.elements, 2);
    link_release(&link);
}

static void a_refused_subscribe_is_told_to_its_handler_or_cuts_the_link(void **state) {
    (void)state;
    control(&redis, "ACL SETUSER deaf on >pw ~* resetchannels &ok* +@all");
    char url[128];
    snprintf(url, sizeof(url), "redis://deaf:pw@127.0.0.1:%u", redis.port);
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_PUBSUB, url);
    struct outcome refused = {0};
    struct outcome accepted = {0};
    assert_int_equal(send_line(&link, "SUBSCRIBE ok1 no", &refused), 0);
    assert_int_equal(send_line(&link, "SUBSCRIBE ok2", &accepted), 0);
    RUN_UNTIL(accepted.calls == 1, 5000);
    assert_int_equal(refused.calls, 1);
    assert_int_equal(refused.type, REDIS_REPLY_ERROR);
    assert_int_equal(strncmp(refused.text, "NOPERM", 6), 0);
    assert_int_equal(link.pushes, 1);
    assert_int_equal(link.downs, 0);
    assert_int_equal(send_line(&link, "SUBSCRIBE no", NULL), 0);
    RUN_UNTIL(link.downs == 1, 5000);
    assert_int_equal(link.down_error, E_REDIS);
    assert_int_equal(strncmp(redis_conn_trouble(link.conn), "NOPERM", 6), 0);
    RUN_UNTIL(link.ups == 2, 5000);
    link_release(&link);
}

int main(void) {
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_link_comes_up_over_tcp_a_name_and_a_unix_socket),
        LOOP_TEST(a_user_with_the_right_password_comes_up),
        LOOP_TEST(a_refused_handshake_is_told_and_never_up),
        LOOP_TEST(a_user_without_the_rights_of_the_handshake_comes_up_without_run_id),
        LOOP_TEST(the_database_of_the_address_is_selected),
        LOOP_TEST(max_clients_is_told_in_redis_own_words),
        LOOP_TEST(ten_thousand_commands_are_answered_in_order),
        LOOP_TEST(commands_of_one_loop_turn_leave_in_one_write),
        LOOP_TEST(commands_given_while_a_write_is_under_way_follow_it),
        LOOP_TEST(an_error_reply_is_an_answer),
        LOOP_TEST(commands_beyond_the_bounds_are_refused),
        LOOP_TEST(an_idle_link_needs_no_timer),
        LOOP_TEST(pushes_and_acknowledgements_reach_on_push),
        LOOP_TEST(sharded_channels_work_the_same),
        LOOP_TEST(ping_is_answered_before_and_while_subscribed),
        LOOP_TEST(a_refused_subscribe_is_told_to_its_handler_or_cuts_the_link),
    };
    return cmocka_run_group_tests(tests, redis_start, redis_stop);
}
