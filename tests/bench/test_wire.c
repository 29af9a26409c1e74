// What the load generator reads off the wire: HTTP answers and WebSocket frames, in any pieces.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/bench/http_in.h"
#include "tests/bench/ws_in.h"

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

static void the_fields_that_a_client_heeds_are_those_of_its_answer(void **state) {
    (void)state;
    // A 304 has no body, whatever its Content-Length.
    static const char answers[] = "HTTP/1.1 304 Not Modified\r\nETag: \"7-1\"\r\n"
                                  "content-length: 45\r\n\r\n"
                                  "HTTP/1.0 503 Service Unavailable\r\nRetry-After: 2\r\n"
                                  "Freshet-Stale: 3\r\nconnection: Close\r\n\r\n";
    struct http_in http;
    http_in_init(&http);
    struct http_piece piece = http_in_next(&http, answers, sizeof(answers) - 1);
    assert_int_equal(piece.kind, HTTP_END);
    assert_int_equal(http.status, 304);
    assert_string_equal(http.etag, "\"7-1\"");
    assert_false(http.is_last || http.is_stale || http.retry_after_s != 0);

    size_t left = sizeof(answers) - 1 - piece.taken;
    assert_int_equal(http_in_next(&http, answers + piece.taken, left).kind, HTTP_NEED_MORE);
    assert_int_equal(http.status, 503);
    assert_string_equal(http.etag, "");
    assert_true(http.is_last && http.is_stale);
    assert_int_equal(http.retry_after_s, 2);
}

static void an_etag_too_long_to_be_a_cursor_is_none(void **state) {
    (void)state;
    char answer[256];
    int length =
        snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nETag: %0*d\r\n\r\n", HTTP_ETAG_MAX, 0);
    struct http_in http;
    http_in_init(&http);
    assert_int_equal(http_in_next(&http, answer, (size_t)length).kind, HTTP_NEED_MORE);
    assert_string_equal(http.etag, "");
}

// --- WebSocket frames in pieces ---------------------------------------------------------------

struct ws_reader {
    struct ws_in ws;
    char *seen; // what was read, a bar after each message, control frames as <opcode:payload>
    size_t seen_bytes;
    size_t whole; // messages that came in one piece
    bool is_bad;
};

static void ws_see(struct ws_reader *reader, const char *bytes, size_t length) {
    memcpy(reader->seen + reader->seen_bytes, bytes, length);
    reader->seen_bytes += length;
}

// Each piece lies in memory of its own, so that a sanitizer sees a step beyond it.
static void ws_read_piece(struct ws_reader *reader, const char *bytes, size_t length) {
    char *owned = malloc(length);
    assert_non_null(owned);
    memcpy(owned, bytes, length);
    for (size_t at = 0; !reader->is_bad;) {
        struct ws_piece piece = ws_in_next(&reader->ws, owned + at, length - at);
        at += piece.taken;
        assert_true(at <= length);
        if (piece.kind == WS_NEED_MORE) {
            assert_int_equal(at, length);
            break;
        }
        if (piece.kind == WS_MESSAGE) {
            ws_see(reader, piece.bytes, piece.length);
            ws_see(reader, "|", piece.is_end);
            reader->whole += piece.is_whole;
        } else if (piece.kind == WS_CONTROL) {
            char head[8];
            int head_bytes = snprintf(head, sizeof(head), "<%d:", (int)piece.opcode);
            ws_see(reader, head, (size_t)head_bytes);
            ws_see(reader, piece.bytes, piece.length);
            ws_see(reader, ">", 1);
        }
        reader->is_bad = piece.kind == WS_BAD;
    }
    free(owned);
}

static void ws_read(struct ws_reader *reader, const char *frames, size_t length, size_t step) {
    for (size_t at = 0; at < length; at += step) {
        ws_read_piece(reader, frames + at, length - at < step ? length - at : step);
    }
}

// Writes the head of a server's frame behind frames + *length, and that many times `x`.
static void ws_add(char *frames, size_t *length, const char *head, size_t head_bytes,
                   size_t payload_bytes) {
    memcpy(frames + *length, head, head_bytes);
    memset(frames + *length + head_bytes, 'x', payload_bytes);
    *length += head_bytes + payload_bytes;
}

static void ws_frames_in_pieces_of_every_size_read_the_same(void **state) {
    (void)state;
    enum { MIDDLE = 126, LARGE = 65536 };
    // Short, empty, in three fragments with a ping, an empty ping and a pong between, a close.
    static const char small[] = "\x81\x05"
                                "hello"
                                "\x81\x00"
                                "\x01\x02"
                                "ab"
                                "\x89\x04"
                                "ping"
                                "\x00\x01"
                                "c"
                                "\x89\x00"
                                "\x8a\x01"
                                "q"
                                "\x80\x00"
                                "\x88\x02"
                                "by";
    static const char small_seen[] = "hello||ab<9:ping>c<9:><10:q>|<8:by>";
    static char frames[2 * LARGE], seen[2 * LARGE], expected[2 * LARGE];
    size_t length = sizeof(small) - 1;
    memcpy(frames, small, length);
    ws_add(frames, &length, "\x81\x7e\x00\x7e", 4, MIDDLE);
    size_t all_but_large = length;
    ws_add(frames, &length, "\x81\x7f\0\0\0\0\0\1\0\0", 10, LARGE);

    size_t expected_bytes = sizeof(small_seen) - 1;
    memcpy(expected, small_seen, expected_bytes);
    ws_add(expected, &expected_bytes, "", 0, MIDDLE);
    ws_add(expected, &expected_bytes, "|", 1, LARGE);
    ws_add(expected, &expected_bytes, "|", 1, 0);

    // Every size up to that of the frames without the large one, and all at once.
    for (size_t step = 1; step <= all_but_large + 1; step++) {
        struct ws_reader reader = {.seen = seen};
        size_t size = step <= all_but_large ? step : length;
        ws_read(&reader, frames, length, size);
        assert_false(reader.is_bad);
        assert_int_equal(reader.seen_bytes, expected_bytes);
        assert_memory_equal(seen, expected, expected_bytes);
        if (size == length) {
            assert_int_equal(reader.whole, 4); // not the one in fragments
        }
    }
}

static void frames_that_a_server_may_not_send_are_refused(void **state) {
    (void)state;
#define FRAME(text)                                                                                \
    { text, sizeof(text) - 1 }
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {
        FRAME("\x81\x81\1\2\3\4x"),            // masked
        FRAME("\xc1\x00"),                     // compressed, and nobody agreed on that
        FRAME("\x91\x00"),                     // reserved bit
        FRAME("\x82\x00"),                     // binary
        FRAME("\x83\x00"),                     // reserved opcodes
        FRAME("\x8b\x00"),                     //
        FRAME("\x80\x00"),                     // the rest of nothing
        FRAME("\x01\x01x\x81\x00"),            // a message within another
        FRAME("\x09\x00"),                     // a control frame in fragments
        FRAME("\x89\x7e\x00\x7e"),             // a long control frame
        FRAME("\x81\x7e\x00\x7d"),             // lengths that are not minimal
        FRAME("\x81\x7f\0\0\0\0\0\0\xff\xff"), //
        FRAME("\x81\x7f\x80\0\0\0\0\1\0\0"),   // longer than a length can be
        FRAME("\x81\x01x\x80\x00"),            // a message goes on after its end
    };
#undef FRAME
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t step = 1; step <= bad[i].length; step++) {
            char seen[64];
            struct ws_reader reader = {.seen = seen};
            ws_read(&reader, bad[i].bytes, bad[i].length, step);
            assert_true(reader.is_bad);
        }
    }
}

static void a_control_frame_of_a_client_is_masked(void **state) {
    (void)state;
    char frame[WS_CONTROL_FRAME_MAX];
    uint32_t mask;
    memcpy(&mask, "\x37\xfa\x21\x3d", sizeof(mask));
    // RFC 6455, 5.7: a masked "Hello", here in a pong.
    assert_int_equal(ws_control_encode(WS_PONG, "Hello", 5, mask, frame), 11);
    assert_memory_equal(frame, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_pieces_of_every_size_read_the_same),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(the_fields_that_a_client_heeds_are_those_of_its_answer),
        cmocka_unit_test(an_etag_too_long_to_be_a_cursor_is_none),
        cmocka_unit_test(ws_frames_in_pieces_of_every_size_read_the_same),
        cmocka_unit_test(frames_that_a_server_may_not_send_are_refused),
        cmocka_unit_test(a_control_frame_of_a_client_is_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
