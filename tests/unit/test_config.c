// The options: where they come from, what wins, and that every wrong value is one line that names
// the option and the place it came from.
#include "node/config.h"
#include "node/config_option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 16 };

struct load {
    struct config config;
    enum config_action action;
    char why[CONFIG_WHY_MAX];
    int error;
};

// config_load with the words of `line`, which are separated by '~' because values hold spaces.
static struct load load(const char *line) {
    char *copy = strdup(line);
    char *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "freshet-node"};
    int argc = 1;
    char *rest = copy;
    for (char *word; line[0] != '\0' && (word = strsep(&rest, "~")) != NULL;) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = word;
    }
    struct load result = {.why = ""};
    result.error = config_load(argc, argv, &result.config, &result.action, result.why);
    free(copy);
    return result;
}

static struct load load_well(const char *line) {
    struct load result = load(line);
    if (result.error < 0) {
        fail_msg("%s: %s", line, result.why);
    }
    return result;
}

// A file of this content, for one test.
static void write_file(const char *content, char path_r[static 64]) {
    snprintf(path_r, 64, "/tmp/config.XXXXXX");
    int fd = mkstemp(path_r);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static struct load load_file(const char *content, const char *more) {
    char path[64];
    char line[512];
    write_file(content, path);
    snprintf(line, sizeof(line), "--config~%s%s%s", path, more[0] != '\0' ? "~" : "", more);
    struct load result = load(line);
    unlink(path);
    return result;
}

static void assert_one_line_with(const char *text, const char *const *parts) {
    assert_true(text[0] != '\0');
    assert_null(strpbrk(text, "\r\n"));
    for (; *parts != NULL; parts++) {
        if (strstr(text, *parts) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", text, *parts);
        }
    }
}

static void defaults_are_those_of_the_contract(void **state) {
    (void)state;
    struct load result = load_well("");
    struct config *config = &result.config;
    assert_int_equal(result.action, CONFIG_RUN);
    assert_string_equal(config->listen_host, "0.0.0.0");
    assert_int_equal(config->listen_port, 8080);
    assert_string_equal(config->admin_host, "127.0.0.1");
    assert_int_equal(config->admin_port, 8081);
    assert_string_equal(config->redis, "redis://127.0.0.1:6379");
    assert_string_equal(config->prefix, "freshet");
    assert_true(config->workers >= 1);
    assert_int_equal(strlen(config->node_id), 12);
    assert_int_equal(config->anonymous.count, 0);
    assert_int_equal(config->anonymous_publish.count, 0);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->log_format, LOG_FORMAT_TEXT);
    assert_int_equal(config->long_poll_wait_ms, 25000);
    assert_int_equal(config->heartbeat_ms, 15000);
    assert_int_equal(config->ws_ping_ms, 25000);
    assert_int_equal(config->ws_pong_ms, 10000);
    assert_int_equal(config->frame_bytes, 65536);
    assert_int_equal(config->stall_ms, 30000);
    assert_int_equal(config->linger_ms, 30000);
    assert_int_equal(config->header_timeout_ms, 10000);
    assert_int_equal(config->keep_alive_ms, 75000);
    assert_int_equal(config->drain_grace_ms, 5000);
    assert_int_equal(config->drain_window_ms, 30000);
    assert_int_equal(config->reset_spread_ms, 2000);
    assert_int_equal(config->retry_ms, 3000);
    assert_int_equal(config->head_bytes, 16 << 10);
    assert_int_equal(config->publish_bytes, 8 << 20);
    assert_int_equal(config->backlog_messages, 256);
    assert_int_equal(config->backlog_bytes, 4 << 20);
    assert_int_equal(config->backlog_total, 256 << 20);
    assert_int_equal(config->page_messages, 1000);
    assert_int_equal(config->page_bytes, 1 << 20);
    assert_int_equal(config->channels_per_request, 64);
    assert_int_equal(config->channels_per_connection, 1000);
    assert_int_equal(config->connections, 1000000);
    config_release(config);
}

static void two_nodes_draw_two_ids(void **state) {
    (void)state;
    struct load a = load_well("");
    struct load b = load_well("");
    assert_string_not_equal(a.config.node_id, b.config.node_id);
    config_release(&a.config);
    config_release(&b.config);
}

static void flag_wins_over_environment_over_file(void **state) {
    (void)state;
    static const char file[] = "linger = 1s\nstall = 2s\nretry 4s\n";
    setenv("FRESHET_LINGER", "11s", 1);
    setenv("FRESHET_STALL", "12s", 1);
    struct load result = load_file(file, "--linger=21s");
    unsetenv("FRESHET_LINGER");
    unsetenv("FRESHET_STALL");
    assert_int_equal(result.error, 0);
    assert_int_equal(result.config.linger_ms, 21000);
    assert_int_equal(result.config.stall_ms, 12000);
    assert_int_equal(result.config.retry_ms, 4000);
    config_release(&result.config);
}

static void a_list_replaces_that_of_the_level_below(void **state) {
    (void)state;
    static const char file[] = "anonymous = a\n  # a comment\n\nanonymous b c\n"
                               "anonymous-publish = x,y\n";
    setenv("FRESHET_ANONYMOUS", "d  e", 1);
    struct load result = load_file(file, "");
    assert_int_equal(result.error, 0);
    assert_int_equal(result.config.anonymous.count, 2);
    assert_string_equal(result.config.anonymous.items[0], "d");
    assert_string_equal(result.config.anonymous.items[1], "e");
    assert_int_equal(result.config.anonymous_publish.count, 1);
    assert_string_equal(result.config.anonymous_publish.items[0], "x,y");
    config_release(&result.config);
    result = load_file(file, "--anonymous~f~--anonymous~g*");
    unsetenv("FRESHET_ANONYMOUS");
    assert_int_equal(result.config.anonymous.count, 2);
    assert_string_equal(result.config.anonymous.items[1], "g*");
    config_release(&result.config);
    result = load_file(file, "");
    assert_int_equal(result.config.anonymous.count, 3);
    config_release(&result.config);
}

static void an_empty_variable_counts_as_unset(void **state) {
    (void)state;
    setenv("FRESHET_LINGER", "", 1);
    setenv("FRESHET_CONFIG", "", 1);
    struct load result = load_well("");
    unsetenv("FRESHET_LINGER");
    unsetenv("FRESHET_CONFIG");
    assert_int_equal(result.config.linger_ms, 30000);
    config_release(&result.config);
}

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
        {"--redis~redis://u:p/3@h:1/2", "database 2 needs a --prefix of its own"},
        {"--redis~unix:/x?user=u&db=4", "database 4 needs a --prefix of its own"},
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

static void help_and_version_come_whatever_else_is_wrong(void **state) {
    (void)state;
    setenv("FRESHET_LINGER", "nonsense", 1);
    assert_int_equal(load_well("--nonsense~--help").action, CONFIG_HELP);
    assert_int_equal(load_well("-V").action, CONFIG_VERSION);
    assert_int_equal(load("--check-config").error, UV_EINVAL);
    unsetenv("FRESHET_LINGER");
    struct load result = load_well("--check-config");
    assert_int_equal(result.action, CONFIG_CHECK);
    config_release(&result.config);
}

static void a_database_is_fine_with_a_prefix_of_its_own(void **state) {
    (void)state;
    struct load result = load_well("--redis~redis://h/2~--prefix~mine");
    assert_string_equal(result.config.redis, "redis://h/2");
    config_release(&result.config);
}

static void print_to(char *text, size_t size, const struct config *config) {
    FILE *out = fmemopen(text, size, "w");
    assert_non_null(out);
    if (config == NULL) {
        config_print_help(out);
    } else {
        config_print(config, out);
    }
    fclose(out);
}

static void help_tells_every_option_its_default_and_variable(void **state) {
    (void)state;
    static char help[1 << 15];
    print_to(help, sizeof(help), NULL);
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        char variable[OPTION_ENVIRONMENT_MAX];
        option_environment(option, variable);
        assert_non_null(strstr(help, option->name));
        assert_true(option->kind == OPTION_GROUP || strstr(help, option->fallback) != NULL);
        assert_true(option->kind == OPTION_GROUP || strstr(help, variable) != NULL);
    }
    for (char *line = strtok(help, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 100);
    }
}

static void what_check_config_prints_is_a_file_that_gives_the_same(void **state) {
    (void)state;
    static char first[1 << 14];
    static char second[1 << 14];
    struct load result = load_well("--anonymous~a* b~--linger~90s~--backlog~7,3k~--admin~[::1]:9~"
                                   "--log-level~debug~--backlog-total~3g");
    print_to(first, sizeof(first), &result.config);
    config_release(&result.config);
    result = load_file(first, "");
    if (result.error < 0) {
        fail_msg("%s", result.why);
    }
    print_to(second, sizeof(second), &result.config);
    config_release(&result.config);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "anonymous = a* b\n"));
    assert_non_null(strstr(first, "linger = 90s\n"));
    assert_non_null(strstr(first, "backlog = 7,3k\n"));
    assert_non_null(strstr(first, "admin = [::1]:9\n"));
}

static void passwords_are_masked(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"redis://10.0.0.1:6379/0", "redis://10.0.0.1:6379/0"},
        {"redis://user:s3cret@h:1/0", "redis://user:***@h:1/0"},
        {"redis://:s3cret@h", "redis://:***@h"},
        {"redis://:s3/c@r:et@h:1", "redis://:***@h:1"},
        {"redis://user@h:1", "redis://user@h:1"},
        {"unix:/tmp/r.sock?db=0&password=s3cret&user=u",
         "unix:/tmp/r.sock?db=0&password=***&user=u"},
        {"unix:/tmp/r.sock?password=s3cret", "unix:/tmp/r.sock?password=***"},
        {"redis+sentinel://host:7799/m?sentinel-user=u&sentinel-password=s3@cret",
         "redis+sentinel://host:***"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "--redis~%s", cases[i][0]);
        struct load result = load_well(line);
        struct bytes shown = {0};
        config_append(&result.config, "redis", &shown);
        bytes_append_char(&shown, '\0');
        assert_string_equal(shown.data, cases[i][1]);
        bytes_release(&shown);
        config_release(&result.config);
    }
}

static void a_bad_redis_url_is_not_repeated(void **state) {
    (void)state;
    struct load result = load("--redis=rdis://user:s3cret@host");
    assert_int_equal(result.error, UV_EINVAL);
    assert_null(strstr(result.why, "s3cret"));
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

static int without_freshet_variables(void **state) {
    (void)state;
    return clearenv();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_contract),
        cmocka_unit_test(two_nodes_draw_two_ids),
        cmocka_unit_test(flag_wins_over_environment_over_file),
        cmocka_unit_test(a_list_replaces_that_of_the_level_below),
        cmocka_unit_test(an_empty_variable_counts_as_unset),
        cmocka_unit_test(durations_sizes_and_bounds),
        cmocka_unit_test(addresses),
        cmocka_unit_test(every_bad_value_is_one_line_that_names_option_and_place),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(a_database_is_fine_with_a_prefix_of_its_own),
        cmocka_unit_test(help_and_version_come_whatever_else_is_wrong),
        cmocka_unit_test(help_tells_every_option_its_default_and_variable),
        cmocka_unit_test(what_check_config_prints_is_a_file_that_gives_the_same),
        cmocka_unit_test(passwords_are_masked),
        cmocka_unit_test(a_bad_redis_url_is_not_repeated),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, without_freshet_variables, NULL);
}
