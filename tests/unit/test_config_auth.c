// The options that say whom to trust: keys, also from files, and origins.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "node/config_option.h"

#define KEY "0123456789abcdef0123456789abcdef"

static struct config config;
static char why[OPTION_WHY_MAX];

static int read_option(const char *name, const char *text) {
    memset(why, 0, sizeof(why));
    return option_read(option_find(slice_of(name)), text, &config, why);
}

static int release(void **state) {
    (void)state;
    config_release(&config);
    return 0;
}

// Reads keys from a file with this content.
static int read_file(const void *content, size_t len) {
    char text[] = "@/tmp/freshet-keys-XXXXXX";
    int fd = mkstemp(text + 1);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), (ssize_t)len);
    close(fd);
    config_release(&config);
    int error = read_option("auth-key", text);
    unlink(text + 1);
    return error;
}

static int read_lines(const char *text) {
    return read_file(text, strlen(text));
}

static void keys_add_up_and_are_masked(void **state) {
    (void)state;
    assert_int_equal(read_option("auth-key", KEY), 0);
    assert_int_equal(read_option("auth-key", "with spaces it is still one key, whatever"), 0);
    assert_int_equal(config.auth_keys.count, 2);
    assert_string_equal(config.auth_keys.items[0], KEY);
    struct bytes shown = {0};
    config_append(&config, "auth-key", &shown);
    assert_true(slice_equal(bytes_slice(&shown), SLICE("*** ***")));
    bytes_release(&shown);
}

static void files_hold_a_key_a_line(void **state) {
    (void)state;
    static const char *const one[] = {KEY, KEY "\n", KEY "\r\n", "\n" KEY "\n\n"};
    for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
        assert_int_equal(read_lines(one[i]), 0);
        assert_int_equal(config.auth_keys.count, 1);
        assert_string_equal(config.auth_keys.items[0], KEY);
    }
    assert_int_equal(read_lines(KEY "1\n" KEY "2\n"), 0);
    assert_int_equal(config.auth_keys.count, 2);
    assert_string_equal(config.auth_keys.items[1], KEY "2");
}

static void expect_refused(int error, const char *says) {
    assert_int_equal(error, UV_EINVAL);
    if (strstr(why, says) == NULL || strchr(why, '\n') != NULL) {
        fail_msg("%s", why);
    }
    assert_null(strstr(why, "0123456789")); // no part of a key
}

static void bad_keys(void **state) {
    (void)state;
    static char many[20 * sizeof(KEY)];
    static char large[1 << 17];
    for (int i = 0; i < 17; i++) {
        strcat(many, KEY "\n");
    }
    memset(large, 'x', sizeof(large) - 1);
    expect_refused(read_option("auth-key", "0123456789abcdef0123456789abcde"), "32 bytes");
    expect_refused(read_option("auth-key", KEY "\t"), "one line of text");
    expect_refused(read_option("auth-key", large), "4096 bytes");
    expect_refused(read_option("auth-key", "@/tmp"), "cannot read /tmp: ");
    expect_refused(read_option("auth-key", "@"), "cannot read ");
    expect_refused(read_lines(""), "no key in it");
    expect_refused(read_lines("\n\n"), "no key in it");
    expect_refused(read_lines(KEY "\nshort\n"), "32 bytes");
    expect_refused(read_file(KEY "\0x", sizeof(KEY) + 1), "one line of text");
    expect_refused(read_lines(many), "more than 16 keys");
    expect_refused(read_lines(large), "too large");
}

static void origins_as_browsers_write_them(void **state) {
    (void)state;
    static const char *const good[] = {
        "https://app.example.com",
        "http://localhost:3000",
        "http://10.0.0.1",
        "http://[::1]:8080",
        "https://[2001:db8::1]",
        "https://xn--bcher-kva.example",
        "http://a:443",
        "chrome-extension://abcdef01",
        "capacitor://localhost",
        "*",
        "https://a_b.example:65535",
    };
    static const char *const bad[] = {
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://App.example.com",
        "HTTPS://a",
        "https://a:443",
        "http://a:80",
        "https://a:0",
        "https://a:",
        "https://a:65536",
        "https://a:08443",
        "https://a:x",
        "https://*.example.com",
        "https://user@example",
        "https://a/b",
        "https://a?b",
        "https://\xc3\xbc.example",
        "null",
        "**",
        "://a",
        "https:/a",
        "http://[::1",
        "http://[]",
        "http://[::1]8080",
        "https://a,https://b",
        "http://::1",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (read_option("origin", good[i]) < 0) {
            fail_msg("%s: %s", good[i], why);
        }
        assert_string_equal(config.origins.items[i], good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_option("origin", bad[i]) == 0) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_non_null(strstr(why, "is no origin"));
    }
    config_release(&config);
    assert_int_equal(read_option("origin", " https://a  https://b "), 0);
    assert_int_equal(config.origins.count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_add_up_and_are_masked, release),
        cmocka_unit_test_teardown(files_hold_a_key_a_line, release),
        cmocka_unit_test_teardown(bad_keys, release),
        cmocka_unit_test_teardown(origins_as_browsers_write_them, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
