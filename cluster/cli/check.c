// freshet check: looks for what harms Freshet in a Redis, and says how to mend it.
#include "cluster/cli/check.h"

#include "cluster/base/clock.h"
#include "cluster/cli/commands.h"
#include "cluster/cli/library.h"
#include "cluster/cli/output.h"
#include "cluster/functions_source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { REDIS_MAJOR_MIN = 7, CLOCK_OFF_MS = 5000, TEXT_MAX = 400 };

struct given {
    struct words channels;
    struct words nodes;
};

static const struct option check_options[] = {
    {.name = "node",
     .value = "URL",
     .kind = OPTION_LIST,
     .offset = offsetof(struct given, nodes),
     .help = "a node's admin port, http://host:8081; repeatable"},
};

// ---- Findings ------------------------------------------------------------------------------------

static const struct {
    const char *name;
    enum style style;
} findings[FINDINGS] = {
    [FINDING_FINE] = {"fine", STYLE_GOOD},
    [FINDING_WARNING] = {"warning", STYLE_WARN},
    [FINDING_BROKEN] = {"broken", STYLE_BAD},
};

static void append_json(struct bytes *line, enum finding finding, const char *subject,
                        const char *fix, struct slice text) {
    object_begin(line);
    object_text(line, "finding", slice_of(findings[finding].name));
    object_text(line, "subject", slice_of(subject));
    object_text(line, "text", text);
    if (fix != NULL) {
        object_text(line, "fix", slice_of(fix));
    }
    object_end(line);
}

static void append_text(struct bytes *line, enum finding finding, const char *subject,
                        const char *fix, struct slice text) {
    bytes_append_format(line, "%s%-8s%s  ", style(findings[finding].style), findings[finding].name,
                        style(STYLE_PLAIN));
    append_styled(line, STYLE_BOLD, slice_of(subject));
    bytes_append(line, SLICE(": "));
    append_visible(line, text);
    bytes_append_char(line, '\n');
    if (fix != NULL) {
        bytes_append_format(line, "%10s", "");
        append_styled(line, STYLE_DIM, SLICE("fix: "));
        append_visible(line, slice_of(fix));
        bytes_append_char(line, '\n');
    }
}

void checkup_tell(struct checkup *checkup, enum finding finding, const char *subject,
                  const char *fix, const char *format, ...) {
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    checkup->counts[finding]++;
    struct bytes line = {0};
    if (checkup->tool->is_json) {
        append_json(&line, finding, subject, fix, slice_of(text));
    } else {
        append_text(&line, finding, subject, fix, slice_of(text));
    }
    print_bytes(&line);
    bytes_release(&line);
}

struct slice checkup_info(const struct checkup *checkup, const char *name) {
    return reply_is_error(checkup->info) ? SLICE_NONE : info_find(resp_text(checkup->info), name);
}

uint64_t checkup_info_number(const struct checkup *checkup, const char *name) {
    uint64_t value = 0;
    slice_to_u64(checkup_info(checkup, name), INT64_MAX, &value);
    return value;
}

struct slice checkup_setting(const struct checkup *checkup, const char *name) {
    return reply_find_text(checkup->config, name);
}

// ---- The server itself ---------------------------------------------------------------------------

// False: this Redis is too old for the rest to have a meaning.
static bool check_version(struct checkup *checkup) {
    struct slice version = checkup_info(checkup, "redis_version");
    struct slice valkey = checkup_info(checkup, "valkey_version");
    struct slice rest = version;
    uint64_t major = 0;
    if (version.data == NULL) {
        checkup_tell(checkup, FINDING_WARNING, "version", "ACL SETUSER this user +info",
                     "unknown, because INFO is not permitted");
        return true;
    }
    slice_to_u64(slice_cut(&rest, '.'), UINT32_MAX, &major);
    if (major < REDIS_MAJOR_MIN) {
        checkup_tell(checkup, FINDING_BROKEN, "version", "upgrade to Redis 7 or later, or Valkey",
                     "Redis %.*s has no functions", SLICE_ARGS(version));
        return false;
    }
    checkup_tell(checkup, FINDING_FINE, "version", NULL, "%s %.*s",
                 valkey.len > 0 ? "Valkey" : "Redis",
                 SLICE_ARGS(valkey.len > 0 ? valkey : version));
    return true;
}

static void tell_library(struct checkup *checkup, int64_t version) {
    if (version == LIBRARY_ABSENT) {
        checkup_tell(checkup, FINDING_WARNING, "library", "freshet install",
                     "not loaded; nodes load it, but until then nobody can publish");
    } else if (version < functions_version) {
        checkup_tell(checkup, FINDING_WARNING, "library", "freshet install",
                     "version %lld is older than version %d of this program", (long long)version,
                     functions_version);
    } else {
        checkup_tell(checkup, FINDING_FINE, "library", NULL, "version %lld", (long long)version);
    }
}

static int check_library(struct checkup *checkup) {
    int64_t version;
    redisReply *refusal;
    int error = library_version(&checkup->client, &version, &refusal);
    if (error < 0) {
        return error;
    }
    if (refusal == NULL) {
        tell_library(checkup, version);
    } else if (reply_is_refusal(refusal, "ERR unknown command")) {
        checkup_tell(checkup, FINDING_BROKEN, "library", "enable functions: FCALL, FUNCTION LOAD",
                     "this Redis has no functions");
    } else if (!reply_is_refusal(refusal, "NOPERM")) { // rights are told of by themselves
        checkup_tell(checkup, FINDING_BROKEN, "library", "freshet install --replace",
                     "it does not answer: %.*s", SLICE_ARGS(resp_text(refusal)));
    }
    reply_free(&refusal);
    return 0;
}

static int check_clock(struct checkup *checkup) {
    redisReply *reply;
    uint64_t seconds = 0;
    int error = client_ask(&checkup->client, WORDS(SLICE("TIME")), &reply);
    if (error < 0) {
        return error;
    }
    bool is_known = reply_is_array(reply, 2) &&
                    slice_to_u64(resp_text(reply->element[0]), INT64_MAX / 1000, &seconds) == 0;
    reply_free(&reply);
    if (!is_known) {
        return 0; // the right to TIME is asked for with the others
    }
    int64_t off_ms = (int64_t)seconds * 1000 - clock_wall_ms();
    if (llabs(off_ms) > CLOCK_OFF_MS) {
        struct bytes span = {0};
        append_span(&span, llabs(off_ms));
        checkup_tell(checkup, FINDING_WARNING, "clock", "let NTP keep both (chrony, timesyncd)",
                     "Redis is %.*s %s this machine: times of messages and ends of grants are off",
                     SLICE_ARGS(bytes_slice(&span)), off_ms > 0 ? "ahead of" : "behind");
        bytes_release(&span);
    } else {
        checkup_tell(checkup, FINDING_FINE, "clock", NULL, "as this machine's");
    }
    return 0;
}

// ---- The command ---------------------------------------------------------------------------------

static int read_server(struct checkup *checkup) {
    int error = client_ask(&checkup->client, WORDS(SLICE("INFO")), &checkup->info);
    if (error == 0) {
        error = client_ask(&checkup->client, WORDS(SLICE("CONFIG"), SLICE("GET"), SLICE("*")),
                           &checkup->config);
    }
    return error;
}

static int check_all(struct checkup *checkup, const struct given *given) {
    const struct words *channels = &given->channels;
    int error = read_server(checkup);
    if (error < 0 || !check_version(checkup)) {
        return error;
    }
    int (*const parts[])(struct checkup *) = {check_library, check_settings, check_health,
                                              check_clock, check_rights};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && error == 0; i++) {
        error = parts[i](checkup);
    }
    for (size_t i = 0; i < channels->count && error == 0; i++) {
        error = check_channel(checkup, channels->items[i]);
    }
    return error == 0 ? check_nodes(checkup, &given->nodes, channels) : error;
}

static int verdict(const struct checkup *checkup) {
    return checkup->counts[FINDING_BROKEN] > 0    ? FINDING_BROKEN
           : checkup->counts[FINDING_WARNING] > 0 ? FINDING_WARNING
                                                  : FINDING_FINE;
}

static void print_verdict(const struct checkup *checkup) {
    if (!checkup->tool->is_json) {
        printf("\n%zu fine, %zu %s, %zu broken\n", checkup->counts[FINDING_FINE],
               checkup->counts[FINDING_WARNING],
               checkup->counts[FINDING_WARNING] == 1 ? "warning" : "warnings",
               checkup->counts[FINDING_BROKEN]);
    }
}

static int run(struct tool *tool, const void *options) {
    const struct given *given = options;
    struct checkup checkup = {.tool = tool};
    if (!channels_are_valid(given->channels.items, given->channels.count) ||
        !nodes_are_valid(&given->nodes)) {
        return END_USAGE;
    }
    int status = tool_connect(tool, &checkup.client);
    if (status != END_FINE) {
        return status;
    }
    if (check_all(&checkup, given) < 0) {
        status = tool_lost(tool, &checkup.client);
    } else {
        print_verdict(&checkup);
        status = verdict(&checkup);
    }
    reply_free(&checkup.info);
    reply_free(&checkup.config);
    client_close(&checkup.client);
    return status;
}

const struct command check_command = {
    .name = "check",
    .arguments = "[CH...]",
    .summary = "look for what harms, and how to mend it",
    .about =
        "Looks at the settings, the health and the function library of a Redis, and at the rights\n"
        "of the user that --redis names, which should be the nodes' own. With channels it also\n"
        "compares what Redis holds of each: counter, log, fork, expiries; and, with --node, where\n"
        "each of these nodes stands in it. Nothing is changed.\n"
        "Exit status: 0 fine, 1 warnings, 2 something is broken, 3 Redis is not reachable.",
    .examples = "  freshet check\n"
                "  freshet check --redis redis://node:secret@10.0.0.5 news chat:1\n"
                "  freshet check news --node http://10.0.0.7:8081 --node http://10.0.0.8:8081\n"
                "  freshet check --json | jq 'select(.finding != \"fine\")'\n",
    .words_missing = "",
    .words_max = CHANNELS_MAX,
    .options = check_options,
    .options_count = sizeof(check_options) / sizeof(check_options[0]),
    .given_size = sizeof(struct given),
    .run = run,
};
