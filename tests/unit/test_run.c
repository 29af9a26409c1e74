// The cluster thread's recent run of a channel.
#include "cluster/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct message *make(uint64_t version) {
    struct message fields = {
        .type = MESSAGE_TEXT, .position = {7, version}, .data = SLICE("payload")};
    bool was_demoted;
    return message_create(&fields, &was_demoted);
}

static void append(struct run *run, uint64_t version) {
    struct message *message = make(version);
    run_append(run, message);
    message_unref(&message);
}

static void it_grows_and_keeps_the_order(void **state) {
    (void)state;
    struct run run = {0};
    run_reset(&run, (struct position){7, 0});
    for (uint64_t i = 1; i <= 100; i++) {
        append(&run, i);
    }
    assert_int_equal(run.count, 100);
    for (uint32_t i = 0; i < run.count; i++) {
        assert_int_equal(run_at(&run, i)->position.version, i + 1);
    }
    run_reset(&run, POSITION_NONE);
    assert_int_equal(run.bytes, 0);
}

static void the_base_follows_what_is_trimmed(void **state) {
    (void)state;
    struct run run = {0};
    run_reset(&run, (struct position){7, 0});
    for (uint64_t i = 1; i <= 300; i++) {
        append(&run, i);
        run_trim(&run, 10, SIZE_MAX);
        assert_int_equal(run.base.version + run.count, i);
        assert_int_equal(run_at(&run, 0)->position.version, run.base.version + 1);
    }
    assert_int_equal(run.count, 10);
    run_reset(&run, POSITION_NONE);
}

static void bytes_are_bounded_too(void **state) {
    (void)state;
    struct run run = {0};
    run_reset(&run, (struct position){7, 0});
    append(&run, 1);
    size_t one = run.bytes;
    for (uint64_t i = 2; i <= 50; i++) {
        append(&run, i);
        run_trim(&run, 1000, 5 * one);
    }
    assert_int_equal(run.count, 5);
    run_trim(&run, 1000, 0);
    assert_int_equal(run.count, 0);
    assert_int_equal(run.bytes, 0);
    assert_int_equal(run.base.version, 50);
    run_reset(&run, POSITION_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_and_keeps_the_order),
        cmocka_unit_test(the_base_follows_what_is_trimmed),
        cmocka_unit_test(bytes_are_bounded_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
