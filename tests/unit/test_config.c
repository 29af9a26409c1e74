// The options: where they come from, what wins, and how they are told.
#include "config_fixture.h"

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
        {"redis://:s3%2Fc@r:et@h:1", "redis://:***@h:1"},
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_contract),
        cmocka_unit_test(two_nodes_draw_two_ids),
        cmocka_unit_test(flag_wins_over_environment_over_file),
        cmocka_unit_test(a_list_replaces_that_of_the_level_below),
        cmocka_unit_test(an_empty_variable_counts_as_unset),
        cmocka_unit_test(help_and_version_come_whatever_else_is_wrong),
        cmocka_unit_test(help_tells_every_option_its_default_and_variable),
        cmocka_unit_test(what_check_config_prints_is_a_file_that_gives_the_same),
        cmocka_unit_test(passwords_are_masked),
    };
    return cmocka_run_group_tests(tests, without_freshet_variables, NULL);
}
