// What one connection does when Redis dies, stops, loads or is not there. Who lies is in
// test_redis_conn_lies.c.
#include "redis_fixture.h"

#include "cluster/base/bytes.h"
#include "cluster/base/error.h"

#include <dlfcn.h>
#include <netdb.h>

static struct server redis; // started anew for each test that needs it

static int redis_setup(void **state) {
    server_prepare(&redis);
    server_run(&redis, NULL, NULL);
    return loop_setup(state);
}

static int redis_teardown(void **state) {
    int error = loop_teardown(state);
    redis_stop(state);
    return error;
}

// ---- Redis goes away

static void a_killed_client_is_back_at_once(void **state) {
    (void)state;
    struct link command = {0};
    struct link pubsub = {0};
    link_open_up(&command, REDIS_LINK_COMMAND, redis.tcp_url);
    link_open_up(&pubsub, REDIS_LINK_PUBSUB, redis.unix_url);
    assert_int_equal(send_line(&pubsub, "SUBSCRIBE a", NULL), 0);
    RUN_UNTIL(pubsub.pushes == 1, 5000);
    struct outcome waiting = {0};
    assert_int_equal(send_line(&command, "BLPOP nothing 0", &waiting), 0);
    RUN_UNTIL(server_info(&redis, "clients", "blocked_clients") == 1, 5000);
    uint64_t killed_ms = clock_mono_ms();
    assert_int_equal(control(&redis, "CLIENT KILL TYPE pubsub")->integer, 1);
    assert_int_equal(control(&redis, "CLIENT KILL TYPE normal SKIPME yes")->integer, 1);
    RUN_UNTIL(command.downs == 1 && pubsub.downs == 1, 5000);
    assert_int_equal(command.down_error, UV_EOF);
    assert_int_equal(waiting.calls, 1);
    assert_int_equal(waiting.status, E_UNKNOWN_OUTCOME);
    RUN_UNTIL(command.ups == 2 && pubsub.ups == 2, 5000);
    assert_true(clock_mono_ms() - killed_ms < 1500);
    check_answer(&command, "ECHO again", "again");
    check_answer(&pubsub, "PING", "PONG"); // a status: nobody is subscribed on the new link
    assert_int_equal(redis_conn_stats(command.conn).reconnects, 1);
    link_release(&command);
    link_release(&pubsub);
}

static void check_restart(const char *url) {
    struct link link = {0};
    char run_id[41];
    link_open_up(&link, REDIS_LINK_COMMAND, url);
    snprintf(run_id, sizeof(run_id), "%s", redis_conn_run_id(link.conn));
    server_kill(&redis);
    RUN_UNTIL(link.downs == 1, 5000);
    assert_string_equal(redis_conn_run_id(link.conn), "");
    RUN_UNTIL(strcmp(redis_conn_trouble(link.conn), "connection refused") == 0, 5000);
    server_run(&redis, NULL, NULL);
    RUN_UNTIL(link.ups == 2, 5000); // the longest backoff is half a second
    assert_int_equal(strlen(redis_conn_run_id(link.conn)), 40);
    assert_string_not_equal(redis_conn_run_id(link.conn), run_id);
    assert_string_equal(redis_conn_trouble(link.conn), "");
    check_answer(&link, "ECHO hello", "hello");
    assert_int_equal(link.downs, 1);
    link_release(&link);
}

static void a_link_finds_redis_again_after_kill_9_and_restart(void **state) {
    (void)state;
    check_restart(redis.tcp_url);
    check_restart(redis.unix_url);
}

static void a_link_waits_for_a_redis_that_is_not_there_yet(void **state) {
    (void)state;
    server_kill(&redis);
    struct link link = {0};
    link_open(&link, REDIS_LINK_COMMAND, redis.tcp_url);
    RUN_UNTIL(strcmp(redis_conn_trouble(link.conn), "connection refused") == 0, 5000);
    assert_int_equal(send_line(&link, "PING", NULL), E_UNAVAILABLE);
    server_run(&redis, NULL, NULL);
    RUN_UNTIL(link.ups == 1, 5000);
    assert_int_equal(link.downs, 0);
    assert_int_equal(redis_conn_stats(link.conn).reconnects, 0);
    link_release(&link);
}

// With keys that take 2 s to load, during which Redis answers INFO as if nothing was amiss.
static void a_redis_that_loads_is_not_up(void **state) {
    (void)state;
    control(&redis, "DEBUG POPULATE 2000");
    control(&redis, "SAVE");
    server_kill(&redis);
    server_run(&redis, "--key-load-delay", "1000");
    struct link link = {0};
    link_open(&link, REDIS_LINK_COMMAND, redis.unix_url);
    RUN_UNTIL(strncmp(redis_conn_trouble(link.conn), "LOADING", 7) == 0, 5000);
    assert_int_equal(link.ups, 0);
    RUN_UNTIL(link.ups == 1, 15000);
    assert_int_equal(link.downs, 0);
    struct outcome size = {0};
    assert_int_equal(send_line(&link, "DBSIZE", &size), 0);
    RUN_UNTIL(size.calls == 1, 5000);
    assert_int_equal(size.type, REDIS_REPLY_INTEGER);
    link_release(&link);
}

// ---- a name with several addresses

// libuv calls this one instead of libc's: several.test stands for three addresses, and Redis
// listens on the last of them alone. Nothing else on this machine has such a name.
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **addresses_r) {
    union {
        void *object;
        int (*call)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    } libc = {dlsym(RTLD_NEXT, "getaddrinfo")};
    if (strcmp(host, "several.test") != 0) {
        return libc.call(host, port, hints, addresses_r);
    }
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", "127.0.0.1"};
    for (size_t i = 0; i < 3; i++) {
        int error = libc.call(hosts[i], port, hints, addresses_r);
        if (error != 0) {
            return error;
        }
        addresses_r = &(*addresses_r)->ai_next;
    }
    return 0;
}

static void every_address_of_a_name_is_tried(void **state) {
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "redis://several.test:%u", redis.port);
    struct link link = {0};
    link_open(&link, REDIS_LINK_COMMAND, url);
    while (link.ups == 0) {
        assert_string_equal(redis_conn_trouble(link.conn), ""); // the first dial succeeds
        uv_run(&loop, UV_RUN_ONCE);
    }
    server_kill(&redis);
    RUN_UNTIL(link.downs == 1, 5000);
    RUN_UNTIL(strcmp(redis_conn_trouble(link.conn), "connection refused") == 0, 5000);
    server_run(&redis, NULL, NULL);
    RUN_UNTIL(link.ups == 2, 5000);
    link_release(&link);
}

// A listener that accepts nothing: once its queue is full the kernel drops every further SYN.
static void swallow_connections(const char *host, unsigned port, int fds_r[static 4]) {
    struct sockaddr_in address;
    uv_ip4_addr(host, (int)port, &address);
    const struct sockaddr *generic = (const struct sockaddr *)&address;
    for (int i = 0; i < 4; i++) {
        fds_r[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (i == 0) {
            assert_int_equal(bind(fds_r[0], generic, sizeof(address)), 0);
            assert_int_equal(listen(fds_r[0], 0), 0);
        } else {
            connect(fds_r[i], generic, sizeof(address)); // those that find no room hang
        }
    }
}

static void an_address_that_swallows_packets_costs_one_dial(void **state) {
    (void)state;
    int fds[4];
    swallow_connections("127.0.0.2", redis.port, fds);
    char url[64];
    snprintf(url, sizeof(url), "redis://several.test:%u", redis.port);
    struct link link = {0};
    uint64_t start_ms = clock_mono_ms();
    link_open(&link, REDIS_LINK_COMMAND, url);
    RUN_UNTIL(redis_conn_trouble(link.conn)[0] != '\0', 5000);
    assert_string_equal(redis_conn_trouble(link.conn), "no connection in 2 s");
    assert_in_range(clock_mono_ms() - start_ms, 2000, 3500);
    RUN_UNTIL(link.ups == 1, 1500); // before a second dial could have timed out
    link_release(&link);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

// ---- Redis stops: the kernel still accepts connections in its name

static void a_stopped_redis_fails_the_handshake_in_two_seconds(void **state) {
    (void)state;
    kill(redis.pid, SIGSTOP);
    struct link link = {0};
    uint64_t start_ms = clock_mono_ms();
    link_open(&link, REDIS_LINK_COMMAND, redis.tcp_url);
    RUN_UNTIL(redis_conn_trouble(link.conn)[0] != '\0', 5000);
    assert_string_equal(redis_conn_trouble(link.conn),
                        "connected, but no answer to the handshake in 2 s");
    assert_in_range(clock_mono_ms() - start_ms, 2000, 3500);
    kill(redis.pid, SIGCONT);
    RUN_UNTIL(link.ups == 1, 5000);
    assert_int_equal(link.downs, 0);
    link_release(&link);
}

static void a_command_unanswered_for_three_seconds_cuts_the_link(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    kill(redis.pid, SIGSTOP);
    struct outcome outcome = {0};
    uint64_t start_ms = clock_mono_ms();
    assert_int_equal(send_line(&link, "PING", &outcome), 0);
    RUN_UNTIL(link.downs == 1, 6000);
    assert_in_range(clock_mono_ms() - start_ms, 3000, 4500);
    assert_int_equal(link.down_error, UV_ETIMEDOUT);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.status, E_UNKNOWN_OUTCOME);
    kill(redis.pid, SIGCONT);
    RUN_UNTIL(link.ups == 2, 5000);
    link_release(&link);
}

static void a_subscribe_unacknowledged_for_three_seconds_cuts_the_link(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_PUBSUB, redis.unix_url);
    kill(redis.pid, SIGSTOP);
    struct outcome outcome = {0};
    assert_int_equal(send_line(&link, "SUBSCRIBE a b", &outcome), 0);
    RUN_UNTIL(link.downs == 1, 6000);
    assert_int_equal(link.down_error, UV_ETIMEDOUT);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.status, E_UNKNOWN_OUTCOME);
    assert_int_equal(link.pushes, 0);
    kill(redis.pid, SIGCONT);
    link_release(&link);
}

// Redis answers what one read brought in together, so each sleep gets a read of its own by a word
// that is longer than what Redis reads at once (16 KiB).
static void a_slow_redis_that_goes_on_answering_is_not_cut(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    static char word[32 << 10];
    memset(word, 'w', sizeof(word));
    struct slice echo[] = {SLICE("ECHO"), slice_make(word, sizeof(word))};
    struct outcome outcome = {0};
    struct redis_reply_handler handler = {on_outcome, &outcome};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(send_line(&link, "DEBUG SLEEP 0.7", &outcome), 0);
        assert_int_equal(redis_conn_command(link.conn, 2, echo, handler), 0);
    }
    RUN_UNTIL(outcome.calls == 12, 10000); // after 4.2 s
    assert_int_equal(outcome.status, 0);
    assert_int_equal(link.downs, 0);
    link_release(&link);
}

static void time_in_which_we_stood_still_is_not_held_against_redis(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.unix_url);
    struct outcome outcome = {0};
    assert_int_equal(send_line(&link, "ECHO hello", &outcome), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    usleep(3500 * 1000); // what is tested, not a wait: this loop is stopped
    RUN_UNTIL(outcome.calls == 1, 5000);
    assert_int_equal(outcome.status, 0);
    assert_int_equal(link.downs, 0);
    link_release(&link);
}

// A stopped Redis takes what fits into the socket; libuv holds the rest of the first write, so all
// that is given after it was handed to nobody.
static void what_waits_behind_an_unfinished_write_is_unavailable(void **state) {
    (void)state;
    struct link link = {0};
    link_open_up(&link, REDIS_LINK_COMMAND, redis.tcp_url);
    kill(redis.pid, SIGSTOP);
    struct bytes block = {0};
    size_t len = 16 << 20;
    memset(bytes_reserve(&block, len), 'v', len);
    block.len = len;
    struct outcome large = {0};
    struct outcome small = {0};
    struct slice words[] = {SLICE("ECHO"), bytes_slice(&block)};
    struct redis_reply_handler handler = {on_outcome, &large};
    assert_int_equal(redis_conn_command(link.conn, 2, words, handler), 0);
    bytes_release(&block);
    uv_run(&loop, UV_RUN_NOWAIT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_line(&link, "PING", &small), 0);
        uv_run(&loop, UV_RUN_ONCE);
    }
    redis_conn_cut(link.conn, E_UNPROVEN, "the test says so");
    assert_int_equal(large.calls, 1);
    assert_int_equal(large.status, E_UNKNOWN_OUTCOME);
    assert_int_equal(small.calls, 3);
    assert_int_equal(small.status, E_UNAVAILABLE);
    kill(redis.pid, SIGCONT);
    link_release(&link);
}

int main(void) {
#define REDIS_TEST(name) cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
    const struct CMUnitTest tests[] = {
        REDIS_TEST(a_killed_client_is_back_at_once),
        REDIS_TEST(a_link_finds_redis_again_after_kill_9_and_restart),
        REDIS_TEST(a_link_waits_for_a_redis_that_is_not_there_yet),
        REDIS_TEST(a_redis_that_loads_is_not_up),
        REDIS_TEST(every_address_of_a_name_is_tried),
        REDIS_TEST(an_address_that_swallows_packets_costs_one_dial),
        REDIS_TEST(a_stopped_redis_fails_the_handshake_in_two_seconds),
        REDIS_TEST(a_command_unanswered_for_three_seconds_cuts_the_link),
        REDIS_TEST(a_subscribe_unacknowledged_for_three_seconds_cuts_the_link),
        REDIS_TEST(a_slow_redis_that_goes_on_answering_is_not_cut),
        REDIS_TEST(time_in_which_we_stood_still_is_not_held_against_redis),
        REDIS_TEST(what_waits_behind_an_unfinished_write_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
