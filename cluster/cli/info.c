// freshet info: what Redis holds of channels.
#include "cluster/cli/channel_facts.h"
#include "cluster/cli/commands.h"
#include "cluster/cli/output.h"

#include <stdio.h>

struct given {
    struct words channels;
};

// ---- For people ----------------------------------------------------------------------------------

static void begin_row(struct bytes *text, const char *label) {
    bytes_append_format(text, "  %s%-12s%s", style(STYLE_DIM), label, style(STYLE_PLAIN));
}

static void end_row(struct bytes *text) {
    bytes_append_char(text, '\n');
}

static void append_id(struct bytes *text, struct position position) {
    if (position_is_none(position)) {
        bytes_append(text, SLICE("none"));
    } else {
        position_append(text, position);
    }
}

static void append_message_row(struct bytes *text, const char *label, const struct message *message,
                               int64_t now_ms) {
    if (position_is_none(message->position)) {
        return;
    }
    begin_row(text, label);
    append_id(text, message->position);
    if (now_ms > 0 && message->time_ms > 0 && message->time_ms <= now_ms) {
        bytes_append(text, SLICE("  "));
        append_span(text, now_ms - message->time_ms);
        bytes_append(text, SLICE(" ago"));
    }
    end_row(text);
}

static void append_expiry(struct bytes *text, int64_t ttl_ms) {
    if (ttl_ms >= 0) {
        bytes_append(text, SLICE("in "));
        append_span(text, ttl_ms);
    } else {
        bytes_append(text, ttl_ms == -1 ? SLICE("never") : SLICE("-"));
    }
}

static void append_setting_row(struct bytes *text, const struct channel_facts *facts,
                               const char *name, const char *fallback) {
    struct slice value = reply_find_text(facts->replies[FACT_HASH], name);
    begin_row(text, name);
    if (value.len > 0) {
        append_visible(text, value);
    } else {
        bytes_append_format(text, "%s%s%s", style(STYLE_DIM), fallback, style(STYLE_PLAIN));
    }
    end_row(text);
}

static void append_log_rows(struct bytes *text, const struct channel_facts *facts) {
    begin_row(text, "log");
    if (!facts->has_log) {
        bytes_append(text, SLICE("none"));
    } else {
        append_grouped(text, facts->length);
        bytes_append(text, facts->length == 1 ? SLICE(" message") : SLICE(" messages"));
        if (facts->bytes >= 0) {
            bytes_append(text, SLICE(", "));
            append_size(text, (uint64_t)facts->bytes);
        }
    }
    end_row(text);
    append_message_row(text, "first", &facts->first, facts->now_ms);
    append_message_row(text, "last", &facts->last, facts->now_ms);
}

static void append_text(struct bytes *text, const char *channel,
                        const struct channel_facts *facts) {
    append_styled(text, STYLE_BOLD, slice_of(channel));
    end_row(text);
    begin_row(text, "head");
    append_id(text, facts->head);
    end_row(text);
    begin_row(text, "epoch");
    facts->epoch > 0 ? bytes_append_u64(text, facts->epoch) : bytes_append(text, SLICE("none"));
    end_row(text);
    begin_row(text, "version");
    bytes_append_u64(text, facts->version);
    end_row(text);
    begin_row(text, "writer");
    append_visible(text, reply_find_text(facts->replies[FACT_HASH], "writer"));
    end_row(text);
    begin_row(text, "fork");
    append_id(text, facts->fork);
    end_row(text);
    append_log_rows(text, facts);
    append_setting_row(text, facts, "history", "1000 unless a publish says otherwise");
    append_setting_row(text, facts, "ttl", "3600 unless a publish says otherwise");
    begin_row(text, "expires");
    bytes_append(text, SLICE("log "));
    append_expiry(text, facts->log_ttl_ms);
    bytes_append(text, SLICE(", counter "));
    append_expiry(text, facts->hash_ttl_ms);
    end_row(text);
    if (facts->subscribers >= 0) {
        begin_row(text, "subscribers");
        append_grouped(text, (uint64_t)facts->subscribers);
        bytes_append(text, SLICE("  (nodes and tools, in Redis)"));
        end_row(text);
    }
}

// ---- For programs --------------------------------------------------------------------------------

static void add_number_or_null(struct bytes *text, const char *name, int64_t value) {
    value >= 0 ? object_number(text, name, value) : object_null(text, name);
}

static void add_setting(struct bytes *text, const struct channel_facts *facts, const char *name) {
    uint64_t value;
    if (slice_to_u64(reply_find_text(facts->replies[FACT_HASH], name), UINT32_MAX, &value) == 0) {
        object_number(text, name, (int64_t)value);
    } else {
        object_null(text, name);
    }
}

static void add_message(struct bytes *text, const char *id_name, const char *time_name,
                        const struct message *message) {
    object_position(text, id_name, message->position);
    add_number_or_null(text, time_name, message->time_ms > 0 ? message->time_ms : -1);
}

static void append_json(struct bytes *text, const char *channel,
                        const struct channel_facts *facts) {
    object_begin(text);
    object_text(text, "channel", slice_of(channel));
    object_position(text, "head", facts->head);
    add_number_or_null(text, "epoch", facts->epoch > 0 ? (int64_t)facts->epoch : -1);
    object_number(text, "version", (int64_t)facts->version);
    object_text(text, "writer", reply_find_text(facts->replies[FACT_HASH], "writer"));
    object_position(text, "fork", facts->fork);
    object_number(text, "length", (int64_t)facts->length);
    add_number_or_null(text, "bytes", facts->has_log ? facts->bytes : 0);
    add_message(text, "first", "first_time", &facts->first);
    add_message(text, "last", "last_time", &facts->last);
    add_setting(text, facts, "history");
    add_setting(text, facts, "ttl");
    add_number_or_null(text, "log_expires_ms", facts->log_ttl_ms);
    add_number_or_null(text, "hash_expires_ms", facts->hash_ttl_ms);
    add_number_or_null(text, "subscribers", facts->subscribers);
    object_end(text);
}

// ---- The command ---------------------------------------------------------------------------------

static int show(const struct tool *tool, const char *channel, const struct channel_facts *facts) {
    struct bytes text = {0};
    int status = END_FINE;
    if (!facts->has_hash && !facts->has_log) {
        complain("info: Redis knows nothing of %s", channel);
        status = END_REFUSED;
    } else if (tool->is_json) {
        append_json(&text, channel, facts);
    } else {
        append_text(&text, channel, facts);
    }
    print_bytes(&text);
    bytes_release(&text);
    return status;
}

// The worst of all channels.
static int show_all(const struct tool *tool, struct client *client, const struct words *channels) {
    int status = END_FINE;
    for (size_t i = 0; i < channels->count; i++) {
        const char *channel = channels->items[i];
        struct channel_facts facts;
        const redisReply *refusal;
        if (channel_facts_read(&facts, client, tool->prefix, slice_of(channel), &refusal) < 0) {
            return tool_lost(tool, client);
        }
        int shown = refusal != NULL ? tool_refused(tool, channel, resp_text(refusal))
                                    : show(tool, channel, &facts);
        status = shown > status ? shown : status;
        channel_facts_release(&facts);
    }
    return status;
}

static int run(struct tool *tool, const void *options) {
    const struct given *given = options;
    struct client client;
    if (!channels_are_valid(given->channels.items, given->channels.count)) {
        return END_USAGE;
    }
    int status = tool_connect(tool, &client);
    if (status == END_FINE) {
        status = show_all(tool, &client, &given->channels);
        client_close(&client);
    }
    return status;
}

const struct command info_command = {
    .name = "info",
    .arguments = "CH...",
    .summary = "show what Redis holds of channels",
    .about =
        "Shows head, writer, fork, log, settings and expiries of each channel, and how many are\n"
        "subscribed to it in Redis (a node counts once). Exit status 1 when Redis knows nothing\n"
        "of a channel.",
    .examples = "  freshet info news\n"
                "  freshet info news chat:1 --json | jq .length\n",
    .words_missing = "name at least one channel",
    .words_min = 1,
    .words_max = CHANNELS_MAX,
    .given_size = sizeof(struct given),
    .run = run,
};
