// Admission without a socket: networks, the bucket, the counts by client, and what they come to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "node/config_option.h"
#include "node/net/admission.h"
#include "node/net/bucket.h"
#include "node/net/quota.h"

#define SECOND UINT64_C(1000000)

static struct address address(const char *text) {
    struct address address;
    assert_int_equal(address_parse(slice_of(text), &address), 0);
    return address;
}

static struct network network(const char *text) {
    struct network network;
    assert_int_equal(network_parse(slice_of(text), &network), 0);
    return network;
}

// ---- Networks -----------------------------------------------------------------------------------

static void networks_are_read_and_shown(void **state) {
    (void)state;
    static const char *const CASES[][2] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"127.0.0.1", "127.0.0.1/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"192.0.2.129/25", "192.0.2.128/25"},
        {"fd00::/8", "fd00::/8"},
        {"2001:db8::ff", "2001:db8::ff/128"},
        {"2001:DB8:0:1::1/63", "2001:db8::/63"},
        {"::/0", "::/0"},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
        {"::1", "::1/128"},
        {"255.255.255.255/31", "255.255.255.254/31"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct network read = network(CASES[i][0]);
        struct bytes bytes = {0};
        network_append(&bytes, &read);
        bytes_append_char(&bytes, '\0');
        assert_string_equal(bytes.data, CASES[i][1]);
        bytes_release(&bytes);
    }
}

static void what_is_no_network_is_refused(void **state) {
    (void)state;
    static const char *const CASES[] = {"",
                                        "/",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/-1",
                                        "10.0.0/8",
                                        "10.0.0.0/8/8",
                                        "::/129",
                                        "fe80::1%lo",
                                        "localhost",
                                        "010.0.0.1",
                                        "10.0.0.0/8 ",
                                        "1.2.3.4.5",
                                        ":::",
                                        "10.0.0.0/ 8",
                                        "[::1]",
                                        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct network read;
        if (network_parse(slice_of(CASES[i]), &read) == 0) {
            fail_msg("\"%s\" was taken for a network", CASES[i]);
        }
    }
    struct address read;
    assert_true(address_parse(slice_make("10.0.0.1\0", 9), &read) < 0);
}

static void networks_hold_their_addresses(void **state) {
    (void)state;
    static const struct {
        const char *network;
        const char *address;
        bool is_in;
    } CASES[] = {{"10.0.0.0/8", "10.255.255.255", true},
                 {"10.0.0.0/8", "11.0.0.0", false},
                 {"10.0.0.0/8", "::ffff:10.1.1.1", true},
                 {"10.0.0.0/9", "10.128.0.0", false},
                 {"10.0.0.0/9", "10.127.0.0", true},
                 {"192.0.2.7", "192.0.2.7", true},
                 {"192.0.2.7", "192.0.2.6", false},
                 {"0.0.0.0/0", "203.0.113.1", true},
                 {"0.0.0.0/0", "2001:db8::1", false},
                 {"::/0", "2001:db8::1", true},
                 {"::/0", "203.0.113.1", false},
                 {"fd00::/8", "fdff::1", true},
                 {"fd00::/8", "fe00::1", false},
                 {"2001:db8::/63", "2001:db8:0:1::", true},
                 {"2001:db8::/64", "2001:db8:0:1::", false}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct network one = network(CASES[i].network);
        struct address asked = address(CASES[i].address);
        struct network_list list = {&one, 1};
        if (network_list_holds(&list, &asked) != CASES[i].is_in) {
            fail_msg("%s in %s", CASES[i].address, CASES[i].network);
        }
    }
    struct network both[] = {network("10.0.0.0/8"), network("fd00::/8")};
    struct address asked = address("fd12::1");
    assert_true(network_list_holds(&(struct network_list){both, 2}, &asked));
    assert_false(network_list_holds(&(struct network_list){NULL, 0}, &asked));
}

static void sockets_addresses_are_the_same_in_both_families(void **state) {
    (void)state;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_storage none = {.ss_family = AF_UNIX};
    assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &v6.sin6_addr), 1);
    struct address wanted = address("192.0.2.7");
    struct address of_v4 = address_of((const struct sockaddr *)&v4);
    struct address of_v6 = address_of((const struct sockaddr *)&v6);
    struct address of_none = address_of((const struct sockaddr *)&none);
    assert_memory_equal(&of_v4, &wanted, sizeof(wanted));
    assert_memory_equal(&of_v6, &wanted, sizeof(wanted));
    assert_memory_equal(&of_none, &(struct address){{0}}, sizeof(of_none));
}

// By the option's own reader; how many networks there are then.
static size_t networks_of(const char *text, struct config *config, char *why) {
    const struct option *option = option_find(SLICE("trusted-proxy"));
    assert_true(option_is_list(option));
    (void)option_read(option, text, config, why);
    return config->trusted_proxies.count;
}

static void the_option_adds_networks_up_to_a_bound(void **state) {
    (void)state;
    const struct option *option = option_find(SLICE("trusted-proxy"));
    struct config config = {0};
    struct bytes shown = {0};
    char why[OPTION_WHY_MAX] = "";
    assert_int_equal(networks_of(" 10.0.0.0/8  fd00::/8 ", &config, why), 2);
    assert_int_equal(networks_of("192.0.2.7", &config, why), 3);
    option_append(option, &config, &shown);
    assert_true(slice_equal(bytes_slice(&shown), SLICE("10.0.0.0/8 fd00::/8 192.0.2.7/32")));
    assert_string_equal(why, "");
    assert_int_equal(networks_of("balancer.example", &config, why), 3);
    assert_non_null(strstr(why, "is not a network such as"));
    for (size_t i = 0; i < 300; i++) {
        networks_of("::1", &config, why);
    }
    assert_int_equal(config.trusted_proxies.count, 256);
    assert_string_equal(why, "more than 256 networks");
    option_release(option, &config);
    assert_int_equal(config.trusted_proxies.count, 0);
    bytes_release(&shown);
}

// ---- The bucket ---------------------------------------------------------------------------------

static unsigned take_all(struct bucket *bucket, uint64_t now_us) {
    unsigned taken = 0;
    while (bucket_take(bucket, now_us)) {
        taken++;
    }
    return taken;
}

static void a_bucket_gives_a_second_s_worth_at_once_and_then_its_rate(void **state) {
    (void)state;
    static const uint64_t RATES[] = {3, 7, 1000, 999983, BUCKET_RATE_MAX};
    for (size_t i = 0; i < sizeof(RATES) / sizeof(RATES[0]); i++) {
        struct bucket bucket;
        bucket_init(&bucket, RATES[i], SECOND);
        assert_int_equal(take_all(&bucket, SECOND), RATES[i]);
        assert_false(bucket_take(&bucket, SECOND + SECOND / RATES[i] - 1));
        uint64_t taken = 0;
        for (uint64_t at = SECOND; at <= 4 * SECOND; at += 997) {
            taken += take_all(&bucket, at);
        }
        taken += take_all(&bucket, 4 * SECOND);
        assert_int_equal(taken, 3 * RATES[i]); // to the token, however often it is asked
    }
}

static void a_bucket_of_one_fills_in_a_second(void **state) {
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 1, SECOND);
    assert_true(bucket_take(&bucket, SECOND));
    assert_false(bucket_take(&bucket, 2 * SECOND - 1));
    assert_true(bucket_take(&bucket, 2 * SECOND));
    assert_false(bucket_take(&bucket, 2 * SECOND));
}

static void a_bucket_holds_no_more_than_a_second_s_worth(void **state) {
    (void)state;
    struct bucket bucket;
    bucket_init(&bucket, 5, 0);
    assert_int_equal(take_all(&bucket, UINT64_MAX), 5);
    assert_int_equal(take_all(&bucket, 0), 0); // a clock that is behind gives nothing
}

// ---- Counts by client ---------------------------------------------------------------------------

static void a_client_holds_its_share_and_no_more(void **state) {
    (void)state;
    atomic_llong clients = 0;
    struct quota quota;
    quota_init(&quota, 2);
    struct holder *held[5] = {NULL};
    assert_true(quota_take(&quota, SLICE("a"), &clients, &held[0]));
    assert_true(quota_take(&quota, SLICE("a"), &clients, &held[1]));
    assert_false(quota_take(&quota, SLICE("a"), &clients, &held[2]));
    assert_null(held[2]);
    assert_true(quota_take(&quota, SLICE("b"), &clients, &held[3]));
    assert_int_equal(clients, 2);
    assert_true(holder_is(held[3], SLICE("b")));
    assert_false(holder_is(held[3], SLICE("a")));
    assert_false(holder_is(NULL, SLICE("a")));
    quota_give_back(&quota, &held[0], &clients);
    assert_null(held[0]);
    assert_true(quota_take(&quota, SLICE("a"), &clients, &held[2]));
    for (size_t i = 0; i < 5; i++) {
        quota_give_back(&quota, &held[i], &clients); // also those that are NULL
    }
    assert_int_equal(clients, 0);
    quota_release(&quota);
}

static void without_a_share_nothing_is_counted(void **state) {
    (void)state;
    atomic_llong clients = 0;
    struct quota quota;
    struct holder *holder = NULL;
    quota_init(&quota, 0);
    assert_true(quota_take(&quota, SLICE("a"), &clients, &holder));
    assert_null(holder);
    assert_int_equal(clients, 0);
    quota_release(&quota);
}

// ---- All of it ----------------------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 20000, CLIENTS = 7, SHARE = 3 };

static const struct network_list nobody;

struct worker {
    pthread_t thread;
    struct admission *admission;
    struct metrics metrics;
};

// Comes and goes, as the clients of a worker do.
static void *come_and_go(void *argument) {
    struct worker *worker = argument;
    for (int i = 0; i < ROUNDS; i++) {
        char user[16];
        snprintf(user, sizeof(user), "user-%d", i % CLIENTS);
        struct address peer = address("192.0.2.0");
        peer.bytes[15] = (unsigned char)(i % CLIENTS);
        struct arrival arrival;
        struct holder *by_user;
        if (!admission_enter(worker->admission, &peer, SECOND, &worker->metrics, &arrival)) {
            continue;
        }
        admission_hold_user(worker->admission, slice_of(user), &worker->metrics, &by_user);
        admission_drop_user(worker->admission, &by_user, &worker->metrics);
        admission_drop_ip(worker->admission, &arrival.by_ip, &worker->metrics);
        admission_leave(worker->admission, arrival.is_refused);
    }
    return NULL;
}

static void workers_count_together_and_nothing_is_left(void **state) {
    (void)state;
    struct admission *admission;
    admission_create(&(struct admission_options){.told_max = ADMISSION_TOLD_MAX,
                                                 .connections_max = 3,
                                                 .accept_rate = BUCKET_RATE_MAX,
                                                 .per_ip_max = SHARE,
                                                 .per_user_max = SHARE,
                                                 .trusted_proxies = &nobody},
                     &admission);
    static struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.admission = admission};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, come_and_go, &workers[i]), 0);
    }
    long long ips = 0;
    long long users = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        ips += atomic_load(&workers[i].metrics.held_by_ips);
        users += atomic_load(&workers[i].metrics.held_by_users);
    }
    assert_int_equal(ips, 0);
    assert_int_equal(users, 0);
    assert_int_equal(admission_connections(admission), 0);
    admission_destroy(&admission); // checks that the tables are empty
}

static struct metrics metrics;

static void enter(struct admission *admission, const char *peer, uint64_t now_us,
                  struct arrival *arrival_r) {
    struct address from = address(peer);
    assert_true(admission_enter(admission, &from, now_us, &metrics, arrival_r));
}

static void leave(struct admission *admission, struct arrival *arrivals, size_t count) {
    for (size_t i = 0; i < count; i++) {
        admission_drop_ip(admission, &arrivals[i].by_ip, &metrics);
        admission_leave(admission, arrivals[i].is_refused);
    }
    assert_int_equal(atomic_load(&metrics.held_by_ips), 0);
    admission_destroy(&admission);
}

static void addresses_count_by_64_bits_of_ipv6_and_all_of_ipv4(void **state) {
    (void)state;
    struct network trusted = network("10.0.0.0/8");
    struct network_list proxies = {&trusted, 1};
    struct admission *admission;
    struct arrival arrivals[8];
    memset(&metrics, 0, sizeof(metrics));
    admission_create(&(struct admission_options){.told_max = ADMISSION_TOLD_MAX,
                                                 .connections_max = 100,
                                                 .per_ip_max = 1,
                                                 .trusted_proxies = &proxies},
                     &admission);
    static const struct {
        const char *peer;
        bool is_refused;
    } CASES[] = {{"192.0.2.1", false},   {"192.0.2.2", false},        {"::ffff:192.0.2.1", true},
                 {"2001:db8::1", false}, {"2001:db8::2:3:4:5", true}, {"2001:db8:0:1::1", false},
                 {"10.0.0.1", false},    {"10.0.0.1", false}};
    for (size_t i = 0; i < 8; i++) {
        enter(admission, CASES[i].peer, 0, &arrivals[i]);
        assert_int_equal(arrivals[i].is_refused, CASES[i].is_refused);
        assert_int_equal(arrivals[i].is_proxied, i >= 6);
    }
    assert_int_equal(atomic_load(&metrics.refused[REFUSE_PER_IP]), 2);
    assert_int_equal(atomic_load(&metrics.held_by_ips), 4);
    leave(admission, arrivals, 8);
}

static void who_is_refused_uses_nothing_up(void **state) {
    (void)state;
    struct admission *admission;
    struct arrival arrivals[7];
    memset(&metrics, 0, sizeof(metrics));
    uint64_t now_us = UINT64_MAX / 2; // later than the bucket was made
    admission_create(&(struct admission_options){.told_max = ADMISSION_TOLD_MAX,
                                                 .connections_max = 4,
                                                 .accept_rate = 3,
                                                 .per_ip_max = 2,
                                                 .trusted_proxies = &nobody},
                     &admission);
    static const struct {
        const char *peer;
        enum refuse_reason reason;
    } CASES[] = {{"192.0.2.1", REFUSE_REASONS},     {"192.0.2.1", REFUSE_REASONS},
                 {"192.0.2.1", REFUSE_PER_IP},      {"192.0.2.2", REFUSE_REASONS},
                 {"192.0.2.2", REFUSE_ACCEPT_RATE}, {"192.0.2.2", REFUSE_REASONS},
                 {"192.0.2.3", REFUSE_CONNECTIONS}};
    for (size_t i = 0; i < 7; i++) {
        now_us += i == 5 ? SECOND : 0;
        enter(admission, CASES[i].peer, now_us, &arrivals[i]);
        assert_int_equal(arrivals[i].is_refused, CASES[i].reason != REFUSE_REASONS);
        if (arrivals[i].is_refused) {
            assert_int_equal(arrivals[i].refused_for, CASES[i].reason);
            assert_int_equal(atomic_load(&metrics.refused[CASES[i].reason]), 1);
        }
    }
    leave(admission, arrivals, 7);
}

static void only_so_many_are_told(void **state) {
    (void)state;
    static struct arrival arrivals[ADMISSION_TOLD_MAX + 1];
    struct admission *admission;
    struct arrival beyond;
    struct address peer = address("192.0.2.1");
    memset(&metrics, 0, sizeof(metrics));
    admission_create(&(struct admission_options){.told_max = ADMISSION_TOLD_MAX,
                                                 .connections_max = 1,
                                                 .trusted_proxies = &nobody},
                     &admission);
    for (size_t i = 0; i <= ADMISSION_TOLD_MAX; i++) {
        enter(admission, "192.0.2.1", 0, &arrivals[i]);
        assert_int_equal(arrivals[i].is_refused, i > 0);
    }
    assert_false(admission_enter(admission, &peer, 0, &metrics, &beyond));
    assert_int_equal(atomic_load(&metrics.refused[REFUSE_CONNECTIONS]), ADMISSION_TOLD_MAX + 1);
    // The one who is served leaves: room for the next, however many are being told.
    admission_leave(admission, false);
    enter(admission, "192.0.2.1", 0, &arrivals[0]);
    assert_false(arrivals[0].is_refused);
    leave(admission, arrivals, ADMISSION_TOLD_MAX + 1);
}

static void nobody_in_particular_is_not_counted(void **state) {
    (void)state;
    struct admission *admission;
    struct holder *holders[3];
    memset(&metrics, 0, sizeof(metrics));
    admission_create(&(struct admission_options){.told_max = ADMISSION_TOLD_MAX,
                                                 .connections_max = 9,
                                                 .per_user_max = 1,
                                                 .trusted_proxies = &nobody},
                     &admission);
    assert_true(admission_hold_user(admission, SLICE_NONE, &metrics, &holders[0]));
    assert_true(admission_hold_user(admission, SLICE(""), &metrics, &holders[1]));
    assert_true(admission_hold_user(admission, SLICE("u"), &metrics, &holders[2]));
    assert_int_equal(atomic_load(&metrics.held_by_users), 1);
    assert_false(admission_hold_user(admission, SLICE("u"), &metrics, &holders[1]));
    admission_drop_user(admission, &holders[2], &metrics);
    assert_int_equal(atomic_load(&metrics.held_by_users), 0);
    admission_destroy(&admission);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_read_and_shown),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(sockets_addresses_are_the_same_in_both_families),
        cmocka_unit_test(the_option_adds_networks_up_to_a_bound),
        cmocka_unit_test(a_bucket_gives_a_second_s_worth_at_once_and_then_its_rate),
        cmocka_unit_test(a_bucket_of_one_fills_in_a_second),
        cmocka_unit_test(a_bucket_holds_no_more_than_a_second_s_worth),
        cmocka_unit_test(a_client_holds_its_share_and_no_more),
        cmocka_unit_test(without_a_share_nothing_is_counted),
        cmocka_unit_test(workers_count_together_and_nothing_is_left),
        cmocka_unit_test(addresses_count_by_64_bits_of_ipv6_and_all_of_ipv4),
        cmocka_unit_test(who_is_refused_uses_nothing_up),
        cmocka_unit_test(only_so_many_are_told),
        cmocka_unit_test(nobody_in_particular_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
