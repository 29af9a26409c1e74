// Whether a cursor can go on, and what it is told when it cannot: one row per case of CONTRACT.md,
// section 1. Positions are written epoch, version.
#include "cluster/continuity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NONE {0, 0}

struct row {
    const char *what;
    struct position cursor;
    struct log_facts facts;
    enum continuity verdict;
    struct position to;       // CONTINUITY_BROKEN
    enum reset_reason reason; // unless KEPT
};

static const struct row rows[] = {
    // Nothing missing.
    {"the head itself", {10, 5}, {.channel = {{10, 5}, NONE}, .has_entries = true, .has_entry_in_epoch = true}, CONTINUITY_KEPT, NONE, 0},
    {"the next version", {10, 5}, {.channel = {{10, 8}, NONE}, .next = {10, 6}, .has_entries = true}, CONTINUITY_KEPT, NONE, 0},
    {"the head of an expired log", {10, 5}, {.channel = {{10, 5}, NONE}}, CONTINUITY_KEPT, NONE, 0},
    {"an opened channel before its first message", {10, 0}, {.channel = {{10, 0}, NONE}}, CONTINUITY_KEPT, NONE, 0},
    {"the first message after the opening", {10, 0}, {.channel = {{10, 1}, NONE}, .next = {10, 1}, .has_entries = true}, CONTINUITY_KEPT, NONE, 0},
    {"E-1 after E-0 whatever its fork", {20, 0}, {.channel = {{20, 1}, {10, 5}}, .next = {20, 1}, .next_fork = {10, 5}, .has_entries = true}, CONTINUITY_KEPT, NONE, 0},
    {"a new writer that inherited exactly this", {10, 5}, {.channel = {{20, 1}, {10, 5}}, .next = {20, 1}, .next_fork = {10, 5}, .has_entries = true}, CONTINUITY_KEPT, NONE, 0},
    // Redis lost what the cursor saw.
    {"a new writer that inherited less", {10, 7}, {.channel = {{20, 3}, {10, 5}}, .next = {20, 1}, .next_fork = {10, 5}, .has_entries = true}, CONTINUITY_BROKEN, {20, 0}, RESET_LOST},
    {"above the head in its epoch", {10, 7}, {.channel = {{10, 5}, NONE}, .has_entries = true, .has_entry_in_epoch = true}, CONTINUITY_BROKEN, {10, 5}, RESET_LOST},
    {"above the head, and the log is empty", {10, 7}, {.channel = {{10, 5}, NONE}}, CONTINUITY_BROKEN, {10, 5}, RESET_LOST},
    // The log no longer reaches back.
    {"trimmed", {10, 5}, {.channel = {{10, 90}, NONE}, .next = {10, 50}, .has_entries = true}, CONTINUITY_BROKEN, {10, 49}, RESET_EXPIRED},
    {"trimmed to the first entry of the epoch", {10, 0}, {.channel = {{10, 3}, NONE}, .next = {10, 2}, .has_entries = true}, CONTINUITY_BROKEN, {10, 1}, RESET_EXPIRED},
    {"the log expired", {10, 5}, {.channel = {{10, 9}, NONE}}, CONTINUITY_BROKEN, {10, 9}, RESET_EXPIRED},
    {"a new writer that inherited more", {10, 5}, {.channel = {{20, 1}, {10, 9}}, .next = {20, 1}, .next_fork = {10, 9}, .has_entries = true}, CONTINUITY_BROKEN, {20, 0}, RESET_EXPIRED},
    {"a new writer whose log expired", {10, 5}, {.channel = {{20, 1}, {10, 5}}}, CONTINUITY_BROKEN, {20, 1}, RESET_EXPIRED},
    {"a new writer whose first entries are gone", {10, 5}, {.channel = {{20, 9}, {10, 5}}, .next = {20, 7}, .has_entries = true}, CONTINUITY_BROKEN, {20, 6}, RESET_EXPIRED},
    // Nobody here knows it.
    {"an epoch of elsewhere, below the log", {5, 5}, {.channel = {{10, 3}, NONE}, .next = {10, 1}, .has_entries = true}, CONTINUITY_UNKNOWN, NONE, RESET_FOREIGN},
    {"an epoch of elsewhere, above the log", {50, 5}, {.channel = {{10, 3}, NONE}, .has_entries = true}, CONTINUITY_UNKNOWN, NONE, RESET_FOREIGN},
    {"an epoch of elsewhere, nothing kept", {50, 5}, {.channel = {{10, 3}, NONE}}, CONTINUITY_BROKEN, {10, 3}, RESET_FOREIGN},
    {"a newly opened channel", {50, 5}, {.channel = {{60, 0}, NONE}}, CONTINUITY_BROKEN, {60, 0}, RESET_FOREIGN},
    {"kept entries know the epoch, the next does not", {10, 5}, {.channel = {{20, 2}, NONE}, .next = {20, 1}, .has_entries = true, .has_entry_in_epoch = true}, CONTINUITY_BROKEN, {20, 0}, RESET_FOREIGN},
};

static void assert_position(struct position is, struct position should) {
    assert_int_equal(is.epoch, should.epoch);
    assert_int_equal(is.version, should.version);
}

static void each_case_of_the_contract_is_decided(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct reset reset = {0};
        print_message("  %s\n", row->what);
        enum continuity verdict = continuity_decide(row->cursor, &row->facts, &reset);
        assert_int_equal(verdict, row->verdict);
        if (verdict != CONTINUITY_KEPT) {
            assert_position(reset.from, row->cursor);
            assert_int_equal(reset.reason, row->reason);
        }
        if (verdict == CONTINUITY_BROKEN) {
            assert_position(reset.to, row->to);
        }
    }
}

static void after_a_reset_its_target_is_continuous(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reset reset = {0};
        struct reset again = {0};
        if (continuity_decide(rows[i].cursor, &rows[i].facts, &reset) == CONTINUITY_BROKEN) {
            assert_int_equal(continuity_decide(reset.to, &rows[i].facts, &again), CONTINUITY_KEPT);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_of_the_contract_is_decided),
        cmocka_unit_test(after_a_reset_its_target_is_continuous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
