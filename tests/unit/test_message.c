// Positions, the continuity rule, names, and messages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "cluster/message.h"

static const uint64_t E = 1795375878745123;

static void positions_are_read_and_written_alike(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct position position;
    } pairs[] = {
        {"1-0", {1, 0}},
        {"1795375878745123-42", {1795375878745123, 42}},
        {"9007199254740991-9007199254740991", {9007199254740991, 9007199254740991}},
        {"10-100", {10, 100}},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct position position;
        assert_int_equal(position_parse(slice_of(pairs[i].text), &position), 0);
        assert_true(position_equal(position, pairs[i].position));
        char text[POSITION_TEXT_MAX];
        assert_int_equal(position_format(position, text), strlen(pairs[i].text));
        assert_string_equal(text, pairs[i].text);
        struct bytes bytes = {0};
        position_append(&bytes, position);
        assert_true(slice_equal(bytes_slice(&bytes), slice_of(pairs[i].text)));
        bytes_release(&bytes);
    }
}

static void none_has_no_text(void **state) {
    (void)state;
    char text[POSITION_TEXT_MAX] = "x";
    assert_int_equal(position_format(POSITION_NONE, text), 0);
    assert_string_equal(text, "");
    struct bytes bytes = {0};
    position_append(&bytes, POSITION_NONE);
    assert_int_equal(bytes.len, 0);
    bytes_release(&bytes);
}

static void any_other_text_is_no_position(void **state) {
    (void)state;
    static const char *const refused[] = {
        "",
        "-",
        "1",
        "1-",
        "-1",
        "0",
        "0-0",
        "0-1",
        "01-1",
        "1-01",
        "1-00",
        "+1-1",
        "1-+1",
        "-1-1",
        "1--1",
        " 1-1",
        "1-1 ",
        "1 -1",
        "1-1-1",
        "1-1,2-2",
        "1.0-1",
        "0x1-1",
        "1e3-1",
        "$",
        "*",
        "a-b",
        "1-1\n",
        "1_1",
        "9007199254740992-1",
        "1-9007199254740992",
        "99999999999999999999-1",
        "1-18446744073709551617",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct position position = {7, 7};
        if (position_parse(slice_of(refused[i]), &position) != UV_EINVAL) {
            fail_msg("taken: %s", refused[i]);
        }
        assert_true(position_equal(position, (struct position){7, 7}));
    }
    struct position position;
    assert_int_equal(position_parse(SLICE("1-1\0"), &position), UV_EINVAL);
}

static void every_truncation_of_a_position_is_another_or_none(void **state) {
    (void)state;
    static const char text[] = "1795375878745123-42";
    struct position position;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        int expected = len == sizeof(text) - 2 ? 0 : UV_EINVAL; // "...-4"
        assert_int_equal(position_parse(slice_make(text, len), &position), expected);
    }
    assert_true(position_equal(position, (struct position){1795375878745123, 4}));
}

static void positions_order_by_epoch_then_version(void **state) {
    (void)state;
    assert_true(position_compare((struct position){1, 9}, (struct position){2, 0}) < 0);
    assert_true(position_compare((struct position){2, 0}, (struct position){1, 9}) > 0);
    assert_true(position_compare((struct position){1, 1}, (struct position){1, 2}) < 0);
    assert_true(position_compare((struct position){1, 3}, (struct position){1, 2}) > 0);
    assert_int_equal(position_compare((struct position){1, 2}, (struct position){1, 2}), 0);
}

static void only_the_next_version_or_a_fork_follows(void **state) {
    (void)state;
    const struct position none = POSITION_NONE;
    const struct {
        struct position position, fork, cursor;
        bool follows;
    } cases[] = {
        {{E, 2}, none, {E, 1}, true},
        {{E, 1}, none, {E, 0}, true},
        {{E, 1}, {E - 5, 3}, {E, 0}, true}, // E-1 after E-0, whatever its fork
        {{E, 1}, {E - 5, 3}, {E - 5, 3}, true},
        {{E, 1}, {E - 5, 0}, {E - 5, 0}, true},
        {{E, 1}, {E - 5, 3}, {E - 5, 2}, false},
        {{E, 1}, {E - 5, 3}, {E - 5, 4}, false},
        {{E, 1}, {E - 5, 3}, {E - 6, 3}, false},
        {{E, 2}, {E - 5, 3}, {E - 5, 3}, false}, // only version 1 opens an epoch
        {{E, 1}, none, {E - 5, 0}, false},
        {{E, 3}, none, {E, 1}, false},
        {{E, 1}, none, {E, 1}, false},
        {{E, 1}, none, {E, 2}, false},
        {{E + 1, 2}, none, {E, 1}, false},
        {{E, 1}, none, none, false}, // nobody stands at none
        {none, none, none, false},   // ephemeral
        {none, {E, 1}, {E, 1}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message message = {.position = cases[i].position, .fork = cases[i].fork};
        if (message_follows(&message, cases[i].cursor) != cases[i].follows) {
            fail_msg("case %zu", i);
        }
    }
}

static void types_have_names(void **state) {
    (void)state;
    for (enum message_type type = MESSAGE_JSON; type <= MESSAGE_BINARY; type++) {
        enum message_type parsed;
        assert_int_equal(message_type_parse(slice_of(message_type_name(type)), &parsed), 0);
        assert_int_equal(parsed, type);
    }
    assert_string_equal(message_type_name(MESSAGE_BINARY), "binary");
    enum message_type type = MESSAGE_TEXT;
    static const char *const refused[] = {"", "JSON", "jso", "jsonx", "bin", " json"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(message_type_parse(slice_of(refused[i]), &type), UV_EINVAL);
        assert_int_equal(type, MESSAGE_TEXT);
    }
    assert_string_equal(reset_reason_name(RESET_LOST), "lost");
    assert_string_equal(reset_reason_name(RESET_EXPIRED), "expired");
    assert_string_equal(reset_reason_name(RESET_FOREIGN), "foreign");
}

static void a_message_owns_copies_in_one_allocation(void **state) {
    (void)state;
    char event[] = "goal";
    char data[] = "{\"n\":1}";
    bool was_demoted = true;
    struct message *message = message_create(
        &(struct message){
            .type = MESSAGE_JSON,
            .position = {E, 1},
            .fork = {E - 1, 9},
            .time_ms = 1795375878745,
            .event = slice_of(event),
            .data = slice_of(data),
        },
        &was_demoted);
    memset(event, 'x', sizeof(event));
    memset(data, 'x', sizeof(data));
    assert_false(was_demoted);
    assert_int_equal(message->type, MESSAGE_JSON);
    assert_true(position_equal(message->position, (struct position){E, 1}));
    assert_true(position_equal(message->fork, (struct position){E - 1, 9}));
    assert_true(message->time_ms == 1795375878745);
    assert_true(slice_equal(message->event, SLICE("goal")));
    assert_true(slice_equal(message->data, SLICE("{\"n\":1}")));
    assert_int_equal(message->size, sizeof(*message) + 4 + 7);
    const char *end = (const char *)message + message->size;
    assert_ptr_equal(message->data.data + message->data.len, end);
    assert_false(message_is_ephemeral(message));

    struct message *again = message_ref(message);
    message_unref(&message);
    assert_null(message);
    assert_true(slice_equal(again->data, SLICE("{\"n\":1}")));
    message_unref(&again);
    message_unref(&again); // nothing there: fine
}

static void the_type_is_what_the_data_can_keep(void **state) {
    (void)state;
    static const struct {
        enum message_type claimed;
        const char *data;
        enum message_type type;
    } cases[] = {
        {MESSAGE_JSON, "{}", MESSAGE_JSON},         {MESSAGE_JSON, " 1\n", MESSAGE_JSON},
        {MESSAGE_JSON, "NaN", MESSAGE_TEXT},        {MESSAGE_JSON, "0x10", MESSAGE_TEXT},
        {MESSAGE_JSON, "\"\n\"", MESSAGE_TEXT},     {MESSAGE_JSON, "", MESSAGE_TEXT},
        {MESSAGE_JSON, "\"\xff\"", MESSAGE_BINARY}, {MESSAGE_TEXT, "{}", MESSAGE_TEXT},
        {MESSAGE_TEXT, "", MESSAGE_TEXT},           {MESSAGE_TEXT, "\xc3\xa4", MESSAGE_TEXT},
        {MESSAGE_TEXT, "\xc3", MESSAGE_BINARY},     {MESSAGE_BINARY, "text", MESSAGE_BINARY},
        {MESSAGE_BINARY, "\xff", MESSAGE_BINARY},   {MESSAGE_BINARY, "", MESSAGE_BINARY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message fields = {.type = cases[i].claimed, .data = slice_of(cases[i].data)};
        bool was_demoted;
        struct message *message = message_create(&fields, &was_demoted);
        assert_int_equal(message->type, cases[i].type);
        assert_int_equal(was_demoted, cases[i].type != cases[i].claimed);
        assert_true(slice_equal(message->data, fields.data));
        assert_true(message_is_ephemeral(message));
        assert_int_equal(message->event.len, 0);
        message_unref(&message);
    }
}

static void channel_names(void **state) {
    (void)state;
    static const char *const taken[] = {"a", "news", "caf\xc3\xa9", "a:b/c?d,e*", "\xc2\x80", "~"};
    static const char *const refused[] = {
        "", " ", "a b", "a{", "}a", "a\n", "\x01", "\x1f", "a\x7f", "\xff", "\xc3", "\xed\xa0\x80",
    };
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        assert_true(channel_name_is_valid(slice_of(taken[i])));
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_false(channel_name_is_valid(slice_of(refused[i])));
    }
    assert_false(channel_name_is_valid(SLICE("a\0b")));
    char longest[CHANNEL_NAME_BYTES_MAX + 1];
    memset(longest, 'c', sizeof(longest));
    assert_true(channel_name_is_valid(slice_make(longest, 200)));
    assert_false(channel_name_is_valid(slice_make(longest, 201)));
}

static void event_names(void **state) {
    (void)state;
    static const char *const taken[] = {"a", "goal scored", "{}", "Open", "oks", "o", " ", "~"};
    static const char *const refused[] = {
        "",     "open",  "error", "message", "hello", "reset", "bye",  "ok",
        "join", "leave", "stale", "a\n",     "a\r",   "\x1f",  "\x7f", "caf\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        assert_true(event_name_is_valid(slice_of(taken[i])));
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_false(event_name_is_valid(slice_of(refused[i])));
    }
    char longest[EVENT_BYTES_MAX + 1];
    memset(longest, 'e', sizeof(longest));
    assert_true(event_name_is_valid(slice_make(longest, 64)));
    assert_false(event_name_is_valid(slice_make(longest, 65)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_read_and_written_alike),
        cmocka_unit_test(none_has_no_text),
        cmocka_unit_test(any_other_text_is_no_position),
        cmocka_unit_test(every_truncation_of_a_position_is_another_or_none),
        cmocka_unit_test(positions_order_by_epoch_then_version),
        cmocka_unit_test(only_the_next_version_or_a_fork_follows),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(a_message_owns_copies_in_one_allocation),
        cmocka_unit_test(the_type_is_what_the_data_can_keep),
        cmocka_unit_test(channel_names),
        cmocka_unit_test(event_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
