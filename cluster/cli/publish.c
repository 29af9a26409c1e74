// freshet publish: one message, from the command line or from stdin. publish_lines.c does many.
#include "cluster/cli/commands.h"
#include "cluster/cli/library.h"
#include "cluster/cli/output.h"
#include "cluster/cli/publish_lines.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const size_t STDIN_CHUNK = 64 << 10;

// All of stdin, byte for byte; stops behind the limit, which the caller then refuses.
static int read_stdin(struct bytes *data) {
    while (data->len <= DATA_BYTES_MAX) {
        ssize_t n = read(STDIN_FILENO, bytes_reserve(data, STDIN_CHUNK), STDIN_CHUNK);
        if (n < 0 && errno != EINTR) {
            complain("publish: stdin cannot be read: %s", strerror(errno));
            return END_USAGE;
        }
        if (n == 0) {
            break;
        }
        data->len += n > 0 ? (size_t)n : 0;
    }
    return END_FINE;
}

static void report(const struct tool *tool, const char *channel, struct slice position) {
    struct bytes line = {0};
    if (tool->is_json) {
        object_begin(&line);
        object_text(&line, "channel", slice_of(channel));
        object_text(&line, "position", position);
        object_end(&line);
    } else {
        bytes_append(&line, position);
        bytes_append_char(&line, '\n');
    }
    print_bytes(&line);
    bytes_release(&line);
}

static void report_refusal(const struct tool *tool, const char *channel, struct slice error) {
    struct bytes line = {0};
    if (!tool->is_json) {
        return;
    }
    struct slice head = error;
    object_begin(&line);
    object_text(&line, "channel", slice_of(channel));
    object_text(&line, "error", error);
    if (slice_equal(slice_cut(&head, ' '), SLICE("CONFLICT"))) {
        object_text(&line, "head", head);
    }
    object_end(&line);
    print_bytes(&line);
    bytes_release(&line);
}

static int refused(const struct tool *tool, const struct publish_options *options,
                   struct slice error) {
    const char *channel = options->words.items[0];
    struct slice head = error;
    report_refusal(tool, channel, error);
    if (slice_equal(slice_cut(&head, ' '), SLICE("CONFLICT"))) {
        complain("publish: nothing was published: the head of %s is %.*s, not %s", channel,
                 SLICE_ARGS(head), options->if_head != NULL ? options->if_head : "?");
        return END_REFUSED;
    }
    return tool_refused(tool, "publish: nothing was published", error);
}

static int lost(const struct tool *tool, const struct client *client, bool has_once) {
    int status = tool_lost(tool, client);
    complain("publish: it may have been published all the same; %s",
             has_once ? "say it again with the same --once"
                      : "with --once KEY it can be said again without harm");
    return status;
}

static int publish(const struct tool *tool, struct publication *publication, struct slice data) {
    struct client client;
    int status = tool_connect(tool, &client);
    if (status != END_FINE) {
        return status;
    }
    redisReply *reply;
    publication_write(publication, data, 0);
    if (library_call(&client, publication->count, publication->words, &reply) < 0) {
        status = lost(tool, &client, publication->options->once != NULL);
        client_close(&client);
        return status;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        report(tool, publication->options->words.items[0], resp_text(reply));
    } else {
        status = refused(tool, publication->options, resp_text(reply));
    }
    reply_free(&reply);
    client_close(&client);
    return status;
}

static int publish_one(const struct tool *tool, struct publication *publication) {
    const char *word = publication->options->words.items[1];
    struct bytes input = {0};
    struct slice data = slice_of(word);
    int status = END_FINE;
    if (strcmp(word, "-") == 0) {
        status = read_stdin(&input);
        data = bytes_slice(&input);
    }
    const char *objection = publication_objection(publication, data);
    if (status == END_FINE && objection != NULL) {
        complain("publish: DATA is %s", objection);
        status = END_USAGE;
    }
    if (status == END_FINE) {
        status = publish(tool, publication, data);
    }
    bytes_release(&input);
    return status;
}

static int run(struct tool *tool, const void *given) {
    const struct publish_options *options = given;
    struct publication publication;
    int status = publication_init(&publication, tool, options);
    if (status == END_FINE && options->has_lines && strcmp(options->words.items[1], "-") != 0) {
        complain("publish: --lines reads messages from stdin: DATA must be -");
        status = END_USAGE;
    }
    if (status == END_FINE) {
        status = options->has_lines ? publish_lines(tool, &publication)
                                    : publish_one(tool, &publication);
    }
    publication_release(&publication);
    return status;
}

#define FIELD(name) .offset = offsetof(struct publish_options, name)

static const struct option options[] = {
    {.name = "type",
     .value = "TYPE",
     .kind = OPTION_TEXT,
     FIELD(type),
     .help = "json (the default), text or binary"},
    {.name = "event",
     .value = "NAME",
     .kind = OPTION_TEXT,
     FIELD(event),
     .help = "the event's name for subscribers"},
    {.name = "once",
     .value = "KEY",
     .kind = OPTION_TEXT,
     FIELD(once),
     .help = "publish once however often this is said: the same key gives the\n"
             "same position; with --lines each line has the key KEY:LINE"},
    {.name = "for",
     .value = "TIME",
     .kind = OPTION_DURATION,
     FIELD(for_s),
     .min = 1,
     .max = 86400,
     .help = "how long that key is kept, 1s-1d (5m)"},
    {.name = "if",
     .value = "POS|none",
     .kind = OPTION_TEXT,
     FIELD(if_head),
     .help = "only when this is the head of the channel"},
    {.name = "history",
     .value = "N",
     .kind = OPTION_COUNT,
     FIELD(history),
     .min = 1,
     .max = 100000,
     .help = "how many messages the channel keeps (1000)"},
    {.name = "ttl",
     .value = "TIME",
     .kind = OPTION_DURATION,
     FIELD(ttl_s),
     .min = 1,
     .max = 2592000,
     .help = "and for how long, 1s-30d (1h)"},
    {.name = "lines",
     .kind = OPTION_FLAG,
     FIELD(has_lines),
     .help = "each line of stdin is a message of its own"},
};

const struct command publish_command = {
    .name = "publish",
    .arguments = "CH DATA|- [OPTION]...",
    .summary = "publish a message, or many",
    .about =
        "Publishes DATA, or all of stdin for -, and prints its position. Exit status 1 means that\n"
        "nothing was published: refused, or not at the head that --if names. The function\n"
        "library is loaded into Redis when it is not there.",
    .examples = "  freshet publish news '{\"hello\":\"world\"}'\n"
                "  freshet publish news 'plain words' --type text --event greeting\n"
                "  freshet publish orders '{\"id\":7}' --once order-7 --for 1d\n"
                "  freshet publish counter 42 --if 1795375878745123-41\n"
                "  gzip -c page.html | freshet publish pages - --type binary\n"
                "  freshet publish news - --lines < messages.ndjson\n",
    .words_missing = "a channel and DATA are needed (- reads stdin)",
    .words_min = 2,
    .words_max = 2,
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .given_size = sizeof(struct publish_options),
    .run = run,
};
