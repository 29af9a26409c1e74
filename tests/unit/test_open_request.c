// What clients ask for: queries, JSON bodies, the fields that change the start, and refusals.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <uv.h>

#include "node/transport/open_request.h"

static char *patterns[] = {"*"};

static struct config config = {
    .anonymous = {patterns, 1},
    .long_poll_wait_ms = 25000,
    .page_messages = 1000,
    .page_bytes = 1 << 20,
    .channels_per_request = 4,
    .channels_per_connection = 6,
};

// What everybody may.
static const struct grant grant = {.config = &config};

static struct open_problem problem;

static int read_with(struct open_request *open, enum open_use use, const char *query,
                     const char *name, const char *value) {
    struct request request = {.method = HTTP_METHOD_GET, .query = slice_of(query)};
    if (name != NULL) {
        request.fields[request.field_count++] =
            (struct http_field){slice_of(name), slice_of(value)};
    }
    memset(&problem, 0, sizeof(problem));
    return open_request_read(open, &request, use, &grant, &problem);
}

static int post(struct open_request *open, enum open_use use, const char *body) {
    struct request request = {.method = HTTP_METHOD_POST, .body = slice_of(body)};
    memset(&problem, 0, sizeof(problem));
    return open_request_read(open, &request, use, &grant, &problem);
}

static void expect_refused(int error, struct open_request *open, int status, const char *what) {
    if (error != UV_EINVAL || problem.status != status || problem.detail[0] == '\0') {
        fail_msg("%s: %d, status %d", what, error, problem.status);
    }
    open_request_release(open);
}

static void a_query_is_read(void **state) {
    (void)state;
    struct open_request open;
    assert_int_equal(read_with(&open, OPEN_POLL,
                               "channel=a%2Fb&since=5-7,0&channel=c&wait=5&limit=10&x=y&"
                               "rewind=3&min=5-8,",
                               NULL, NULL),
                     0);
    assert_int_equal(open.count, 2);
    assert_true(slice_equal(open.channels[0].name, SLICE("a/b")));
    assert_int_equal(open.channels[0].item.kind, CURSOR_SINCE);
    assert_int_equal(open.channels[1].item.kind, CURSOR_OLDEST);
    assert_true(position_equal(open.channels[0].min, (struct position){5, 8}));
    assert_true(position_is_none(open.channels[1].min));
    assert_int_equal(open.wait_ms, 5000);
    assert_int_equal(open.limit, 10);
    assert_int_equal(open.rewind, 3);
    assert_true(open.has_since && open.has_min && open.is_public && !open.is_post);
    open_request_release(&open);
}

static void what_is_too_large_is_clamped(void **state) {
    (void)state;
    struct open_request open;
    assert_int_equal(read_with(&open, OPEN_POLL,
                               "channel=a&wait=99999999999999999999999&limit=1001&rewind=5000",
                               NULL, NULL),
                     0);
    assert_int_equal(open.wait_ms, 60000);
    assert_int_equal(open.limit, 1000);
    assert_int_equal(open.rewind, 1000);
    open_request_release(&open);
}

static void wrong_queries_are_refused(void **state) {
    (void)state;
    static const char *const refused[] = {
        "",
        "since=5-7",
        "channel=",
        "channel=a%20b",
        "channel=a%zz",
        "channel=a%ff",
        "channel=%7Ba%7D",
        "channel=a&channel=a",
        "channel=a&channel=b&channel=c&channel=d&channel=e",
        "channel=a&wait=-1",
        "channel=a&wait=",
        "channel=a&wait=1.5",
        "channel=a&limit=x",
        "channel=a&rewind=+1",
        "channel=a&since=x",
        "channel=a&since=5-7,5-8",
        "channel=a&channel=b&since=5-7",
        "channel=a&min=5-7,5-8",
        "channel=a&min=x",
        "channel=a&envelope=yes",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct open_request open;
        int error = read_with(&open, OPEN_POLL, refused[i], NULL, NULL);
        expect_refused(error, &open, 400, refused[i]);
        assert_string_equal(problem.code, "bad-request");
    }
}

static void who_has_no_grant_is_told_which_channel(void **state) {
    (void)state;
    char *only[] = {"open*"};
    config.anonymous = (struct config_list){only, 1};
    struct open_request open;
    int error = read_with(&open, OPEN_POLL, "channel=open1&channel=shut", NULL, NULL);
    expect_refused(error, &open, 403, "shut");
    assert_string_equal(problem.code, "forbidden");
    assert_non_null(strstr(problem.detail, "shut"));
    config.anonymous = (struct config_list){NULL, 0};
    error = read_with(&open, OPEN_POLL, "channel=open1", NULL, NULL);
    expect_refused(error, &open, 403, "closed by default");
    config.anonymous = (struct config_list){patterns, 1};
}

static void last_event_id_wins_and_switches_rewind_off(void **state) {
    (void)state;
    struct open_request open;
    assert_int_equal(
        read_with(&open, OPEN_SSE, "channel=a&since=5-7&rewind=9", "last-event-id", "5-9"), 0);
    assert_true(position_equal(open.channels[0].item.position, (struct position){5, 9}));
    assert_int_equal(open.rewind, 0);
    open_request_release(&open);
    assert_int_equal(read_with(&open, OPEN_POLL, "channel=a&since=5-7", "Last-Event-ID", "5-9"), 0);
    assert_int_equal(open.channels[0].item.position.version, 7); // a poll is a function of its URL
    open_request_release(&open);
    expect_refused(read_with(&open, OPEN_SSE, "channel=a", "Last-Event-ID", "x"), &open, 400, "x");
}

static void a_list_of_another_length_is_foreign_on_sse_alone(void **state) {
    (void)state;
    struct open_request open;
    const char *query = "channel=a&channel=b&rewind=3";
    assert_int_equal(read_with(&open, OPEN_SSE, query, "Last-Event-ID", "5-9"), 0);
    assert_true(open.is_foreign);
    assert_int_equal(open_request_start(&open, 0).kind, CURSOR_HEAD);
    open_request_release(&open);
    expect_refused(read_with(&open, OPEN_STREAM, query, "Last-Event-ID", "5-9"), &open, 400, "l");
}

static void an_etag_is_a_cursor_where_there_is_no_since(void **state) {
    (void)state;
    struct open_request open;
    assert_int_equal(read_with(&open, OPEN_POLL, "channel=a", "If-None-Match", "W/\"5-9\""), 0);
    assert_int_equal(open.channels[0].item.position.version, 9);
    assert_false(open.has_since);
    open_request_release(&open);
    static const char *const ignored[] = {"\"5-9\", \"5-8\"", "*", "\"x\"", "\"5-9,5-9\"", "5-9"};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        assert_int_equal(read_with(&open, OPEN_POLL, "channel=a", "If-None-Match", ignored[i]), 0);
        assert_int_equal(open.channels[0].item.kind, CURSOR_HEAD);
        open_request_release(&open);
    }
    assert_int_equal(read_with(&open, OPEN_POLL, "channel=a&since=5-7", "If-None-Match", "\"5-9\""),
                     0);
    assert_int_equal(open.channels[0].item.position.version, 7);
    open_request_release(&open);
}

static void a_preference_is_taken_or_ignored(void **state) {
    (void)state;
    static const struct {
        const char *field;
        uint64_t wait_ms;
    } cases[] = {
        {"wait=7", 7000},
        {"respond-async, WAIT = 7;x=y", 7000},
        {"wait", 25000},
        {"wait=600", 60000},
        {"wait=\"7\"", 7000},
        {"wait = \"7\" ; x=\"y\"", 7000},
        {"wait=\"\"", 0},
        {"wait=\"", 0},
        {"wait=\"7", 0},
        {"wait=7\"", 0},
        {"wait=\"x\"", 0},
        {"wait=x", 0},
        {"respond-async", 0},
        {"wait=-1, wait=3", 3000},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct open_request open;
        assert_int_equal(read_with(&open, OPEN_POLL, "channel=a", "Prefer", cases[i].field), 0);
        assert_int_equal(open.wait_ms, cases[i].wait_ms);
        assert_int_equal(open.is_wait_preferred, cases[i].wait_ms > 0);
        open_request_release(&open);
    }
    struct open_request open;
    assert_int_equal(read_with(&open, OPEN_POLL, "channel=a&wait=2", "Prefer", "wait=7"), 0);
    assert_int_equal(open.wait_ms, 2000);
    assert_false(open.is_wait_preferred);
    open_request_release(&open);
}

static void rewind_is_for_channels_without_a_position(void **state) {
    (void)state;
    struct open_request open;
    assert_int_equal(
        read_with(&open, OPEN_STREAM, "channel=a&channel=b&since=5-7,&rewind=2", NULL, NULL), 0);
    assert_int_equal(open_request_start(&open, 0).kind, CURSOR_SINCE);
    assert_int_equal(open_request_start(&open, 1).kind, CURSOR_REWIND);
    assert_int_equal(open_request_start(&open, 1).rewind, 2);
    open_request_release(&open);
}

static void a_body_is_read_in_its_own_order(void **state) {
    (void)state;
    struct open_request open;
    assert_int_equal(post(&open, OPEN_POLL,
                          "{\"channels\":{\"z\":\"5-7\",\"a\":\"\",\"m\":\"0\"},\"wait\":90,"
                          "\"limit\":5,\"min\":{\"a\":\"5-1\"},\"more\":[]}"),
                     0);
    assert_int_equal(open.count, 3);
    assert_true(slice_equal(open.channels[0].name, SLICE("z")));
    assert_int_equal(open.channels[2].item.kind, CURSOR_OLDEST);
    assert_true(position_equal(open.channels[1].min, (struct position){5, 1}));
    assert_int_equal(open.wait_ms, 60000);
    assert_int_equal(open.limit, 5);
    assert_true(open.is_post && !open.has_since);
    open_request_release(&open);
}

static void wrong_bodies_are_refused(void **state) {
    (void)state;
    static const char *const refused[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"channels\":{}}",
        "{\"channels\":[\"a\"]}",
        "{\"channels\":{\"a\":5}}",
        "{\"channels\":{\"a\":\"x\"}}",
        "{\"channels\":{\"a b\":\"\"}}",
        "{\"channels\":{\"a\\u0000\":\"\"}}",
        "{\"channels\":{\"a\":\"\",\"a\":\"\"}}",
        ("{\"channels\":{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":"
         "\"\"}}"),
        "{\"channels\":{\"a\":\"\"},\"wait\":-1}",
        "{\"channels\":{\"a\":\"\"},\"wait\":\"5\"}",
        "{\"channels\":{\"a\":\"\"},\"limit\":1.5}",
        "{\"channels\":{\"a\":\"\"},\"min\":\"5-1\"}",
        "{\"channels\":{\"a\":\"\"},\"min\":{\"b\":\"5-1\"}}",
        "{\"channels\":{\"a\":\"\"}} x",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct open_request open;
        expect_refused(post(&open, OPEN_POLL, refused[i]), &open, 400, refused[i]);
    }
}

static void a_body_ends_where_it_ends(void **state) {
    (void)state;
    struct slice body = SLICE("{\"channels\":{\"a\":\"\"}}\0garbage"); // jansson stops at a NUL
    struct request request = {.method = HTTP_METHOD_POST, .body = body};
    struct open_request open;
    int error = open_request_read(&open, &request, OPEN_POLL, &grant, &problem);
    expect_refused(error, &open, 400, "garbage behind a NUL");
}

// What comes from the wire may be cut anywhere: no prefix may hurt.
static void every_prefix_is_read_or_refused(void **state) {
    (void)state;
    struct slice whole = SLICE("channel=a%2Fb&since=5-7,0&channel=c&wait=5&min=5-8,&rewind=3");
    struct slice body = SLICE("{\"channels\":{\"z\":\"5-7\",\"a\":\"\"},\"min\":{\"a\":\"5-1\"}}");
    for (size_t len = 0; len <= body.len; len++) {
        struct open_request open;
        char copy[128] = {0};
        memcpy(copy, body.data, len);
        assert_int_equal(post(&open, OPEN_SSE, copy) == 0, len == body.len);
        open_request_release(&open);
    }
    for (size_t len = 0; len <= whole.len; len++) {
        struct open_request open;
        char copy[128] = {0};
        memcpy(copy, whole.data, len);
        int error = read_with(&open, OPEN_SSE, copy, NULL, NULL);
        assert_true(error == 0 || problem.status == 400);
        open_request_release(&open);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_is_read),
        cmocka_unit_test(what_is_too_large_is_clamped),
        cmocka_unit_test(wrong_queries_are_refused),
        cmocka_unit_test(who_has_no_grant_is_told_which_channel),
        cmocka_unit_test(last_event_id_wins_and_switches_rewind_off),
        cmocka_unit_test(a_list_of_another_length_is_foreign_on_sse_alone),
        cmocka_unit_test(an_etag_is_a_cursor_where_there_is_no_since),
        cmocka_unit_test(a_preference_is_taken_or_ignored),
        cmocka_unit_test(rewind_is_for_channels_without_a_position),
        cmocka_unit_test(a_body_is_read_in_its_own_order),
        cmocka_unit_test(wrong_bodies_are_refused),
        cmocka_unit_test(a_body_ends_where_it_ends),
        cmocka_unit_test(every_prefix_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
