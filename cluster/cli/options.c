// Reads the command line and prints --help, both from the tables.
#include "cluster/cli/options.h"

#include <inttypes.h>
#include <string.h>
#include <uv.h>

enum { HELP_COLUMN = 24 };

// Known to every command, before its name or behind it.
static const struct option common_options[] = {
    {.name = "redis",
     .value = "URL",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct tool, redis_url),
     .help = "redis://[user:password@]host[:port][/db], unix:/path or\n"
             "redis+sentinel://[user:password@]host,host,.../NAME[/db]\n"
             "[FRESHET_REDIS, default redis://127.0.0.1:6379]"},
    {.name = "prefix",
     .value = "NAME",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct tool, prefix_text),
     .help = "of all names in Redis [FRESHET_PREFIX, default freshet]"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct tool, is_json),
     .help = "JSON lines instead of text"},
    {.name = "help",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct tool, wants_help),
     .help = "this"},
};

#define COMMON_OPTIONS (sizeof(common_options) / sizeof(common_options[0]))

static int read_count(const struct option *option, const char *text, uint64_t *value_r,
                      char why_r[static OPTION_WHY_MAX]) {
    if (slice_to_u64(slice_of(text), option->max, value_r) < 0 || *value_r < option->min) {
        snprintf(why_r, OPTION_WHY_MAX,
                 "--%s \"%.60s\": must be a number from %" PRIu64 " to %" PRIu64, option->name,
                 text, option->min, option->max);
        return UV_EINVAL;
    }
    return 0;
}

static uint64_t seconds_of_unit(const char *unit) {
    static const struct {
        char name;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (unit[0] == units[i].name && unit[1] == '\0') {
            return units[i].seconds;
        }
    }
    return unit[0] == '\0' ? 1 : 0;
}

static int read_duration(const struct option *option, const char *text, uint64_t *value_r,
                         char why_r[static OPTION_WHY_MAX]) {
    size_t digits = strspn(text, "0123456789");
    uint64_t factor = seconds_of_unit(text + digits);
    uint64_t number;
    if (factor == 0 || slice_to_u64(slice_make(text, digits), UINT32_MAX, &number) < 0) {
        snprintf(why_r, OPTION_WHY_MAX,
                 "--%s \"%.60s\": must be a duration such as 90s, 15m, 1h or 7d", option->name,
                 text);
        return UV_EINVAL;
    }
    *value_r = number * factor;
    if (*value_r < option->min || *value_r > option->max) {
        snprintf(why_r, OPTION_WHY_MAX,
                 "--%s \"%.60s\": must be from %" PRIu64 " to %" PRIu64 " seconds", option->name,
                 text, option->min, option->max);
        return UV_EINVAL;
    }
    return 0;
}

static int add_word(struct words *words, const char *text, size_t max, const char *what,
                    char why_r[static OPTION_WHY_MAX]) {
    if (words->count == max) {
        snprintf(why_r, OPTION_WHY_MAX, "\"%.60s\": at most %zu %s", text, max, what);
        return UV_EINVAL;
    }
    words->items[words->count++] = text;
    return 0;
}

static int read_value(const struct option *option, const char *text, void *field,
                      char why_r[static OPTION_WHY_MAX]) {
    switch (option->kind) {
    case OPTION_COUNT:
        return read_count(option, text, field, why_r);
    case OPTION_DURATION:
        return read_duration(option, text, field, why_r);
    case OPTION_LIST:
        return add_word(field, text, WORDS_MAX, "of these", why_r);
    case OPTION_TEXT:
        *(const char **)field = text;
        return 0;
    case OPTION_FLAG:
        break;
    }
    *(bool *)field = true;
    return 0;
}

static const struct option *find(const struct option *options, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(slice_of(options[i].name), name)) {
            return &options[i];
        }
    }
    return NULL;
}

// `--name`, `--name value` or `--name=value`, at argv[*at].
static int read_option(int argc, char **argv, int *at, const struct command *command, void *given,
                       struct tool *tool, char why_r[static OPTION_WHY_MAX]) {
    const char *equals = strchr(argv[*at], '=');
    const char *start = argv[*at] + strlen("--");
    struct slice name =
        equals != NULL ? slice_make(start, (size_t)(equals - start)) : slice_of(start);
    void *base = tool;
    const struct option *option = find(common_options, COMMON_OPTIONS, name);
    if (option == NULL && command != NULL) {
        base = given;
        option = find(command->options, command->options_count, name);
    }
    if (option == NULL) {
        snprintf(why_r, OPTION_WHY_MAX, "unknown option --%.*s",
                 (int)(name.len < 60 ? name.len : 60), name.data);
        return UV_EINVAL;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (option->kind == OPTION_FLAG && value != NULL) {
        snprintf(why_r, OPTION_WHY_MAX, "--%s takes no value", option->name);
        return UV_EINVAL;
    }
    if (option->kind != OPTION_FLAG && value == NULL) {
        if (*at + 1 >= argc) {
            snprintf(why_r, OPTION_WHY_MAX, "--%s needs a value: %s", option->name, option->value);
            return UV_EINVAL;
        }
        value = argv[++*at];
    }
    return read_value(option, value, (char *)base + option->offset, why_r);
}

// A lone dash is a word, and so is a negative number: either may be DATA.
static bool is_option(const char *text) {
    return text[0] == '-' && text[1] != '\0' && strchr("0123456789", text[1]) == NULL;
}

int options_read(int argc, char **argv, int *at, const struct command *command, void *given,
                 struct tool *tool, char why_r[static OPTION_WHY_MAX]) {
    bool are_words_only = false;
    for (; *at < argc; ++*at) {
        const char *text = argv[*at];
        int error = 0;
        if (are_words_only || !is_option(text)) {
            if (command == NULL) {
                return 0;
            }
            error = add_word(given, text, command->words_max, "words are taken", why_r);
        } else if (strcmp(text, "--") == 0) {
            are_words_only = true;
        } else if (strcmp(text, "-h") == 0) {
            tool->wants_help = true;
        } else if (text[1] == '-') {
            error = read_option(argc, argv, at, command, given, tool, why_r);
        } else {
            snprintf(why_r, OPTION_WHY_MAX,
                     "unknown option %.60s (a word that begins with a dash goes behind --)", text);
            error = UV_EINVAL;
        }
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

static void print_options(const struct option *options, size_t count, FILE *out) {
    for (size_t i = 0; i < count; i++) {
        int used = fprintf(out, "  --%s %s", options[i].name,
                           options[i].value != NULL ? options[i].value : "");
        struct slice lines = slice_of(options[i].help);
        bool is_first = true;
        while (lines.data != NULL) {
            struct slice line = slice_cut(&lines, '\n');
            int gap = !is_first ? HELP_COLUMN : used < HELP_COLUMN ? HELP_COLUMN - used : 1;
            fprintf(out, "%*s%.*s\n", gap, "", SLICE_ARGS(line));
            is_first = false;
        }
    }
}

void options_print_common(FILE *out) {
    fputs("\nFor every command\n", out);
    print_options(common_options, COMMON_OPTIONS, out);
}

void options_print_command(const struct command *command, FILE *out) {
    fprintf(out, "freshet %s: %s\n\nusage: freshet %s %s\n\n%s\n", command->name, command->summary,
            command->name, command->arguments, command->about);
    if (command->options_count > 0) {
        fputs("\nOptions\n", out);
        print_options(command->options, command->options_count, out);
    }
    options_print_common(out);
    fprintf(out, "\nExamples\n%s", command->examples);
}
