// See output.h.
#include "cluster/cli/output.h"

#include "cluster/base/base64.h"
#include "cluster/base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// ---- Text ----------------------------------------------------------------------------------------

static bool has_colours(void) {
    static int answer = -1;
    if (answer < 0) {
        const char *no_color = getenv("NO_COLOR");
        const char *term = getenv("TERM");
        bool is_dumb = term == NULL || strcmp(term, "dumb") == 0;
        answer = isatty(STDOUT_FILENO) && !is_dumb && (no_color == NULL || no_color[0] == '\0');
    }
    return answer == 1;
}

const char *style(enum style style) {
    static const char *const escapes[] = {
        [STYLE_PLAIN] = "\x1b[0m", [STYLE_DIM] = "\x1b[2m",   [STYLE_BOLD] = "\x1b[1m",
        [STYLE_GOOD] = "\x1b[32m", [STYLE_WARN] = "\x1b[33m", [STYLE_BAD] = "\x1b[31m",
        [STYLE_NAME] = "\x1b[36m",
    };
    return has_colours() ? escapes[style] : "";
}

void append_styled(struct bytes *bytes, enum style name, struct slice text) {
    bytes_append(bytes, slice_of(style(name)));
    append_visible(bytes, text);
    bytes_append(bytes, slice_of(style(STYLE_PLAIN)));
}

static void append_escape(struct bytes *bytes, unsigned char c) {
    static const char names[] = "\t\n\r";
    static const char letters[] = "tnr";
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    if (name != NULL) {
        bytes_append_format(bytes, "\\%c", letters[name - names]);
    } else {
        bytes_append_format(bytes, "\\x%02x", c);
    }
}

void append_visible(struct bytes *bytes, struct slice text) {
    while (text.len > 0) {
        unsigned char first = (unsigned char)text.data[0];
        size_t length = slice_utf8_length(text);
        bool is_c1 = length == 2 && first == 0xc2 && (unsigned char)text.data[1] < 0xa0;
        if (length == 0 || first < ' ' || first == 0x7f || is_c1) {
            length = 1; // the second byte of a C1 character is no UTF-8 by itself
            append_escape(bytes, first);
        } else {
            bytes_append(bytes, slice_make(text.data, length));
        }
        text = slice_from(text, length);
    }
}

void append_grouped(struct bytes *bytes, uint64_t number) {
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            bytes_append_char(bytes, ',');
        }
        bytes_append_char(bytes, digits[i]);
    }
}

void append_size(struct bytes *bytes, uint64_t size) {
    static const char *const units[] = {"KB", "MB", "GB"};
    if (size < 1024) {
        bytes_append_format(bytes, "%" PRIu64 " B", size);
        return;
    }
    double scaled = (double)size / 1024;
    size_t unit = 0;
    while (scaled >= 1024 && unit < 2) {
        scaled /= 1024;
        unit++;
    }
    bytes_append_format(bytes, scaled < 10 ? "%.1f %s" : "%.0f %s", scaled, units[unit]);
}

void append_span(struct bytes *bytes, int64_t ms) {
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    // Two of a unit before it is used: 90 s say more than 1 min.
    while (i < 4 && ms < 2 * units[i].ms) {
        i++;
    }
    bytes_append_format(bytes, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
}

void print_bytes(struct bytes *bytes) {
    if (bytes->len > 0) {
        fwrite(bytes->data, 1, bytes->len, stdout);
    }
    bytes_clear(bytes);
}

// ---- JSON ----------------------------------------------------------------------------------------

void object_begin(struct bytes *bytes) {
    bytes_append_char(bytes, '{');
}

void object_end(struct bytes *bytes) {
    bytes_append(bytes, SLICE("}\n"));
}

static void append_name(struct bytes *bytes, const char *name) {
    if (bytes->data[bytes->len - 1] != '{') {
        bytes_append_char(bytes, ',');
    }
    bytes_append_format(bytes, "\"%s\":", name);
}

// What Redis holds need not be UTF-8, but JSON must.
static void append_json_text(struct bytes *bytes, struct slice text) {
    if (slice_is_utf8(text)) {
        json_append_string(bytes, text);
        return;
    }
    struct bytes visible = {0};
    append_visible(&visible, text);
    json_append_string(bytes, bytes_slice(&visible));
    bytes_release(&visible);
}

void object_text(struct bytes *bytes, const char *name, struct slice value) {
    append_name(bytes, name);
    append_json_text(bytes, value);
}

void object_number(struct bytes *bytes, const char *name, int64_t value) {
    append_name(bytes, name);
    bytes_append_format(bytes, "%" PRId64, value);
}

void object_flag(struct bytes *bytes, const char *name, bool value) {
    append_name(bytes, name);
    bytes_append(bytes, value ? SLICE("true") : SLICE("false"));
}

void object_null(struct bytes *bytes, const char *name) {
    append_name(bytes, name);
    bytes_append(bytes, SLICE("null"));
}

void object_position(struct bytes *bytes, const char *name, struct position value) {
    if (position_is_none(value)) {
        object_null(bytes, name);
        return;
    }
    append_name(bytes, name);
    bytes_append_char(bytes, '"');
    position_append(bytes, value);
    bytes_append_char(bytes, '"');
}

static void append_data(struct bytes *bytes, const struct message *message) {
    append_name(bytes, "data");
    size_t start = bytes->len;
    switch (message->type) {
    case MESSAGE_JSON:
        bytes_append(bytes, message->data);
        for (size_t i = start; i < bytes->len; i++) { // only white space has them raw
            if (bytes->data[i] == '\r' || bytes->data[i] == '\n') {
                bytes->data[i] = ' ';
            }
        }
        break;
    case MESSAGE_TEXT:
        json_append_string(bytes, message->data);
        break;
    case MESSAGE_BINARY:
        bytes_append_char(bytes, '"');
        base64_append(bytes, message->data);
        bytes_append(bytes, SLICE("\",\"encoding\":\"base64\""));
        break;
    }
}

void object_message(struct bytes *bytes, struct slice channel, const struct message *message) {
    object_begin(bytes);
    object_text(bytes, "channel", channel);
    if (!message_is_ephemeral(message)) {
        object_position(bytes, "id", message->position);
    }
    object_number(bytes, "time", message->time_ms > 0 ? message->time_ms : 0);
    if (message->event.len > 0) {
        object_text(bytes, "event", message->event);
    }
    if (!position_is_none(message->fork)) {
        object_position(bytes, "fork", message->fork);
    }
    append_data(bytes, message);
    object_end(bytes);
}
