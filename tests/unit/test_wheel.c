// The timer wheel on a real loop and the real clock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "node/net/wheel.h"

enum { TIMERS = 500, LATE_MS_MAX = 400 }; // a busy machine is late; early is never allowed

static uv_loop_t loop;
static struct wheel *wheel;
static unsigned fired;

static int open_wheel(void **state) {
    (void)state;
    fired = 0;
    return uv_loop_init(&loop) == 0 && wheel_open(&loop, &wheel) == 0 ? 0 : -1;
}

static int close_wheel(void **state) {
    (void)state;
    wheel_close(&wheel);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

struct probe {
    struct wheel_timer timer;
    struct probe *other;
    uint64_t started_ms;
    uint64_t after_ms;
    uint64_t fired_ms;
    unsigned rounds;
};

static void on_timeout(struct wheel_timer *timer) {
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    assert_false(wheel_is_running(timer));
    probe->fired_ms = clock_mono_ms();
    fired++;
}

static void start(struct probe *probe, uint64_t after_ms, void (*on)(struct wheel_timer *timer)) {
    probe->started_ms = clock_mono_ms();
    probe->after_ms = after_ms;
    wheel_start(wheel, &probe->timer, after_ms, on);
}

// The loop ends by itself when nothing waits: that is checked in every test.
static void run(void) {
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void timers_fire_once_never_early_and_hardly_late(void **state) {
    (void)state;
    struct probe *probes = calloc(TIMERS, sizeof(*probes));
    for (unsigned i = 0; i < TIMERS; i++) {
        start(&probes[i], i % 350, on_timeout);
        assert_true(wheel_is_running(&probes[i].timer));
    }
    run();
    assert_int_equal(fired, TIMERS);
    for (unsigned i = 0; i < TIMERS; i++) {
        uint64_t took = probes[i].fired_ms - probes[i].started_ms;
        assert_in_range(took, probes[i].after_ms, probes[i].after_ms + LATE_MS_MAX);
    }
    free(probes);
}

static void a_stopped_timer_does_not_fire_and_may_be_stopped_again(void **state) {
    (void)state;
    struct probe probe = {0};
    wheel_stop(&probe.timer); // never started
    start(&probe, 60, on_timeout);
    wheel_stop(&probe.timer);
    wheel_stop(&probe.timer);
    run();
    assert_int_equal(fired, 0);
}

static void starting_again_moves_the_deadline(void **state) {
    (void)state;
    struct probe probe = {0};
    start(&probe, 10, on_timeout);
    start(&probe, 200, on_timeout);
    run();
    assert_int_equal(fired, 1);
    assert_true(probe.fired_ms - probe.started_ms >= 200);
}

static void on_timeout_again(struct wheel_timer *timer) {
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    fired++;
    if (++probe->rounds < 3) {
        wheel_start(wheel, timer, 0, on_timeout_again);
    }
}

static void a_callback_may_start_its_timer_again(void **state) {
    (void)state;
    struct probe probe = {0};
    start(&probe, 0, on_timeout_again);
    run();
    assert_int_equal(fired, 3);
}

static void on_timeout_stop_other(struct wheel_timer *timer) {
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    fired++;
    wheel_stop(&probe->other->timer);
}

static void a_callback_may_stop_another_that_is_due_in_the_same_step(void **state) {
    (void)state;
    struct probe a = {0};
    struct probe b = {.other = &a};
    a.other = &b;
    start(&a, 20, on_timeout_stop_other);
    start(&b, 20, on_timeout_stop_other);
    b.timer.due_step = a.timer.due_step; // the same slot is likely, not certain
    run();
    assert_int_equal(fired, 1);
}

static void on_timeout_free_both(struct wheel_timer *timer) {
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    fired++;
    if (probe->other != NULL) {
        wheel_stop(&probe->other->timer);
        free(probe->other);
    }
    free(probe);
}

static void a_callback_may_free_its_timer_and_another(void **state) {
    (void)state;
    struct probe *a = calloc(1, sizeof(*a));
    struct probe *b = calloc(1, sizeof(*b));
    a->other = b;
    start(a, 20, on_timeout_free_both);
    start(b, 500, on_timeout_free_both);
    run();
    assert_int_equal(fired, 1);
}

static void a_timer_longer_than_a_round_of_the_wheel_waits_for_its_round(void **state) {
    (void)state;
    struct probe longer = {0};
    struct probe shorter = {0};
    // The same slot as the short one's, a round of 2,048 steps of 50 ms later.
    start(&longer, 100 + 2048 * 50, on_timeout);
    start(&shorter, 100, on_timeout);
    while (fired == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(fired, 1);
    assert_true(wheel_is_running(&longer.timer));
    wheel_stop(&longer.timer);
}

static void jitter_takes_off_no_more_than_a_tenth(void **state) {
    (void)state;
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t drawn = wheel_jitter(10000);
        assert_in_range(drawn, 9000, 10000);
        differs = differs || drawn != wheel_jitter(10000);
    }
    assert_true(differs);
    assert_int_equal(wheel_jitter(0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_wheel, close_wheel)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_once_never_early_and_hardly_late),
        TEST(a_stopped_timer_does_not_fire_and_may_be_stopped_again),
        TEST(starting_again_moves_the_deadline),
        TEST(a_callback_may_start_its_timer_again),
        TEST(a_callback_may_stop_another_that_is_due_in_the_same_step),
        TEST(a_callback_may_free_its_timer_and_another),
        TEST(a_timer_longer_than_a_round_of_the_wheel_waits_for_its_round),
        TEST(jitter_takes_off_no_more_than_a_tenth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
