// The guard in front of hiredis's reader: what passes, what is refused, that no split of the bytes
// changes the verdict, and that the reader takes what passed and finds the same replies in it.
#include "cluster/resp_guard.h"

#include "cluster/base/bytes.h"
#include "cluster/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

struct verdict {
    int error;
    const char *why;
    size_t at; // bytes that passed before the error; not known when fed whole
};

static struct verdict feed(struct slice bytes, size_t piece) {
    struct resp_guard guard;
    resp_guard_init(&guard);
    struct verdict verdict = {0, NULL, 0};
    while (verdict.error == 0 && bytes.len > 0) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        verdict.error = resp_guard_feed(&guard, slice_make(bytes.data, len), &verdict.why);
        verdict.at += verdict.error == 0 ? len : 0;
        bytes = slice_from(bytes, len);
    }
    return verdict;
}

// The verdict, which must be one and the same for every piece size.
static struct verdict feed_in_every_way(struct slice bytes) {
    struct verdict whole = feed(bytes, bytes.len);
    static const size_t pieces[] = {1, 2, 3, 5, 7, 16, 63, 4096};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct verdict split = feed(bytes, pieces[i]);
        assert_int_equal(split.error, whole.error);
        if (whole.error != 0) {
            assert_string_equal(split.why, whole.why);
        }
    }
    return whole;
}

static void check_refused(struct slice bytes, const char *why) {
    struct verdict verdict = feed_in_every_way(bytes);
    assert_int_equal(verdict.error, E_PROTOCOL);
    assert_string_equal(verdict.why, why);
}

// Replies that hiredis finds in what the guard let pass; -1 when it finds fault.
static int count_replies(struct slice bytes) {
    redisReader *reader = redisReaderCreate();
    int count = 0;
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, bytes.data, bytes.len), REDIS_OK);
    for (;;) {
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            count = -1;
            break;
        }
        if (reply == NULL) {
            break;
        }
        freeReplyObject(reply);
        count++;
    }
    redisReaderFree(reader);
    return count;
}

static const struct {
    const char *bytes;
    int replies;
} goods[] = {
    {"+OK\r\n", 1},
    {"+\r\n", 1},
    {"-ERR no\r\n", 1},
    {":0\r\n:-9223372036854775808\r\n:9223372036854775807\r\n", 3},
    {"$-1\r\n$0\r\n\r\n$5\r\nhello\r\n", 3},
    {"$2\r\n\r\n\r\n", 1}, // a CRLF within
    {"*-1\r\n*0\r\n*1\r\n:1\r\n", 3},
    {"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\n*9\r\r\n", 1},
    {"*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$-1\r\n+after\r\n", 2},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n:2\r\n", 2},
};

static void what_redis_says_passes_and_the_reader_agrees(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct slice bytes = slice_of(goods[i].bytes);
        assert_int_equal(feed_in_every_way(bytes).error, 0);
        assert_int_equal(count_replies(bytes), goods[i].replies);
    }
}

static void a_truncated_reply_is_no_error_yet(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        for (size_t len = 0; len < strlen(goods[i].bytes); len++) {
            assert_int_equal(feed(slice_make(goods[i].bytes, len), 1).error, 0);
        }
    }
}

static void headers_that_nobody_should_believe_are_refused(void **state) {
    (void)state;
    check_refused(SLICE("*536870912\r\n"), "array over the limit");
    check_refused(SLICE("*65537\r\n"), "array over the limit");
    check_refused(SLICE("*-2\r\n"), "array over the limit");
    check_refused(SLICE("*9223372036854775807\r\n"), "array over the limit");
    check_refused(SLICE("*9223372036854775808\r\n"), "not a number in a header");
    check_refused(SLICE("*2\r\n*65535\r\n"), "array over the limit"); // 65,537 in all
    check_refused(SLICE("*65535\r\n*2\r\n"), "array over the limit");
    check_refused(SLICE("$8388609\r\n"), "bulk string over the limit");
    check_refused(SLICE("$-5\r\n"), "bulk string over the limit");
    check_refused(SLICE("$-9223372036854775808\r\n"), "bulk string over the limit");
    check_refused(SLICE("$-9223372036854775809\r\n"), "not a number in a header");
    check_refused(SLICE("$111111111111111111111\r\n"), "line over the limit");
    assert_int_equal(feed(SLICE("*65536\r\n$8388608\r\n"), 1).error, 0);
}

static void the_limit_of_items_begins_anew_with_each_reply(void **state) {
    (void)state;
    struct bytes bytes = {0};
    for (int reply = 0; reply < 3; reply++) {
        bytes_append(&bytes, SLICE("*65536\r\n"));
        for (int i = 0; i < RESP_ARRAY_ITEMS_MAX; i++) {
            bytes_append(&bytes, SLICE(":1\r\n"));
        }
    }
    assert_int_equal(feed_in_every_way(bytes_slice(&bytes)).error, 0);
    assert_int_equal(count_replies(bytes_slice(&bytes)), 3);
    bytes_release(&bytes);
}

static void nesting_is_bounded_below_what_the_reader_can_hold(void **state) {
    (void)state;
    check_refused(SLICE("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
                  "arrays nested too deeply");
    struct bytes bytes = {0};
    for (int i = 0; i < 100; i++) {
        bytes_append(&bytes, SLICE("*1\r\n"));
    }
    check_refused(bytes_slice(&bytes), "arrays nested too deeply");
    bytes_release(&bytes);
}

static void what_is_no_resp2_is_refused_at_its_first_byte(void **state) {
    (void)state;
    check_refused(SLICE("HTTP/1.1 400 Bad Request\r\n"), "not a RESP2 reply");
    check_refused(SLICE("\x15\x03\x01"), "not a RESP2 reply"); // a TLS alert
    check_refused(SLICE("%1\r\n+a\r\n+b\r\n"), "not a RESP2 reply");
    check_refused(SLICE(">3\r\n"), "not a RESP2 reply");
    check_refused(SLICE("_\r\n"), "not a RESP2 reply");
    check_refused(SLICE("\r\n"), "not a RESP2 reply");
    check_refused((struct slice){"\0", 1}, "not a RESP2 reply");
    check_refused(SLICE(":12a\r\n"), "not a number in a header");
    check_refused(SLICE("$-0\r\n"), "not a number in a header"); // hiredis refuses it too
    check_refused(SLICE("$007\r\n"), "not a number in a header");
    check_refused(SLICE(":\r\n"), "not a number in a header");
    check_refused(SLICE("$+1\r\n"), "not a number in a header");
    check_refused(SLICE("* 1\r\n"), "not a number in a header");
    check_refused(SLICE("*-\r\n"), "not a number in a header");
    check_refused(SLICE("*--1\r\n"), "not a number in a header");
}

static void lines_and_strings_end_in_crlf(void **state) {
    (void)state;
    check_refused(SLICE("+OK\n"), "line without CRLF");
    check_refused(SLICE("+O\rK\r\n"), "line without CRLF");
    check_refused(SLICE("+OK\r\r\n"), "line without CRLF");
    check_refused(SLICE("$2\r\nabc\r\n"), "bulk string without CRLF");
    check_refused(SLICE("$2\r\nab\rc"), "bulk string without CRLF");
    check_refused(SLICE("$0\r\n\n\n"), "bulk string without CRLF");
}

static void a_line_without_end_is_refused(void **state) {
    (void)state;
    struct bytes bytes = {0};
    bytes_append_char(&bytes, '-');
    memset(bytes_reserve(&bytes, RESP_LINE_BYTES_MAX), 'x', RESP_LINE_BYTES_MAX);
    bytes.len += RESP_LINE_BYTES_MAX;
    assert_int_equal(feed_in_every_way(bytes_slice(&bytes)).error, 0);
    struct verdict verdict;
    bytes_append_char(&bytes, 'x');
    verdict = feed_in_every_way(bytes_slice(&bytes));
    assert_int_equal(verdict.error, E_PROTOCOL);
    assert_int_equal(feed(bytes_slice(&bytes), 1).at, RESP_LINE_BYTES_MAX + 1);
    bytes_release(&bytes);
}

static void many_large_strings_in_one_reply_are_refused(void **state) {
    (void)state;
    struct resp_guard guard;
    resp_guard_init(&guard);
    const char *why = NULL;
    char *block = calloc(1, RESP_BULK_BYTES_MAX);
    assert_int_equal(resp_guard_feed(&guard, SLICE("*20\r\n"), &why), 0);
    int error = 0;
    int strings = 0;
    while (error == 0) {
        error = resp_guard_feed(&guard, SLICE("$8388608\r\n"), &why);
        if (error == 0) {
            strings++;
            error = resp_guard_feed(&guard, slice_make(block, RESP_BULK_BYTES_MAX), &why);
            assert_int_equal(error, 0);
            error = resp_guard_feed(&guard, SLICE("\r\n"), &why);
        }
    }
    assert_int_equal(strings, RESP_REPLY_BYTES_MAX / RESP_BULK_BYTES_MAX - 1);
    assert_string_equal(why, "reply over the limit");
    free(block);
}

// Bytes drawn from what RESP2 is made of. The seed is fixed: a failure can be repeated.
static void random_streams_get_one_verdict_and_never_fool_the_reader(void **state) {
    (void)state;
    static const char *const words[] = {"*1\r\n", "*2\r\n", "*0\r\n",  "*-1\r\n", "$-1\r\n",
                                        "$0\r\n", "$3\r\n", "abc\r\n", "\r\n",    "\r",
                                        "\n",     "+x\r\n", "-e\r\n",  ":1\r\n",  ":",
                                        "*",      "$",      "7",       "-",       "x"};
    unsigned seed = 7;
    int passed = 0;
    for (int round = 0; round < 50000; round++) {
        struct bytes bytes = {0};
        int count = 1 + (int)((unsigned)rand_r(&seed) % 12);
        for (int i = 0; i < count; i++) {
            size_t word = (unsigned)rand_r(&seed) % (sizeof(words) / sizeof(words[0]));
            bytes_append(&bytes, slice_of(words[word]));
        }
        if (feed_in_every_way(bytes_slice(&bytes)).error == 0) {
            passed++;
            assert_true(count_replies(bytes_slice(&bytes)) >= 0);
        }
        bytes_release(&bytes);
    }
    assert_true(passed > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_redis_says_passes_and_the_reader_agrees),
        cmocka_unit_test(a_truncated_reply_is_no_error_yet),
        cmocka_unit_test(headers_that_nobody_should_believe_are_refused),
        cmocka_unit_test(the_limit_of_items_begins_anew_with_each_reply),
        cmocka_unit_test(nesting_is_bounded_below_what_the_reader_can_hold),
        cmocka_unit_test(what_is_no_resp2_is_refused_at_its_first_byte),
        cmocka_unit_test(lines_and_strings_end_in_crlf),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(many_large_strings_in_one_reply_are_refused),
        cmocka_unit_test(random_streams_get_one_verdict_and_never_fool_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
