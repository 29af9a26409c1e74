// What the tests of the options stand on: a configuration loaded from one line or one file.
#ifndef FRESHET_TESTS_UNIT_CONFIG_FIXTURE_H
#define FRESHET_TESTS_UNIT_CONFIG_FIXTURE_H

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
static inline struct load load(const char *line) {
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

static inline struct load load_well(const char *line) {
    struct load result = load(line);
    if (result.error < 0) {
        fail_msg("%s: %s", line, result.why);
    }
    return result;
}

// A file of this content, for one test.
static inline void write_file(const char *content, char path_r[static 64]) {
    snprintf(path_r, 64, "/tmp/config.XXXXXX");
    int fd = mkstemp(path_r);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static inline struct load load_file(const char *content, const char *more) {
    char path[64];
    char line[512];
    write_file(content, path);
    snprintf(line, sizeof(line), "--config~%s%s%s", path, more[0] != '\0' ? "~" : "", more);
    struct load result = load(line);
    unlink(path);
    return result;
}

static inline void assert_one_line_with(const char *text, const char *const *parts) {
    assert_true(text[0] != '\0');
    assert_null(strpbrk(text, "\r\n"));
    for (; *parts != NULL; parts++) {
        if (strstr(text, *parts) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", text, *parts);
        }
    }
}

static inline int without_freshet_variables(void **state) {
    (void)state;
    return clearenv();
}

#endif
