// The JSON scanner: what RFC 8259 takes and refuses, every truncation, members, strings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/base/error.h"
#include "cluster/base/json.h"
#include "cluster/base/mem.h"

struct text {
    const char *data;
    size_t len;
};

#define T(literal)                                                                                 \
    { literal, sizeof(literal) - 1 }

static const struct text accepted[] = {
    // literals and white space
    T("null"),
    T("true"),
    T("false"),
    T(" \t\r\n null \t\r\n"),
    T("[null,true,false]"),
    // numbers
    T("0"),
    T("-0"),
    T("7"),
    T("-7"),
    T("10"),
    T("1234567890123456789012345678901234567890"),
    T("0.0"),
    T("-0.5"),
    T("1.25"),
    T("1e5"),
    T("1E5"),
    T("1e+5"),
    T("1e-5"),
    T("0e0"),
    T("-0.0e-00"),
    T("1e9999"),
    T("123.456E+789"),
    T("[0,1,-2]"),
    // strings
    T("\"\""),
    T("\" \""),
    T("\"a\""),
    T("\"\x7f\""),
    T("\"\\\"\""),
    T("\"\\\\\""),
    T("\"\\/\""),
    T("\"\\b\\f\\n\\r\\t\""),
    T("\"\\u0000\""),
    T("\"\\u00e4\\u00C4\""),
    T("\"\\uFFFF\""),
    T("\"\\ud83d\\ude00\""),
    T("\"\\ud800\""),
    T("\"\\udc00\\ud800\""),
    T("\"\xc3\xa4\""),
    T("\"\xe2\x82\xac\""),
    T("\"\xf0\x9f\x98\x80\""),
    T("\"\xf4\x8f\xbf\xbf\""),
    T("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    T("\"\xef\xbf\xbf\""),
    T("\"/*no comment*/\""),
    // arrays and objects
    T("[]"),
    T("[ ]"),
    T("[\n]"),
    T("[1]"),
    T("[1,2]"),
    T("[ 1 , 2 ]"),
    T("[[]]"),
    T("[[],[[]]]"),
    T("{}"),
    T("{ }"),
    T("{\"\":0}"),
    T("{\"a\":1}"),
    T(" { \"a\" : 1 , \"b\" : [ ] } "),
    T("{\"a\":1,\"a\":2}"),
    T("{\"a\":{\"b\":{}}}"),
    T("{\"\\u0000\":0}"),
    T("[{},{}]"),
};

static const struct text refused[] = {
    // nothing, or more than one value
    T(""),
    T(" "),
    T("\n"),
    T("1 2"),
    T("null null"),
    T("[] []"),
    T("{}{}"),
    T("1,"),
    T(",1"),
    T("null\0"),
    T("\0null"),
    T("\xef\xbb\xbf{}"),
    T("{}\x0c"),
    T("\x0b[]"),
    T("[\xc2\xa0]"),
    // literals
    T("nul"),
    T("nulls"),
    T("NULL"),
    T("True"),
    T("fals"),
    T("undefined"),
    T("NaN"),
    T("nan"),
    T("Infinity"),
    T("-Infinity"),
    T("inf"),
    T("t"),
    T("[truefalse]"),
    // numbers
    T("-"),
    T("+1"),
    T("--1"),
    T("01"),
    T("-01"),
    T("00"),
    T("1."),
    T(".5"),
    T("-.5"),
    T("1.e5"),
    T("0."),
    T("1e"),
    T("1e+"),
    T("1E-"),
    T("1e+-5"),
    T("1e5.5"),
    T("0x10"),
    T("1_000"),
    T("1 000"),
    T("- 1"),
    T("1.2.3"),
    T("1ee5"),
    T("[1.]"),
    T("[-]"),
    T("[01]"),
    T("0e"),
    T("2.e-3"),
    T("1a"),
    T("\xef\xbc\x91"),
    // strings
    T("\""),
    T("\"a"),
    T("a\""),
    T("'a'"),
    T("a"),
    T("\"a\"b"),
    T("\"\n\""),
    T("\"\t\""),
    T("\"\0\""),
    T("\"\x1f\""),
    T("\"\\\""),
    T("\"\\"),
    T("\"\\a\""),
    T("\"\\x41\""),
    T("\"\\0\""),
    T("\"\\\0\""),
    T("\"\\U0041\""),
    T("\"\\'\""),
    T("\"\\u\""),
    T("\"\\u12\""),
    T("\"\\u123\""),
    T("\"\\u123g\""),
    T("\"\\u 123\""),
    T("\"\\u-123\""),
    T("\"\\\n\""),
    T("\"\\\xc3\xa4\""),
    T("\"\x80\""),
    T("\"\xc3\""),
    T("\"\xc3\"\""),
    T("\"\xc0\x80\""),
    T("\"\xe0\x80\x80\""),
    T("\"\xed\xa0\x80\""),
    T("\"\xf4\x90\x80\x80\""),
    T("\"\xf8\x88\x80\x80\x80\""),
    T("\"\xff\""),
    T("\"\xe2\x82\""),
    // arrays
    T("["),
    T("]"),
    T("[1"),
    T("[1,"),
    T("[1,]"),
    T("[,1]"),
    T("[,]"),
    T("[1,,2]"),
    T("[1 2]"),
    T("[1;2]"),
    T("[1]]"),
    T("[[1]"),
    T("[1}"),
    T("[\"a\":1]"),
    T("[1:2]"),
    T("[*]"),
    T("(1)"),
    // objects
    T("{"),
    T("}"),
    T("{\"a\""),
    T("{\"a\":"),
    T("{\"a\":1"),
    T("{\"a\":1,"),
    T("{\"a\":1,}"),
    T("{,}"),
    T("{,\"a\":1}"),
    T("{\"a\"}"),
    T("{\"a\",1}"),
    T("{\"a\":}"),
    T("{:1}"),
    T("{a:1}"),
    T("{'a':1}"),
    T("{1:1}"),
    T("{null:1}"),
    T("{\"a\":1 \"b\":2}"),
    T("{\"a\"::1}"),
    T("{\"a\":1,,\"b\":2}"),
    T("{\"a\":1]"),
    T("{\"a\":1}}"),
    T("{[]:1}"),
    T("{\"a\" 1}"),
    T("{\"a\\\":1}"),
    // comments
    T("/**/1"),
    T("1//"),
    T("[1,/**/2]"),
    T("#1"),
};

// The exact bytes in memory of their own, so that a look beyond the end is caught (ASan).
static bool is_valid(const char *data, size_t len) {
    char *copy = mem_try_alloc(len);
    memcpy(copy, data, len);
    bool is_json = json_is_valid(slice_make(copy, len));
    mem_free(copy);
    return is_json;
}

static void texts_that_are_json(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        if (!is_valid(accepted[i].data, accepted[i].len)) {
            fail_msg("refused: %s", accepted[i].data);
        }
    }
}

static void texts_that_are_not(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (is_valid(refused[i].data, refused[i].len)) {
            fail_msg("accepted, case %zu: %s", i, refused[i].data);
        }
    }
    assert_false(json_is_valid(SLICE_NONE));
}

static void each_text_is_judged_alike_inside_an_array(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        struct bytes bytes = {0};
        bytes_append(&bytes, SLICE("[1,"));
        bytes_append(&bytes, slice_make(accepted[i].data, accepted[i].len));
        bytes_append(&bytes, SLICE(",{\"a\":"));
        bytes_append(&bytes, slice_make(accepted[i].data, accepted[i].len));
        bytes_append(&bytes, SLICE("}]"));
        assert_true(is_valid(bytes.data, bytes.len));
        bytes_release(&bytes);
    }
}

static const char document[] =
    "{\"id\":17953758.1e0,\"name\":\"caf\xc3\xa9 \\u20ac \\\"q\\\"\",\"list\":[1,-2.5e+3,true,null,"
    "{\"deep\":[[],{}]}],\"\xf0\x9f\x98\x80\":false,\"empty\":\"\"}";

static void every_truncation_is_refused(void **state) {
    (void)state;
    size_t len = sizeof(document) - 1;
    assert_true(is_valid(document, len));
    for (size_t cut = 0; cut < len; cut++) {
        assert_false(is_valid(document, cut));
    }
}

// A byte that may stand nowhere in JSON, put in the place of each byte and between any two.
static void a_foreign_byte_is_found_everywhere(void **state) {
    (void)state;
    static const char text[] = "{\"a\":[1.5,\"b\\n\xc3\xa4\",true],\"\":{}}";
    size_t len = sizeof(text) - 1;
    char copy[sizeof(text)];
    assert_true(is_valid(text, len));
    for (size_t i = 0; i < len; i++) {
        memcpy(copy, text, sizeof(text));
        copy[i] = '\x01';
        assert_false(is_valid(copy, len));
        copy[i] = '\xff';
        assert_false(is_valid(copy, len));
        memcpy(copy, text, i);
        copy[i] = '\0';
        memcpy(copy + i + 1, text + i, len - i);
        assert_false(is_valid(copy, len + 1));
    }
}

static int check_nesting(size_t depth, char open, char close) {
    char *text = mem_alloc(depth * 8 + 1);
    size_t len = 0;
    for (size_t i = 0; i < depth; i++) {
        text[len++] = open;
        if (open == '{' && i + 1 < depth) {
            memcpy(text + len, "\"\":", 3);
            len += 3;
        }
    }
    for (size_t i = 0; i < depth; i++) {
        text[len++] = close;
    }
    int error = json_check(slice_make(text, len));
    mem_free(text);
    return error;
}

static void nesting_is_bounded(void **state) {
    (void)state;
    for (size_t depth = 1; depth <= JSON_DEPTH_MAX; depth++) {
        assert_int_equal(check_nesting(depth, '[', ']'), 0);
        assert_int_equal(check_nesting(depth, '{', '}'), 0);
    }
    assert_int_equal(check_nesting(JSON_DEPTH_MAX + 1, '[', ']'), E_TOO_LARGE);
    assert_int_equal(check_nesting(JSON_DEPTH_MAX + 1, '{', '}'), E_TOO_LARGE);
    assert_int_equal(check_nesting(1000000, '[', ']'), E_TOO_LARGE);
    char limit[8];
    snprintf(limit, sizeof(limit), "%d", JSON_PAYLOAD_DEPTH_MAX);
    assert_non_null(strstr(json_problem(E_TOO_LARGE), limit));
}

// Arrays and objects in a pattern that no word of bits repeats: each must end as it began.
static void what_is_nested_ends_as_it_began(void **state) {
    (void)state;
    char open[JSON_DEPTH_MAX * 4 + 1] = "";
    char close[JSON_DEPTH_MAX + 1] = "";
    size_t len = 0;
    for (size_t i = 0; i < JSON_DEPTH_MAX; i++) {
        bool is_object = i % 7 % 3 == 1;
        len += (size_t)sprintf(open + len, "%s", is_object ? "{\"\":" : "[");
        close[JSON_DEPTH_MAX - 1 - i] = is_object ? '}' : ']';
    }
    struct bytes bytes = {0};
    for (size_t wrong = 0; wrong <= JSON_DEPTH_MAX; wrong++) {
        char right = close[wrong];
        if (wrong < JSON_DEPTH_MAX) {
            close[wrong] = right == '}' ? ']' : '}';
        }
        bytes_clear(&bytes);
        bytes_append_format(&bytes, "%s0%s", open, close);
        bool is_json = json_is_valid(bytes_slice(&bytes));
        assert_int_equal(is_json, wrong == JSON_DEPTH_MAX);
        close[wrong] = right;
    }
    bytes_release(&bytes);
}

static void breadth_is_not_bounded_by_depth(void **state) {
    (void)state;
    struct bytes bytes = {0};
    bytes_append_char(&bytes, '[');
    for (int i = 0; i < 1000; i++) {
        bytes_append(&bytes, SLICE("[],{},"));
    }
    bytes_append(&bytes, SLICE("0]"));
    assert_true(json_is_valid(bytes_slice(&bytes)));
    bytes_release(&bytes);
}

static void assert_member(const char *text, const char *name, const char *expected) {
    struct slice value = SLICE("untouched");
    bool is_found = json_find_member(slice_of(text), slice_of(name), &value);
    assert_int_equal(is_found, expected != NULL);
    assert_true(slice_equal(value, slice_of(expected != NULL ? expected : "untouched")));
}

static void members_are_found_byte_for_byte(void **state) {
    (void)state;
    static const char text[] = " { \"a\" : 1.50 ,\"data\":{ \"x\" : [ 1 ] } , \"s\":\"a\\u00e4\","
                               "\"\":null, \"q\\\"\":2, \"data2\":3 } ";
    assert_member(text, "a", "1.50");
    assert_member(text, "data", "{ \"x\" : [ 1 ] }");
    assert_member(text, "s", "\"a\\u00e4\"");
    assert_member(text, "", "null");
    assert_member(text, "q\\\"", "2");
    assert_member(text, "data2", "3");
}

static void other_members_are_not(void **state) {
    (void)state;
    static const char text[] = "{\"data2\":1,\"dat\":2,\"in\":{\"data\":3},\"s\":\"data\"}";
    assert_member(text, "data", NULL);
    assert_member("{\"q\\\"z\":1}", "q\\", NULL);
    assert_member("{}", "a", NULL);
    assert_member(" { } ", "a", NULL);
    assert_member("[{\"a\":1}]", "a", NULL);
    assert_member("\"a\"", "a", NULL);
    assert_member("7", "a", NULL);
    assert_member("", "a", NULL);
}

static void a_repeated_member_is_the_last_one(void **state) {
    (void)state;
    assert_member("{\"a\":1,\"b\":2,\"a\":3}", "a", "3");
}

static void strings_are_escaped_and_valid(void **state) {
    (void)state;
    struct bytes bytes = {0};
    json_append_string(&bytes, SLICE("a\"b\\c\n\r\t\b\x01\x1f\x7f/\xc3\xa4\xf0\x9f\x98\x80"));
    assert_true(
        slice_equal(bytes_slice(&bytes), SLICE("\"a\\\"b\\\\c\\n\\r\\t\\u0008\\u0001\\u001f\x7f/"
                                               "\xc3\xa4\xf0\x9f\x98\x80\"")));
    bytes_clear(&bytes);
    json_append_string(&bytes, SLICE_NONE);
    assert_true(slice_equal(bytes_slice(&bytes), SLICE("\"\"")));
    for (int c = 0; c < 0x80; c++) {
        char text[3] = {'x', (char)c, 'y'};
        bytes_clear(&bytes);
        json_append_string(&bytes, slice_make(text, sizeof(text)));
        assert_true(json_is_valid(bytes_slice(&bytes)));
    }
    bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_json),
        cmocka_unit_test(texts_that_are_not),
        cmocka_unit_test(each_text_is_judged_alike_inside_an_array),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_foreign_byte_is_found_everywhere),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(what_is_nested_ends_as_it_began),
        cmocka_unit_test(breadth_is_not_bounded_by_depth),
        cmocka_unit_test(members_are_found_byte_for_byte),
        cmocka_unit_test(other_members_are_not),
        cmocka_unit_test(a_repeated_member_is_the_last_one),
        cmocka_unit_test(strings_are_escaped_and_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
