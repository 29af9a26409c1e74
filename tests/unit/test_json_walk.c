// Walking through JSON that is known to be valid.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <uv.h>

#include "cluster/base/json.h"
#include "cluster/base/json_walk.h"

#define assert_slice(s, text) assert_true(slice_equal((s), slice_of(text)))

static void members_come_in_order_with_their_raw_bytes(void **state) {
    (void)state;
    static const char text[] = " { \"a\" : 1.50 ,\"b\":{\"x\":[1,\"}\"]}\n,\t\"c\\\"d\":\"\\\\\", "
                               "\"a\":[ ],\"e\":null} ";
    static const char *const expected[][2] = {
        {"a", "1.50"}, {"b", "{\"x\":[1,\"}\"]}"}, {"c\\\"d", "\"\\\\\""}, {"a", "[ ]"},
        {"e", "null"},
    };
    assert_true(json_is_valid(SLICE(text)));
    struct json_walk walk = json_walk_into(SLICE(text));
    struct slice name;
    struct slice value;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(json_walk_member(&walk, &name, &value));
        assert_slice(name, expected[i][0]);
        assert_slice(value, expected[i][1]);
    }
    assert_false(json_walk_member(&walk, &name, &value));
    assert_false(json_walk_member(&walk, &name, &value));
}

static void elements_come_in_order(void **state) {
    (void)state;
    static const char *const expected[] = {"1", "[2,[3]]", "\"],\"", "{\"a\":1}", "true"};
    struct json_walk walk = json_walk_into(SLICE("[1,[2,[3]] , \"],\",{\"a\":1},\ntrue ]"));
    struct slice value;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(json_walk_element(&walk, &value));
        assert_slice(value, expected[i]);
    }
    assert_false(json_walk_element(&walk, &value));
}

static void empty_ones_hold_nothing(void **state) {
    (void)state;
    struct slice name;
    struct slice value;
    struct json_walk object = json_walk_into(SLICE("{ }"));
    struct json_walk array = json_walk_into(SLICE("[\n]"));
    assert_false(json_walk_member(&object, &name, &value));
    assert_false(json_walk_element(&array, &value));
}

static void kinds(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum json_kind kind;
    } cases[] = {
        {" {}", JSON_KIND_OBJECT},  {"[]", JSON_KIND_ARRAY},      {"\"\"", JSON_KIND_STRING},
        {"-1", JSON_KIND_NUMBER},   {"0", JSON_KIND_NUMBER},      {"true", JSON_KIND_BOOLEAN},
        {"\tnull", JSON_KIND_NULL}, {"false", JSON_KIND_BOOLEAN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(json_kind(slice_of(cases[i].text)), cases[i].kind);
    }
}

static void strings_are_decoded(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"\"\"", ""},
        {"\"plain \xc3\xa9\"", "plain \xc3\xa9"},
        {" \"a\\\"b\\\\c\\/d\" ", "a\"b\\c/d"},
        {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\\uFFFF\"", "A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf"},
        {"\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!"},
        {"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes bytes = {0};
        assert_true(json_is_valid(slice_of(cases[i][0])));
        assert_int_equal(json_decode_string(&bytes, slice_of(cases[i][0])), 0);
        assert_slice(bytes_slice(&bytes), cases[i][1]);
        assert_true(slice_is_utf8(bytes_slice(&bytes)));
        bytes_release(&bytes);
    }
    struct bytes bytes = {0};
    assert_int_equal(json_decode_string(&bytes, SLICE("\"\\u0000\"")), 0);
    assert_int_equal(bytes.len, 1);
    bytes_release(&bytes);
}

static void what_no_utf8_can_say_is_refused_and_nothing_is_appended(void **state) {
    (void)state;
    static const char *const cases[] = {
        "\"a\\ud800\"",
        "\"a\\udc00\"",
        "\"a\\ud800\\ud800\"",
        "\"a\\ud800\\n\\udc00\"",
        "\"a\\ud800x\\udc00\"",
        "\"a\\ud83d\\u0041\"",
        "1",
        "[\"a\"]",
        "null",
    };
    struct bytes bytes = {0};
    bytes_append(&bytes, SLICE("before"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(json_is_valid(slice_of(cases[i])));
        assert_int_equal(json_decode_string(&bytes, slice_of(cases[i])), UV_EINVAL);
        assert_slice(bytes_slice(&bytes), "before");
    }
    bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_in_order_with_their_raw_bytes),
        cmocka_unit_test(elements_come_in_order),
        cmocka_unit_test(empty_ones_hold_nothing),
        cmocka_unit_test(kinds),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(what_no_utf8_can_say_is_refused_and_nothing_is_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
