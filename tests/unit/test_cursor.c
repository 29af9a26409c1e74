// Cursor lists and entity tags.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <uv.h>

#include "node/transport/cursor.h"
#include "node/transport/etag.h"

static void a_list_has_positions_zeros_and_nothings(void **state) {
    (void)state;
    struct cursor_item items[4];
    size_t count;
    assert_int_equal(cursor_parse(SLICE("5-7,,0"), items, 4, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(items[0].kind, CURSOR_SINCE);
    assert_true(position_equal(items[0].position, (struct position){5, 7}));
    assert_int_equal(items[1].kind, CURSOR_HEAD);
    assert_int_equal(items[2].kind, CURSOR_OLDEST);
}

static void empty_text_is_one_empty_item(void **state) {
    (void)state;
    struct cursor_item items[4];
    size_t count;
    assert_int_equal(cursor_parse(SLICE(""), items, 4, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(items[0].kind, CURSOR_HEAD);
    assert_int_equal(cursor_parse(SLICE_NONE, items, 4, &count), 0);
    assert_int_equal(count, 1);
}

static void a_longer_list_is_counted_but_not_stored(void **state) {
    (void)state;
    struct cursor_item items[2] = {{CURSOR_HEAD, {0, 0}}, {CURSOR_REWIND, {0, 0}}};
    size_t count;
    assert_int_equal(cursor_parse(SLICE("1-1,2-2,3-3,"), items, 1, &count), 0);
    assert_int_equal(count, 4);
    assert_int_equal(items[1].kind, CURSOR_REWIND);
}

static void any_other_text_is_no_cursor(void **state) {
    (void)state;
    static const char *const refused[] = {"00", "1", "-", "x", " 1-1", "1-1 ", "1-1;2-2", "1-1,x"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct cursor_item items[4];
        size_t count;
        assert_int_equal(cursor_parse(slice_of(refused[i]), items, 4, &count), UV_EINVAL);
    }
}

static void a_list_is_written_as_it_is_read(void **state) {
    (void)state;
    struct bytes bytes = {0};
    cursor_append_item(&bytes, 0, (struct position){5, 7});
    cursor_append_item(&bytes, 1, POSITION_NONE);
    cursor_append_item(&bytes, 2, (struct position){6, 0});
    assert_true(slice_equal(bytes_slice(&bytes), SLICE("5-7,,6-0")));
    bytes_release(&bytes);
}

static void tags_match_weakly_and_may_hold_commas(void **state) {
    (void)state;
    static const struct {
        const char *field;
        bool matches;
    } cases[] = {
        {"\"1-1,2-2\"", true},
        {"W/\"1-1,2-2\"", true},
        {"*", true},
        {" * ", true},
        {"\"a\", W/\"1-1,2-2\" , \"b\"", true},
        {", ,\"1-1,2-2\"", true},
        {"\"a\",\"1-1,2-2\"", true},
        {"\"1-1\",\"2-2\"", false},
        {"1-1,2-2", false},
        {"\"1-1,2-2", false},
        {"\"1-1,2-2\"x", false},
        {"w/\"1-1,2-2\"", false},
        {"\"\"", false},
        {"", false},
        {"*, \"a\"", false},
        {"W/", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool matches = etag_list_matches(slice_of(cases[i].field), SLICE("1-1,2-2"));
        if (matches != cases[i].matches) {
            fail_msg("%s", cases[i].field);
        }
    }
    assert_false(etag_list_matches(SLICE_NONE, SLICE("1-1")));
}

static void a_single_tag_is_told_from_a_list(void **state) {
    (void)state;
    struct slice tag;
    assert_true(etag_list_single(SLICE(" W/\"1-1,2-2\" "), &tag));
    assert_true(slice_equal(tag, SLICE("1-1,2-2")));
    assert_false(etag_list_single(SLICE("\"1-1\", \"2-2\""), &tag));
    assert_false(etag_list_single(SLICE("*"), &tag));
    assert_false(etag_list_single(SLICE(""), &tag));
}

static void no_prefix_of_a_tag_matches(void **state) {
    (void)state;
    struct slice field = SLICE("\"a\",W/\"1-1,2-2\"");
    for (size_t len = 0; len < field.len; len++) {
        assert_false(etag_list_matches(slice_make(field.data, len), SLICE("1-1,2-2")));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_positions_zeros_and_nothings),
        cmocka_unit_test(empty_text_is_one_empty_item),
        cmocka_unit_test(a_longer_list_is_counted_but_not_stored),
        cmocka_unit_test(any_other_text_is_no_cursor),
        cmocka_unit_test(a_list_is_written_as_it_is_read),
        cmocka_unit_test(tags_match_weakly_and_may_hold_commas),
        cmocka_unit_test(a_single_tag_is_told_from_a_list),
        cmocka_unit_test(no_prefix_of_a_tag_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
