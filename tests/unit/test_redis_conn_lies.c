// What one connection does when who answers at its address hangs up, or lies.
#include "redis_fixture.h"

#include "cluster/base/error.h"

// ---- a server that hangs up

// After dial `i`, counted from 0, the link waits between half of this and all of it.
static uint64_t step_ms(unsigned i) {
    return i < 4 ? 50u << i : 500;
}

// The gaps between seven dials. Upwards there is a second of room, because this machine may be busy.
static void record_gaps(uint64_t gaps_ms_r[static 6]) {
    struct fake fake = {.says = "", .hangs_up = true};
    struct link link = {0};
    fake_open(&fake);
    link_open(&link, REDIS_LINK_COMMAND, fake.url);
    RUN_UNTIL(fake.accepts == 7, 20000);
    for (unsigned i = 0; i < 6; i++) {
        gaps_ms_r[i] = fake.accepted_ms[i + 1] - fake.accepted_ms[i];
        assert_in_range(gaps_ms_r[i], step_ms(i) / 2 - 5, step_ms(i) + 1000);
    }
    assert_int_equal(link.ups, 0);
    assert_int_equal(link.downs, 0);
    link_release(&link);
    fake_close(&fake);
}

static void dials_back_off_with_jitter(void **state) {
    (void)state;
    uint64_t first_ms[6];
    uint64_t second_ms[6];
    record_gaps(first_ms);
    record_gaps(second_ms);
    assert_memory_not_equal(first_ms, second_ms, sizeof(first_ms));
}

static void a_link_that_never_stands_long_backs_off_too(void **state) {
    (void)state;
    struct fake fake = {.says = "", .answers_greeting = true, .hangs_up = true};
    struct link link = {0};
    fake_open(&fake);
    link_open(&link, REDIS_LINK_COMMAND, fake.url);
    RUN_UNTIL(link.downs == 6, 10000);
    assert_int_equal(link.ups, 6);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(fake.accepted_ms[i + 1] - fake.accepted_ms[i] >= step_ms(i) / 2 - 5);
    }
    link_release(&link);
    fake_close(&fake);
}

// ---- a server that lies

static size_t resident_kib(void) {
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * 4;
}

#define NESTED_10 "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"
#define NESTED_100                                                                                 \
    NESTED_10 NESTED_10 NESTED_10 NESTED_10 NESTED_10 NESTED_10 NESTED_10 NESTED_10 NESTED_10      \
        NESTED_10

static const struct {
    const char *says;
    const char *trouble;
} lies[] = {
    {"*536870912\r\n", "array over the limit"},
    {"*2147483647\r\n", "array over the limit"},
    {"$-5\r\n", "bulk string over the limit"},
    {"$536870912\r\n", "bulk string over the limit"},
    {NESTED_100, "arrays nested too deeply"},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", "not a RESP2 reply"},
    {"\x15\x03\x01", "not a RESP2 reply"},
    {"%2\r\n+a\r\n+b\r\n", "not a RESP2 reply"},
    {":12x\r\n", "not a number in a header"},
    {"+OK\n+OK\n", "line without CRLF"},
    {"-DENIED go away \x1b[31m\r\n", "DENIED go away ?[31m"},
};

enum { LIES = sizeof(lies) / sizeof(lies[0]) };

static void lies_instead_of_a_handshake_end_the_dial_and_cost_no_memory(void **state) {
    (void)state;
    size_t before_kib = resident_kib();
    for (size_t i = 0; i < LIES; i++) {
        struct fake fake = {.says = lies[i].says};
        struct link link = {0};
        fake_open(&fake);
        if (lies[i].says[0] == '-') {
            fake.hangs_up = true; // an error reply alone would be an answer to SETNAME
        }
        link_open(&link, REDIS_LINK_COMMAND, fake.url);
        RUN_UNTIL(fake.accepts >= 3, 5000); // it goes on dialling
        RUN_UNTIL(redis_conn_trouble(link.conn)[0] != '\0', 1000);
        assert_string_equal(redis_conn_trouble(link.conn), lies[i].trouble);
        assert_int_equal(link.ups, 0);
        link_release(&link);
        fake_close(&fake);
    }
    assert_true(resident_kib() < before_kib + (64 << 10));
}

// Redis answers an unknown command with its arguments, and AUTH may have been renamed.
static void an_answer_to_auth_does_not_bring_the_password_into_the_trouble(void **state) {
    (void)state;
    struct fake fake = {.says =
                            "-ERR unknown command 'AUTH', with args beginning with: 's3cret'\r\n"};
    struct link link = {0};
    char url[96];
    fake_open(&fake);
    snprintf(url, sizeof(url), "redis://:s3cret@127.0.0.1:%u", fake.port);
    link_open(&link, REDIS_LINK_COMMAND, url);
    RUN_UNTIL(redis_conn_trouble(link.conn)[0] != '\0', 5000);
    assert_string_equal(redis_conn_trouble(link.conn), "ERR unknown command 'AUTH'");
    link_release(&link);
    fake_close(&fake);
}

static void check_lie_while_up(enum redis_link kind, const char *says, const char *trouble,
                               int error) {
    struct fake fake = {.says = "", .answers_greeting = true};
    struct link link = {0};
    fake_open(&fake);
    link_open_up(&link, kind, fake.url);
    fake_say(&fake, says);
    RUN_UNTIL(link.downs == 1, 5000);
    assert_int_equal(link.down_error, error);
    assert_string_equal(redis_conn_trouble(link.conn), trouble);
    RUN_UNTIL(link.ups == 2, 5000);
    link_release(&link);
    fake_close(&fake);
}

static void lies_of_a_server_that_shook_hands_cut_the_link(void **state) {
    (void)state;
    for (size_t i = 0; i < LIES; i++) {
        int error = lies[i].says[0] == '-' ? E_REDIS : E_PROTOCOL;
        check_lie_while_up(REDIS_LINK_COMMAND, lies[i].says, lies[i].trouble, error);
        check_lie_while_up(REDIS_LINK_PUBSUB, lies[i].says, lies[i].trouble, error);
    }
    static const char push[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n";
    static const char ack[] = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    static const char odd[] = "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n";
    check_lie_while_up(REDIS_LINK_COMMAND, "+OK\r\n", "an answer to nothing", E_PROTOCOL);
    check_lie_while_up(REDIS_LINK_COMMAND, push, "an answer to nothing", E_PROTOCOL);
    check_lie_while_up(REDIS_LINK_PUBSUB, "+PONG\r\n", "an answer to nothing", E_PROTOCOL);
    check_lie_while_up(REDIS_LINK_PUBSUB, odd, "an answer to nothing", E_PROTOCOL);
    check_lie_while_up(REDIS_LINK_PUBSUB, ack, "an acknowledgement of nothing", E_PROTOCOL);
}

int main(void) {
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(dials_back_off_with_jitter),
        LOOP_TEST(a_link_that_never_stands_long_backs_off_too),
        LOOP_TEST(lies_instead_of_a_handshake_end_the_dial_and_cost_no_memory),
        LOOP_TEST(an_answer_to_auth_does_not_bring_the_password_into_the_trouble),
        LOOP_TEST(lies_of_a_server_that_shook_hands_cut_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
