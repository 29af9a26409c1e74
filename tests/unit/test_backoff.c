// Delays between attempts, and the random numbers they are drawn with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/base/backoff.h"
#include "cluster/base/clock.h"

static void delays_double_up_to_the_maximum(void **state) {
    (void)state;
    static const uint64_t full[] = {50, 100, 200, 400, 800, 1000, 1000, 1000};
    for (int round = 0; round < 1000; round++) {
        struct backoff backoff = {.min_ms = 50, .max_ms = 1000};
        for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
            uint64_t delay = backoff_next_ms(&backoff);
            assert_in_range(delay, full[i] / 2, full[i]);
            assert_int_equal(backoff.attempts, i + 1);
        }
    }
}

static void delays_are_spread_over_the_upper_half(void **state) {
    (void)state;
    unsigned quarters[4] = {0};
    for (int i = 0; i < 4000; i++) {
        struct backoff backoff = {.min_ms = 799, .max_ms = 799};
        quarters[(backoff_next_ms(&backoff) - 400) / 100]++; // 400 to 799
    }
    for (int i = 0; i < 4; i++) {
        assert_in_range(quarters[i], 800, 1200); // more than seven standard deviations
    }
}

static void reset_begins_at_the_minimum(void **state) {
    (void)state;
    struct backoff backoff = {.min_ms = 10, .max_ms = 5000};
    for (int i = 0; i < 20; i++) {
        backoff_next_ms(&backoff);
    }
    assert_in_range(backoff_next_ms(&backoff), 2500, 5000);
    backoff_reset(&backoff);
    assert_in_range(backoff_next_ms(&backoff), 5, 10);
}

static void huge_numbers_do_not_overflow(void **state) {
    (void)state;
    struct backoff backoff = {.min_ms = 1, .max_ms = UINT64_MAX, .attempts = 4000000000};
    assert_true(backoff_next_ms(&backoff) >= UINT64_MAX / 2);
    struct backoff one = {.min_ms = 1, .max_ms = 1, .attempts = 99};
    assert_int_equal(backoff_next_ms(&one), 1);
}

static void random_stays_below_and_reaches_all(void **state) {
    (void)state;
    assert_int_equal(clock_random(0), 0);
    assert_int_equal(clock_random(1), 0);
    unsigned counts[6] = {0};
    for (int i = 0; i < 60000; i++) {
        uint64_t drawn = clock_random(6);
        assert_true(drawn < 6);
        counts[drawn]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_in_range(counts[i], 9300, 10700); // more than seven standard deviations
    }
    assert_true(clock_random(UINT64_MAX) != clock_random(UINT64_MAX));
}

static void clocks_agree_with_themselves(void **state) {
    (void)state;
    uint64_t before_us = clock_mono_us();
    uint64_t ms = clock_mono_ms();
    uint64_t after_us = clock_mono_us();
    assert_in_range(ms, before_us / 1000, after_us / 1000);
    assert_true(clock_wall_ms() > INT64_C(1700000000000)); // November 2023
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_the_maximum),
        cmocka_unit_test(delays_are_spread_over_the_upper_half),
        cmocka_unit_test(reset_begins_at_the_minimum),
        cmocka_unit_test(huge_numbers_do_not_overflow),
        cmocka_unit_test(random_stays_below_and_reaches_all),
        cmocka_unit_test(clocks_agree_with_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
