// The load generator's own judge: it must see every fault, and excuse none. And the notes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/bench/notes.h"
#include "tests/bench/tally.h"

// --- the tally ------------------------------------------------------------------------------

enum { EPOCH = 1795375878 };

struct judged {
    struct tally tally;
    struct progress progress;
    struct position cursor;
};

static int setup(void **state) {
    static struct judged judged;
    memset(&judged, 0, sizeof(judged));
    progress_init(&judged.progress);
    judged.cursor = (struct position){.epoch = EPOCH};
    *state = &judged;
    return 0;
}

// One message with number and version n, a millisecond after it was sent.
static void see(struct judged *judged, uint64_t n) {
    struct message message = {.id = {EPOCH, n}, .payload = {.n = n, .t_ns = 5000000}};
    tally_message(&judged->tally, &judged->progress, judged->cursor, &message, 6000000);
    judged->cursor = message.id;
}

// The first message of the next epoch, with number n, by a transport that shows forks.
static void see_fork(struct judged *judged, uint64_t n, struct position fork) {
    struct message message = {
        .id = {EPOCH + 1, 1}, .fork = fork, .shows_fork = true, .payload = {.n = n}};
    tally_message(&judged->tally, &judged->progress, judged->cursor, &message, 0);
    judged->cursor = message.id;
}

static void each_message_once_and_in_order_is_clean(void **state) {
    struct judged *judged = *state;
    for (uint64_t n = 1; n <= 200; n++) {
        see(judged, n);
    }
    assert_true(tally_is_clean(&judged->tally));
    assert_int_equal(judged->tally.received, 200);
    assert_int_equal(judged->progress.unique, 200);
}

static void a_message_that_comes_again_is_doubled(void **state) {
    struct judged *judged = *state;
    see(judged, 1);
    see(judged, 1);
    assert_int_equal(judged->tally.doubled, 1);
    assert_int_equal(judged->progress.unique, 1);
    assert_false(tally_is_clean(&judged->tally));
}

static void a_double_from_long_ago_is_doubled(void **state) {
    struct judged *judged = *state;
    for (uint64_t n = 1; n <= 200; n++) {
        see(judged, n);
    }
    see(judged, 2);
    assert_int_equal(judged->tally.doubled, 1);
    assert_int_equal(judged->progress.unique, 200);
}

static void a_message_left_out_breaks_the_positions_and_is_missing(void **state) {
    struct judged *judged = *state;
    see(judged, 1);
    see(judged, 3);
    assert_int_equal(judged->tally.broken, 1);
    assert_int_equal(judged->tally.skipped, 1);
    assert_int_equal(judged->progress.unique, 2);
    assert_false(tally_is_clean(&judged->tally));
}

static void a_message_after_a_later_one_is_late_not_lost(void **state) {
    struct judged *judged = *state;
    see(judged, 1);
    see(judged, 3);
    see(judged, 2);
    assert_int_equal(judged->tally.late, 1);
    assert_int_equal(judged->tally.skipped, 0);
    assert_int_equal(judged->tally.doubled, 0);
    assert_int_equal(judged->progress.unique, 3);
    assert_false(tally_is_clean(&judged->tally));
}

static void every_number_of_a_gap_is_skipped(void **state) {
    struct judged *judged = *state;
    see(judged, 4);
    see(judged, 5);
    see(judged, 205); // more than the numbers that are remembered
    assert_int_equal(judged->tally.skipped, 3 + 199);
    see(judged, 204);
    assert_int_equal(judged->tally.skipped, 3 + 198);
    see(judged, 204);
    assert_int_equal(judged->tally.skipped, 3 + 198);
}

static void a_new_epoch_continues_only_with_its_first_version(void **state) {
    (void)state;
    struct position before = {.epoch = EPOCH, .version = 7};
    assert_true(position_follows(before, (struct position){EPOCH, 8}, NULL));
    assert_true(position_follows(before, (struct position){EPOCH + 1, 1}, NULL));
    assert_false(position_follows(before, (struct position){EPOCH + 1, 8}, NULL));
    assert_false(position_follows(before, (struct position){EPOCH, 7}, NULL));
    assert_false(position_follows(before, (struct position){EPOCH - 1, 1}, NULL));
}

static void where_forks_are_shown_a_new_epoch_continues_only_from_its_fork(void **state) {
    (void)state;
    struct position before = {EPOCH, 7}, first = {EPOCH + 1, 1};
    static const struct position other[] = {{0, 0}, {EPOCH, 6}, {EPOCH, 8}, {EPOCH - 1, 7}};
    assert_true(position_follows(before, first, &before));
    assert_false(position_follows(before, (struct position){EPOCH + 1, 2}, &before));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_false(position_follows(before, first, &other[i]));
    }
    // Within an epoch the fork says nothing: that of E-1 is the head before E-0.
    assert_true(position_follows((struct position){EPOCH, 0}, (struct position){EPOCH, 1}, other));
}

static void a_take_over_that_loses_nothing_is_clean(void **state) {
    struct judged *judged = *state;
    see(judged, 1);
    see_fork(judged, 2, (struct position){EPOCH, 1});
    assert_true(tally_is_clean(&judged->tally));
}

static void a_take_over_from_elsewhere_is_broken(void **state) {
    struct judged *judged = *state;
    see(judged, 1);
    see(judged, 2);
    see_fork(judged, 3, (struct position){EPOCH, 1});
    assert_int_equal(judged->tally.broken, 1);
    assert_false(tally_is_clean(&judged->tally));
}

static void to_be_cut_off_is_a_failure_and_to_come_back_is_none(void **state) {
    struct judged *judged = *state;
    judged->tally.reconnects = 3;
    judged->tally.refused = 2;
    assert_true(tally_is_clean(&judged->tally));
    judged->tally.disconnects = 1;
    assert_false(tally_is_clean(&judged->tally));
    assert_int_equal(tally_other_faults(&judged->tally), 1);
}

static void percentiles_are_exact_to_three_percent(void **state) {
    struct judged *judged = *state;
    for (uint64_t n = 1; n <= 1000; n++) {
        struct message message = {.id = {EPOCH, n}, .payload = {.n = n}};
        tally_message(&judged->tally, &judged->progress, judged->cursor, &message, n * 1000000);
        judged->cursor = message.id;
    }
    uint64_t p50_us = histogram_percentile_us(&judged->tally.latency, 50);
    uint64_t p99_us = histogram_percentile_us(&judged->tally.latency, 99);
    assert_in_range(p50_us, 500000, 516000);
    assert_in_range(p99_us, 990000, 1000000);
    assert_int_equal(judged->tally.latency.max_us, 1000000);
}

static void text_that_is_no_position_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "-", "1", "1-", "-1", "a-1", "12345678901234567890-1"};
    struct position position;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(position_parse(bad[i], bad[i] + strlen(bad[i]), &position), 0);
    }
    const char *good = "1795375878745123-42\"";
    assert_int_equal(position_parse(good, good + strlen(good), &position), 19);
    assert_true(position.epoch == 1795375878745123 && position.version == 42);
}

// --- notes ------------------------------------------------------------------------------------

static void notes_in_pieces_of_every_size_read_the_same(void **state) {
    (void)state;
    static const char input[] = "one\r\n\n\ttwo \x1b[2J \xc3\xa9\nthree";
    for (size_t step = 1; step < sizeof(input); step++) {
        struct notes notes = {.count = 0};
        for (size_t at = 0; at < sizeof(input) - 1; at += step) {
            size_t left = sizeof(input) - 1 - at;
            notes_feed(&notes, 7, input + at, left < step ? left : step);
        }
        assert_int_equal(notes_kept(&notes), 2); // the third line has not ended
        assert_string_equal(notes_at(&notes, 0)->text, "one");
        assert_string_equal(notes_at(&notes, 1)->text, "?two ?[2J ??");
        assert_int_equal(notes_at(&notes, 1)->second, 7);
    }
}

static void a_long_note_is_cut_and_the_latest_are_kept(void **state) {
    (void)state;
    struct notes notes = {.count = 0};
    char line[2 * NOTE_BYTES_MAX];
    for (char name = 'a'; name < 'a' + NOTES_KEPT + 2; name++) {
        memset(line, name, sizeof(line));
        notes_feed(&notes, 0, line, sizeof(line));
        notes_feed(&notes, 0, "\n", 1);
    }
    assert_int_equal(notes_kept(&notes), NOTES_KEPT);
    assert_int_equal(strlen(notes_at(&notes, 0)->text), NOTE_BYTES_MAX);
    assert_int_equal(notes_at(&notes, 0)->text[0], 'c');
    assert_int_equal(notes_at(&notes, NOTES_KEPT - 1)->text[0], 'a' + NOTES_KEPT + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_message_once_and_in_order_is_clean, setup),
        cmocka_unit_test_setup(a_message_that_comes_again_is_doubled, setup),
        cmocka_unit_test_setup(a_double_from_long_ago_is_doubled, setup),
        cmocka_unit_test_setup(a_message_left_out_breaks_the_positions_and_is_missing, setup),
        cmocka_unit_test_setup(a_message_after_a_later_one_is_late_not_lost, setup),
        cmocka_unit_test_setup(every_number_of_a_gap_is_skipped, setup),
        cmocka_unit_test(a_new_epoch_continues_only_with_its_first_version),
        cmocka_unit_test(where_forks_are_shown_a_new_epoch_continues_only_from_its_fork),
        cmocka_unit_test_setup(a_take_over_that_loses_nothing_is_clean, setup),
        cmocka_unit_test_setup(a_take_over_from_elsewhere_is_broken, setup),
        cmocka_unit_test_setup(to_be_cut_off_is_a_failure_and_to_come_back_is_none, setup),
        cmocka_unit_test_setup(percentiles_are_exact_to_three_percent, setup),
        cmocka_unit_test(text_that_is_no_position_is_refused),
        cmocka_unit_test(notes_in_pieces_of_every_size_read_the_same),
        cmocka_unit_test(a_long_note_is_cut_and_the_latest_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
