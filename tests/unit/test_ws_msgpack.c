// MessagePack: what is written is read again, each kind in each of its forms, and hostile input.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/transport/ws_msgpack.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct ws_msgpack_token read_one(struct slice input) {
    struct ws_msgpack_token token;
    struct slice rest = input;
    assert_int_equal(ws_msgpack_next(&rest, &token), 0);
    assert_int_equal(rest.len, 0);
    assert_true(slice_equal(token.raw, input));
    return token;
}

// Every beginning of it is cut short.
static void expect_truncations_refused(struct slice input) {
    for (size_t len = 0; len < input.len; len++) {
        struct ws_msgpack_token token;
        char *copy = malloc(len + 1); // so that a sanitizer sees a byte too many
        memcpy(copy, input.data, len);
        char *exact = realloc(copy, len > 0 ? len : 1);
        struct slice cut = slice_make(exact, len);
        assert_true(ws_msgpack_next(&cut, &token) < 0);
        free(exact);
    }
}

static void numbers_round_trip_in_the_shortest_form(void **state) {
    (void)state;
    static const struct {
        uint64_t number;
        size_t bytes;
    } cases[] = {
        {0, 1},          {127, 1},        {128, 2},
        {255, 2},        {256, 3},        {65535, 3},
        {65536, 5},      {UINT32_MAX, 5}, {UINT32_MAX + UINT64_C(1), 9},
        {UINT64_MAX, 9},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes bytes = {0};
        ws_msgpack_append_uint(&bytes, cases[i].number);
        assert_int_equal(bytes.len, cases[i].bytes);
        struct ws_msgpack_token token = read_one(bytes_slice(&bytes));
        assert_int_equal(token.kind, WS_MSGPACK_UINT);
        assert_true(token.number == cases[i].number);
        expect_truncations_refused(bytes_slice(&bytes));
        bytes_release(&bytes);
    }
}

static void expect_content(void (*append)(struct bytes *, struct slice), enum ws_msgpack_kind kind,
                           size_t len, size_t header) {
    char *content = calloc(1, len + 1);
    memset(content, 'x', len);
    struct bytes bytes = {0};
    append(&bytes, slice_make(content, len));
    assert_int_equal(bytes.len, header + len);
    struct ws_msgpack_token token = read_one(bytes_slice(&bytes));
    assert_int_equal(token.kind, kind);
    assert_true(slice_equal(token.bytes, slice_make(content, len)));
    if (len < 300) {
        expect_truncations_refused(bytes_slice(&bytes));
    }
    bytes_release(&bytes);
    free(content);
}

static void strings_and_bytes_round_trip(void **state) {
    (void)state;
    static const struct {
        size_t len;
        size_t str_header;
        size_t bin_header;
    } cases[] = {{0, 1, 2},   {1, 1, 2},   {31, 1, 2},    {32, 2, 2},
                 {255, 2, 2}, {256, 3, 3}, {65535, 3, 3}, {65536, 5, 5}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect_content(ws_msgpack_append_str, WS_MSGPACK_STR, cases[i].len, cases[i].str_header);
        expect_content(ws_msgpack_append_bin, WS_MSGPACK_BIN, cases[i].len, cases[i].bin_header);
    }
}

static void counts_round_trip(void **state) {
    (void)state;
    static const struct {
        size_t count;
        size_t header;
    } cases[] = {{0, 1}, {15, 1}, {16, 3}, {65535, 3}, {65536, 5}, {UINT32_MAX, 5}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes map = {0};
        struct bytes array = {0};
        ws_msgpack_append_map(&map, cases[i].count);
        ws_msgpack_append_array(&array, cases[i].count);
        assert_int_equal(map.len, cases[i].header);
        assert_int_equal(array.len, cases[i].header);
        struct ws_msgpack_token token = read_one(bytes_slice(&map));
        assert_int_equal(token.kind, WS_MSGPACK_MAP);
        assert_true(token.number == cases[i].count);
        token = read_one(bytes_slice(&array));
        assert_int_equal(token.kind, WS_MSGPACK_ARRAY);
        assert_true(token.number == cases[i].count);
        bytes_release(&map);
        bytes_release(&array);
    }
}

static void booleans_round_trip(void **state) {
    (void)state;
    for (int is_true = 0; is_true <= 1; is_true++) {
        struct bytes bytes = {0};
        ws_msgpack_append_bool(&bytes, is_true);
        struct ws_msgpack_token token = read_one(bytes_slice(&bytes));
        assert_int_equal(token.kind, WS_MSGPACK_BOOL);
        assert_int_equal(token.number, is_true);
        bytes_release(&bytes);
    }
}

static void the_forms_that_others_write(void **state) {
    (void)state;
    static const struct {
        struct slice input;
        enum ws_msgpack_kind kind;
        uint64_t number;
    } cases[] = {
        {{"\xc0", 1}, WS_MSGPACK_NIL, 0},
        {{"\xff", 1}, WS_MSGPACK_NEGATIVE, 0},
        {{"\xe0", 1}, WS_MSGPACK_NEGATIVE, 0},
        {{"\xd0\x05", 2}, WS_MSGPACK_UINT, 5}, // signed, and not negative
        {{"\xd0\xfb", 2}, WS_MSGPACK_NEGATIVE, 0},
        {{"\xd1\x01\x00", 3}, WS_MSGPACK_UINT, 256},
        {{"\xd2\x80\x00\x00\x00", 5}, WS_MSGPACK_NEGATIVE, 0},
        {{"\xd3\x00\x00\x00\x01\x00\x00\x00\x00", 9}, WS_MSGPACK_UINT, UINT64_C(1) << 32},
        {{"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9}, WS_MSGPACK_NEGATIVE, 0},
        {{"\xca\x3f\x80\x00\x00", 5}, WS_MSGPACK_FLOAT, 0},
        {{"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", 9}, WS_MSGPACK_FLOAT, 0},
        {{"\xd4\x01z", 3}, WS_MSGPACK_EXT, 0},
        {{"\xd5\x01zz", 4}, WS_MSGPACK_EXT, 0},
        {{"\xd6\x01zzzz", 6}, WS_MSGPACK_EXT, 0},
        {{"\xc7\x02\x01zz", 5}, WS_MSGPACK_EXT, 2},
        {{"\xda\x00\x01z", 4}, WS_MSGPACK_STR, 1}, // longer than need be
        {{"\xcd\x00\x01", 3}, WS_MSGPACK_UINT, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ws_msgpack_token token = read_one(cases[i].input);
        assert_int_equal(token.kind, cases[i].kind);
        assert_true(token.number == cases[i].number);
        expect_truncations_refused(cases[i].input);
    }
}

static void lengths_are_not_believed(void **state) {
    (void)state;
    static const struct slice cases[] = {
        {"", 0},
        {"\xc1", 1},                      // never used
        {"\xdb\xff\xff\xff\xffx", 6},     // str of 4 GB
        {"\xc6\xff\xff\xff\xffx", 6},     // bin
        {"\xc9\xff\xff\xff\xff\x01x", 7}, // ext: length + type would wrap in 32 bits
        {"\xd8zzzz", 5},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ws_msgpack_token token;
        struct slice input = cases[i];
        assert_true(ws_msgpack_next(&input, &token) < 0);
    }
}

static void claimed_elements_cost_nothing(void **state) {
    (void)state;
    struct slice input = {"\xdf\xff\xff\xff\xff\xdd\xff\xff\xff\xff", 10};
    struct ws_msgpack_token token;
    assert_int_equal(ws_msgpack_next(&input, &token), 0);
    assert_int_equal(token.kind, WS_MSGPACK_MAP);
    assert_true(token.number == UINT32_MAX);
    assert_int_equal(ws_msgpack_next(&input, &token), 0);
    assert_int_equal(token.kind, WS_MSGPACK_ARRAY);
    assert_true(ws_msgpack_next(&input, &token) < 0);
}

static void depth_is_only_a_row_of_tokens(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    char *nested = malloc(DEPTH);
    memset(nested, 0x91, DEPTH);
    struct slice input = slice_make(nested, DEPTH);
    struct ws_msgpack_token token;
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(ws_msgpack_next(&input, &token), 0);
        assert_true(token.kind == WS_MSGPACK_ARRAY && token.number == 1);
    }
    assert_true(ws_msgpack_next(&input, &token) < 0);
    free(nested);
}

static void every_two_bytes_are_read_or_refused(void **state) {
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            char *bytes = malloc(2);
            bytes[0] = (char)first;
            bytes[1] = (char)second;
            struct slice input = slice_make(bytes, 2);
            struct ws_msgpack_token token;
            while (input.len > 0 && ws_msgpack_next(&input, &token) == 0) {
            }
            free(bytes);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_round_trip_in_the_shortest_form),
        cmocka_unit_test(strings_and_bytes_round_trip),
        cmocka_unit_test(counts_round_trip),
        cmocka_unit_test(booleans_round_trip),
        cmocka_unit_test(the_forms_that_others_write),
        cmocka_unit_test(lengths_are_not_believed),
        cmocka_unit_test(claimed_elements_cost_nothing),
        cmocka_unit_test(depth_is_only_a_row_of_tokens),
        cmocka_unit_test(every_two_bytes_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
