// The options' values: every wrong one is one line that names the option and the place it came from.
#include "config_fixture.h"

static void durations_sizes_and_bounds(void **state) {
    (void)state;
    static const struct {
        const char *line;
        size_t offset;
        uint64_t value;
    } cases[] = {
        {"--linger~500ms", offsetof(struct config, linger_ms), 500},
        {"--linger~2m", offsetof(struct config, linger_ms), 120000},
        {"--linger~1H", offsetof(struct config, linger_ms), 3600000},
        {"--linger~7", offsetof(struct config, linger_ms), 7000},
        {"--linger=0", offsetof(struct config, linger_ms), 0},
        {"--head-bytes~64K", offsetof(struct config, head_bytes), 65536},
        {"--head-bytes~2048", offsetof(struct config, head_bytes), 2048},
        {"--backlog-total~2g", offsetof(struct config, backlog_total), UINT64_C(2) << 30},
        {"--backlog~10", offsetof(struct config, backlog_messages), 10},
        {"--backlog~10", offsetof(struct config, backlog_bytes), 4 << 20},
        {"--backlog~64k", offsetof(struct config, backlog_bytes), 65536},
        {"--backlog~64k", offsetof(struct config, backlog_messages), 256},
        {"--backlog~7,1m", offsetof(struct config, backlog_messages), 7},
        {"--backlog~1m,7", offsetof(struct config, backlog_bytes), 1 << 20},
        {"--page~5,2k", offsetof(struct config, page_bytes), 2048},
        {"--workers~3", offsetof(struct config, workers), 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load result = load_well(cases[i].line);
        uint64_t value;
        memcpy(&value, (char *)&result.config + cases[i].offset, sizeof(value));
        if (value != cases[i].value) {
            fail_msg("%s gave %llu", cases[i].line, (unsigned long long)value);
        }
        config_release(&result.config);
    }
}

static void addresses(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
    } cases[] = {
        {"9000", "127.0.0.1", 9000},
        {":9000", "0.0.0.0", 9000},
        {"10.0.0.1:1", "10.0.0.1", 1},
        {"[::1]:65535", "::1", 65535},
        {"node-1.example:80", "node-1.example", 80},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "--admin~%s", cases[i].text);
        struct load result = load_well(line);
        assert_string_equal(result.config.admin_host, cases[i].host);
        assert_int_equal(result.config.admin_port, cases[i].port);
        config_release(&result.config);
    }
}

// Each of them wherever it stands: on the command line, in the environment, in a file.
static const struct {
    const char *option;
    const char *value;
    const char *says;
} bad_values[] = {
    {"listen", "host", "not an address"},
    {"listen", "host:0", "not an address"},
    {"listen", "host:65536", "not an address"},
    {"listen", "::1:8080", "brackets"},
    {"admin", "a:b:c", "not an address"},
    {"workers", "0", "outside 1 to 256"},
    {"workers", "-1", "not a whole number"},
    {"workers", "two", "not a whole number"},
    {"node-id", "a b", "is not 1 to 64 of"},
    {"redis", "http://x", "redis://"},
    {"redis", "localhost", "redis://"},
    {"redis", "redis://h:99999", "the port is not a number from 1 to 65535"},
    {"redis", "redis://h/x", "the database is not a number"},
    {"redis", "redis://", "the host is missing"},
    {"redis", "redis+sentinel://a", "the master's name is missing"},
    {"redis", "redis://u:p/3@h:1/2", "a / in a password is written %2F"},
    {"redis", "unix:/x?user=u", "a user needs a password"},
    {"prefix", "a:b", "is not 1 to 32 of"},
    {"prefix", "123456789012345678901234567890123", "is not 1 to 32 of"},
    {"anonymous", "a{b}", "channel patterns"},
    {"anonymous-publish", "\x80", "channel patterns"},
    {"auth-key", "s3cret", "a key needs 32 bytes or more"},
    {"auth-key", "@/nonexistent/keys", "cannot read /nonexistent/keys: No such file"},
    {"auth-cookie", "a=b", "is not 1 to 64 of"},
    {"origin", "app.example.com", "is no origin"},
    {"log-level", "loud", "error|warning|info|debug"},
    {"log-format", "xml", "text|json"},
    {"long-poll-wait", "61s", "outside 1s to 1m"},
    {"long-poll-wait", "999ms", "outside 1s to 1m"},
    {"heartbeat", "15 s", "not a duration"},
    {"heartbeat", "1.5s", "not a duration"},
    {"heartbeat", "s", "not a duration"},
    {"heartbeat", "99999999999999999999s", "not a duration"},
    {"linger", "2h", "outside 0ms to 1h"},
    {"head-bytes", "16kb", "not a size"},
    {"head-bytes", "1023", "outside 1k to 1m"},
    {"publish-bytes", "65m", "outside 1k to 64m"},
    {"backlog", "256,", "messages (256)"},
    {"backlog", "1,2", "messages (256)"},
    {"backlog", "1m,2m", "messages (256)"},
    {"backlog", "1,1m,1", "messages (256)"},
    {"backlog", "0", "outside 1 to 100000"},
    {"backlog", "100,2g", "outside 1k to 1g"},
    {"page", "1001", "outside 1 to 1000"},
    {"connections", "1k", "not a whole number"},
    {"anonymous", " ", "needs a value"},
};

static void every_bad_value_is_one_line_that_names_option_and_place(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
        const char *name = bad_values[i].option;
        const char *value = bad_values[i].value;
        char text[256];
        char flag[64];
        snprintf(flag, sizeof(flag), "--%s: ", name);
        snprintf(text, sizeof(text), "--%s=%s", name, value);
        struct load result = load(text);
        assert_int_equal(result.error, UV_EINVAL);
        assert_one_line_with(result.why, (const char *[]){flag, bad_values[i].says, NULL});
        config_release(&result.config); // must be harmless

        char variable[OPTION_ENVIRONMENT_MAX];
        option_environment(option_find(slice_of(name)), variable);
        setenv(variable, value, 1);
        result = load("");
        unsetenv(variable);
        assert_int_equal(result.error, UV_EINVAL);
        assert_one_line_with(result.why,
                             (const char *[]){variable, name, bad_values[i].says, NULL});

        snprintf(text, sizeof(text), "\n%s = %s\n", name, value);
        result = load_file(text, "");
        assert_int_equal(result.error, UV_EINVAL);
        const char *says = value[0] == ' ' ? "needs a value" : bad_values[i].says;
        assert_one_line_with(result.why, (const char *[]){"line 2: ", name, says, NULL});
    }
}

static void bad_command_lines(void **state) {
    (void)state;
    static const struct {
        const char *line;
        const char *says;
    } cases[] = {
        {"--anonymus~a", "did you mean --anonymous?"},
        {"--anon~a", "did you mean --anonymous?"},
        {"--longpoll-wait~a", "did you mean --long-poll-wait?"},
        {"--head-byte=1", "did you mean --head-bytes?"},
        {"--qqqqqqqqq~a", "there is no option --qqqqqqqqq; see --help"},
        {"--=1", "there is no option"},
        {"--", "is no option"},
        {"news", "\"news\" is no option"},
        {"-x", "\"-x\" is no option"},
        {"--listen", "--listen: needs a value"},
        {"--listen~--admin~1", "--listen: needs a value"},
        {"--listen=", "--listen: needs a value"},
        {"--config~/nonexistent/file", "config: cannot read /nonexistent/file: No such file"},
        {"--config~/tmp", "config: cannot read /tmp: "},
        {"--admin~8080", "listen and admin name the same port: 8080"},
        {"--listen~10.0.0.1:1~--admin~10.0.0.1:1", "listen and admin name the same port: 1"},
        {"--redis~redis://h/2", "database 2 needs a --prefix of its own"},
        {"--redis~redis://u:p@h:1/2", "database 2 needs a --prefix of its own"},
        {"--redis~unix:/x?user=u&password=p&db=4", "database 4 needs a --prefix of its own"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load result = load(cases[i].line);
        if (result.error != UV_EINVAL) {
            fail_msg("%s was taken", cases[i].line);
        }
        assert_one_line_with(result.why, (const char *[]){cases[i].says, NULL});
    }
}

static void bad_files(void **state) {
    (void)state;
    static const struct {
        const char *content;
        const char *says;
    } cases[] = {
        {"lingr = 1s\n", "line 1: there is no option lingr; did you mean linger?"},
        {"\n\nconfig = other\n", "line 3: config: a file cannot name another one"},
        {"linger\n", "line 1: linger: needs a value"},
        {"linger =", "line 1: linger: needs a value"},
        {"= 1s\n", "line 1: there is no option"},
        {"linger = 1s # soon", "line 1: linger: \"1s # soon\" is not a duration"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load result = load_file(cases[i].content, "");
        assert_int_equal(result.error, UV_EINVAL);
        assert_one_line_with(result.why, (const char *[]){cases[i].says, NULL});
    }
}

static void a_database_is_fine_with_a_prefix_of_its_own(void **state) {
    (void)state;
    struct load result = load_well("--redis~redis://h/2~--prefix~mine");
    assert_string_equal(result.config.redis, "redis://h/2");
    config_release(&result.config);
}

static void a_bad_redis_url_is_not_repeated(void **state) {
    (void)state;
    static const char *const lines[] = {"--redis=rdis://user:s3cret@host",
                                        "--redis=redis://user:s3cret@host:0"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct load result = load(lines[i]);
        assert_int_equal(result.error, UV_EINVAL);
        assert_null(strstr(result.why, "s3cret"));
    }
}

static void patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *name;
        bool is_match;
    } cases[] = {
        {"news", "news", true},     {"news", "new", false},    {"news", "newss", false},
        {"*", "anything", true},    {"news*", "news", true},   {"news*", "news:eu", true},
        {"news*", "old", false},    {"*:eu", "news:eu", true}, {"*:eu", "news:eux", false},
        {"a*b*c", "a--b--c", true}, {"a*b*c", "abc", true},    {"a*b*c", "acb", false},
        {"a*a", "a", false},        {"a*a", "aa", true},       {"**", "x", true},
        {"*a*", "bab", true},       {"*a*", "bbb", false},     {"*ab*ab", "abab", true},
        {"*ab*ab", "ab", false},    {"a?c", "abc", false},     {"a[b]", "ab", false},
        {"*aab", "aaab", true},     {"a*aab", "aaab", true},   {"a*aab", "aab", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *items[] = {(char *)(uintptr_t) "never", (char *)(uintptr_t)cases[i].pattern};
        struct config_list list = {items, 2};
        if (config_list_matches(&list, slice_of(cases[i].name)) != cases[i].is_match) {
            fail_msg("%s and %s", cases[i].pattern, cases[i].name);
        }
    }
    assert_false(config_list_matches(&(struct config_list){0}, SLICE("a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_sizes_and_bounds),
        cmocka_unit_test(addresses),
        cmocka_unit_test(every_bad_value_is_one_line_that_names_option_and_place),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(a_database_is_fine_with_a_prefix_of_its_own),
        cmocka_unit_test(a_bad_redis_url_is_not_repeated),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, without_freshet_variables, NULL);
}
