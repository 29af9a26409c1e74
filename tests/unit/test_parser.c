// Requests, good and bad: each is fed whole, byte by byte and in random pieces, and must get the
// same verdict.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/http/parser.h"

enum { HEAD_MAX = 1024, BODY_MAX = 64, BUDGET = 1000, MORE = 1, DONE = 2 };

#define H       "Host: h\r\n"
#define GET     "GET / HTTP/1.1\r\n"
#define POST    "POST /p HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *text;
    int verdict; // a status, DONE or MORE
} CASES[] = {
    // Fine.
    {GET H "\r\n", DONE},
    {"\r\n" GET H "\r\n", DONE},
    {GET "host:h\r\n\r\n", DONE},
    {GET "HOST: \t h:8080 \t\r\n\r\n", DONE},
    {GET "Host: [::1]:80\r\n\r\n", DONE},
    {"GET / HTTP/1.0\r\n\r\n", DONE},
    {"HEAD /x?y HTTP/1.1\r\n" H "\r\n", DONE},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", DONE},
    {"GET http://h/x?y=1 HTTP/1.1\r\n" H "\r\n", DONE},
    {"DELETE /x HTTP/1.1\r\n" H "\r\n", DONE},
    {"TRACE / HTTP/1.1\r\n" H "\r\n", DONE},
    {"CONNECT h:443 HTTP/1.1\r\n" H "\r\n", DONE},
    {GET H "X:\r\nY: \r\n\r\n", DONE},
    {GET H "X: caf\xc3\xa9\r\n\r\n", DONE},
    {GET H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", DONE},
    {POST "Content-Length: 0\r\n\r\n", DONE},
    {POST "Content-Length: 5\r\n\r\nhello", DONE},
    {POST "Content-Length: 64\r\n\r\n"
          "0123456789012345678901234567890123456789012345678901234567890123",
     DONE},
    {CHUNKED "0\r\n\r\n", DONE},
    {CHUNKED "5\r\nhello\r\n0\r\n\r\n", DONE},
    {CHUNKED "2\r\nhe\r\n03\r\nllo\r\n00\r\n\r\n", DONE},
    {CHUNKED "A;a=\"b\"\r\n0123456789\r\n0;x\r\nTrailer: y\r\n\r\n", DONE},
    {POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", DONE},
    {POST "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello", DONE},
    // Not yet whole.
    {"", MORE},
    {"\r\n", MORE},
    {"GET / HTTP/1.1\r\n", MORE},
    {GET H, MORE},
    {POST "Content-Length: 5\r\n\r\nhell", MORE},
    {CHUNKED "5\r\nhello\r\n0\r\n", MORE},
    // Not HTTP.
    {"\x16\x03\x01\x02", 400},
    {"\n" GET H "\r\n", 400},
    {"\r\n\r\n" GET H "\r\n", 400},
    {" GET / HTTP/1.1\r\n" H "\r\n", 400},
    {"hello\r\n", 400},
    {"SSH-2.0-OpenSSH_9.2\r\n", 400},
    {"A-METHOD-LONGER-THAN-ANY-THERE-IS-ANYWHERE / HTTP/1.1\r\n", 400},
    // The request line.
    {"GET /\r\n", 400},
    {"GET / \r\n", 400},
    {"GET  / HTTP/1.1\r\n", 400},
    {"GET / HTTP/1.1 \r\n", 400},
    {"GET /a b HTTP/1.1\r\n", 400},
    {"GET\t/ HTTP/1.1\r\n", 400},
    {"GET / HTTP/2.0\r\n", 505},
    {"GET / HTTP/1.2\r\n", 505},
    {"GET / HTTP/0.9\r\n", 505},
    {"GET / http/1.1\r\n", 400},
    {"GET / HTTP/11\r\n", 400},
    {"GET / HTTP/1.10\r\n", 400},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"FOO / HTTP/1.1\r\n" H "\r\n", 501},
    {"get / HTTP/1.1\r\n" H "\r\n", 501},
    {"GET x HTTP/1.1\r\n" H "\r\n", 400},
    {"GET * HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /#f HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /\x7f HTTP/1.1\r\n" H "\r\n", 400},
    {"GET http:///x HTTP/1.1\r\n" H "\r\n", 400},
    {"GET http://a@b/ HTTP/1.1\r\n" H "\r\n", 400},
    // Lines.
    {"GET / HTTP/1.1\n" H "\r\n", 400},
    {GET "Host: h\n\r\n", 400},
    {GET H "\n", 400},
    {GET "Host: h\rX: y\r\n\r\n", 400},
    {GET H "X: a\r\n b\r\n\r\n", 400},
    {GET H "X: a\r\n\tb\r\n\r\n", 400},
    {GET " Host: h\r\n\r\n", 400},
    {GET H "X: a\vb\r\n\r\n", 400},
    {GET H "X: a\x01\r\n\r\n", 400},
    // Fields.
    {GET H "X : y\r\n\r\n", 400},
    {GET H "X\r\n\r\n", 400},
    {GET H ": y\r\n\r\n", 400},
    {GET H "X(: y\r\n\r\n", 400},
    {GET H "X\xc3\xa9: y\r\n\r\n", 400},
    // Host.
    {GET "\r\n", 400},
    {GET H H "\r\n", 400},
    {"GET / HTTP/1.0\r\n" H H "\r\n", 400},
    {GET "Host:\r\n\r\n", 400},
    {GET "Host: bad host\r\n\r\n", 400},
    {GET "Host: h:99999\r\n\r\n", 400},
    {GET "Host: h:x\r\n\r\n", 400},
    {GET "Host: [::1\r\n\r\n", 400},
    {GET "Host: a/b\r\n\r\n", 400},
    {GET "Host: a,b@c\r\n\r\n", 400},
    // Content-Length.
    {POST "Content-Length: 5, 5\r\n\r\nhello", 400},
    {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
    {POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
    {POST "Content-Length: +5\r\n\r\nhello", 400},
    {POST "Content-Length: -1\r\n\r\n", 400},
    {POST "Content-Length: 0x5\r\n\r\nhello", 400},
    {POST "Content-Length: 5 5\r\n\r\nhello", 400},
    {POST "Content-Length: 5;\r\n\r\nhello", 400},
    {POST "Content-Length:\r\n\r\n", 400},
    {POST "Content-Length: 18446744073709551616\r\n\r\n", 400},
    {POST "Content-Length: 65\r\n\r\n", 413},
    {POST "Content-Length: 9000000000\r\n\r\n", 413},
    // Transfer-Encoding.
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
    {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: xchunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: identity, chunked, identity\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\v\r\n\r\n", 400},
    {POST "Transfer-Encoding : chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding:\r\n\r\n", 400},
    {POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
    {"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    // Chunks.
    {CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", 400},
    {CHUNKED "-1\r\n", 400},
    {CHUNKED "+5\r\nhello\r\n", 400},
    {CHUNKED "\r\n", 400},
    {CHUNKED " 5\r\nhello\r\n", 400},
    {CHUNKED "5 \r\nhello\r\n", 400},
    {CHUNKED "5\nhello\r\n0\r\n\r\n", 400},
    {CHUNKED "5\r\nhello\n0\r\n\r\n", 400},
    {CHUNKED "5\r\nhelloX\r\n0\r\n\r\n", 400},
    {CHUNKED "5\rhello", 400},
    {CHUNKED "11111111111111111\r\n", 400},
    {CHUNKED "5;a\nb\r\nhello\r\n", 400},
    {CHUNKED "0\r\nT: y\n\r\n", 400},
    {CHUNKED "0\r\n folded\r\n\r\n", 400},
    {CHUNKED "41\r\n", 413},
    {CHUNKED "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n1\r\n",
     413},
    {CHUNKED "fffffffffffffff\r\n", 413},
    // Expect.
    {POST "Content-Length: 5\r\nExpect: foo\r\n\r\nhello", 417},
    {POST "Content-Length: 65\r\nExpect: 100-continue\r\n\r\n", 413},
};

struct outcome {
    int verdict;
    size_t used;
    struct bytes body;
};

static size_t body_budget;

static struct parser *create(void) {
    return parser_create(&(struct parser_limits){
        .head_bytes = HEAD_MAX,
        .body_bytes = BODY_MAX,
        .body_budget = &body_budget,
    });
}

// Feeds pieces of up to `most` bytes: SIZE_MAX all at once, 0 of random length. Each piece is a
// copy of its own, so that reading beyond it is seen.
static struct outcome feed(struct slice text, size_t most) {
    struct outcome outcome = {.verdict = MORE};
    struct parser *parser = create();
    while (outcome.verdict == MORE && outcome.used < text.len) {
        size_t left = text.len - outcome.used;
        size_t len = most == 0 ? 1 + clock_random(left) : most < left ? most : left;
        struct bytes piece = {0};
        bytes_append(&piece, slice_make(text.data + outcome.used, len));
        struct slice input = bytes_slice(&piece);
        enum parser_result result = parser_feed(parser, &input);
        outcome.used += len - input.len;
        assert_true(result != PARSER_MORE || input.len == 0);
        outcome.verdict = result == PARSER_MORE   ? MORE
                          : result == PARSER_DONE ? DONE
                                                  : parser_failure(parser)->status;
        bytes_release(&piece);
    }
    if (outcome.verdict == DONE) {
        bytes_append(&outcome.body, parser_request(parser)->body);
    }
    parser_destroy(&parser);
    assert_int_equal(body_budget, BUDGET);
    return outcome;
}

static void assert_same(struct slice text, int verdict, size_t most) {
    struct outcome whole = feed(text, SIZE_MAX);
    struct outcome cut = feed(text, most);
    if (whole.verdict != verdict || cut.verdict != verdict) {
        fail_msg("%.*s: wanted %d, got %d whole and %d in pieces of %zu", SLICE_ARGS(text), verdict,
                 whole.verdict, cut.verdict, most);
    }
    assert_true(verdict != DONE || whole.used == cut.used);
    assert_true(slice_equal(bytes_slice(&whole.body), bytes_slice(&cut.body)));
    bytes_release(&whole.body);
    bytes_release(&cut.body);
}

static int set_budget(void **state) {
    (void)state;
    body_budget = BUDGET;
    return 0;
}

static void each_request_gets_its_verdict_however_it_is_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct slice text = slice_of(CASES[i].text);
        assert_same(text, CASES[i].verdict, SIZE_MAX);
        assert_same(text, CASES[i].verdict, 1);
        for (int round = 0; round < 30; round++) {
            assert_same(text, CASES[i].verdict, 0);
        }
    }
}

static void a_nul_byte_is_refused_wherever_it_stands(void **state) {
    (void)state;
    static const char TEXT[] = GET H "X: y\r\n\r\n";
    for (size_t at = 0; at < sizeof(TEXT) - 1; at++) {
        char copy[sizeof(TEXT)];
        memcpy(copy, TEXT, sizeof(TEXT));
        copy[at] = '\0';
        assert_same(slice_make(copy, sizeof(TEXT) - 1), 400, 1);
    }
}

static void what_follows_a_request_is_left_for_the_next(void **state) {
    (void)state;
    static const char *const FIRST[] = {GET H "\r\n", POST "Content-Length: 2\r\n\r\nab",
                                        CHUNKED "2\r\nab\r\n0\r\n\r\n"};
    for (size_t i = 0; i < 3; i++) {
        struct bytes text = {0};
        bytes_append(&text, slice_of(FIRST[i]));
        bytes_append(&text, SLICE(GET H "\r\n"));
        struct outcome outcome = feed(bytes_slice(&text), SIZE_MAX);
        assert_int_equal(outcome.verdict, DONE);
        assert_int_equal(outcome.used, strlen(FIRST[i]));
        bytes_release(&outcome.body);
        bytes_release(&text);
    }
}

static void the_request_says_what_was_asked(void **state) {
    (void)state;
    struct parser *parser = create();
    struct slice input = SLICE("POST /poll?channel=a%20b&x HTTP/1.1\r\nHost: h\r\nA:  b c \t\r\n"
                               "Empty:\r\nTransfer-Encoding: chunked\r\nConnection: foo, Close\r\n"
                               "\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: trailer\r\n\r\n");
    assert_int_equal(parser_feed(parser, &input), PARSER_DONE);
    const struct request *request = parser_request(parser);
    assert_int_equal(request->method, HTTP_METHOD_POST);
    assert_int_equal(request->http_minor, 1);
    assert_false(request->is_keep_alive);
    assert_true(slice_equal(request->path, SLICE("/poll")));
    assert_true(slice_equal(request->query, SLICE("channel=a%20b&x")));
    assert_true(slice_equal(request->body, SLICE("abcde")));
    assert_int_equal(request->field_count, 5); // trailers are none
    struct slice value;
    assert_true(request_field(request, SLICE("a"), &value));
    assert_true(slice_equal(value, SLICE("b c")));
    assert_true(request_field(request, SLICE("empty"), &value));
    assert_int_equal(value.len, 0);
    parser_destroy(&parser);
}

static void assert_target(const char *text, const char *path, const char *query) {
    struct parser *parser = create();
    struct slice input = slice_of(text);
    assert_int_equal(parser_feed(parser, &input), PARSER_DONE);
    assert_true(slice_equal(parser_request(parser)->path, slice_of(path)));
    assert_true(slice_equal(parser_request(parser)->query, slice_of(query)));
    parser_destroy(&parser);
}

static void targets_are_split_into_path_and_query(void **state) {
    (void)state;
    assert_target("GET / HTTP/1.1\r\n" H "\r\n", "/", "");
    assert_target("GET /a?b?c HTTP/1.1\r\n" H "\r\n", "/a", "b?c");
    assert_target("GET /a?u=http://x/y HTTP/1.1\r\n" H "\r\n", "/a", "u=http://x/y");
    assert_target("GET http://other:80/a?b HTTP/1.1\r\n" H "\r\n", "/a", "b");
    assert_target("GET HTTP://other HTTP/1.1\r\n" H "\r\n", "/", "");
    assert_target("GET http://other?b HTTP/1.1\r\n" H "\r\n", "/", "b");
    assert_target("OPTIONS * HTTP/1.1\r\n" H "\r\n", "*", "");
}

static bool keeps_alive(const char *text) {
    struct parser *parser = create();
    struct slice input = slice_of(text);
    assert_int_equal(parser_feed(parser, &input), PARSER_DONE);
    bool is_keep_alive = parser_request(parser)->is_keep_alive;
    parser_destroy(&parser);
    return is_keep_alive;
}

static void keep_alive_is_the_default_of_1_1_and_a_wish_on_1_0(void **state) {
    (void)state;
    assert_true(keeps_alive(GET H "\r\n"));
    assert_false(keeps_alive(GET H "Connection: close\r\n\r\n"));
    assert_false(keeps_alive(GET H "Connection: keep-alive\r\nConnection: x,close\r\n\r\n"));
    assert_false(keeps_alive("GET / HTTP/1.0\r\n\r\n"));
    assert_true(keeps_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

static void append_many(struct bytes *bytes, char c, size_t count) {
    memset(bytes_reserve(bytes, count), c, count);
    bytes->len += count;
}

static void a_head_may_be_as_long_as_the_limit_and_no_longer(void **state) {
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct bytes text = {0};
        bytes_append(&text, SLICE(GET H "X: "));
        append_many(&text, 'x', HEAD_MAX - text.len - 4 + over);
        bytes_append(&text, SLICE("\r\n\r\n"));
        assert_same(bytes_slice(&text), over == 0 ? DONE : 431, 1);
        bytes_release(&text);
    }
}

static void a_target_longer_than_a_head_may_be_is_too_long(void **state) {
    (void)state;
    struct bytes text = {0};
    bytes_append(&text, SLICE("GET /"));
    append_many(&text, 'x', HEAD_MAX);
    assert_same(bytes_slice(&text), 431, 1);
    assert_same(bytes_slice(&text), 431, 0);
    bytes_release(&text);
}

static void there_may_be_64_fields_and_not_65(void **state) {
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct bytes text = {0};
        bytes_append(&text, SLICE(GET H));
        for (int i = 1; i < REQUEST_FIELDS_MAX + over; i++) {
            bytes_append(&text, SLICE("a:\r\n"));
        }
        bytes_append(&text, SLICE("\r\n"));
        assert_same(bytes_slice(&text), over == 0 ? DONE : 431, 1);
        bytes_release(&text);
    }
}

static void chunk_extensions_and_trailers_have_bounds(void **state) {
    (void)state;
    struct bytes text = {0};
    bytes_append(&text, SLICE(CHUNKED "5;"));
    append_many(&text, 'x', 64 * 1024);
    assert_same(bytes_slice(&text), 400, 0);
    bytes_clear(&text);
    bytes_append(&text, SLICE(CHUNKED "0\r\nX: "));
    append_many(&text, 'x', 64 * 1024);
    assert_same(bytes_slice(&text), 400, 0);
    bytes_release(&text);
}

static void bodies_share_a_budget(void **state) {
    (void)state;
    body_budget = 8;
    struct parser *first = create();
    struct parser *second = create();
    struct slice input = SLICE(POST "Content-Length: 6\r\n\r\nabcdef");
    assert_int_equal(parser_feed(first, &input), PARSER_DONE);
    input = SLICE(POST "Content-Length: 6\r\n\r\nabcdef");
    assert_int_equal(parser_feed(second, &input), PARSER_FAILED);
    assert_int_equal(parser_failure(second)->status, 503);
    parser_destroy(&first);
    parser_destroy(&second);
    assert_int_equal(body_budget, 8);
}

static void of_a_refused_request_the_head_is_known_if_it_could_be_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool has_head;
    } cases[] = {
        {POST "Content-Length: 65\r\nA: b\r\n\r\n", true},
        {POST "A: b\r\nTransfer-Encoding: gzip\r\n\r\n", true},
        {POST "Expect: foo\r\nA: b\r\n\r\n", true},
        {POST "A: b\r\nTransfer-Encoding: chunked\r\n\r\nx", true},
        {"POST /p HTTP/1.1\r\nA: b\r\n\r\n", false}, // no Host
        {POST "A: b\r\nbad(: c\r\n\r\n", false},
        {POST "A: b\r\n c\r\n\r\n", false},
        {POST "A: b\r\nContent-Length: x\r\n\r\n", false}, // what follows it was not read
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parser *parser = create();
        struct slice input = slice_of(cases[i].text);
        struct slice value;
        assert_int_equal(parser_feed(parser, &input), PARSER_FAILED);
        assert_int_equal(parser_has_head(parser), cases[i].has_head);
        if (cases[i].has_head) {
            assert_true(request_field(parser_request(parser), SLICE("a"), &value));
            assert_true(slice_equal(value, SLICE("b")));
            assert_true(slice_equal(parser_request(parser)->path, SLICE("/p")));
        }
        parser_destroy(&parser);
    }
}

static void a_client_that_waits_to_be_told_is_told_once(void **state) {
    (void)state;
    struct parser *parser = create();
    struct slice input = SLICE(POST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(parser_feed(parser, &input), PARSER_MORE);
    assert_true(parser_has_head(parser));
    assert_true(parser_take_continue(parser));
    assert_false(parser_take_continue(parser));
    input = SLICE("hello");
    assert_int_equal(parser_feed(parser, &input), PARSER_DONE);
    parser_destroy(&parser);
}

#define TEST(name) cmocka_unit_test_setup(name, set_budget)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_request_gets_its_verdict_however_it_is_cut),
        TEST(a_nul_byte_is_refused_wherever_it_stands),
        TEST(what_follows_a_request_is_left_for_the_next),
        TEST(the_request_says_what_was_asked),
        TEST(targets_are_split_into_path_and_query),
        TEST(keep_alive_is_the_default_of_1_1_and_a_wish_on_1_0),
        TEST(a_head_may_be_as_long_as_the_limit_and_no_longer),
        TEST(a_target_longer_than_a_head_may_be_is_too_long),
        TEST(there_may_be_64_fields_and_not_65),
        TEST(chunk_extensions_and_trailers_have_bounds),
        TEST(bodies_share_a_budget),
        TEST(of_a_refused_request_the_head_is_known_if_it_could_be_read),
        TEST(a_client_that_waits_to_be_told_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
