// Log lines. Each is built whole and written with one write(2), so that lines of several threads
// never mix; short enough (PIPE_BUF) that a pipe takes it in one piece.
#include "cluster/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cluster/base/bytes.h"
#include "cluster/base/clock.h"
#include "cluster/base/json.h"

enum {
    LINES_PER_SECOND = 50,
    // A byte may become five (`\\xNN` in JSON), and a line with its frame stays below 4096.
    TEXT_BYTES_MAX = 768,
};

static enum log_level level_max = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;

static struct {
    pthread_mutex_t lock;
    uint64_t since_ms;
    unsigned written;
    unsigned left_out;
} second = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *level_name(enum log_level level) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    return names[level];
}

// Whether a line may be written now; *left_out_r: how many of the last second were not.
static bool is_within_limit(enum log_level level, unsigned *left_out_r) {
    uint64_t now_ms = clock_mono_ms();
    *left_out_r = 0;
    pthread_mutex_lock(&second.lock);
    if (now_ms - second.since_ms >= 1000) {
        *left_out_r = second.left_out;
        second.since_ms = now_ms;
        second.written = 0;
        second.left_out = 0;
    }
    bool is_within = level == LOG_LEVEL_ERROR || second.written < LINES_PER_SECOND;
    if (is_within) {
        second.written++;
    } else {
        second.left_out++;
    }
    pthread_mutex_unlock(&second.lock);
    return is_within;
}

static void append_time(struct bytes *line) {
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char text[sizeof("2026-11-22T21:40:00")];
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    bytes_append(line, slice_make(text, length));
    bytes_append_format(line, ".%03dZ", (int)(now_ms % 1000));
}

// U+0080 to U+009F steer terminals just as C0 does.
static bool is_control(struct slice s, size_t length) {
    unsigned char c = (unsigned char)s.data[0];
    return length == 1 ? c < 0x20 || c == 0x7f : c == 0xc2 && (unsigned char)s.data[1] < 0xa0;
}

// What the text quotes may come from anywhere: no byte of it ends the line or reaches a terminal.
static void append_escaped(struct bytes *line, struct slice text) {
    while (text.len > 0) {
        size_t length = slice_utf8_length(text);
        if (length == 0 || is_control(text, length)) {
            length = 1;
            bytes_append_format(line, "\\x%02x", (unsigned)(unsigned char)text.data[0]);
        } else {
            bytes_append(line, slice_make(text.data, length));
        }
        text.data += length;
        text.len -= length;
    }
}

static void append_text_line(struct bytes *line, enum log_level level, const char *area,
                             struct slice what) {
    append_time(line);
    bytes_append_format(line, " %s %s: ", level_name(level), area);
    bytes_append(line, what);
    bytes_append_char(line, '\n');
}

static void append_json_line(struct bytes *line, enum log_level level, const char *area,
                             struct slice what) {
    bytes_append(line, SLICE("{\"time\":\""));
    append_time(line);
    bytes_append_format(line, "\",\"level\":\"%s\",\"area\":\"%s\",\"text\":", level_name(level),
                        area);
    json_append_string(line, what);
    bytes_append(line, SLICE("}\n"));
}

static void write_line(enum log_level level, const char *area, struct slice text) {
    struct bytes what = {0};
    struct bytes line = {0};
    append_escaped(&what, text);
    if (line_format == LOG_FORMAT_JSON) {
        append_json_line(&line, level, area, bytes_slice(&what));
    } else {
        append_text_line(&line, level, area, bytes_slice(&what));
    }
    // A line that stderr does not take is lost: there is nowhere to say so.
    while (write(STDERR_FILENO, line.data, line.len) < 0 && errno == EINTR) {
    }
    bytes_release(&line);
    bytes_release(&what);
}

void log_setup(enum log_level level, enum log_format format) {
    level_max = level;
    line_format = format;
}

bool log_is_on(enum log_level level) {
    return level <= level_max;
}

void log_write(enum log_level level, const char *area, const char *format, ...) {
    unsigned left_out;
    if (!log_is_on(level) || !is_within_limit(level, &left_out)) {
        return;
    }
    char text[TEXT_BYTES_MAX];
    if (left_out > 0) {
        int length =
            snprintf(text, sizeof(text), "too many lines in a second left_out=%u", left_out);
        write_line(LOG_LEVEL_WARNING, "log", slice_make(text, (size_t)length));
    }
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CHECK(length >= 0);
    size_t kept = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
    write_line(level, area, slice_make(text, kept));
}
