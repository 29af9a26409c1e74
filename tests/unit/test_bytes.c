// The growing byte buffer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/base/bytes.h"

#define assert_bytes(b, text) assert_true(slice_equal(bytes_slice(b), slice_of(text)))

static void zeroed_memory_is_an_empty_buffer(void **state) {
    (void)state;
    struct bytes bytes = {0};
    assert_int_equal(bytes_slice(&bytes).len, 0);
    bytes_append(&bytes, SLICE_NONE);
    bytes_consume(&bytes, 0);
    assert_int_equal(bytes.len, 0);
    bytes_release(&bytes);
    bytes_release(&bytes);
    assert_null(bytes.data);
}

static void what_is_appended_stays_in_order(void **state) {
    (void)state;
    struct bytes bytes = {0};
    bytes_append(&bytes, SLICE("id: "));
    bytes_append_u64(&bytes, 0);
    bytes_append_char(&bytes, '-');
    bytes_append_u64(&bytes, UINT64_MAX);
    bytes_append_format(&bytes, " %s=%d", "n", -5);
    assert_bytes(&bytes, "id: 0-18446744073709551615 n=-5");
    bytes_release(&bytes);
    assert_int_equal(bytes.cap, 0);
}

static void it_grows_one_byte_at_a_time(void **state) {
    (void)state;
    struct bytes bytes = {0};
    for (size_t i = 0; i < 100000; i++) {
        bytes_append_char(&bytes, (char)('a' + i % 26));
        assert_int_equal(bytes.len, i + 1);
        assert_true(bytes.cap >= bytes.len && bytes.cap < 2 * bytes.len + 64);
    }
    for (size_t i = 0; i < bytes.len; i++) {
        assert_int_equal(bytes.data[i], 'a' + i % 26);
    }
    bytes_release(&bytes);
}

static void reserve_gives_room_behind_the_end(void **state) {
    (void)state;
    struct bytes bytes = {0};
    bytes_append(&bytes, SLICE("ab"));
    char *at = bytes_reserve(&bytes, 5000);
    assert_ptr_equal(at, bytes.data + 2);
    assert_true(bytes.cap - bytes.len >= 5000);
    memset(at, 'c', 5000);
    bytes.len += 5000;
    assert_true(slice_starts_with(bytes_slice(&bytes), SLICE("abccc")));
    bytes_release(&bytes);
}

static void a_format_may_be_longer_than_what_is_free(void **state) {
    (void)state;
    for (int width = 0; width < 200; width++) {
        struct bytes bytes = {0};
        bytes_append(&bytes, SLICE("<"));
        bytes_append_format(&bytes, "%*s>", width, "");
        assert_int_equal(bytes.len, width + 2);
        assert_int_equal(bytes.data[width + 1], '>');
        bytes_release(&bytes);
    }
}

static void consume_drops_the_front(void **state) {
    (void)state;
    struct bytes bytes = {0};
    bytes_append(&bytes, SLICE("abcdef"));
    bytes_consume(&bytes, 0);
    assert_bytes(&bytes, "abcdef");
    bytes_consume(&bytes, 2);
    assert_bytes(&bytes, "cdef");
    bytes_append(&bytes, SLICE("g"));
    assert_bytes(&bytes, "cdefg");
    bytes_consume(&bytes, 5);
    assert_bytes(&bytes, "");
    bytes_append(&bytes, SLICE("h"));
    bytes_clear(&bytes);
    assert_int_equal(bytes.len, 0);
    bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_an_empty_buffer),
        cmocka_unit_test(what_is_appended_stays_in_order),
        cmocka_unit_test(it_grows_one_byte_at_a_time),
        cmocka_unit_test(reserve_gives_room_behind_the_end),
        cmocka_unit_test(a_format_may_be_longer_than_what_is_free),
        cmocka_unit_test(consume_drops_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
