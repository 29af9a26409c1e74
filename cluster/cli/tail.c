// freshet tail: follows channels through Redis itself, without a node. tail_loop.c does it.
#include "cluster/base/mem.h"
#include "cluster/cli/commands.h"
#include "cluster/cli/interrupt.h"
#include "cluster/cli/tail_loop.h"

#include <unistd.h>

enum { REWIND_MAX = 100000, CURSOR_ITEMS_SHOWN = 8 };

struct given {
    struct words channels;
    const char *since;
    uint64_t rewind;
    uint64_t limit;
};

// Items of --since in the order of the channels: a position, 0 (oldest kept), or empty (head).
static int read_since(struct tail *tail, const char *since) {
    struct slice rest = slice_of(since);
    size_t i = 0;
    for (; i < tail->count && rest.data != NULL; i++) {
        struct follower *follower = &tail->followers[i];
        struct slice item = slice_cut(&rest, ',');
        if (item.len == 0) {
            continue;
        }
        follower->is_placed = true;
        if (!slice_equal(item, SLICE("0")) && position_parse(item, &follower->at) < 0) {
            complain("tail: --since \"%.*s\": a position looks like 1795375878745123-42; 0 is the "
                     "oldest message kept",
                     SLICE_ARGS(item));
            return END_USAGE;
        }
    }
    if (i < tail->count || rest.data != NULL) {
        complain("tail: --since needs one position for each of the %zu channels, in their order, "
                 "joined by commas",
                 tail->count);
        return END_USAGE;
    }
    return END_FINE;
}

static int init_followers(struct tail *tail, const struct given *given) {
    tail->count = given->channels.count;
    tail->followers = mem_alloc_array(tail->count, sizeof(tail->followers[0]));
    for (size_t i = 0; i < tail->count; i++) {
        struct follower *follower = &tail->followers[i];
        follower->channel = slice_of(given->channels.items[i]);
        follower->rewind = given->rewind;
        keys_init(&follower->keys, tail->tool->prefix, follower->channel);
        if (map_get(&tail->by_now, follower->keys.now) != NULL) {
            complain("tail: %s is named twice", given->channels.items[i]);
            return END_USAGE;
        }
        map_put(&tail->by_now, follower->keys.now, follower);
    }
    return given->since != NULL ? read_since(tail, given->since) : END_FINE;
}

// What to go on with, for a person who pressed Ctrl-C; not a page of it.
static void tell_cursor(const struct tail *tail) {
    struct bytes cursor = {0};
    if (tail->count > CURSOR_ITEMS_SHOWN) {
        return;
    }
    for (size_t i = 0; i < tail->count; i++) {
        if (i > 0) {
            bytes_append_char(&cursor, ',');
        }
        position_append(&cursor, tail->followers[i].at);
    }
    complain("to go on from here: --since %.*s", SLICE_ARGS(bytes_slice(&cursor)));
    bytes_release(&cursor);
}

static int run(struct tool *tool, const void *options) {
    const struct given *given = options;
    if (!channels_are_valid(given->channels.items, given->channels.count)) {
        return END_USAGE;
    }
    if (given->since != NULL && given->rewind > 0) {
        complain("tail: --since and --rewind exclude each other");
        return END_USAGE;
    }
    struct tail tail = {
        .tool = tool,
        .left = given->limit,
        .is_limited = given->limit > 0,
    };
    tail_printer_init(&tail.printer, tool->is_json, given->channels.items, given->channels.count);
    int status = init_followers(&tail, given);
    if (status == END_FINE) {
        interrupt_catch();
        status = tail_loop(&tail);
    }
    if (interrupt_came() && isatty(STDERR_FILENO)) {
        tell_cursor(&tail);
    }
    tail_printer_release(&tail.printer);
    map_release(&tail.by_now);
    mem_free(tail.followers);
    return status;
}

static const struct option options[] = {
    {.name = "since",
     .value = "C",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct given, since),
     .help = "begin behind this position; 0: at the oldest message kept; for\n"
             "several channels a list in their order (an empty item: now)"},
    {.name = "rewind",
     .value = "N",
     .kind = OPTION_COUNT,
     .offset = offsetof(struct given, rewind),
     .min = 1,
     .max = REWIND_MAX,
     .help = "begin with the last N messages of each channel"},
    {.name = "limit",
     .value = "N",
     .kind = OPTION_COUNT,
     .offset = offsetof(struct given, limit),
     .min = 1,
     .max = UINT32_MAX,
     .help = "end after N messages"},
};

const struct command tail_command = {
    .name = "tail",
    .arguments = "CH... [--since C | --rewind N] [--limit N]",
    .summary = "follow channels",
    .about =
        "Prints what is published, from now on or from where you say, each message once and in\n"
        "order. When Redis goes away it waits and goes on where it was; what cannot be had any\n"
        "more is told by a reset. Ctrl-C ends it.",
    .examples = "  freshet tail news\n"
                "  freshet tail news chat:1 --rewind 10\n"
                "  freshet tail news --since 1795375878745123-42 --json | jq .data\n"
                "  freshet tail news --since 0 --limit 1\n",
    .words_missing = "name at least one channel",
    .words_min = 1,
    .words_max = CHANNELS_MAX,
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .given_size = sizeof(struct given),
    .run = run,
};
