// Payloads from pub/sub: envelopes, ephemeral text, and everything that is neither.
#include "cluster/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

// [1, 1795375878745123, 42, nil, "json", nil, 1795375878745, "{\"a\":1}"]
static const char plain[] = "\x98\x01\xcf\x00\x06\x60\xe0\x35\x4e\x5f\x23\x2a\xc0\xa4json\xc0"
                            "\xcf\x00\x00\x01\xa2\x04\x8c\xf4\x19\xa7{\"a\":1}";

static struct message *decode(struct slice payload, enum envelope_refusal *refusal_r) {
    bool was_demoted;
    return envelope_decode(payload, 1234, refusal_r, &was_demoted);
}

static void an_envelope_becomes_a_message(void **state) {
    (void)state;
    enum envelope_refusal refusal;
    struct message *message = decode(slice_make(plain, sizeof(plain) - 1), &refusal);
    assert_non_null(message);
    assert_int_equal(message->position.epoch, 0x000660e0354e5f23ull);
    assert_int_equal(message->position.version, 42);
    assert_true(position_is_none(message->fork));
    assert_int_equal(message->type, MESSAGE_JSON);
    assert_int_equal(message->time_ms, 0x1a2048cf419ll);
    assert_int_equal(message->data.len, 7);
    message_unref(&message);
}

static void numbers_may_be_doubles_and_forks_positions(void **state) {
    (void)state;
    // epoch 3.0 as a double, fork "2-9", event "e"
    static const char payload[] = "\x98\x01\xcb\x40\x08\x00\x00\x00\x00\x00\x00\x01\xa3"
                                  "2-9\xa4text\xa1"
                                  "e\x05\xa2hi";
    enum envelope_refusal refusal;
    struct message *message = decode(slice_make(payload, sizeof(payload) - 1), &refusal);
    assert_non_null(message);
    assert_int_equal(message->position.epoch, 3);
    assert_int_equal(message->fork.epoch, 2);
    assert_int_equal(message->fork.version, 9);
    assert_int_equal(message->event.len, 1);
    message_unref(&message);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    for (size_t len = 1; len < sizeof(plain) - 1; len++) {
        char *copy = malloc(len); // of its exact size, for the address sanitizer
        memcpy(copy, plain, len);
        enum envelope_refusal refusal = ENVELOPE_SIZE;
        assert_null(decode(slice_make(copy, len), &refusal));
        assert_int_equal(refusal, ENVELOPE_MALFORMED);
        free(copy);
    }
}

static void no_single_byte_breaks_it(void **state) {
    (void)state;
    char copy[sizeof(plain) - 1];
    for (size_t at = 0; at < sizeof(copy); at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(copy, plain, sizeof(copy));
            copy[at] = (char)byte;
            enum envelope_refusal refusal;
            struct message *message = decode(slice_make(copy, sizeof(copy)), &refusal);
            message_unref(&message);
        }
    }
}

static void text_is_ephemeral(void **state) {
    (void)state;
    enum envelope_refusal refusal;
    struct message *message = decode(SLICE("{\"typing\":\"anna\"}"), &refusal);
    assert_non_null(message);
    assert_true(message_is_ephemeral(message));
    assert_int_equal(message->type, MESSAGE_TEXT);
    assert_int_equal(message->time_ms, 1234);
    message_unref(&message);
}

static void refuses(struct slice payload, enum envelope_refusal expected) {
    enum envelope_refusal refusal = ENVELOPE_SIZE;
    assert_null(decode(payload, &refusal));
    assert_int_equal(refusal, expected);
}

static void the_rest_is_refused_with_a_reason(void **state) {
    (void)state;
    refuses(SLICE("\xff\xfe"), ENVELOPE_TEXT);
    refuses(SLICE("\x98\x02\x01\x01\xc0\xa4json\xc0\x01\xa1x"), ENVELOPE_VERSION);
    refuses(SLICE("\x88\x01"), ENVELOPE_MALFORMED);     // a map, as cmsgpack packs a table with holes
    refuses(SLICE("\x98\x01\xdd\xff\xff\xff\xff"), ENVELOPE_MALFORMED); // four billion elements
    refuses(SLICE("\x98\x01\x00\x01\xc0\xa4text\xc0\x01\xa1x"), ENVELOPE_MALFORMED); // epoch 0
    refuses(SLICE("\x98\x01\x01\x00\xc0\xa4text\xc0\x01\xa1x"), ENVELOPE_MALFORMED); // version 0
    refuses(SLICE("\x98\x01\x01\x01\xc0\xa4text\xa5reset\x01\xa1x"), ENVELOPE_MALFORMED);
    refuses(SLICE("\x98\x01\x01\x01\xc0\xa4text\xa2\x0d\x0a\x01\xa1x"), ENVELOPE_MALFORMED);
    refuses(SLICE("\x98\x01\x01\x01\xc0\xa4text\xc0\x01\xa1xtrailing"), ENVELOPE_MALFORMED);
    refuses(SLICE("\x98\x01\x01\x01\xa0\xa4text\xc0\x01\xa1x"), ENVELOPE_MALFORMED); // fork ""
    size_t size = (2 << 20);
    char *huge = calloc(1, size);
    refuses(slice_make(huge, size), ENVELOPE_SIZE);
    free(huge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_becomes_a_message),
        cmocka_unit_test(numbers_may_be_doubles_and_forks_positions),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_single_byte_breaks_it),
        cmocka_unit_test(text_is_ephemeral),
        cmocka_unit_test(the_rest_is_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
