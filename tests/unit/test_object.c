// Objects in both languages, to the byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/transport/encode.h"
#include "node/transport/object.h"
#include "node/transport/ws_msgpack.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct message *make(enum message_type type, struct slice data) {
    bool was_demoted;
    return message_create(
        &(struct message){
            .type = type,
            .position = {1795375878745123, 1},
            .fork = {1795375878745000, 9},
            .time_ms = 1795375878745,
            .event = SLICE("tick"),
            .data = data,
        },
        &was_demoted);
}

// A msgpack map as text: name=kind:value, one behind the other.
static void describe(struct bytes *text, struct slice input) {
    struct ws_msgpack_token token;
    assert_int_equal(ws_msgpack_next(&input, &token), 0);
    assert_int_equal(token.kind, WS_MSGPACK_MAP);
    for (uint64_t count = token.number; count > 0; count--) {
        assert_int_equal(ws_msgpack_next(&input, &token), 0);
        assert_int_equal(token.kind, WS_MSGPACK_STR);
        bytes_append(text, token.bytes);
        assert_int_equal(ws_msgpack_next(&input, &token), 0);
        if (token.kind == WS_MSGPACK_STR || token.kind == WS_MSGPACK_BIN) {
            bytes_append_format(text, token.kind == WS_MSGPACK_STR ? "='%.*s' " : "=<%.*s> ",
                                SLICE_ARGS(token.bytes));
        } else {
            bytes_append_format(text, "=%llu ", (unsigned long long)token.number);
        }
    }
    assert_int_equal(input.len, 0);
    bytes_append_char(text, '\0');
}

static void expect_map(struct slice map, const char *expected) {
    struct bytes text = {0};
    describe(&text, map);
    assert_string_equal(text.data, expected);
    bytes_release(&text);
}

static void messages_in_msgpack(void **state) {
    (void)state;
    static const struct {
        enum message_type type;
        struct slice data;
        const char *expected;
    } cases[] = {
        {MESSAGE_JSON, {"{\"a\": 1}", 8}, "data='{\"a\": 1}' encoding='json' "},
        {MESSAGE_TEXT, {"h\xc3\xa9", 3}, "data='h\xc3\xa9' "},
        {MESSAGE_BINARY, {"\xff\x01", 2}, "data=<\xff\x01> "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message *message = make(cases[i].type, cases[i].data);
        struct bytes map = {0};
        encode_message(&map, OBJECT_MSGPACK, SLICE("c"), message);
        struct bytes expected = {0};
        bytes_append_format(&expected,
                            "channel='c' id='1795375878745123-1' time=1795375878745 "
                            "event='tick' fork='1795375878745000-9' %s",
                            cases[i].expected);
        bytes_append_char(&expected, '\0');
        expect_map(bytes_slice(&map), expected.data);
        bytes_release(&expected);
        bytes_release(&map);
        message_unref(&message);
    }
}

static void expect_text(struct bytes *bytes, const char *expected) {
    assert_true(slice_equal(bytes_slice(bytes), slice_of(expected)));
    bytes_release(bytes);
}

static void notices(void **state) {
    (void)state;
    struct bytes bytes = {0};
    const struct reset reset = {.from = {5, 6}, .to = {7, 0}, .reason = RESET_LOST};
    encode_reset(&bytes, OBJECT_JSON, SLICE("c\""), &reset, 2000);
    expect_text(&bytes, "{\"type\":\"reset\",\"channel\":\"c\\\"\",\"from\":\"5-6\",\"to\":\"7-0\","
                        "\"reason\":\"lost\",\"spread\":2000}");
    encode_reset(&bytes, OBJECT_MSGPACK, SLICE("c"), &reset, 2000);
    expect_map(bytes_slice(&bytes),
               "type='reset' channel='c' from='5-6' to='7-0' reason='lost' spread=2000 ");
    bytes_release(&bytes);
    encode_hello(&bytes, OBJECT_JSON, SLICE("n"), 25000);
    expect_text(&bytes, "{\"type\":\"hello\",\"node\":\"n\",\"heartbeat\":25000}");
    encode_stale(&bytes, OBJECT_JSON, 0);
    expect_text(&bytes, "{\"type\":\"stale\",\"seconds\":0}");
    encode_bye(&bytes, OBJECT_JSON, "drain", 17);
    expect_text(&bytes, "{\"type\":\"bye\",\"reason\":\"drain\",\"retry\":17}");
}

static void arrays(void **state) {
    (void)state;
    for (enum object_language language = OBJECT_JSON; language <= OBJECT_MSGPACK; language++) {
        struct bytes bytes = {0};
        struct object object = object_begin(&bytes, language);
        object_bool(&object, "more", true);
        object_array(&object, "list", 2);
        for (size_t i = 0; i < 2; i++) {
            object_element(&object, i);
            struct object inner = object_begin(&bytes, language);
            object_number(&inner, "n", i);
            object_end(&inner);
        }
        object_array_end(&object);
        object_position(&object, "none", POSITION_NONE);
        object_end(&object);
        if (language == OBJECT_JSON) {
            assert_true(slice_equal(bytes_slice(&bytes),
                                    SLICE("{\"more\":true,\"list\":[{\"n\":0},{\"n\":1}],"
                                          "\"none\":\"\"}")));
        } else {
            assert_true(slice_equal(bytes_slice(&bytes),
                                    SLICE("\x83\xa4more\xc3\xa4list\x92\x81\xa1n\x00\x81\xa1n\x01"
                                          "\xa4none\xa0")));
        }
        bytes_release(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_in_msgpack),
        cmocka_unit_test(notices),
        cmocka_unit_test(arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
