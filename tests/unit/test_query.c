// Query strings and the fields of a request.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "node/http/request.h"

static struct bytes arena;

static int release_arena(void **state) {
    (void)state;
    bytes_release(&arena);
    return 0;
}

static int next(struct slice *query, struct slice *name, struct slice *value) {
    bytes_reserve(&arena, query->len);
    return query_next(query, &arena, name, value);
}

static void items_come_in_order_with_their_values_decoded(void **state) {
    (void)state;
    struct slice query = SLICE("channel=a%2Fb&channel=c%C3%A9&wait&since=&&x=1=2");
    const struct slice wanted[][2] = {
        {SLICE("channel"), SLICE("a/b")}, {SLICE("channel"), SLICE("c\xc3\xa9")},
        {SLICE("wait"), SLICE("")},       {SLICE("since"), SLICE("")},
        {SLICE("x"), SLICE("1=2")},
    };
    bytes_reserve(&arena, query.len);
    struct slice got[5][2];
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(query_next(&query, &arena, &got[i][0], &got[i][1]), 1);
    }
    for (size_t i = 0; i < 5; i++) { // only now: the earlier ones must still stand
        assert_true(slice_equal(got[i][0], wanted[i][0]));
        assert_true(slice_equal(got[i][1], wanted[i][1]));
    }
    assert_int_equal(query_next(&query, &arena, &got[0][0], &got[0][1]), 0);
}

static void a_plus_is_a_plus_and_decoding_happens_once(void **state) {
    (void)state;
    struct slice query = SLICE("a+b=c+d&e=%2541&f=%00");
    struct slice name;
    struct slice value;
    assert_int_equal(next(&query, &name, &value), 1);
    assert_true(slice_equal(name, SLICE("a+b")));
    assert_true(slice_equal(value, SLICE("c+d")));
    assert_int_equal(next(&query, &name, &value), 1);
    assert_true(slice_equal(value, SLICE("%41")));
    assert_int_equal(next(&query, &name, &value), 1);
    assert_true(slice_equal(value, slice_make("\0", 1)));
}

static void broken_percent_encoding_is_an_error(void **state) {
    (void)state;
    const char *const broken[] = {"a=%", "a=%4", "a=%4g", "a=%g4", "%zz=1", "a=1%"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct slice query = slice_of(broken[i]);
        struct slice name;
        struct slice value;
        assert_int_equal(next(&query, &name, &value), UV_EINVAL);
    }
}

static void fields_are_found_in_any_case_and_one_after_the_other(void **state) {
    (void)state;
    struct request request = {
        .field_count = 3,
        .fields = {{SLICE("Accept"), SLICE("a")},
                   {SLICE("X"), SLICE("b")},
                   {SLICE("accept"), SLICE("c")}},
    };
    struct slice value;
    assert_true(request_field(&request, SLICE("ACCEPT"), &value));
    assert_true(slice_equal(value, SLICE("a")));
    size_t at = 0;
    assert_true(request_field_next(&request, SLICE("accept"), &at, &value));
    assert_true(request_field_next(&request, SLICE("accept"), &at, &value));
    assert_true(slice_equal(value, SLICE("c")));
    assert_false(request_field_next(&request, SLICE("accept"), &at, &value));
    assert_false(request_field(&request, SLICE("y"), &value));
}

#define TEST(name) cmocka_unit_test_teardown(name, release_arena)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(items_come_in_order_with_their_values_decoded),
        TEST(a_plus_is_a_plus_and_decoding_happens_once),
        TEST(broken_percent_encoding_is_an_error),
        TEST(fields_are_found_in_any_case_and_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
