// A channel's backlog: places by sequence number and by position, forks, bounds, what is held.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/hub/backlog.h"
#include "node/hub/ephemeral.h"

static size_t held;

static struct message *make(uint64_t epoch, uint64_t version, struct position fork) {
    struct message fields = {
        .type = MESSAGE_TEXT,
        .position = {epoch, version},
        .fork = fork,
        .data = SLICE("payload"),
    };
    bool was_demoted;
    return message_create(&fields, &was_demoted);
}

static void append(struct backlog *backlog, uint64_t epoch, uint64_t version,
                   struct position fork) {
    struct message *message = make(epoch, version, fork);
    backlog_append(backlog, message);
    message_unref(&message);
}

// 7-1 ... 7-count behind 7-0.
static void fill(struct backlog *backlog, uint64_t count) {
    backlog_init(backlog, &held);
    backlog_restart(backlog, (struct position){7, 0});
    for (uint64_t version = 1; version <= count; version++) {
        append(backlog, 7, version, POSITION_NONE);
    }
}

static int set_up(void **state) {
    (void)state;
    held = 0;
    return 0;
}

static int nothing_is_held(void **state) {
    (void)state;
    return held == 0 ? 0 : -1;
}

static void an_empty_one_knows_its_base_alone(void **state) {
    (void)state;
    struct backlog backlog;
    fill(&backlog, 0);
    uint64_t seq = 0;
    assert_true(backlog_find(&backlog, (struct position){7, 0}, &seq));
    assert_int_equal(seq, backlog_end(&backlog));
    assert_false(backlog_find(&backlog, (struct position){7, 1}, &seq));
    assert_false(backlog_find(&backlog, (struct position){6, 9}, &seq));
    assert_false(backlog_find(&backlog, POSITION_NONE, &seq));
    assert_true(position_equal(backlog_head(&backlog), (struct position){7, 0}));
    backlog_release(&backlog);
}

static void every_cursor_on_it_finds_what_follows(void **state) {
    (void)state;
    for (uint64_t count = 1; count <= 40; count++) {
        struct backlog backlog;
        fill(&backlog, count);
        for (uint64_t cursor = 0; cursor <= count; cursor++) {
            uint64_t seq = 0;
            assert_true(backlog_find(&backlog, (struct position){7, cursor}, &seq));
            assert_int_equal(backlog_end(&backlog) - seq, count - cursor);
            if (cursor < count) {
                assert_int_equal(backlog_at(&backlog, seq)->message->position.version, cursor + 1);
            }
        }
        uint64_t seq = 0;
        assert_false(backlog_find(&backlog, (struct position){7, count + 1}, &seq));
        assert_false(backlog_find(&backlog, (struct position){8, 0}, &seq));
        assert_int_equal(seq, 0); // no place is none
        backlog_release(&backlog);
    }
}

static void who_stands_at_the_fork_goes_on_and_who_is_beyond_it_does_not(void **state) {
    (void)state;
    struct backlog backlog;
    fill(&backlog, 5);
    append(&backlog, 9, 1, (struct position){7, 5});
    append(&backlog, 9, 2, POSITION_NONE);
    uint64_t seq = 0;
    assert_true(backlog_find(&backlog, (struct position){7, 5}, &seq));
    assert_int_equal(backlog_at(&backlog, seq)->message->position.epoch, 9);
    assert_false(backlog_find(&backlog, (struct position){7, 6}, &seq)); // saw what was lost
    assert_false(backlog_find(&backlog, (struct position){8, 1}, &seq));
    assert_true(backlog_find(&backlog, (struct position){9, 0}, &seq));
    assert_int_equal(backlog_at(&backlog, seq)->message->position.version, 1);
    assert_true(backlog_find(&backlog, (struct position){9, 1}, &seq));
    backlog_release(&backlog);
}

static void trimming_moves_the_base_and_keeps_the_newest(void **state) {
    (void)state;
    struct backlog backlog;
    fill(&backlog, 20);
    backlog_trim(&backlog, 8, SIZE_MAX);
    assert_int_equal(backlog.count, 8);
    assert_true(position_equal(backlog.base, (struct position){7, 12}));
    uint64_t seq = 0;
    assert_false(backlog_find(&backlog, (struct position){7, 11}, &seq));
    assert_true(backlog_find(&backlog, (struct position){7, 12}, &seq));
    backlog_trim(&backlog, SIZE_MAX, 1);
    assert_int_equal(backlog.count, 1);
    assert_int_equal(backlog.bytes, held);
    assert_true(position_equal(backlog_head(&backlog), (struct position){7, 20}));
    backlog_release(&backlog);
}

static void a_place_is_gone_once_it_is_trimmed_or_restarted(void **state) {
    (void)state;
    struct backlog backlog;
    fill(&backlog, 10);
    uint64_t old = backlog.first_seq + 2;
    uint64_t end = backlog_end(&backlog);
    assert_true(backlog_has_seq(&backlog, old));
    backlog_trim(&backlog, 4, SIZE_MAX);
    assert_false(backlog_has_seq(&backlog, old));
    assert_true(backlog_has_seq(&backlog, end));
    backlog_restart(&backlog, (struct position){8, 0});
    assert_false(backlog_has_seq(&backlog, end)); // who was at the end must seek too
    assert_false(backlog_has_seq(&backlog, 0));
    assert_int_equal(held, 0);
    backlog_release(&backlog);
}

static void rewinding_needs_as_many_messages_as_are_asked_for(void **state) {
    (void)state;
    struct backlog backlog;
    fill(&backlog, 10);
    struct position position;
    uint64_t seq;
    assert_true(backlog_rewind(&backlog, 3, &position, &seq));
    assert_true(position_equal(position, (struct position){7, 7}));
    assert_int_equal(backlog_at(&backlog, seq)->message->position.version, 8);
    assert_true(backlog_rewind(&backlog, 10, &position, &seq));
    assert_true(position_equal(position, (struct position){7, 0}));
    assert_false(backlog_rewind(&backlog, 11, &position, &seq));
    backlog_release(&backlog);
}

static bool connects(const struct backlog *backlog, struct position base, uint64_t from,
                     uint64_t to, size_t *first) {
    struct message *messages[64];
    size_t count = 0;
    for (uint64_t version = from; version <= to; version++) {
        messages[count++] = make(7, version, POSITION_NONE);
    }
    struct handover handover = {
        .base = base, .head = {7, to}, .messages = messages, .count = count};
    bool does = backlog_connects(backlog, &handover, first);
    for (size_t i = 0; i < count; i++) {
        message_unref(&messages[i]);
    }
    return does;
}

static void a_new_handover_is_joined_on_only_without_a_hole(void **state) {
    (void)state;
    struct backlog backlog;
    fill(&backlog, 10);
    size_t first;
    assert_true(connects(&backlog, (struct position){7, 5}, 6, 14, &first));
    assert_int_equal(first, 5);
    assert_true(connects(&backlog, (struct position){7, 10}, 11, 14, &first));
    assert_int_equal(first, 0);
    assert_true(connects(&backlog, (struct position){7, 5}, 6, 10, &first));
    assert_int_equal(first, 5); // nothing new
    assert_false(connects(&backlog, (struct position){7, 11}, 12, 14, &first));
    assert_false(connects(&backlog, (struct position){7, 3}, 4, 8, &first)); // ends below us
    assert_false(connects(&backlog, (struct position){8, 0}, 0, 0, &first));
    backlog_release(&backlog);
}

static void ephemeral_messages_have_bounds_too(void **state) {
    (void)state;
    struct ephemerals ephemerals = {0};
    struct message *message = make(0, 0, POSITION_NONE);
    for (uint64_t i = 0; i < EPHEMERALS_MAX + 10; i++) {
        ephemerals_append(&ephemerals, message, i, &held);
    }
    assert_int_equal(ephemerals.count, EPHEMERALS_MAX);
    assert_int_equal(ephemerals.first_seq, 10);
    assert_int_equal(ephemerals_at(&ephemerals, 10)->after_seq, 10);
    assert_int_equal(ephemerals.bytes, EPHEMERALS_MAX * message->size);
    assert_int_equal(held, ephemerals.bytes);
    ephemerals_clear(&ephemerals);
    assert_int_equal(ephemerals_end(&ephemerals), EPHEMERALS_MAX + 10);
    ephemerals_append(&ephemerals, message, 0, &held);
    assert_int_equal(ephemerals.count, 1);
    ephemerals_clear(&ephemerals);
    message_unref(&message);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, nothing_is_held)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_empty_one_knows_its_base_alone),
        TEST(every_cursor_on_it_finds_what_follows),
        TEST(who_stands_at_the_fork_goes_on_and_who_is_beyond_it_does_not),
        TEST(trimming_moves_the_base_and_keeps_the_newest),
        TEST(a_place_is_gone_once_it_is_trimmed_or_restarted),
        TEST(rewinding_needs_as_many_messages_as_are_asked_for),
        TEST(a_new_handover_is_joined_on_only_without_a_hole),
        TEST(ephemeral_messages_have_bounds_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
