// freshet install: the function library.
#include "cluster/cli/commands.h"
#include "cluster/cli/library.h"
#include "cluster/cli/output.h"
#include "cluster/functions_source.h"

struct given {
    struct words words;
    bool may_replace;
};

static void report(const struct tool *tool, int64_t found, bool is_changed) {
    struct bytes line = {0};
    if (tool->is_json) {
        object_begin(&line);
        found != LIBRARY_ABSENT ? object_number(&line, "found", found)
                                : object_null(&line, "found");
        object_number(&line, "installed", is_changed ? functions_version : found);
        object_flag(&line, "changed", is_changed);
        object_end(&line);
        print_bytes(&line);
        bytes_release(&line);
        return;
    }
    if (found == LIBRARY_ABSENT) {
        bytes_append_format(&line, "version %d installed; there was none\n", functions_version);
    } else if (is_changed) {
        bytes_append_format(&line, "version %d installed in place of version %lld\n",
                            functions_version, (long long)found);
    } else if (found > functions_version) {
        bytes_append_format(&line,
                            "version %lld is there, newer than version %d of this program: "
                            "nothing done\n",
                            (long long)found, functions_version);
    } else {
        bytes_append_format(&line, "version %lld is there: nothing to do\n", (long long)found);
    }
    print_bytes(&line);
    bytes_release(&line);
}

static int install(const struct tool *tool, struct client *client, bool may_replace) {
    int64_t found;
    redisReply *refusal;
    if (library_version(client, &found, &refusal) < 0) {
        return tool_lost(tool, client);
    }
    bool is_needed = refusal == NULL && (found < functions_version || may_replace);
    if (is_needed && library_load(client, found != LIBRARY_ABSENT, &refusal) < 0) {
        return tool_lost(tool, client);
    }
    if (refusal != NULL) {
        int status = tool_refused(tool, "the library was not installed", resp_text(refusal));
        reply_free(&refusal);
        return status;
    }
    report(tool, found, is_needed);
    return END_FINE;
}

static int run(struct tool *tool, const void *options) {
    const struct given *given = options;
    struct client client;
    int status = tool_connect(tool, &client);
    if (status == END_FINE) {
        status = install(tool, &client, given->may_replace);
        client_close(&client);
    }
    return status;
}

static const struct option options[] = {
    {.name = "replace",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct given, may_replace),
     .help = "also the same or a newer version: every channel opens a new epoch\n"
             "at its next publish, and no subscriber loses anything"},
};

const struct command install_command = {
    .name = "install",
    .arguments = "[--replace]",
    .summary = "load the function library into Redis",
    .about =
        "Loads the library when it is absent, and replaces one that is older than this program's.\n"
        "Nodes do the same by themselves; this is for publishing before any node ran.",
    .examples = "  freshet install\n"
                "  freshet install --redis redis://admin:secret@10.0.0.5\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .given_size = sizeof(struct given),
    .run = run,
};
