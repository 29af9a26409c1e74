// See publication.h.
#include "cluster/cli/publication.h"

#include "cluster/base/json.h"

#include <inttypes.h>
#include <stdio.h>

static int refuse(const char *option, const char *value, const char *expected) {
    complain("publish: %s \"%.60s\": %s", option, value, expected);
    return END_USAGE;
}

static int check_options(struct publication *publication) {
    const struct publish_options *options = publication->options;
    struct position position;
    if (options->type != NULL &&
        message_type_parse(slice_of(options->type), &publication->type) < 0) {
        return refuse("--type", options->type, "must be json, text or binary");
    }
    if (options->event != NULL && !event_name_is_valid(slice_of(options->event))) {
        return refuse("--event", options->event,
                      "must be 1-64 printable ASCII characters, and none of the names that "
                      "transports use (open, error, message, hello, reset, bye, ok, join, leave, "
                      "stale)");
    }
    size_t once_len = options->once != NULL ? strlen(options->once) : 1;
    size_t once_max = options->has_lines ? ONCE_BYTES_MAX - 21 : ONCE_BYTES_MAX;
    if (once_len < 1 || once_len > once_max) {
        return refuse("--once", options->once, "must be 1-200 bytes (with --lines 1-179)");
    }
    if (options->for_s > 0 && options->once == NULL) {
        complain("publish: --for says how long a --once key is kept: it needs --once");
        return END_USAGE;
    }
    if (options->if_head != NULL && strcmp(options->if_head, "none") != 0 &&
        position_parse(slice_of(options->if_head), &position) < 0) {
        return refuse("--if", options->if_head,
                      "must be a position such as 1795375878745123-42, or none");
    }
    if (options->if_head != NULL && options->has_lines) {
        complain("publish: --if names one head and --lines moves it with every line: use one");
        return END_USAGE;
    }
    return END_FINE;
}

static void write_number(char *text_r, size_t size, uint64_t value) {
    snprintf(text_r, size, "%" PRIu64, value);
}

int publication_init(struct publication *publication, const struct tool *tool,
                     const struct publish_options *options) {
    *publication = (struct publication){.options = options, .type = MESSAGE_JSON};
    if (!channels_are_valid(options->words.items, 1)) {
        return END_USAGE;
    }
    keys_init(&publication->keys, tool->prefix, slice_of(options->words.items[0]));
    write_number(publication->history_text, sizeof(publication->history_text), options->history);
    write_number(publication->ttl_text, sizeof(publication->ttl_text), options->ttl_s);
    write_number(publication->for_text, sizeof(publication->for_text), options->for_s);
    return check_options(publication);
}

void publication_release(struct publication *publication) {
    bytes_release(&publication->once_key);
}

const char *publication_objection(const struct publication *publication, struct slice data) {
    if (data.len > DATA_BYTES_MAX) {
        return "larger than 1 MiB";
    }
    if (publication->type == MESSAGE_JSON && !json_is_valid(data)) {
        return "not JSON: a string is written '\"text\"', with its quotes, or say --type text";
    }
    if (publication->type == MESSAGE_TEXT && !slice_is_utf8(data)) {
        return "not UTF-8: say --type binary";
    }
    return NULL;
}

static void add(struct publication *publication, struct slice word) {
    publication->words[publication->count++] = word;
}

static void add_option(struct publication *publication, const char *name, const char *value) {
    add(publication, slice_of(name));
    add(publication, slice_of(value));
}

static void write_once(struct publication *publication, uint64_t line) {
    const char *once = publication->options->once;
    char suffix[24] = "";
    if (line > 0) {
        snprintf(suffix, sizeof(suffix), ":%" PRIu64, line);
    }
    snprintf(publication->once_text, sizeof(publication->once_text), "%s%s", once, suffix);
    bytes_clear(&publication->once_key);
    bytes_append_format(&publication->once_key, "%.*s:once:%s", SLICE_ARGS(publication->keys.hash),
                        publication->once_text);
}

void publication_write(struct publication *publication, struct slice data, uint64_t line) {
    const struct publish_options *options = publication->options;
    publication->count = 0;
    add_option(publication, "FCALL", "freshet_publish");
    add(publication, options->once != NULL ? SLICE("3") : SLICE("2"));
    add(publication, publication->keys.hash);
    add(publication, publication->keys.log);
    if (options->once != NULL) {
        write_once(publication, line);
        add(publication, bytes_slice(&publication->once_key));
    }
    add(publication, data);
    add_option(publication, "TYPE", message_type_name(publication->type));
    if (options->event != NULL) {
        add_option(publication, "EVENT", options->event);
    }
    if (options->history > 0) {
        add_option(publication, "HISTORY", publication->history_text);
    }
    if (options->ttl_s > 0) {
        add_option(publication, "TTL", publication->ttl_text);
    }
    if (options->once != NULL) {
        add_option(publication, "ONCE", publication->once_text);
    }
    if (options->for_s > 0) {
        add_option(publication, "FOR", publication->for_text);
    }
    if (options->if_head != NULL) {
        add_option(publication, "IF", options->if_head);
    }
}
