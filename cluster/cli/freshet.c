// freshet: publish, look and check from a command line. This file finds the command and reads its
// options; what commands share when something goes wrong is here too.
#include "cluster/base/mem.h"
#include "cluster/cli/commands.h"
#include "cluster/cli/master.h"
#include "cluster/cli/output.h"
#include "cluster/keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct command *const commands[] = {
    &publish_command, &tail_command,    &info_command,
    &token_command,   &install_command, &check_command,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

// ---- Complaints ----------------------------------------------------------------------------------

void complain(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct bytes line = {0};
    bytes_append(&line, SLICE("freshet: "));
    append_visible(&line, slice_of(text));
    bytes_append_char(&line, '\n');
    fwrite(line.data, 1, line.len, stderr);
    bytes_release(&line);
}

static void describe(const struct tool *tool, char text_r[static REDIS_DESCRIPTION_MAX]) {
    topology_describe(&tool->topology, text_r, REDIS_DESCRIPTION_MAX);
}

int tool_unreachable(const struct tool *tool, const struct client *client) {
    char where[REDIS_DESCRIPTION_MAX];
    describe(tool, where);
    complain("no Redis at %s: %s (name another one with --redis or FRESHET_REDIS)", where,
             client->trouble);
    return END_NO_REDIS;
}

int tool_connect(const struct tool *tool, struct client *client) {
    return master_open(client, &tool->topology) == 0 ? END_FINE : tool_unreachable(tool, client);
}

int tool_lost(const struct tool *tool, const struct client *client) {
    char where[REDIS_DESCRIPTION_MAX];
    describe(tool, where);
    complain("lost Redis at %s: %s", where, client->trouble);
    return END_NO_REDIS;
}

int tool_refused(const struct tool *tool, const char *what, struct slice error) {
    (void)tool;
    const char *hint = "";
    if (slice_starts_with(error, SLICE("NOPERM"))) {
        hint = " (`freshet check` tells which rights are missing)";
    } else if (slice_starts_with(error, SLICE("ERR unknown command"))) {
        hint = " (Freshet needs Redis 7 or Valkey)";
    } else if (slice_starts_with(error, SLICE("READONLY"))) {
        hint = " (this is a replica: name its master with --redis)";
    }
    complain("%s: Redis refused: %.*s%s", what, SLICE_ARGS(error), hint);
    bool serves_nobody = slice_starts_with(error, SLICE("LOADING")) ||
                         slice_starts_with(error, SLICE("MASTERDOWN")) ||
                         slice_starts_with(error, SLICE("CLUSTERDOWN"));
    return serves_nobody ? END_NO_REDIS : END_REFUSED;
}

bool channels_are_valid(const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!channel_name_is_valid(slice_of(names[i]))) {
            complain("\"%.200s\" is no channel: 1-200 bytes of UTF-8 without control characters, "
                     "space, { and }",
                     names[i]);
            return false;
        }
    }
    return true;
}

// ---- The command line ----------------------------------------------------------------------------

static void print_help(FILE *out) {
    fputs("freshet: publishes, follows and checks channels of Freshet, straight through Redis.\n\n"
          "usage: freshet COMMAND [OPTION]... [WORD]...\n\nCommands\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-22s%s\n", commands[i]->name, commands[i]->summary);
    }
    options_print_common(out);
    fputs("\nfreshet COMMAND --help tells more, with examples.\n\n"
          "Exit status: 0 done; 1 refused, in conflict, or nothing found; 2 wrong use; 3 Redis is\n"
          "not reachable. `freshet check`: 0 fine, 1 warnings, 2 something is broken.\n",
          out);
}

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static bool is_prefix(const char *text) {
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return text[len] == '\0' && len >= 1 && len <= PREFIX_BYTES_MAX;
}

static const char *from_environment(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : fallback;
}

static int settle(struct tool *tool) {
    if (tool->redis_url == NULL) {
        tool->redis_url = from_environment("FRESHET_REDIS", "redis://127.0.0.1:6379");
    }
    if (tool->prefix_text == NULL) {
        tool->prefix_text = from_environment("FRESHET_PREFIX", "freshet");
    }
    const char *why;
    if (topology_parse(slice_of(tool->redis_url), &tool->topology, &why) < 0) {
        complain("the URL of Redis (--redis or FRESHET_REDIS): %s", why);
        return END_USAGE;
    }
    if (!is_prefix(tool->prefix_text)) {
        complain("--prefix \"%.60s\": must be 1-32 of A-Z a-z 0-9 . _ -", tool->prefix_text);
        return END_USAGE;
    }
    tool->prefix = slice_of(tool->prefix_text);
    return END_FINE;
}

static int use_error(const struct command *command, const char *why) {
    if (command == NULL) {
        complain("%s; see freshet --help", why);
    } else {
        complain("%s: %s; see freshet %s --help", command->name, why, command->name);
    }
    return END_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv, int at,
                       struct tool *tool) {
    char why[OPTION_WHY_MAX];
    void *given = mem_alloc(command->given_size);
    int status = END_FINE;
    if (options_read(argc, argv, &at, command, given, tool, why) < 0) {
        status = use_error(command, why);
    } else if (tool->wants_help) {
        options_print_command(command, stdout);
    } else if (((const struct words *)given)->count < command->words_min) {
        status = use_error(command, command->words_missing);
    } else {
        status = settle(tool);
        if (status == END_FINE) {
            status = command->run(tool, given);
        }
        topology_release(&tool->topology);
    }
    mem_free(given);
    return status;
}

static int run(int argc, char **argv) {
    struct tool tool = {0};
    char why[OPTION_WHY_MAX];
    int at = 1;
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        puts("freshet " FRESHET_VERSION);
        return END_FINE;
    }
    if (options_read(argc, argv, &at, NULL, NULL, &tool, why) < 0) {
        return use_error(NULL, why);
    }
    if (at < argc && strcmp(argv[at], "help") == 0) {
        tool.wants_help = true;
        at++;
    }
    if (at == argc) {
        print_help(tool.wants_help ? stdout : stderr);
        return tool.wants_help ? END_FINE : END_USAGE;
    }
    const struct command *command = find_command(argv[at]);
    if (command == NULL) {
        snprintf(why, sizeof(why), "no command \"%.60s\"", argv[at]);
        return use_error(NULL, why);
    }
    return run_command(command, argc, argv, at + 1, &tool);
}

int main(int argc, char **argv) {
    int status = run(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == END_FINE) {
        complain("the output could not be written: %s", strerror(errno));
        return END_REFUSED;
    }
    return status;
}
