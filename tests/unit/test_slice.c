// Slices: comparing, cutting, numbers, UTF-8.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <uv.h>

#include "cluster/base/slice.h"

#define assert_slice(s, text) assert_true(slice_equal((s), slice_of(text)))

static void equal_nocase_folds_ascii_letters_only(void **state) {
    (void)state;
    assert_true(slice_equal_nocase(SLICE("Content-LENGTH"), SLICE("content-length")));
    assert_false(slice_equal_nocase(SLICE("a"), SLICE("ab")));
    assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_equal_nocase(SLICE("\xc3\x84"), SLICE("\xc3\xa4")));
    assert_true(slice_equal_nocase(SLICE_NONE, SLICE("")));
}

static void starts_with_compares_the_whole_prefix(void **state) {
    (void)state;
    assert_true(slice_starts_with(SLICE("freshet:nodes"), SLICE("freshet:")));
    assert_true(slice_starts_with(SLICE("x"), SLICE_NONE));
    assert_true(slice_starts_with(SLICE("same"), SLICE("same")));
    assert_false(slice_starts_with(SLICE("fresh"), SLICE("freshet")));
    assert_false(slice_starts_with(SLICE_NONE, SLICE("a")));
}

static void from_stays_inside(void **state) {
    (void)state;
    assert_slice(slice_from(SLICE("abc"), 1), "bc");
    assert_int_equal(slice_from(SLICE("abc"), 3).len, 0);
    assert_int_equal(slice_from(SLICE("abc"), 99).len, 0);
}

static void cut_tells_an_empty_last_part_from_no_more(void **state) {
    (void)state;
    struct slice rest = SLICE("a,,b,");
    assert_slice(slice_cut(&rest, ','), "a");
    assert_slice(slice_cut(&rest, ','), "");
    assert_slice(slice_cut(&rest, ','), "b");
    assert_non_null(rest.data);
    assert_slice(slice_cut(&rest, ','), "");
    assert_null(rest.data);

    rest = SLICE("whole");
    assert_slice(slice_cut(&rest, ','), "whole");
    assert_null(rest.data);
    assert_int_equal(slice_cut(&rest, ',').len, 0);
    assert_null(rest.data);
}

static void trim_takes_spaces_and_tabs_at_both_ends(void **state) {
    (void)state;
    assert_slice(slice_trim(SLICE(" \t a b\t ")), "a b");
    assert_slice(slice_trim(SLICE(" \t ")), "");
    assert_slice(slice_trim(SLICE("\na\r")), "\na\r");
    assert_slice(slice_trim(SLICE_NONE), "");
}

static void numbers_are_digits_up_to_the_maximum(void **state) {
    (void)state;
    uint64_t value = 7;
    assert_int_equal(slice_to_u64(SLICE("0"), 10, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(slice_to_u64(SLICE("0010"), 10, &value), 0);
    assert_int_equal(value, 10);
    assert_int_equal(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(slice_to_u64(SLICE("9007199254740991"), 9007199254740991, &value), 0);
    assert_true(value == 9007199254740991);
}

static void numbers_refuse_everything_else_and_write_nothing(void **state) {
    (void)state;
    static const char *const refused[] = {
        "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "a", "11", "99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        uint64_t value = 7;
        assert_int_equal(slice_to_u64(slice_of(refused[i]), 10, &value), UV_EINVAL);
        assert_int_equal(value, 7);
    }
    uint64_t value;
    assert_int_equal(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &value), UV_EINVAL);
    assert_int_equal(slice_to_u64(SLICE("18446744073709551620"), UINT64_MAX, &value), UV_EINVAL);
    assert_int_equal(slice_to_u64(SLICE("1"), 0, &value), UV_EINVAL);
    assert_int_equal(slice_to_u64(SLICE("1\0"), 10, &value), UV_EINVAL);
}

// What RFC 3629 says of a code point's bytes, the other way round: by encoding it.
static size_t encode(uint32_t c, unsigned char to[4]) {
    if (c < 0x80) {
        to[0] = (unsigned char)c;
        return 1;
    }
    size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; c >>= 6) {
        to[i] = (unsigned char)(0x80 | (c & 0x3f));
    }
    to[0] = (unsigned char)(first[length] | c);
    return length;
}

static void utf8_takes_each_code_point_and_no_surrogate(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        unsigned char text[4];
        struct slice s = slice_make(text, encode(c, text));
        bool is_character = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        if (slice_is_utf8(s) != is_character) {
            fail_msg("U+%04X is judged wrongly", (unsigned)c);
        }
        assert_int_equal(slice_utf8_length(s), is_character ? s.len : 0);
        for (size_t len = 1; len < s.len; len++) {
            assert_false(slice_is_utf8(slice_make(text, len)));
        }
    }
}

static void utf8_refuses_overlong_forms_and_stray_bytes(void **state) {
    (void)state;
    static const char *const refused[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc3\x28",
        "\xe2\x82\x28",
        "\xf0\x9f\x98\x28",
        "\xe2\x28\xa1",
        "\xc3\xa4\xa4",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_false(slice_is_utf8(slice_of(refused[i])));
        assert_int_equal(slice_utf8_length(SLICE_NONE), 0);
    }
}

static void utf8_finds_one_bad_byte_at_every_offset(void **state) {
    (void)state;
    char text[40];
    for (size_t at = 0; at < sizeof(text); at++) {
        memset(text, 'a', sizeof(text));
        assert_true(slice_is_utf8(slice_make(text, sizeof(text))));
        text[at] = (char)0xff;
        assert_false(slice_is_utf8(slice_make(text, sizeof(text))));
        assert_true(slice_is_utf8(slice_make(text, at)));
    }
    assert_true(slice_is_utf8(SLICE_NONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_nocase_folds_ascii_letters_only),
        cmocka_unit_test(starts_with_compares_the_whole_prefix),
        cmocka_unit_test(from_stays_inside),
        cmocka_unit_test(cut_tells_an_empty_last_part_from_no_more),
        cmocka_unit_test(trim_takes_spaces_and_tabs_at_both_ends),
        cmocka_unit_test(numbers_are_digits_up_to_the_maximum),
        cmocka_unit_test(numbers_refuse_everything_else_and_write_nothing),
        cmocka_unit_test(utf8_takes_each_code_point_and_no_surrogate),
        cmocka_unit_test(utf8_refuses_overlong_forms_and_stray_bytes),
        cmocka_unit_test(utf8_finds_one_bad_byte_at_every_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
