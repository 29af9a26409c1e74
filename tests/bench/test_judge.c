// The load generator's own judge: it must see every fault, and HTTP in any pieces.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/bench/http_in.h"
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
    struct position id = {.epoch = EPOCH, .version = n};
    struct payload payload = {.n = n, .t_ns = 5000000};
    tally_message(&judged->tally, &judged->progress, judged->cursor, id, payload, 6000000);
    judged->cursor = id;
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
    assert_int_equal(judged->progress.unique, 2);
    assert_false(tally_is_clean(&judged->tally));
}

static void a_message_after_a_later_one_is_late_not_lost(void **state) {
    struct judged *judged = *state;
    see(judged, 1);
    see(judged, 3);
    see(judged, 2);
    assert_int_equal(judged->tally.late, 1);
    assert_int_equal(judged->tally.doubled, 0);
    assert_int_equal(judged->progress.unique, 3);
    assert_false(tally_is_clean(&judged->tally));
}

static void a_new_epoch_continues_only_with_its_first_version(void **state) {
    (void)state;
    struct position before = {.epoch = EPOCH, .version = 7};
    assert_true(position_follows(before, (struct position){EPOCH, 8}));
    assert_true(position_follows(before, (struct position){EPOCH + 1, 1}));
    assert_false(position_follows(before, (struct position){EPOCH + 1, 8}));
    assert_false(position_follows(before, (struct position){EPOCH, 7}));
}

static void percentiles_are_exact_to_three_percent(void **state) {
    struct judged *judged = *state;
    for (uint64_t n = 1; n <= 1000; n++) {
        struct payload payload = {.n = n, .t_ns = 0};
        struct position id = {.epoch = EPOCH, .version = n};
        tally_message(&judged->tally, &judged->progress, judged->cursor, id, payload, n * 1000000);
        judged->cursor = id;
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

// --- HTTP in pieces -------------------------------------------------------------------------

struct reader {
    struct http_in http;
    char rest[1024]; // an incomplete head, to be given again
    size_t rest_bytes;
    char seen[256]; // bodies, a bar after each answer
};

static void read_piece(struct reader *reader, const char *bytes, size_t length) {
    memcpy(reader->rest + reader->rest_bytes, bytes, length);
    const char *at = reader->rest;
    size_t left = reader->rest_bytes + length;
    for (;;) {
        struct http_piece piece = http_in_next(&reader->http, at, left);
        at += piece.taken;
        left -= piece.taken;
        assert_int_not_equal(piece.kind, HTTP_BAD);
        if (piece.kind == HTTP_NEED_MORE) {
            break;
        }
        if (piece.kind == HTTP_BODY) {
            strncat(reader->seen, piece.body, piece.body_bytes);
        } else {
            strcat(reader->seen, "|");
        }
    }
    memmove(reader->rest, at, left);
    reader->rest_bytes = left;
}

static void answers_in_pieces_of_every_size_read_the_same(void **state) {
    (void)state;
    static const char answers[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
                                  "HTTP/1.1 503 Service Unavailable\r\ncontent-length:0\r\n\r\n"
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3\r\nabc\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"
                                  "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    for (size_t step = 1; step < sizeof(answers); step++) {
        struct reader reader = {.rest_bytes = 0};
        http_in_init(&reader.http);
        for (size_t at = 0; at < sizeof(answers) - 1; at += step) {
            size_t left = sizeof(answers) - 1 - at;
            read_piece(&reader, answers + at, left < step ? left : step);
        }
        assert_string_equal(reader.seen, "hello||abcabcdefghijklmnopqrstuvwxyz|until the end");
    }
}

static void what_is_not_http_is_refused(void **state) {
    (void)state;
    static const char text[] = "+PONG and more\r\n\r\n";
    struct http_in http;
    http_in_init(&http);
    assert_int_equal(http_in_next(&http, text, sizeof(text) - 1).kind, HTTP_BAD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_message_once_and_in_order_is_clean, setup),
        cmocka_unit_test_setup(a_message_that_comes_again_is_doubled, setup),
        cmocka_unit_test_setup(a_double_from_long_ago_is_doubled, setup),
        cmocka_unit_test_setup(a_message_left_out_breaks_the_positions_and_is_missing, setup),
        cmocka_unit_test_setup(a_message_after_a_later_one_is_late_not_lost, setup),
        cmocka_unit_test(a_new_epoch_continues_only_with_its_first_version),
        cmocka_unit_test_setup(percentiles_are_exact_to_three_percent, setup),
        cmocka_unit_test(text_that_is_no_position_is_refused),
        cmocka_unit_test(answers_in_pieces_of_every_size_read_the_same),
        cmocka_unit_test(what_is_not_http_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
