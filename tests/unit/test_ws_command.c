// Commands in both languages: the same in JSON and msgpack means the same, and hostile ones are
// refused with the right code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/base/json.h"
#include "node/transport/ws_command.h"
#include "node/transport/ws_msgpack.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// A member of a msgpack command: a text, or a number when there is none.
struct pair {
    const char *name;
    const char *text;
    uint64_t number;
};

static void append_map(struct bytes *bytes, const struct pair *pairs, size_t count) {
    ws_msgpack_append_map(bytes, count);
    for (size_t i = 0; i < count; i++) {
        ws_msgpack_append_str(bytes, slice_of(pairs[i].name));
        if (pairs[i].text != NULL) {
            ws_msgpack_append_str(bytes, slice_of(pairs[i].text));
        } else {
            ws_msgpack_append_uint(bytes, pairs[i].number);
        }
    }
}

static void read_json(const char *text, struct ws_command *command) {
    struct ws_fault fault = {0};
    int error = ws_command_read(slice_of(text), WS_JSON, command, &fault);
    if (error < 0) {
        fail_msg("%s: %s", text, fault.message);
    }
}

static void refuse(struct slice payload, enum ws_protocol protocol, const char *code) {
    struct ws_command command;
    struct ws_fault fault = {0};
    assert_true(ws_command_read(payload, protocol, &command, &fault) < 0);
    assert_string_equal(fault.code, code);
    assert_non_null(fault.message);
    ws_command_release(&command);
}

static void refuse_json(const char *text, const char *code) {
    refuse(slice_of(text), WS_JSON, code);
}

static void a_subscribe_in_both_languages(void **state) {
    (void)state;
    const struct pair pairs[] = {{"ref", NULL, 7},
                                 {"type", "subscribe", 0},
                                 {"channel", "a\xc3\xa4", 0},
                                 {"since", "5-6", 0}};
    struct bytes map = {0};
    append_map(&map, pairs, COUNT(pairs));
    static const char text[] =
        "{\"ref\":7,\"type\":\"sub\\u0073cribe\",\"channel\":\"a\\u00e4\",\"since\":\"5-6\"}";
    for (enum ws_protocol protocol = WS_JSON; protocol <= WS_MSGPACK; protocol++) {
        struct slice payload = protocol == WS_JSON ? slice_of(text) : bytes_slice(&map);
        struct ws_command command;
        struct ws_fault fault;
        assert_int_equal(ws_command_read(payload, protocol, &command, &fault), 0);
        assert_int_equal(command.type, WS_SUBSCRIBE);
        assert_true(slice_equal(command.ref, protocol == WS_JSON ? SLICE("7") : SLICE("\x07")));
        assert_true(slice_equal(command.channel, SLICE("a\xc3\xa4")));
        assert_int_equal(command.since.kind, CURSOR_SINCE);
        assert_true(position_equal(command.since.position, (struct position){5, 6}));
        ws_command_release(&command);
    }
    bytes_release(&map);
}

static void what_is_not_given(void **state) {
    (void)state;
    struct ws_command command;
    read_json("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":null,\"rewind\":null}",
              &command);
    assert_int_equal(command.ref.len, 0);
    assert_int_equal(command.since.kind, CURSOR_HEAD);
    assert_false(command.has_since);
    assert_int_equal(command.rewind, 0);
    ws_command_release(&command);
    read_json(" { \"type\" : \"ping\" , \"ref\" : \"x\\n\" } ", &command);
    assert_int_equal(command.type, WS_PING_COMMAND);
    assert_true(slice_equal(command.ref, SLICE("\"x\\n\""))); // as it came
    ws_command_release(&command);
    read_json("{\"type\":\"history\",\"channel\":\"a\",\"since\":0,\"limit\":99999999999999999999}",
              &command);
    assert_int_equal(command.since.kind, CURSOR_OLDEST);
    assert_true(command.has_since && command.has_limit);
    assert_true(command.limit == UINT64_MAX);
    ws_command_release(&command);
}

static void the_data_of_a_publish(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum message_type type;
        const char *data;
    } cases[] = {
        {"{\"data\": {\"a\": [1 ]} ,\"channel\":\"c\",\"type\":\"publish\"}", MESSAGE_JSON,
         "{\"a\": [1 ]}"},
        {"{\"data\":null,\"channel\":\"c\",\"type\":\"publish\"}", MESSAGE_JSON, "null"},
        {"{\"data\":\"h\\u00e9\",\"as\":\"json\",\"channel\":\"c\",\"type\":\"publish\"}",
         MESSAGE_JSON, "\"h\\u00e9\""},
        {"{\"data\":\"h\\u00e9\",\"as\":\"text\",\"channel\":\"c\",\"type\":\"publish\"}",
         MESSAGE_TEXT, "h\xc3\xa9"},
        {"{\"as\":\"text\",\"data\":\"\",\"channel\":\"c\",\"type\":\"publish\"}", MESSAGE_TEXT,
         ""},
        {"{\"as\":\"binary\",\"data\":\"aGk\\u003d\",\"channel\":\"c\",\"type\":\"publish\"}",
         MESSAGE_BINARY, "hi"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ws_command command;
        read_json(cases[i].text, &command);
        assert_int_equal(command.type, WS_PUBLISH);
        assert_int_equal(command.data_type, cases[i].type);
        assert_true(slice_equal(command.data, slice_of(cases[i].data)));
        ws_command_release(&command);
    }
}

static void the_data_of_a_publish_in_msgpack(void **state) {
    (void)state;
    static const struct {
        const char *as;
        bool is_bin;
        int type; // -1: refused
    } cases[] = {
        {NULL, false, MESSAGE_JSON},
        {NULL, true, MESSAGE_BINARY},
        {"json", false, MESSAGE_JSON},
        {"text", false, MESSAGE_TEXT},
        {"binary", true, MESSAGE_BINARY},
        {"binary", false, -1},
        {"text", true, -1},
        {"json", true, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes map = {0};
        ws_msgpack_append_map(&map, cases[i].as != NULL ? 4 : 3);
        ws_msgpack_append_str(&map, SLICE("data"));
        (cases[i].is_bin ? ws_msgpack_append_bin : ws_msgpack_append_str)(&map, SLICE("[1]"));
        ws_msgpack_append_str(&map, SLICE("type"));
        ws_msgpack_append_str(&map, SLICE("publish"));
        ws_msgpack_append_str(&map, SLICE("channel"));
        ws_msgpack_append_str(&map, SLICE("c"));
        if (cases[i].as != NULL) {
            ws_msgpack_append_str(&map, SLICE("as"));
            ws_msgpack_append_str(&map, slice_of(cases[i].as));
        }
        if (cases[i].type < 0) {
            refuse(bytes_slice(&map), WS_MSGPACK, "bad-request");
        } else {
            struct ws_command command;
            struct ws_fault fault;
            assert_int_equal(ws_command_read(bytes_slice(&map), WS_MSGPACK, &command, &fault), 0);
            assert_int_equal(command.data_type, cases[i].type);
            assert_true(slice_equal(command.data, SLICE("[1]")));
            ws_command_release(&command);
        }
        bytes_release(&map);
    }
}

static void each_command_takes_its_own_members(void **state) {
    (void)state;
    refuse_json("{\"type\":\"ping\",\"channel\":\"a\"}", "bad-request");
    refuse_json("{\"type\":\"unsubscribe\",\"channel\":\"a\",\"since\":\"0\"}", "bad-request");
    refuse_json("{\"type\":\"publish\",\"channel\":\"a\",\"data\":1,\"rewind\":1}", "bad-request");
    refuse_json("{\"type\":\"subscribe\",\"channel\":\"a\",\"limit\":1}", "bad-request");
    refuse_json("{\"type\":\"presence\"}", "bad-request");
    refuse_json("{\"type\":\"auth\",\"token\":\"t\",\"channel\":\"a\"}", "bad-request");
    struct ws_command command;
    read_json("{\"type\":\"auth\",\"token\":\"a.b.c\"}", &command);
    assert_true(slice_equal(command.token, SLICE("a.b.c")));
    ws_command_release(&command);
}

static void the_ref_is_told_even_when_the_rest_is_wrong(void **state) {
    (void)state;
    struct ws_command command;
    struct ws_fault fault;
    assert_true(
        ws_command_read(SLICE("{\"ref\":12,\"type\":\"dance\"}"), WS_JSON, &command, &fault) < 0);
    assert_true(slice_equal(command.ref, SLICE("12")));
    ws_command_release(&command);
    assert_true(ws_command_read(SLICE("{\"ref\":12,\"nonsense\":1}"), WS_JSON, &command, &fault) <
                0);
    assert_true(slice_equal(command.ref, SLICE("12")));
    ws_command_release(&command);
}

static void refs_are_small_scalars(void **state) {
    (void)state;
    static const char *const refs[] = {"{}", "[1]", "true", "-1", "1.0", "1e3"};
    for (size_t i = 0; i < COUNT(refs); i++) {
        struct bytes text = {0};
        bytes_append_format(&text, "{\"type\":\"ping\",\"ref\":%s}", refs[i]);
        refuse(bytes_slice(&text), WS_JSON, "bad-request");
        bytes_release(&text);
    }
    char ref[WS_REF_BYTES_MAX + 1];
    memset(ref, '1', sizeof(ref));
    for (size_t len = WS_REF_BYTES_MAX; len <= WS_REF_BYTES_MAX + 1; len++) {
        struct bytes text = {0};
        struct ws_command command;
        struct ws_fault fault;
        bytes_append_format(&text, "{\"type\":\"ping\",\"ref\":%.*s}", (int)len, ref);
        int error = ws_command_read(bytes_slice(&text), WS_JSON, &command, &fault);
        assert_true(len <= WS_REF_BYTES_MAX ? error == 0 : error < 0);
        ws_command_release(&command);
        bytes_release(&text);
    }
}

static void what_is_no_command(void **state) {
    (void)state;
    refuse_json("", "json");
    refuse_json("{", "json");
    refuse_json("{\"type\":\"ping\"}x", "json");
    refuse_json("{\"type\":NaN}", "json");
    refuse_json("\"ping\"", "bad-request");
    refuse_json("[{\"type\":\"ping\"}]", "bad-request");
    refuse_json("{}", "bad-request");
    refuse_json("{\"type\":null}", "bad-request");
    refuse_json("{\"type\":\"ping\",\"type\":\"ping\"}", "bad-request");
    refuse_json("{\"type\":\"ping\\ud800\"}", "bad-request");
    refuse_json("{\"type\":\"subscribe\",\"channel\":{}}", "bad-request");
    refuse_json("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":\"1-\"}", "bad-request");
    refuse_json("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":\"1-2,3-4\"}", "bad-request");
    char deep[JSON_DEPTH_MAX + 2] = "";
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    refuse_json(deep, "json");
}

// So that a client knows which of its commands it was.
static void what_is_refused_keeps_its_ref(void **state) {
    (void)state;
    char deep[JSON_DEPTH_MAX + 100];
    int len = snprintf(deep, sizeof(deep), "{\"ref\":7,\"type\":\"publish\",\"data\":");
    memset(deep + len, '[', JSON_DEPTH_MAX);
    deep[len + JSON_DEPTH_MAX] = '\0';
    const struct {
        const char *text;
        const char *code;
        const char *ref;
    } cases[] = {
        {deep, "json", "7"},
        {"{\"ref\":\"a\\u0062\",\"data\":NaN}", "json", "\"a\\u0062\""},
        {"{\"data\":NaN,\"ref\":7}", "json", ""}, // behind what cannot be read
        {"{\"ref\":1.5,\"data\":NaN}", "json", ""},
        {"{\"ref\":7", "json", "7"},
        {"{\"ref\":7,\"x\":{}}", "bad-request", "7"},
        {"{\"x\":{\"ref\":8},\"ref\":7}", "bad-request", "7"},
        {"{\"type\":\"\\ud800\",\"ref\":7}", "bad-request", "7"},
        {"{\"type\":\"ping\",\"type\":\"ping\",\"ref\":7}", "bad-request", "7"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ws_command command;
        struct ws_fault fault = {0};
        assert_true(ws_command_read(slice_of(cases[i].text), WS_JSON, &command, &fault) < 0);
        assert_string_equal(fault.code, cases[i].code);
        assert_true(slice_equal(command.ref, slice_of(cases[i].ref)));
        ws_command_release(&command);
    }
}

static void hostile_msgpack(void **state) {
    (void)state;
    static const struct {
        struct slice payload;
        const char *code;
    } cases[] = {
        {{"", 0}, "msgpack"},
        {{"\xc1", 1}, "msgpack"},
        {{"\xdf\xff\xff\xff\xff", 5}, "msgpack"}, // 2^32 - 1 members
        {{"\xdf\xff\xff\xff\xff\xdf\xff\xff\xff\xff", 10}, "bad-request"},
        {{"\xdd\xff\xff\xff\xff", 5}, "bad-request"},             // an array
        {{"\x81\xa3ref\xdd\x08\x00\x00\x00", 10}, "bad-request"}, // 2^27 elements
        {{"\x81\xa3ref\x91\x91\x91", 8}, "bad-request"},
        {{"\x81\xa3ref\xd4\x01x", 8}, "bad-request"}, // an ext
        {{"\x81\xa3ref", 5}, "msgpack"},
        {{"\x81\xa4type\xa4ping\x00", 12}, "msgpack"}, // a byte behind it
        {{"\x81\x01\x01", 3}, "bad-request"},
        {{"\x81\xc4\x03ref\x01", 7}, "bad-request"}, // a bin for a name
        {{"\x82\xa3ref\x01\xa3ref\x01", 11}, "bad-request"},
        {{"\x81\xa4type\xa2\xc0\xaf", 9}, "bad-request"},  // no UTF-8
        {{"\x81\xa4type\xc4\x04ping", 12}, "bad-request"}, // a bin for a text
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        refuse(cases[i].payload, WS_MSGPACK, cases[i].code);
    }
}

// Every beginning of a good command is refused, or read, without a byte read too many.
static void truncations(void **state) {
    (void)state;
    const struct pair pairs[] = {{"ref", "some ref", 0}, {"type", "publish", 0},
                                 {"channel", "c", 0},    {"data", "{\"a\":1}", 0},
                                 {"once", "key", 0},     {"if", "none", 0},
                                 {"event", "tick", 0}};
    struct bytes map = {0};
    append_map(&map, pairs, COUNT(pairs));
    for (size_t len = 0; len <= map.len; len++) {
        char *copy = malloc(len > 0 ? len : 1);
        memcpy(copy, map.data, len);
        struct ws_command command;
        struct ws_fault fault;
        int error = ws_command_read(slice_make(copy, len), WS_MSGPACK, &command, &fault);
        assert_true(len == map.len ? error == 0 : error < 0);
        ws_command_release(&command);
        free(copy);
    }
    bytes_release(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscribe_in_both_languages),
        cmocka_unit_test(what_is_not_given),
        cmocka_unit_test(the_data_of_a_publish),
        cmocka_unit_test(the_data_of_a_publish_in_msgpack),
        cmocka_unit_test(each_command_takes_its_own_members),
        cmocka_unit_test(the_ref_is_told_even_when_the_rest_is_wrong),
        cmocka_unit_test(refs_are_small_scalars),
        cmocka_unit_test(what_is_no_command),
        cmocka_unit_test(what_is_refused_keeps_its_ref),
        cmocka_unit_test(hostile_msgpack),
        cmocka_unit_test(truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
