// The command line: one table of options for each command is the source of parser and --help.
#ifndef FRESHET_CLUSTER_CLI_OPTIONS_H
#define FRESHET_CLUSTER_CLI_OPTIONS_H

#include "cluster/cli/tool.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { WORDS_MAX = CHANNELS_MAX, OPTION_WHY_MAX = 256 };

struct words {
    const char *items[WORDS_MAX]; // borrowed from argv
    size_t count;
};

enum option_kind {
    OPTION_FLAG,     // bool
    OPTION_TEXT,     // const char *
    OPTION_COUNT,    // uint64_t; 0: not given
    OPTION_DURATION, // uint64_t, in seconds; 0: not given
    OPTION_LIST,     // struct words, repeatable
};

struct option {
    const char *name;  // without the dashes
    const char *value; // what --help shows for its value; NULL for a flag
    enum option_kind kind;
    size_t offset; // of its field
    uint64_t min;
    uint64_t max;
    const char *help;
};

struct command {
    const char *name;
    const char *arguments; // what --help shows behind the name
    const char *summary;   // one line
    const char *about;     // a paragraph
    const char *examples;
    const char *words_missing; // the complaint when there are fewer than words_min
    size_t words_min;
    size_t words_max;
    const struct option *options;
    size_t options_count;
    size_t given_size; // of the struct that options are read into; begins with struct words
    int (*run)(struct tool *tool, const void *given);
};

// Takes what follows argv[*at] as the options of `tables`, up to the end or, when `command` is
// NULL, to the first word that is none. UV_EINVAL with *why_r.
int options_read(int argc, char **argv, int *at, const struct command *command, void *given,
                 struct tool *tool, char why_r[static OPTION_WHY_MAX]);

void options_print_command(const struct command *command, FILE *out);
void options_print_common(FILE *out);

#endif
