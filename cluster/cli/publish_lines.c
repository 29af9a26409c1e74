// See publish_lines.h. Lines are sent as they come and answers read as they come, so that a pipe
// that trickles is published at once and a file as fast as Redis takes it; no more than a window is
// ever on the way.
#include "cluster/cli/publish_lines.h"

#include "cluster/base/clock.h"
#include "cluster/cli/library.h"
#include "cluster/cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

enum {
    WINDOW_LINES = 256,
    WINDOW_BYTES = 4 << 20,
    READ_BYTES = 64 << 10,
    LONG_MS = 1000, // what takes longer shows how far it is
    PROGRESS_MS = 200,
};

// A line that was sent and waits for its answer.
struct sent {
    uint64_t line;
    size_t bytes;
};

struct stream {
    const struct tool *tool;
    struct publication *publication;
    struct client client;
    struct bytes input; // read and not yet sent
    bool is_skipping;   // the rest of a line that was too long
    bool is_ended;      // stdin is
    bool shows_progress;
    struct sent window[WINDOW_LINES];
    size_t first;
    size_t count;
    size_t bytes;  // of the window
    uint64_t line; // of the input, from 1
    uint64_t published;
    uint64_t refused;
    uint64_t start_ms;
    uint64_t shown_ms;
};

static void report(struct stream *stream, uint64_t line, struct slice position) {
    struct bytes text = {0};
    if (stream->tool->is_json) {
        object_begin(&text);
        object_number(&text, "line", (int64_t)line);
        object_text(&text, "channel", slice_of(stream->publication->options->words.items[0]));
        object_text(&text, "position", position);
        object_end(&text);
    } else {
        bytes_append(&text, position);
        bytes_append_char(&text, '\n');
    }
    print_bytes(&text);
    bytes_release(&text);
}

static void clear_progress(const struct stream *stream) {
    if (stream->shown_ms > 0) {
        fputs("\r\x1b[K", stderr);
    }
}

static void refuse(struct stream *stream, uint64_t line, struct slice why) {
    stream->refused++;
    clear_progress(stream);
    complain("publish: line %" PRIu64 " was not published: %.*s", line, SLICE_ARGS(why));
    if (stream->tool->is_json) {
        struct bytes text = {0};
        object_begin(&text);
        object_number(&text, "line", (int64_t)line);
        object_text(&text, "channel", slice_of(stream->publication->options->words.items[0]));
        object_text(&text, "error", why);
        object_end(&text);
        print_bytes(&text);
        bytes_release(&text);
    }
}

// ---- Out -----------------------------------------------------------------------------------------

static bool has_room(const struct stream *stream) {
    return stream->count < WINDOW_LINES && stream->bytes < WINDOW_BYTES;
}

static void send_line(struct stream *stream, struct slice data) {
    struct publication *publication = stream->publication;
    stream->line++;
    bool is_blank = slice_trim(data).len == 0;
    if (is_blank && publication->type == MESSAGE_JSON) {
        return; // as in JSON lines
    }
    const char *objection = publication_objection(publication, data);
    if (objection != NULL) {
        refuse(stream, stream->line, slice_of(objection));
        return;
    }
    publication_write(publication, data, stream->line);
    client_send(&stream->client, publication->count, publication->words);
    size_t at = (stream->first + stream->count++) % WINDOW_LINES;
    stream->window[at] = (struct sent){stream->line, data.len};
    stream->bytes += data.len;
}

static void skip_line(struct stream *stream) {
    stream->line++;
    refuse(stream, stream->line, SLICE("larger than 1 MiB"));
    stream->is_skipping = true;
}

// Sends the whole lines at hand, while the window has room.
static void send_lines(struct stream *stream) {
    size_t done = 0;
    while (has_room(stream) && done < stream->input.len) {
        struct slice rest = slice_from(bytes_slice(&stream->input), done);
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        if (end == NULL && !stream->is_ended && len <= DATA_BYTES_MAX) {
            break;
        }
        bool is_skipped = stream->is_skipping;
        if (is_skipped) {
            stream->is_skipping = end == NULL;
        } else if (end == NULL && !stream->is_ended) {
            skip_line(stream);
        } else {
            send_line(stream, slice_make(rest.data, len));
        }
        done += end != NULL ? len + 1 : len;
    }
    bytes_consume(&stream->input, done);
}

// ---- In ------------------------------------------------------------------------------------------

static int read_input(struct stream *stream) {
    ssize_t n = read(STDIN_FILENO, bytes_reserve(&stream->input, READ_BYTES), READ_BYTES);
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
        complain("publish: stdin cannot be read: %s", strerror(errno));
        return END_USAGE;
    }
    stream->is_ended = n == 0;
    stream->input.len += n > 0 ? (size_t)n : 0;
    return END_FINE;
}

static void take_reply(struct stream *stream, const redisReply *reply) {
    struct sent sent = stream->window[stream->first];
    stream->first = (stream->first + 1) % WINDOW_LINES;
    stream->count--;
    stream->bytes -= sent.bytes;
    if (reply->type == REDIS_REPLY_STRING) {
        stream->published++;
        report(stream, sent.line, resp_text(reply));
    } else {
        refuse(stream, sent.line, resp_text(reply));
    }
}

static int take_replies(struct stream *stream) {
    int error = client_fill(&stream->client);
    while (error == 0 && stream->count > 0) {
        redisReply *reply;
        error = client_take(&stream->client, &reply);
        if (error < 0 || reply == NULL) {
            break;
        }
        take_reply(stream, reply);
        reply_free(&reply);
    }
    return error;
}

// ---- Progress ------------------------------------------------------------------------------------

static void show_progress(struct stream *stream) {
    uint64_t now_ms = clock_mono_ms();
    if (!stream->shows_progress || now_ms - stream->start_ms < LONG_MS ||
        now_ms - stream->shown_ms < PROGRESS_MS) {
        return;
    }
    stream->shown_ms = now_ms;
    struct bytes text = {0};
    append_grouped(&text, stream->published);
    bytes_append(&text, SLICE(" published, "));
    append_grouped(&text, stream->published * 1000 / (now_ms - stream->start_ms));
    bytes_append(&text, SLICE("/s"));
    fprintf(stderr, "\r\x1b[K%.*s", SLICE_ARGS(bytes_slice(&text)));
    bytes_release(&text);
}

// ---- The loop ------------------------------------------------------------------------------------

// One wait for input or answers, whichever comes.
static int turn(struct stream *stream, int *status_r) {
    bool wants_input = !stream->is_ended && has_room(stream);
    struct pollfd wanted[] = {
        {.fd = wants_input ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = client_fd(&stream->client), .events = POLLIN},
    };
    fflush(stdout);
    int ready = poll(wanted, 2, stream->count > 0 ? CLIENT_WAIT_MS : -1);
    if (ready == 0) {
        snprintf(stream->client.trouble, sizeof(stream->client.trouble), "it does not answer");
        return UV_ETIMEDOUT;
    }
    int error = 0;
    if (ready > 0 && wanted[1].revents != 0) {
        error = take_replies(stream);
    }
    if (ready > 0 && error == 0 && wanted[0].revents != 0) {
        *status_r = read_input(stream);
    }
    return error;
}

static int lost(struct stream *stream) {
    clear_progress(stream);
    int status = tool_lost(stream->tool, &stream->client);
    if (stream->count > 0) {
        complain("publish: of lines %" PRIu64 " to %" PRIu64 " it is not known whether they were "
                 "published%s",
                 stream->window[stream->first].line, stream->line,
                 stream->publication->options->once != NULL ? "; say it again with the same --once"
                                                            : "");
    }
    return status;
}

// The library is loaded before the first line: a refusal in the middle would break the order.
static int prepare(struct stream *stream) {
    int64_t version;
    redisReply *refusal;
    int error = library_version(&stream->client, &version, &refusal);
    if (error == 0 && refusal == NULL && version == LIBRARY_ABSENT) {
        error = library_load(&stream->client, false, &refusal);
    }
    if (error < 0) {
        return tool_lost(stream->tool, &stream->client);
    }
    int status = END_FINE;
    // Without the right to ask the version, publishing itself will tell.
    if (refusal != NULL && !reply_is_refusal(refusal, "NOPERM")) {
        status = tool_refused(stream->tool, "publish", resp_text(refusal));
    }
    reply_free(&refusal);
    return status;
}

static int pump(struct stream *stream) {
    int status = prepare(stream);
    while (status == END_FINE) {
        send_lines(stream);
        if (client_flush(&stream->client) < 0) {
            return lost(stream);
        }
        if (stream->is_ended && stream->count == 0 && stream->input.len == 0) {
            break;
        }
        if (turn(stream, &status) < 0) {
            return lost(stream);
        }
        show_progress(stream);
    }
    clear_progress(stream);
    return status == END_FINE && stream->refused > 0 ? END_REFUSED : status;
}

int publish_lines(const struct tool *tool, struct publication *publication) {
    struct stream stream = {.tool = tool, .publication = publication};
    stream.shows_progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
    stream.start_ms = clock_mono_ms();
    int status = tool_connect(tool, &stream.client);
    if (status == END_FINE) {
        status = pump(&stream);
        client_close(&stream.client);
    }
    if (stream.refused > 0 || (stream.shows_progress && stream.published > 0)) {
        complain("publish: %" PRIu64 " published, %" PRIu64 " not", stream.published,
                 stream.refused);
    }
    bytes_release(&stream.input);
    return status;
}
