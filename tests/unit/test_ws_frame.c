// WebSocket frames: every rule of RFC 6455 that a reader must see to, each fed whole, byte by byte
// and cut in two at every place. What comes out must not depend on the cuts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/transport/ws_frame.h"

enum { MAX = 64 * 1024 };

// ---- Making frames, right or wrong --------------------------------------------------------------

struct made {
    uint8_t first; // FIN, RSV, opcode
    struct slice payload;
};

enum { FIN = 0x80, RSV1 = 0x40, RSV2 = 0x20, RSV3 = 0x10 };

static void append_frame(struct bytes *bytes, uint8_t first, struct slice payload) {
    static const uint8_t mask[4] = {0x11, 0xa2, 0x00, 0xff};
    uint8_t header[WS_HEADER_BYTES_MAX];
    size_t len = ws_header_encode(WS_TEXT, payload.len, header);
    header[0] = first;
    header[1] |= 0x80;
    bytes_append(bytes, slice_make(header, len));
    bytes_append(bytes, slice_make(mask, sizeof(mask)));
    for (size_t i = 0; i < payload.len; i++) {
        bytes_append_char(bytes, (char)((uint8_t)payload.data[i] ^ mask[i & 3]));
    }
}

// ---- Reading them in every way ------------------------------------------------------------------

// What a reader said, as text: "text:hello ping:x close:1000:why !1002"
static void append_event(struct bytes *log, const struct ws_event *event) {
    static const char *const names[] = {
        [WS_TEXT] = "text", [WS_BINARY] = "binary", [WS_CLOSE] = "close",
        [WS_PING] = "ping", [WS_PONG] = "pong",
    };
    bytes_append_format(log, "%s:", names[event->opcode]);
    if (event->opcode == WS_CLOSE) {
        bytes_append_format(log, "%u:", event->close_code);
    }
    bytes_append(log, event->payload);
    bytes_append_char(log, ' ');
}

// False when it failed.
static bool feed(struct ws_reader *reader, struct slice input, struct bytes *log) {
    struct ws_event event;
    int result;
    while ((result = ws_reader_feed(reader, &input, &event)) == 1) {
        append_event(log, &event);
    }
    if (result < 0) {
        bytes_append_format(log, "!%d", -result);
        return false;
    }
    assert_int_equal(input.len, 0);
    return true;
}

static void read_in_steps(struct slice input, size_t first, size_t step, struct bytes *log) {
    struct ws_reader reader;
    ws_reader_init(&reader, MAX);
    bool is_alive = feed(&reader, slice_make(input.data, first), log);
    for (size_t at = first; is_alive && at < input.len; at += step) {
        size_t len = input.len - at < step ? input.len - at : step;
        is_alive = feed(&reader, slice_make(input.data + at, len), log);
    }
    ws_reader_rest(&reader);
    if (is_alive && reader.message_opcode == 0 && !reader.is_in_payload) {
        assert_null(reader.message.data); // idle: nothing is held
        assert_null(reader.control.data);
    }
    ws_reader_release(&reader);
}

// Releases `bytes`.
static void expect(struct bytes *bytes, const char *expected) {
    struct slice input = bytes_slice(bytes);
    size_t cuts = input.len < 300 ? input.len : 300;
    for (size_t first = 0; first <= cuts; first++) {
        struct bytes log = {0};
        bool is_whole = first == 0;
        read_in_steps(input, is_whole ? input.len : first, is_whole ? 1 : input.len, &log);
        bytes_append_char(&log, '\0');
        assert_string_equal(log.data, expected);
        bytes_release(&log);
    }
    struct bytes log = {0};
    read_in_steps(input, 0, 1, &log);
    bytes_append_char(&log, '\0');
    assert_string_equal(log.data, expected);
    bytes_release(&log);
    bytes_release(bytes);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void expect_frames(const struct made *frames, size_t count, const char *expected) {
    struct bytes bytes = {0};
    for (size_t i = 0; i < count; i++) {
        append_frame(&bytes, frames[i].first, frames[i].payload);
    }
    expect(&bytes, expected);
}

#define EXPECT(expected, ...)                                                                      \
    do {                                                                                           \
        const struct made made[] = {__VA_ARGS__};                                                  \
        expect_frames(made, COUNT(made), expected);                                                \
    } while (0)

static void expect_raw(const void *data, size_t len, const char *expected) {
    struct bytes bytes = {0};
    bytes_append(&bytes, slice_make(data, len));
    expect(&bytes, expected);
}

#define EXPECT_RAW(expected, ...)                                                                  \
    do {                                                                                           \
        const uint8_t raw[] = {__VA_ARGS__};                                                       \
        expect_raw(raw, sizeof(raw), expected);                                                    \
    } while (0)

// ---- Section 5.2: the header --------------------------------------------------------------------

static void reserved_bits_are_refused(void **state) {
    (void)state;
    EXPECT("!1002", {FIN | RSV1 | WS_TEXT, SLICE("x")});
    EXPECT("!1002", {FIN | RSV2 | WS_TEXT, SLICE("x")});
    EXPECT("!1002", {FIN | RSV3 | WS_PING, SLICE("x")});
    EXPECT("!1002", {WS_TEXT, SLICE("x")}, {FIN | RSV1 | WS_CONTINUATION, SLICE("y")});
}

static void unknown_opcodes_are_refused(void **state) {
    (void)state;
    for (uint8_t opcode = 0; opcode < 16; opcode++) {
        bool is_known = opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
        if (!is_known) {
            EXPECT("!1002", {FIN | opcode, SLICE("x")});
        }
    }
}

static void lengths_of_all_three_sizes(void **state) {
    (void)state;
    static char body[MAX];
    memset(body, 'a', sizeof(body));
    static const size_t lengths[] = {0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct bytes bytes = {0};
        struct bytes expected = {0};
        append_frame(&bytes, FIN | WS_BINARY, slice_make(body, lengths[i]));
        bytes_append(&expected, SLICE("binary:"));
        bytes_append(&expected, slice_make(body, lengths[i]));
        bytes_append(&expected, slice_make(" ", 2));
        expect(&bytes, expected.data);
        bytes_release(&expected);
    }
}

static void lengths_must_be_minimal(void **state) {
    (void)state;
    EXPECT_RAW("!1002", 0x82, 0xfe, 0, 125, 1, 2, 3, 4);
    EXPECT_RAW("!1002", 0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4);
    EXPECT_RAW("!1002", 0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4);
}

static void the_top_bit_of_a_length_is_refused(void **state) {
    (void)state;
    EXPECT_RAW("!1002", 0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4);
}

// ---- Section 5.1 and 5.3: the mask --------------------------------------------------------------

static void unmasked_frames_are_refused(void **state) {
    (void)state;
    EXPECT_RAW("!1002", 0x81, 0x01, 'x');
    EXPECT_RAW("!1002", 0x81, 0x00);
    EXPECT_RAW("!1002", 0x89, 0x00);
}

static void the_mask_is_taken_off(void **state) {
    (void)state;
    // The example of section 5.7.
    EXPECT_RAW("text:Hello ", 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58);
    EXPECT("text:0123456789abcdefghijklmnopqrstuvwxyz ",
           {FIN | WS_TEXT, SLICE("0123456789abcdefghijklmnopqrstuvwxyz")});
}

// ---- Section 5.4: fragmentation -----------------------------------------------------------------

static void fragments_make_a_message(void **state) {
    (void)state;
    EXPECT("text:onetwo ", {WS_TEXT, SLICE("one")}, {FIN | WS_CONTINUATION, SLICE("two")});
    EXPECT("binary:abc ", {WS_BINARY, SLICE("a")}, {WS_CONTINUATION, SLICE("b")},
           {FIN | WS_CONTINUATION, SLICE("c")});
    EXPECT("text:x text:y ", {WS_TEXT, SLICE("")}, {WS_CONTINUATION, SLICE("x")},
           {FIN | WS_CONTINUATION, SLICE("")}, {FIN | WS_TEXT, SLICE("y")});
}

static void control_frames_may_come_between_fragments(void **state) {
    (void)state;
    EXPECT("ping:p pong:q ping: text:ab ", {WS_TEXT, SLICE("a")}, {FIN | WS_PING, SLICE("p")},
           {FIN | WS_PONG, SLICE("q")}, {FIN | WS_PING, SLICE("")},
           {FIN | WS_CONTINUATION, SLICE("b")});
    EXPECT("close:1000:end ", {WS_TEXT, SLICE("a")},
           {FIN | WS_CLOSE, SLICE("\x03\xe8"
                                  "end")});
}

static void fragments_must_belong_together(void **state) {
    (void)state;
    EXPECT("!1002", {FIN | WS_CONTINUATION, SLICE("x")});
    EXPECT("!1002", {WS_CONTINUATION, SLICE("x")});
    EXPECT("!1002", {WS_TEXT, SLICE("a")}, {FIN | WS_TEXT, SLICE("b")});
    EXPECT("!1002", {WS_TEXT, SLICE("a")}, {WS_BINARY, SLICE("b")});
    EXPECT("text:ab !1002", {WS_TEXT, SLICE("a")}, {FIN | WS_CONTINUATION, SLICE("b")},
           {FIN | WS_CONTINUATION, SLICE("c")});
}

static void too_many_fragments(void **state) {
    (void)state;
    for (int is_empty = 0; is_empty <= 1; is_empty++) {
        struct ws_reader reader;
        ws_reader_init(&reader, MAX);
        struct bytes first = {0};
        struct bytes more = {0};
        struct bytes log = {0};
        struct slice payload = is_empty ? SLICE("") : SLICE("x");
        append_frame(&first, WS_TEXT, payload);
        append_frame(&more, WS_CONTINUATION, payload);
        assert_true(feed(&reader, bytes_slice(&first), &log));
        for (int i = 1; i < WS_FRAGMENTS_MAX; i++) {
            assert_true(feed(&reader, bytes_slice(&more), &log));
        }
        assert_false(feed(&reader, bytes_slice(&more), &log));
        assert_true(slice_equal(bytes_slice(&log), SLICE("!1008")));
        ws_reader_release(&reader);
        bytes_release(&first);
        bytes_release(&more);
        bytes_release(&log);
    }
}

static void fragments_are_counted_for_each_message(void **state) {
    (void)state;
    struct ws_reader reader;
    ws_reader_init(&reader, MAX);
    struct bytes message = {0};
    struct bytes log = {0};
    append_frame(&message, WS_BINARY, SLICE(""));
    for (int i = 2; i < WS_FRAGMENTS_MAX; i++) {
        append_frame(&message, WS_CONTINUATION, SLICE(""));
    }
    append_frame(&message, FIN | WS_CONTINUATION, SLICE("x"));
    for (int i = 0; i < 2; i++) {
        assert_true(feed(&reader, bytes_slice(&message), &log));
    }
    assert_true(slice_equal(bytes_slice(&log), SLICE("binary:x binary:x ")));
    ws_reader_release(&reader);
    bytes_release(&message);
    bytes_release(&log);
}

// ---- Section 5.5: control frames ----------------------------------------------------------------

static void control_frames_are_short_and_whole(void **state) {
    (void)state;
    static char body[126];
    memset(body, 'p', sizeof(body));
    for (uint8_t opcode = WS_CLOSE; opcode <= WS_PONG; opcode++) {
        EXPECT("!1002", {FIN | opcode, slice_make(body, 126)});
        EXPECT("!1002", {opcode, SLICE("x")});
    }
    for (size_t len = 0; len <= 125; len++) {
        struct bytes expected = {0};
        bytes_append(&expected, SLICE("ping:"));
        bytes_append(&expected, slice_make(body, len));
        bytes_append(&expected, slice_make(" ", 2));
        EXPECT(expected.data, {FIN | WS_PING, slice_make(body, len)});
        bytes_release(&expected);
    }
}

static void expect_close(unsigned code, const char *expected) {
    char body[2] = {(char)(code >> 8), (char)(code & 0xff)};
    EXPECT(expected, {FIN | WS_CLOSE, slice_make(body, 2)});
}

static void close_codes(void **state) {
    (void)state;
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < COUNT(good); i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "close:%u: ", good[i]);
        expect_close(good[i], expected);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        expect_close(bad[i], "!1002");
    }
}

static void close_bodies(void **state) {
    (void)state;
    EXPECT("close:1005: ", {FIN | WS_CLOSE, SLICE("")});
    EXPECT("!1002", {FIN | WS_CLOSE, SLICE("\x0f")}); // any second byte would make it a good code
    EXPECT("close:1000:wh\xc3\xbf ", {FIN | WS_CLOSE, SLICE("\x03\xe8wh\xc3\xbf")});
    EXPECT("!1007", {FIN | WS_CLOSE, SLICE("\x03\xe8\xff")});
    EXPECT("!1007", {FIN | WS_CLOSE, SLICE("\x03\xe8\xe2\x82")});
}

// ---- Section 8.1: UTF-8 -------------------------------------------------------------------------

static void valid_utf8(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "\xc2\x80",         // U+0080, the first of two bytes
        "\xdf\xbf",         // U+07FF
        "\xe0\xa0\x80",     // U+0800
        "\xed\x9f\xbf",     // U+D7FF, before the surrogates
        "\xee\x80\x80",     // U+E000, behind them
        "\xef\xbf\xbf",     // U+FFFF
        "\xf0\x90\x80\x80", // U+10000
        "\xf4\x8f\xbf\xbf", // U+10FFFF
        "\xef\xbb\xbfZWNBSP",
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", // kosme
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        char expected[64];
        struct slice text = slice_of(texts[i]);
        snprintf(expected, sizeof(expected), "text:%s ", texts[i]);
        EXPECT(expected, {FIN | WS_TEXT, text});
        for (size_t cut = 0; cut <= text.len; cut++) {
            EXPECT(expected, {WS_TEXT, slice_make(text.data, cut)},
                   {FIN | WS_CONTINUATION, slice_make(text.data + cut, text.len - cut)});
        }
    }
}

// The first bad octet is the last of each: the reader must stop there, with all before it let pass.
static void bad_utf8_fails_at_the_bad_octet(void **state) {
    (void)state;
    static const char *const texts[] = {
        "\x80", // a continuation byte without a beginning
        "\xbf",
        "ab\xc0", // overlong
        "\xc1",
        "\xe0\x9f", // overlong
        "\xf0\x8f", // overlong
        "\xed\xa0", // a surrogate
        "\xf4\x90", // above U+10FFFF
        "\xf5",      "\xff",          "\xfe",
        "\xe2\x82(", // a sequence that breaks off
        "\xc3z",     "\xf0\x90\x80z",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct slice text = slice_of(texts[i]);
        EXPECT("!1007", {FIN | WS_TEXT, text});
        EXPECT("!1007", {WS_TEXT, text}); // before the message ends
        struct bytes bytes = {0};
        append_frame(&bytes, FIN | WS_TEXT, text);
        bytes.data[1] = (char)(0x80 | 100); // 100 bytes are announced
        expect(&bytes, "!1007");
        struct bytes before = {0};
        append_frame(&before, WS_TEXT, slice_make(text.data, text.len - 1));
        expect(&before, "");
    }
}

static void utf8_must_be_whole_at_the_end(void **state) {
    (void)state;
    EXPECT("!1007", {FIN | WS_TEXT, SLICE("\xe2\x82")});
    EXPECT("!1007", {WS_TEXT, SLICE("\xf0\x90\x80")}, {FIN | WS_CONTINUATION, SLICE("")});
    EXPECT("binary:\xff ", {FIN | WS_BINARY, SLICE("\xff")});
    EXPECT("ping:\xff ", {FIN | WS_PING, SLICE("\xff")});
}

// ---- Section 10.4: sizes ------------------------------------------------------------------------

static void too_big_is_refused_before_it_comes(void **state) {
    (void)state;
    EXPECT_RAW("!1009", 0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4);
    EXPECT_RAW("!1009", 0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4);
    // Together, and with nothing of the second kept.
    static char body[MAX];
    struct bytes bytes = {0};
    append_frame(&bytes, WS_BINARY, slice_make(body, MAX));
    append_frame(&bytes, FIN | WS_CONTINUATION, SLICE("x"));
    expect(&bytes, "!1009");
}

static void a_claimed_length_reserves_nothing(void **state) {
    (void)state;
    struct ws_reader reader;
    struct ws_event event;
    ws_reader_init(&reader, SIZE_MAX / 8);
    static const uint8_t header[] = {0x82, 0xff, 0, 0, 0, 0x10, 0, 0, 0, 0, 1, 2, 3, 4, 'x'};
    struct slice input = slice_make(header, sizeof(header));
    assert_int_equal(ws_reader_feed(&reader, &input, &event), 0);
    assert_true(reader.message.cap < 1024);
    ws_reader_release(&reader);
}

// ---- What the server says -----------------------------------------------------------------------

static void frames_of_the_server(void **state) {
    (void)state;
    struct frame *frame = ws_frame_create(WS_TEXT, SLICE("Hello"));
    assert_true(slice_equal(frame_whole(frame), SLICE("\x81\x05Hello"))); // section 5.7
    assert_true(slice_equal(frame_payload(frame), SLICE("Hello")));
    frame_unref(&frame);
    uint8_t header[WS_HEADER_BYTES_MAX];
    static const struct {
        size_t len;
        const char *header;
        size_t bytes;
    } cases[] = {
        {125, "\x82\x7d", 2},
        {126, "\x82\x7e\x00\x7e", 4},
        {65535, "\x82\x7e\xff\xff", 4},
        {65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(ws_header_encode(WS_BINARY, cases[i].len, header), cases[i].bytes);
        assert_memory_equal(header, cases[i].header, cases[i].bytes);
    }
}

static void close_frames_of_the_server(void **state) {
    (void)state;
    struct frame *frame = ws_frame_create_close(WS_CLOSE_NO_CODE, SLICE("x"));
    assert_true(slice_equal(frame_whole(frame), SLICE("\x88\x00")));
    frame_unref(&frame);
    frame = ws_frame_create_close(4409, SLICE("1-2"));
    assert_true(slice_equal(frame_whole(frame), SLICE("\x88\x05\x11\x39"
                                                      "1-2")));
    frame_unref(&frame);
    char reason[200];
    memset(reason, 'r', sizeof(reason));
    memcpy(reason + 121, "\xe2\x82\xac", 3); // does not fit and is left away whole
    frame = ws_frame_create_close(1000, slice_make(reason, sizeof(reason)));
    assert_int_equal(frame_payload(frame).len, 2 + 121);
    frame_unref(&frame);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_bits_are_refused),
        cmocka_unit_test(unknown_opcodes_are_refused),
        cmocka_unit_test(lengths_of_all_three_sizes),
        cmocka_unit_test(lengths_must_be_minimal),
        cmocka_unit_test(the_top_bit_of_a_length_is_refused),
        cmocka_unit_test(unmasked_frames_are_refused),
        cmocka_unit_test(the_mask_is_taken_off),
        cmocka_unit_test(fragments_make_a_message),
        cmocka_unit_test(control_frames_may_come_between_fragments),
        cmocka_unit_test(fragments_must_belong_together),
        cmocka_unit_test(too_many_fragments),
        cmocka_unit_test(fragments_are_counted_for_each_message),
        cmocka_unit_test(control_frames_are_short_and_whole),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(close_bodies),
        cmocka_unit_test(valid_utf8),
        cmocka_unit_test(bad_utf8_fails_at_the_bad_octet),
        cmocka_unit_test(utf8_must_be_whole_at_the_end),
        cmocka_unit_test(too_big_is_refused_before_it_comes),
        cmocka_unit_test(a_claimed_length_reserves_nothing),
        cmocka_unit_test(frames_of_the_server),
        cmocka_unit_test(close_frames_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
