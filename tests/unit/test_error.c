// Error numbers: each has its name and text, and none collides with libuv's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <uv.h>

#include "cluster/base/error.h"

static void ours_have_names_and_texts(void **state) {
    (void)state;
    assert_string_equal(error_name(E_UNAVAILABLE), "E_UNAVAILABLE");
    assert_string_equal(error_text(E_CONFLICT), "the channel's head is another one");
#define ASSERT_KNOWN(number, name, text)                                                           \
    assert_int_equal(name, number);                                                                \
    assert_string_equal(error_name(number), #name);                                                \
    assert_string_equal(error_text(number), text);
    ERROR_MAP(ASSERT_KNOWN)
#undef ASSERT_KNOWN
}

static void ours_lie_outside_libuvs_range(void **state) {
    (void)state;
#define ASSERT_OUTSIDE(name, text) assert_true(UV_##name > -20000);
    UV_ERRNO_MAP(ASSERT_OUTSIDE)
#undef ASSERT_OUTSIDE
}

static void libuvs_keep_their_names_and_texts(void **state) {
    (void)state;
    assert_string_equal(error_name(UV_ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(error_name(UV_EOF), "EOF");
    assert_string_equal(error_text(UV_EINVAL), uv_strerror(UV_EINVAL));
}

static void other_numbers_are_never_null(void **state) {
    (void)state;
    assert_string_equal(error_name(0), "OK");
    assert_string_equal(error_name(12345), "UNKNOWN");
    assert_string_equal(error_name(-20999), "UNKNOWN");
    assert_string_equal(error_text(-20999), "unknown error");
    assert_string_equal(error_text(0), "no error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_have_names_and_texts),
        cmocka_unit_test(ours_lie_outside_libuvs_range),
        cmocka_unit_test(libuvs_keep_their_names_and_texts),
        cmocka_unit_test(other_numbers_are_never_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
