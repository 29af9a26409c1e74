// The log, read back from a pipe put in the place of stderr.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster/base/bytes.h"
#include "cluster/base/clock.h"
#include "cluster/base/json.h"
#include "cluster/base/log.h"

static int saved_stderr;
static int reader;

static int redirect(void **state) {
    (void)state;
    int ends[2];
    if (pipe(ends) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        return -1;
    }
    saved_stderr = dup(STDERR_FILENO);
    reader = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return 0;
}

static int restore(void **state) {
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    return 0;
}

// What was written and not read yet, with a NUL.
static struct bytes read_log(void) {
    struct bytes bytes = {0};
    for (;;) {
        char *at = bytes_reserve(&bytes, 65536);
        ssize_t got = read(reader, at, 65536);
        if (got <= 0) {
            bytes_append_char(&bytes, '\0');
            return bytes;
        }
        bytes.len += (size_t)got;
    }
}

static unsigned count_of(const char *text, const char *word) {
    unsigned count = 0;
    for (; (text = strstr(text, word)) != NULL; text += strlen(word)) {
        count++;
    }
    return count;
}

// Logs until the limit lets a line through, so that the next lines of a test are written.
static void wait_for_a_fresh_second(void) {
    for (bool is_written = false; !is_written;) {
        log_warning("test", "still here");
        struct bytes log = read_log();
        is_written = log.len > 1;
        bytes_release(&log);
    }
}

#define DIGITS(n, at)                                                                              \
    for (int i = 0; i < (n); i++) {                                                                \
        assert_in_range((at)[i], '0', '9');                                                        \
    }

static void a_line_has_time_level_area_and_text(void **state) {
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    wait_for_a_fresh_second();
    log_info("cluster", "connected host=%s port=%d", "localhost", 6379);
    struct bytes log = read_log();
    DIGITS(4, log.data)
    DIGITS(2, log.data + 11)
    DIGITS(3, log.data + 20)
    assert_int_equal(log.data[10], 'T');
    assert_int_equal(log.data[19], '.');
    assert_string_equal(log.data + 23, "Z info cluster: connected host=localhost port=6379\n");
    bytes_release(&log);
}

static void levels_above_the_chosen_one_are_silent(void **state) {
    (void)state;
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    wait_for_a_fresh_second();
    assert_false(log_is_on(LOG_LEVEL_INFO));
    assert_true(log_is_on(LOG_LEVEL_WARNING));
    log_error("a", "one");
    log_warning("a", "two");
    log_info("a", "three");
    log_debug("a", "four");
    struct bytes log = read_log();
    assert_int_equal(count_of(log.data, "\n"), 2);
    assert_non_null(strstr(log.data, " error a: one\n"));
    assert_non_null(strstr(log.data, " warning a: two\n"));
    bytes_release(&log);

    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("a", "five");
    log = read_log();
    assert_non_null(strstr(log.data, " debug a: five\n"));
    bytes_release(&log);
}

static const char hostile[] = "name=\"a\r\nb\x1b[2Jc\x7f\xc2\x9b\xff\xc3\xa4\\";

static void text_from_outside_cannot_end_a_line_or_steer_a_terminal(void **state) {
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    wait_for_a_fresh_second();
    log_info("test", "%s", hostile);
    struct bytes log = read_log();
    assert_string_equal(strstr(log.data, "name="),
                        "name=\"a\\x0d\\x0ab\\x1b[2Jc\\x7f\\xc2\\x9b\\xff\xc3\xa4\\\n");
    bytes_release(&log);
}

static void assert_member(struct slice line, const char *name, const char *expected) {
    struct slice value;
    assert_true(json_find_member(line, slice_of(name), &value));
    assert_true(slice_equal(value, slice_of(expected)));
}

static void json_lines_are_json(void **state) {
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    wait_for_a_fresh_second();
    log_info("test", "%s", hostile);
    struct bytes log = read_log();
    assert_int_equal(count_of(log.data, "\n"), 1);
    struct slice line = bytes_slice(&log);
    line.len--; // the NUL
    assert_true(json_is_valid(line));
    assert_member(line, "level", "\"info\"");
    assert_member(line, "area", "\"test\"");
    assert_member(
        line, "text",
        "\"name=\\\"a\\\\x0d\\\\x0ab\\\\x1b[2Jc\\\\x7f\\\\xc2\\\\x9b\\\\xff\xc3\xa4\\\\\"");
    struct slice time;
    assert_true(json_find_member(line, SLICE("time"), &time));
    assert_int_equal(time.len, sizeof("\"2026-11-22T21:40:00.123Z\"") - 1);
    bytes_release(&log);
}

static void a_long_line_is_cut_and_fits_a_pipe(void **state) {
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    wait_for_a_fresh_second();
    char text[5000];
    memset(text, '\xff', sizeof(text));
    log_info("test", "%.*s", (int)sizeof(text), text);
    struct bytes log = read_log();
    assert_in_range(log.len, 3000, 4096);
    assert_int_equal(count_of(log.data, "\n"), 1);
    assert_non_null(strstr(log.data, "\"}\n"));
    bytes_release(&log);
}

static void a_flood_is_limited_and_counted(void **state) {
    (void)state;
    enum { FLOOD = 200 };
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    wait_for_a_fresh_second();
    uint64_t start_ms = clock_mono_ms();
    for (int i = 0; i < FLOOD; i++) {
        log_info("flood", "drop");
    }
    uint64_t seconds = 2 + (clock_mono_ms() - start_ms) / 1000; // begun, at most
    log_error("flood", "errors always");
    struct bytes log = read_log();
    unsigned written = count_of(log.data, "drop\n");
    assert_true(written <= 50 * seconds);
    assert_int_equal(count_of(log.data, "errors always\n"), 1);
    bytes_release(&log);

    // The next second tells how many were left out, of the flood and of these.
    unsigned posted = FLOOD;
    unsigned left_out = 0;
    while (left_out == 0) {
        log_info("flood", "drop");
        posted++;
        log = read_log();
        written += count_of(log.data, "drop\n");
        const char *told = strstr(log.data, "left_out=");
        if (told != NULL) {
            assert_int_equal(sscanf(told, "left_out=%u\n", &left_out), 1);
            assert_non_null(strstr(log.data, " warning log: "));
        }
        bytes_release(&log);
    }
    assert_int_equal(posted, written + left_out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_area_and_text, redirect, restore),
        cmocka_unit_test_setup_teardown(levels_above_the_chosen_one_are_silent, redirect, restore),
        cmocka_unit_test_setup_teardown(text_from_outside_cannot_end_a_line_or_steer_a_terminal,
                                        redirect, restore),
        cmocka_unit_test_setup_teardown(json_lines_are_json, redirect, restore),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_fits_a_pipe, redirect, restore),
        cmocka_unit_test_setup_teardown(a_flood_is_limited_and_counted, redirect, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
