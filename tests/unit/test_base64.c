// Base64: RFC 4648's vectors, all lengths and bytes there and back, and what must be refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <uv.h>

#include "cluster/base/base64.h"

#define assert_bytes(b, text) assert_true(slice_equal(bytes_slice(b), slice_of(text)))

static void rfc_4648_vectors(void **state) {
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct bytes text = {0};
        struct bytes data = {0};
        base64_append(&text, slice_of(vectors[i][0]));
        assert_bytes(&text, vectors[i][1]);
        assert_int_equal(base64_decode(&data, slice_of(vectors[i][1])), 0);
        assert_bytes(&data, vectors[i][0]);
        bytes_release(&text);
        bytes_release(&data);
    }
}

static void all_lengths_and_bytes_come_back(void **state) {
    (void)state;
    char data[300];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 7 + 3);
    }
    for (size_t len = 0; len <= sizeof(data); len++) {
        struct bytes text = {0};
        struct bytes back = {0};
        bytes_append(&text, SLICE("x"));
        bytes_append(&back, SLICE("y"));
        base64_append(&text, slice_make(data, len));
        assert_int_equal(text.len, 1 + (len + 2) / 3 * 4);
        assert_int_equal(base64_decode(&back, slice_from(bytes_slice(&text), 1)), 0);
        assert_true(slice_equal(slice_from(bytes_slice(&back), 1), slice_make(data, len)));
        assert_int_equal(back.data[0], 'y');
        bytes_release(&text);
        bytes_release(&back);
    }
}

static void any_other_form_is_refused_and_appends_nothing(void **state) {
    (void)state;
    static const char *const refused[] = {
        "Z",    "Zg",       "Zg=",      "=",    "====",       "Z===",   "Zg==Zg==",
        "Zg=a", "Zm9v\n",   "Zm9v\nZm", " Zm9", "Zm9-",       "Zm9_",   "Zh==",
        "Zm9=", "Zm9vZ===", "Zm9v====", "Zm=v", "Z\xc3\xa4m", "Zg==\n", "Zm9vYg=",
    };
    struct bytes bytes = {0};
    bytes_append(&bytes, SLICE("kept"));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(base64_decode(&bytes, slice_of(refused[i])), UV_EINVAL);
        assert_bytes(&bytes, "kept");
    }
    assert_int_equal(base64_decode(&bytes, SLICE("Zm\0v")), UV_EINVAL);
    bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_4648_vectors),
        cmocka_unit_test(all_lengths_and_bytes_come_back),
        cmocka_unit_test(any_other_form_is_refused_and_appends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
