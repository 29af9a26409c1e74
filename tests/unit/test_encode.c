// The bytes of messages and notices.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "cluster/base/json.h"
#include "node/transport/encode.h"

static void expect(struct frame *(*encode)(struct slice channel, const struct message *message),
                   struct message fields, const char *expected) {
    bool was_demoted;
    struct message *message = message_create(&fields, &was_demoted);
    struct frame *frame = encode(SLICE("a\"b"), message);
    struct slice payload = frame_payload(frame);
    if (!slice_equal(payload, slice_of(expected))) {
        fail_msg("got  %.*s\nnot  %s", SLICE_ARGS(payload), expected);
    }
    frame_unref(&frame);
    message_unref(&message);
}

#define HEAD "{\"channel\":\"a\\\"b\",\"id\":\"7-1\",\"time\":5"

static struct message make(enum message_type type, struct slice data) {
    return (struct message){.type = type, .position = {7, 1}, .time_ms = 5, .data = data};
}

static void json_goes_out_byte_for_byte(void **state) {
    (void)state;
    struct message message = make(MESSAGE_JSON, SLICE("{\"x\" :\r\n 1.50e+1}"));
    expect(encode_object, message, HEAD ",\"data\":{\"x\" :\r\n 1.50e+1}}");
    expect(encode_line, message, HEAD ",\"data\":{\"x\" :   1.50e+1}}\n");
}

static void text_becomes_a_string_and_binary_base64(void **state) {
    (void)state;
    expect(encode_object, make(MESSAGE_TEXT, SLICE("a\n\"\xc3\xa9")),
           HEAD ",\"data\":\"a\\n\\\"\xc3\xa9\"}");
    expect(encode_object, make(MESSAGE_BINARY, SLICE("\xff\x00\x01")),
           HEAD ",\"data\":\"/wAB\",\"encoding\":\"base64\"}");
    expect(encode_object, make(MESSAGE_TEXT, SLICE_NONE), HEAD ",\"data\":\"\"}");
}

static void event_and_fork_are_there_when_they_are(void **state) {
    (void)state;
    struct message message = make(MESSAGE_JSON, SLICE("1"));
    message.event = SLICE("say \"hi\"");
    message.fork = (struct position){6, 9};
    expect(encode_object, message,
           HEAD ",\"event\":\"say \\\"hi\\\"\",\"fork\":\"6-9\",\"data\":1}");
    expect(encode_event, message, "id: 7-1\nevent: say \"hi\"\ndata: 1\n\n");
}

static void an_ephemeral_message_has_no_id(void **state) {
    (void)state;
    struct message message = make(MESSAGE_TEXT, SLICE("x"));
    message.position = POSITION_NONE;
    expect(encode_object, message, "{\"channel\":\"a\\\"b\",\"time\":5,\"data\":\"x\"}");
    expect(encode_event, message, "data: x\n\n");
}

static void line_ends_of_all_kinds_end_a_data_line(void **state) {
    (void)state;
    expect(encode_event, make(MESSAGE_TEXT, SLICE("a\nb\rc\r\nd")),
           "id: 7-1\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    expect(encode_event, make(MESSAGE_TEXT, SLICE("\r\n")), "id: 7-1\ndata: \ndata: \n\n");
    expect(encode_event, make(MESSAGE_TEXT, SLICE("\n\r")), "id: 7-1\ndata: \ndata: \ndata: \n\n");
    expect(encode_event, make(MESSAGE_TEXT, SLICE_NONE), "id: 7-1\ndata: \n\n");
    expect(encode_event, make(MESSAGE_TEXT, SLICE(" id: 9")), "id: 7-1\ndata:  id: 9\n\n");
    expect(encode_event, make(MESSAGE_BINARY, SLICE("\n\n\xff")), "id: 7-1\ndata: Cgr/\n\n");
}

static void an_envelope_in_an_event_leaves_the_id_to_the_stream(void **state) {
    (void)state;
    struct message message = make(MESSAGE_JSON, SLICE("[1,\n2]"));
    message.event = SLICE("e");
    expect(encode_event_envelope, message,
           "event: e\ndata: " HEAD ",\"event\":\"e\",\"data\":[1,\ndata: 2]}\n\n");
}

static void frames_for_streams_are_chunks(void **state) {
    (void)state;
    bool was_demoted;
    struct message fields = make(MESSAGE_TEXT, SLICE("x"));
    struct message *message = message_create(&fields, &was_demoted);
    struct frame *frame = encode_event(SLICE("a"), message);
    char expected[64];
    struct slice payload = frame_payload(frame);
    int len =
        snprintf(expected, sizeof(expected), "%zx\r\n%.*s\r\n", payload.len, SLICE_ARGS(payload));
    // The size may be written with leading zeros.
    struct slice whole = frame_whole(frame);
    assert_true(whole.len >= (size_t)len);
    assert_memory_equal(whole.data + whole.len - (size_t)len + 1, expected + 1, (size_t)len - 1);
    frame_unref(&frame);
    message_unref(&message);
}

static void notices_are_json(void **state) {
    (void)state;
    struct reset reset = {{7, 9}, {8, 0}, RESET_LOST};
    struct bytes bytes = {0};
    encode_reset(&bytes, OBJECT_JSON, SLICE("a"), &reset, 2000);
    assert_true(slice_equal(bytes_slice(&bytes),
                            SLICE("{\"type\":\"reset\",\"channel\":\"a\",\"from\":\"7-9\","
                                  "\"to\":\"8-0\",\"reason\":\"lost\",\"spread\":2000}")));
    bytes_clear(&bytes);
    reset = (struct reset){POSITION_NONE, {8, 0}, RESET_FOREIGN};
    encode_reset(&bytes, OBJECT_JSON, SLICE("a"), &reset, 0);
    assert_true(slice_equal(bytes_slice(&bytes),
                            SLICE("{\"type\":\"reset\",\"channel\":\"a\",\"from\":\"\","
                                  "\"to\":\"8-0\",\"reason\":\"foreign\",\"spread\":0}")));
    bytes_clear(&bytes);
    encode_hello(&bytes, OBJECT_JSON, SLICE("n\"1"), 15000);
    assert_true(slice_equal(bytes_slice(&bytes),
                            SLICE("{\"type\":\"hello\",\"node\":\"n\\\"1\",\"heartbeat\":15000}")));
    bytes_clear(&bytes);
    encode_ok(&bytes, OBJECT_JSON, SLICE_NONE, SLICE("a"), (struct position){7, 0});
    encode_stale(&bytes, OBJECT_JSON, 3);
    encode_bye(&bytes, OBJECT_JSON, "drain", 12);
    assert_true(slice_equal(bytes_slice(&bytes),
                            SLICE("{\"type\":\"ok\",\"channel\":\"a\",\"position\":\"7-0\"}"
                                  "{\"type\":\"stale\",\"seconds\":3}"
                                  "{\"type\":\"bye\",\"reason\":\"drain\",\"retry\":12}")));
    bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_goes_out_byte_for_byte),
        cmocka_unit_test(text_becomes_a_string_and_binary_base64),
        cmocka_unit_test(event_and_fork_are_there_when_they_are),
        cmocka_unit_test(an_ephemeral_message_has_no_id),
        cmocka_unit_test(line_ends_of_all_kinds_end_a_data_line),
        cmocka_unit_test(an_envelope_in_an_event_leaves_the_id_to_the_stream),
        cmocka_unit_test(frames_for_streams_are_chunks),
        cmocka_unit_test(notices_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
