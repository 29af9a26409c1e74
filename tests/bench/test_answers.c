// What answers of a node mean to the load generator: who speaks out of turn, skips, repeats or
// names a wrong position must be seen on every transport.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/bench/load.h"

static struct load load;

struct told {
    const char *text;
    uint64_t received, broken, resets;
    enum outcome outcome;
};

// A client that stands at 7-2, with message 2, unless it has not started.
static struct client client_at(enum transport transport, bool is_started) {
    struct client client = {.load = &load, .transport = transport, .is_started = is_started};
    progress_init(&client.progress);
    memset(load.tallies, 0, sizeof(load.tallies));
    if (is_started) {
        client.cursor = (struct position){7, 2};
        client.progress = (struct progress){.next = 3, .seen = 3, .unique = 2};
    }
    return client;
}

static void assert_told(struct client *client, const struct told *told) {
    const struct tally *tally = client_tally(client);
    assert_int_equal(tally->received, told->received);
    assert_int_equal(tally->broken, told->broken);
    assert_int_equal(tally->resets, told->resets);
}

// --- polls ------------------------------------------------------------------------------------

#define THREE "{\"channel\":\"a\",\"id\":\"7-3\",\"time\":1,\"data\":{\"n\":3,\"t\":1}}"

#define FORKED(fork) "{\"id\":\"9-1\",\"fork\":\"" fork "\",\"data\":{\"n\":3,\"t\":1}}"

#define POLL(cursor, messages) "{\"cursor\":\"" cursor "\",\"messages\":[" messages "]}"

static void a_poll_is_judged_by_its_messages_its_cursor_and_its_etag(void **state) {
    (void)state;
    static const struct {
        struct told told;
        const char *etag;
    } answers[] = {
        {{POLL("7-2", ""), .received = 0}, "\"7-2\""},
        {{POLL("7-3", THREE), .received = 1}, "\"7-3\""},
        {{POLL("9-1", FORKED("7-2")), .received = 1}, "\"9-1\""},
        {{POLL("9-1", FORKED("7-1")), .received = 1, .broken = 1}, "\"9-1\""},
        {{POLL("7-3", ""), .broken = 1}, "\"7-3\""},                   // skips to the head
        {{POLL("7-2", THREE), .received = 1, .broken = 1}, "\"7-2\""}, // would come again
        {{POLL("7-3", THREE), .received = 1, .broken = 1}, "\"7-2\""},
        {{POLL("7-3", THREE), .received = 1, .broken = 1}, ""},
        {{"{\"cursor\":\"7-2\",\"messages\":[],\"resets\":[{\"to\":\"7-2\"}]}", .resets = 1},
         "\"7-2\""},
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct client client = client_at(TRANSPORT_POLL, true);
        const char *text = answers[i].told.text;
        strcpy(client.http.etag, answers[i].etag);
        assert_true(answer_poll(&client, text, strlen(text)));
        assert_told(&client, &answers[i].told);
    }
}

static void a_stale_poll_and_no_other_lacks_an_etag(void **state) {
    (void)state;
    static const char text[] = POLL("7-3", THREE);
    struct client client = client_at(TRANSPORT_POLL, true);
    client.http.is_stale = true;
    assert_true(answer_poll(&client, text, strlen(text)));
    assert_told(&client, &(struct told){.received = 1});
    assert_false(client.has_etag); // so the next request has no If-None-Match

    client = client_at(TRANSPORT_POLL, true);
    client.http.is_stale = true;
    strcpy(client.http.etag, "\"7-3\"");
    assert_true(answer_poll(&client, text, strlen(text)));
    assert_told(&client, &(struct told){.received = 1, .broken = 1});
}

static void what_is_cut_short_is_asked_for_at_once(void **state) {
    (void)state;
    static const char text[] = "{\"cursor\":\"7-3\",\"messages\":[" THREE "],\"more\":true}";
    struct client client = client_at(TRANSPORT_POLL, true);
    assert_true(answer_poll(&client, text, strlen(text)));
    assert_true(client.has_more);
    assert_true(answer_poll(&client, POLL("7-3", ""), strlen(POLL("7-3", ""))));
    assert_false(client.has_more);
}

static void a_304_is_for_who_asked_and_names_the_cursor(void **state) {
    (void)state;
    struct client client = client_at(TRANSPORT_POLL, true);
    strcpy(client.http.etag, "\"7-2\"");
    assert_false(answer_unchanged(&client));
    client.has_etag = true;
    assert_true(answer_unchanged(&client));
    strcpy(client.http.etag, "\"7-3\"");
    assert_false(answer_unchanged(&client));
}

static void what_is_no_answer_of_a_poll_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "{}", "[]", "{\"cursor\":\"7-2\",\"messages\":["};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct client client = client_at(TRANSPORT_POLL, true);
        assert_false(answer_poll(&client, bad[i], strlen(bad[i])));
    }
}

// --- streams and WebSockets -------------------------------------------------------------------

#define HELLO        "{\"type\":\"hello\",\"node\":\"x\",\"heartbeat\":15000}\n"
#define OK(position) "{\"type\":\"ok\",\"channel\":\"a\",\"position\":\"" position "\"}\n"
#define BYE          "{\"type\":\"bye\",\"reason\":\"drain\",\"retry\":700}\n"
#define RESET        "{\"type\":\"reset\",\"from\":\"7-2\",\"to\":\"8-0\",\"reason\":\"lost\"}\n"

static const struct told streams[] = {
    {HELLO OK("7-2") "\n" THREE "\n", .received = 1},
    {HELLO "\n{\"type\":\"stale\",\"seconds\":3}\n" OK("7-2") FORKED("7-2") "\n", .received = 1},
    {HELLO OK("7-2") FORKED("7-1") "\n", .received = 1, .broken = 1},
    {HELLO OK("7-3"), .broken = 1}, // another position than was asked for
    {HELLO OK("7-2") RESET, .resets = 1},
    {HELLO OK("7-2") BYE, .received = 0},
    {HELLO OK("7-2") HELLO, .outcome = OUTCOME_WRONG},
    {HELLO HELLO, .outcome = OUTCOME_WRONG},
    {HELLO THREE "\n", .outcome = OUTCOME_WRONG},
    {OK("7-2"), .outcome = OUTCOME_WRONG},
    {HELLO OK("7-2") "{\"type\":\"error\"}\n", .outcome = OUTCOME_WRONG},
    {HELLO OK("7-2") "{\"id\":\"7-3\"}\n", .outcome = OUTCOME_WRONG},
    {HELLO OK("7-2") "{\"id\":\"7-3\"\n", .outcome = OUTCOME_WRONG},
};

static void a_stream_says_hello_and_ok_and_then_the_rest(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        size_t length = strlen(streams[i].text);
        for (size_t step = 1; step <= length; step++) {
            struct client client = client_at(TRANSPORT_STREAM, true);
            enum outcome outcome = OUTCOME_MORE;
            for (size_t at = 0; at < length && outcome == OUTCOME_MORE; at += step) {
                size_t left = length - at;
                outcome = body_lines(&client, streams[i].text + at, left < step ? left : step);
            }
            assert_int_equal(outcome, streams[i].outcome);
            assert_told(&client, &streams[i]);
            free(client.carry);
        }
    }
}

static void who_is_told_bye_comes_back_when_it_says(void **state) {
    (void)state;
    struct client client = client_at(TRANSPORT_STREAM, true);
    assert_int_equal(body_lines(&client, BYE, strlen(BYE)), OUTCOME_MORE);
    assert_int_equal(client.retry_ms, 700);
}

static void a_websocket_may_only_be_closed_as_going_away(void **state) {
    (void)state;
    static const struct {
        const char *frame;
        size_t length;
        enum outcome outcome;
    } closes[] = {
        {"\x88\x02\x03\xe9", 4, OUTCOME_END},
        {"\x88\x02\x03\xea", 4, OUTCOME_WRONG}, // 1002: this client broke no protocol
        {"\x88\x00", 2, OUTCOME_WRONG},
        {"\x8a\x01x\x8a\x00", 5, OUTCOME_MORE}, // pongs nobody asked for
        {"\xff\x00", 2, OUTCOME_WRONG},
    };
    for (size_t i = 0; i < sizeof(closes) / sizeof(closes[0]); i++) {
        struct client client = client_at(TRANSPORT_WS, true);
        assert_int_equal(body_ws(&client, closes[i].frame, closes[i].length), closes[i].outcome);
    }
}

// --- event streams ----------------------------------------------------------------------------

static void an_event_stream_begins_where_it_was_asked_to(void **state) {
    (void)state;
    static const char resumed[] = "retry: 2750\n\n:\n\nid: 7-2\nevent: hello\ndata: {}\n\n"
                                  "id: 7-3\ndata: {\"n\":3,\"t\":1}\n\n"
                                  "id: 9-1\ndata: {\"n\":4,\"t\":1}\n\n";
    static const char elsewhere[] = "id: 7-3\nevent: hello\ndata: {}\n\n";
    static const char reset[] = "id: 9-0\nevent: reset\ndata: {}\n\n";
    struct client client = client_at(TRANSPORT_SSE, true);
    assert_int_equal(body_lines(&client, resumed, strlen(resumed)), OUTCOME_MORE);
    assert_told(&client, &(struct told){.received = 2});
    assert_int_equal(client.retry_ms, 2750);

    client = client_at(TRANSPORT_SSE, true);
    body_lines(&client, elsewhere, strlen(elsewhere));
    body_lines(&client, reset, strlen(reset));
    assert_told(&client, &(struct told){.broken = 1, .resets = 1});

    client = client_at(TRANSPORT_SSE, false);
    body_lines(&client, elsewhere, strlen(elsewhere));
    assert_told(&client, &(struct told){.broken = 0});
    assert_true(client.is_started && position_equals(client.cursor, (struct position){7, 3}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_poll_is_judged_by_its_messages_its_cursor_and_its_etag),
        cmocka_unit_test(a_stale_poll_and_no_other_lacks_an_etag),
        cmocka_unit_test(what_is_cut_short_is_asked_for_at_once),
        cmocka_unit_test(a_304_is_for_who_asked_and_names_the_cursor),
        cmocka_unit_test(what_is_no_answer_of_a_poll_is_refused),
        cmocka_unit_test(a_stream_says_hello_and_ok_and_then_the_rest),
        cmocka_unit_test(who_is_told_bye_comes_back_when_it_says),
        cmocka_unit_test(a_websocket_may_only_be_closed_as_going_away),
        cmocka_unit_test(an_event_stream_begins_where_it_was_asked_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
