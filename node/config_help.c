// --help and --check-config.
#include "node/config_option.h"

#include <stdio.h>

enum { HELP_COLUMN = 40 };

static void print_option(const struct option *option, FILE *out) {
    char environment[OPTION_ENVIRONMENT_MAX];
    option_environment(option, environment);
    int used = fprintf(out, "  --%s %s", option->name, option->value);
    int gap = used < HELP_COLUMN - 1 ? HELP_COLUMN - used : 1;
    fprintf(out, "%*s%s\n", gap, "", option->help);
    fprintf(out, "%*s[%s, default %s]\n", HELP_COLUMN, "", environment, option->fallback);
}

void config_print_help(FILE *out) {
    fputs(
        "freshet-node: delivers what is published in Redis to browsers and programs, by polling,\n"
        "long polling, server-sent events, HTTP streaming and WebSocket.\n\n"
        "usage: freshet-node [--OPTION VALUE | --OPTION=VALUE]...\n\n"
        "An option comes from the command line, else from the environment, else from the file\n"
        "named by --config, else it has its default.\n",
        out);
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        if (option->kind == OPTION_GROUP) {
            fprintf(out, "\n%s\n", option->name);
        } else {
            print_option(option, out);
        }
    }
    fputs("\nInstead of running\n"
          "  --check-config                        print what is in force, and exit\n"
          "  --version, -V                         print the version, and exit\n"
          "  --help, -h                            print this, and exit\n"
          "\n"
          "Values\n"
          "  DURATION    500ms, 15s, 2m, 1h; a bare number is seconds\n"
          "  SIZE        65536, 64k, 4m, 1g\n"
          "  PATTERN...  repeat the option, or separate by spaces: --anonymous 'news chat:*'\n"
          "  KEY|@FILE   32 bytes or more, repeatable; better in a file, one key a line\n"
          "  ORIGIN...   https://app.example.com or http://localhost:3000, repeatable\n"
          "  NETWORK...  10.0.0.0/8, fd00::/8 or one address, repeatable\n"
          "\n"
          "Examples\n"
          "  freshet-node --anonymous 'news*'\n"
          "  freshet-node --auth-key @/etc/freshet/key --origin https://app.example.com\n"
          "  freshet-node --listen :9000 --admin 9001 --redis redis://:secret@10.0.0.5/0\n"
          "  FRESHET_ANONYMOUS='news chat:*' FRESHET_LINGER=1m freshet-node --config freshet.conf\n"
          "\n"
          "Exit status: 0 stopped as asked, 1 could not start or go on, 2 a wrong option.\n",
          out);
}

// In the file's own form, so that the output can be kept as one.
void config_print(const struct config *config, FILE *out) {
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        if (option->kind == OPTION_GROUP) {
            fprintf(out, "%s# %s\n", i == 0 ? "" : "\n", option->name);
            continue;
        }
        struct bytes value = {0};
        option_append(option, config, &value);
        if (value.len > 0) {
            fprintf(out, "%s = %.*s\n", option->name, SLICE_ARGS(bytes_slice(&value)));
        } else {
            fprintf(out, "# %s %s\n", option->name, option->fallback);
        }
        bytes_release(&value);
    }
}
