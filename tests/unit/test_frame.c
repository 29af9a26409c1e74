// Frames: payload, chunk framing, references.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/net/frame.h"

static void a_frame_holds_a_copy_of_its_payload(void **state) {
    (void)state;
    char text[] = "hello";
    struct frame *frame = frame_create(slice_make(text, 5));
    text[0] = 'j';
    assert_true(slice_equal(frame_payload(frame), SLICE("hello")));
    assert_true(slice_equal(frame_whole(frame), SLICE("hello")));
    frame_unref(&frame);
    assert_null(frame);
}

static void a_chunk_has_its_size_in_hex_before_the_payload_and_crlf_behind(void **state) {
    (void)state;
    struct frame *frame = frame_create_chunk(SLICE("twenty-six bytes are 1a..."));
    assert_true(slice_equal(frame_whole(frame), SLICE("1a\r\ntwenty-six bytes are 1a...\r\n")));
    assert_true(slice_equal(frame_payload(frame), SLICE("twenty-six bytes are 1a...")));
    frame_unref(&frame);
}

static void a_frame_lives_until_its_last_reference_goes(void **state) {
    (void)state;
    struct frame *frame = frame_create(SLICE("x"));
    struct frame *other = frame_ref(frame);
    frame_unref(&frame);
    assert_int_equal(other->refs, 1);
    assert_true(slice_equal(frame_payload(other), SLICE("x")));
    frame_unref(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_holds_a_copy_of_its_payload),
        cmocka_unit_test(a_chunk_has_its_size_in_hex_before_the_payload_and_crlf_behind),
        cmocka_unit_test(a_frame_lives_until_its_last_reference_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
