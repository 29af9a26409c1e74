// The four places that options come from: defaults, file, environment, command line. The table is in
// config_table.c; values are read in config_value.c and printed in config_help.c.
#include "node/config.h"

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/config_option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { FILE_BYTES_MAX = 1 << 20, FLAGS_MAX = 1024 };

// One reading of all places. A list given in one place replaces what it was in the one before, so
// it is known which options the current place has named.
struct reader {
    struct config *config;
    const char *place; // "the environment", "FILE line N"; NULL: the command line
    bool is_named[CONFIG_OPTIONS_MAX];
    char *why_r; // CONFIG_WHY_MAX
};

static void enter(struct reader *reader, const char *place) {
    reader->place = place;
    memset(reader->is_named, 0, sizeof(reader->is_named));
}

// Edits (insert, drop, replace) from a to b; both are short.
static size_t distance(struct slice a, struct slice b) {
    size_t row[64];
    size_t len = b.len < 63 ? b.len : 63;
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t replaced = diagonal + (a.data[i - 1] != b.data[j - 1]);
            size_t shifted = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < shifted ? replaced : shifted;
        }
    }
    return row[len];
}

// The option somebody may have meant: one that begins like it, or the nearest if near enough.
static const char *suggest(struct slice name) {
    const char *best = NULL;
    size_t best_distance = name.len < 8 ? 3 : 4;
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        struct slice known = slice_of(option->name);
        if (option->kind == OPTION_GROUP) {
            continue;
        }
        if (name.len >= 3 && slice_starts_with(known, name)) {
            return option->name;
        }
        size_t edits = name.len > 40 ? SIZE_MAX : distance(name, known);
        if (edits < best_distance) {
            best_distance = edits;
            best = option->name;
        }
    }
    return best;
}

static int refuse_unknown(struct reader *reader, struct slice name) {
    const char *near = suggest(name);
    const char *dashes = reader->place == NULL ? "--" : "";
    char where[180] = "";
    if (reader->place != NULL) {
        snprintf(where, sizeof(where), "%s: ", reader->place);
    }
    int len = name.len < 60 ? (int)name.len : 60;
    if (near == NULL) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "%sthere is no option %s%.*s; see --help", where,
                 dashes, len, name.data);
    } else {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "%sthere is no option %s%.*s; did you mean %s%s?",
                 where, dashes, len, name.data, dashes, near);
    }
    return UV_EINVAL;
}

static int assign(struct reader *reader, const struct option *option, const char *value) {
    bool *is_named = &reader->is_named[option - config_options];
    if (!*is_named && option_is_list(option)) {
        option_release(option, reader->config);
    }
    *is_named = true;
    char why[OPTION_WHY_MAX];
    int error = option_read(option, value, reader->config, why);
    if (error < 0 && reader->place == NULL) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "--%s: %s", option->name, why);
    } else if (error < 0) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "%s: %s: %s", reader->place, option->name, why);
    }
    return error;
}

static void assign_defaults(struct reader *reader) {
    enter(reader, "default");
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        if (option->fallback != NULL && option->fallback[0] != '(') {
            CHECK(assign(reader, option, option->fallback) == 0);
        }
    }
    char node_id[17];
    snprintf(node_id, sizeof(node_id), "%012" PRIx64, clock_random(UINT64_C(1) << 48));
    reader->config->node_id = mem_copy_string(node_id);
    reader->config->workers = uv_available_parallelism();
}

// `key = value` or `key value`; the line is cut up in place.
static int assign_line(struct reader *reader, char *line) {
    struct slice text = slice_trim(slice_make(line, strcspn(line, "\r\n")));
    if (text.len == 0 || text.data[0] == '#') {
        return 0;
    }
    size_t name_len = 0;
    while (name_len < text.len && strchr(" \t=", text.data[name_len]) == NULL) {
        name_len++;
    }
    struct slice name = slice_make(text.data, name_len);
    struct slice value = slice_trim(slice_from(text, name_len));
    if (value.len > 0 && value.data[0] == '=') {
        value = slice_trim(slice_from(value, 1));
    }
    const struct option *option = option_find(name);
    if (option == NULL) {
        return refuse_unknown(reader, name);
    }
    if (option->kind == OPTION_FILE) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "%s: config: a file cannot name another one",
                 reader->place);
        return UV_EINVAL;
    }
    line[(value.data == NULL ? line : value.data) - line + (ptrdiff_t)value.len] = '\0';
    return assign(reader, option, value.data == NULL ? line : value.data);
}

static int assign_file(struct reader *reader, const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "config: cannot read %.200s: %s", path,
                 strerror(errno));
        return UV_EINVAL;
    }
    char place[160];
    enter(reader, place);
    char *line = NULL;
    size_t cap = 0;
    size_t total = 0;
    int error = 0;
    for (int number = 1; error == 0; number++) {
        errno = 0;
        ssize_t len = getline(&line, &cap, file);
        if (len < 0) {
            break;
        }
        total += (size_t)len;
        snprintf(place, sizeof(place), "%.140s line %d", path, number);
        if (total > FILE_BYTES_MAX || memchr(line, '\0', (size_t)len) != NULL) {
            snprintf(reader->why_r, CONFIG_WHY_MAX, "%s: this is no configuration file", place);
            error = UV_EINVAL;
            break;
        }
        error = assign_line(reader, line);
    }
    if (error == 0 && ferror(file)) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "config: cannot read %.200s: %s", path,
                 strerror(errno));
        error = UV_EINVAL;
    }
    free(line); // getline's, not ours
    fclose(file);
    return error;
}

// An empty variable counts as unset: compose files write `FRESHET_X: ${X:-}`.
static int assign_environment(struct reader *reader) {
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        char name[OPTION_ENVIRONMENT_MAX];
        option_environment(option, name);
        const char *value = option->kind == OPTION_GROUP ? NULL : getenv(name);
        if (value == NULL || value[0] == '\0' || option->kind == OPTION_FILE) {
            continue;
        }
        char place[OPTION_ENVIRONMENT_MAX + 16];
        snprintf(place, sizeof(place), "environment %s", name);
        reader->place = place;
        int error = assign(reader, option, value);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

// What the command line says, before any of it is believed.
struct flags {
    enum config_action action;
    const char *file;
    size_t count;
    struct {
        const struct option *option;
        const char *value; // borrowed from argv
    } given[FLAGS_MAX];
};

// Cuts one `--x=v` or `--x v` off argv; *at moves behind it.
static int read_flag(struct reader *reader, int argc, char *const *argv, int *at,
                     struct flags *flags) {
    const char *argument = argv[(*at)++];
    if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0') {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "\"%.60s\" is no option; see --help", argument);
        return UV_EINVAL;
    }
    struct slice name = slice_make(argument + 2, strcspn(argument + 2, "="));
    const struct option *option = option_find(name);
    if (option == NULL) {
        return refuse_unknown(reader, name);
    }
    const char *value = name.data[name.len] == '=' ? name.data + name.len + 1 : NULL;
    if (value == NULL && *at < argc && strncmp(argv[*at], "--", 2) != 0) {
        value = argv[(*at)++];
    }
    if (value == NULL || flags->count == FLAGS_MAX) {
        snprintf(reader->why_r, CONFIG_WHY_MAX, "--%s: %s", option->name,
                 value == NULL ? "needs a value" : "too many options");
        return UV_EINVAL;
    }
    if (option->kind == OPTION_FILE) {
        flags->file = value;
        return 0;
    }
    flags->given[flags->count].option = option;
    flags->given[flags->count++].value = value;
    return 0;
}

static bool read_action(const char *argument, enum config_action *action_r) {
    static const struct {
        const char *flag;
        enum config_action action;
    } actions[] = {{"--help", CONFIG_HELP},
                   {"-h", CONFIG_HELP},
                   {"--version", CONFIG_VERSION},
                   {"-V", CONFIG_VERSION},
                   {"--check-config", CONFIG_CHECK}};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(argument, actions[i].flag) == 0) {
            *action_r = actions[i].action;
            return true;
        }
    }
    return false;
}

static int read_flags(struct reader *reader, int argc, char *const *argv, struct flags *flags) {
    // Whoever asks for help gets it, whatever else is wrong with the line.
    for (int i = 1; i < argc; i++) {
        enum config_action action;
        if (read_action(argv[i], &action) && action != CONFIG_CHECK) {
            flags->action = action;
            return 0;
        }
    }
    int at = 1;
    while (at < argc) {
        if (read_action(argv[at], &flags->action)) {
            at++;
            continue;
        }
        int error = read_flag(reader, argc, argv, &at, flags);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

static int assign_flags(struct reader *reader, const struct flags *flags) {
    enter(reader, NULL);
    for (size_t i = 0; i < flags->count; i++) {
        int error = assign(reader, flags->given[i].option, flags->given[i].value);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

// The database that a Redis URL names, as text: `redis://.../2`, `redis+sentinel://.../NAME/2`,
// `unix:...?db=2`.
static struct slice redis_database(struct slice url) {
    if (slice_starts_with(url, SLICE("unix:"))) {
        const char *parameter = memmem(url.data, url.len, "?db=", 4);
        parameter = parameter != NULL ? parameter : memmem(url.data, url.len, "&db=", 4);
        struct slice rest =
            parameter == NULL ? SLICE_NONE : slice_from(url, (size_t)(parameter - url.data) + 4);
        return slice_cut(&rest, '&');
    }
    bool has_name = slice_starts_with(url, SLICE("redis+sentinel://"));
    struct slice query = slice_from(url, strlen(has_name ? "redis+sentinel://" : "redis://"));
    struct slice rest = slice_cut(&query, '?');
    const char *last = rest.len > 0 ? memrchr(rest.data, '/', rest.len) : NULL;
    if (last == NULL || (has_name && memchr(rest.data, '/', (size_t)(last - rest.data)) == NULL)) {
        return SLICE_NONE;
    }
    return slice_from(rest, (size_t)(last - rest.data) + 1);
}

// Pub/sub knows no databases: two nodes on two databases of one Redis would hear each other.
static int check_prefix(struct reader *reader) {
    uint64_t database;
    if (slice_to_u64(redis_database(slice_of(reader->config->redis)), UINT32_MAX, &database) < 0 ||
        database == 0 || strcmp(reader->config->prefix, "freshet") != 0) {
        return 0;
    }
    snprintf(reader->why_r, CONFIG_WHY_MAX,
             "redis: database %" PRIu64 " needs a --prefix of its own, because Redis's pub/sub "
             "ignores the database",
             database);
    return UV_EINVAL;
}

static bool is_every_address(const char *host) {
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

// With SO_REUSEPORT the kernel would let both have it, and deal clients to either.
static int check_ports(struct reader *reader) {
    const struct config *config = reader->config;
    if (config->listen_port != config->admin_port ||
        (strcmp(config->listen_host, config->admin_host) != 0 &&
         !is_every_address(config->listen_host) && !is_every_address(config->admin_host))) {
        return 0;
    }
    snprintf(reader->why_r, CONFIG_WHY_MAX, "listen and admin name the same port: %u",
             config->listen_port);
    return UV_EINVAL;
}

static int read_all(struct reader *reader, const struct flags *flags) {
    assign_defaults(reader);
    const char *path = flags->file != NULL ? flags->file : getenv("FRESHET_CONFIG");
    int error = 0;
    if (path != NULL && path[0] != '\0') {
        error = assign_file(reader, path);
    }
    if (error == 0) {
        enter(reader, "environment");
        error = assign_environment(reader);
    }
    error = error < 0 ? error : assign_flags(reader, flags);
    error = error < 0 ? error : check_prefix(reader);
    return error < 0 ? error : check_ports(reader);
}

int config_load(int argc, char *const *argv, struct config *config_r, enum config_action *action_r,
                char why_r[static CONFIG_WHY_MAX]) {
    CHECK(config_options_count <= CONFIG_OPTIONS_MAX);
    *config_r = (struct config){0};
    struct reader reader = {.config = config_r, .why_r = why_r};
    struct flags *flags = mem_alloc(sizeof(*flags));
    flags->action = CONFIG_RUN;
    int error = read_flags(&reader, argc, argv, flags);
    *action_r = flags->action;
    if (error == 0 && (flags->action == CONFIG_RUN || flags->action == CONFIG_CHECK)) {
        error = read_all(&reader, flags);
    }
    mem_free(flags);
    if (error < 0) {
        config_release(config_r);
    }
    return error;
}

void config_release(struct config *config) {
    for (size_t i = 0; i < config_options_count; i++) {
        option_release(&config_options[i], config);
    }
}

void config_append(const struct config *config, const char *option, struct bytes *bytes) {
    const struct option *found = option_find(slice_of(option));
    CHECK(found != NULL);
    option_append(found, config, bytes);
}
