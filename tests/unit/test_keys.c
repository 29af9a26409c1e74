// Names in Redis.
#include "cluster/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_slice(struct slice is, const char *should) {
    assert_int_equal(is.len, strlen(should));
    assert_memory_equal(is.data, should, is.len);
}

static void a_channel_has_three_names(void **state) {
    (void)state;
    struct keys keys;
    keys_init(&keys, SLICE("freshet"), SLICE("news"));
    assert_slice(keys.hash, "freshet:{news}");
    assert_slice(keys.log, "freshet:{news}:log");
    assert_slice(keys.now, "freshet:{news}:now");
}

static void the_longest_names_fit(void **state) {
    (void)state;
    char channel[CHANNEL_NAME_BYTES_MAX];
    char prefix[PREFIX_BYTES_MAX];
    memset(channel, 'c', sizeof(channel));
    memset(prefix, 'p', sizeof(prefix));
    struct slice name;
    struct keys keys;
    keys_init(&keys, slice_make(prefix, sizeof(prefix)), slice_make(channel, sizeof(channel)));
    assert_true(keys_parse_now(keys.now, slice_make(prefix, sizeof(prefix)), &name));
    assert_int_equal(name.len, sizeof(channel));
}

static void only_our_own_pubsub_names_are_read_back(void **state) {
    (void)state;
    struct slice name;
    assert_true(keys_parse_now(SLICE("freshet:{a:now}:now"), SLICE("freshet"), &name));
    assert_slice(name, "a:now");
    static const char *const others[] = {
        "",           "freshet:{}:now", "freshet:{a}",  "freshet:{a}:log", "fresher:{a}:now",
        "freshet{a}", "freshet:a:now",  "x:{a}:now",    "freshet:{a}:nowx", ":{a}:now",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(keys_parse_now(slice_of(others[i]), SLICE("freshet"), &name));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_has_three_names),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(only_our_own_pubsub_names_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
