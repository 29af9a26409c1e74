// See tail_print.h.
#include "cluster/cli/tail_print.h"

#include "cluster/base/base64.h"
#include "cluster/base/clock.h"
#include "cluster/cli/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CHANNEL_WIDTH_MAX = 24 };

void tail_printer_init(struct tail_printer *printer, bool is_json, const char *const *channels,
                       size_t count) {
    *printer = (struct tail_printer){.is_json = is_json};
    for (size_t i = 0; i < count; i++) {
        size_t width = strlen(channels[i]);
        width = width < CHANNEL_WIDTH_MAX ? width : CHANNEL_WIDTH_MAX;
        printer->channel_width = width > printer->channel_width ? width : printer->channel_width;
    }
}

void tail_printer_release(struct tail_printer *printer) {
    bytes_release(&printer->line);
}

static bool same_day(const struct tm *a, const struct tm *b) {
    return a->tm_year == b->tm_year && a->tm_yday == b->tm_yday;
}

// The time of day; of another day the date as well. Both 12 wide.
static void append_time(struct bytes *line, int64_t time_ms) {
    time_t seconds = (time_t)(time_ms / 1000);
    time_t now = time(NULL);
    struct tm then = {0};
    struct tm today = {0};
    char text[32] = "";
    localtime_r(&seconds, &then);
    localtime_r(&now, &today);
    if (same_day(&then, &today)) {
        size_t len = strftime(text, sizeof(text), "%H:%M:%S", &then);
        snprintf(text + len, sizeof(text) - len, ".%03d", (int)(time_ms % 1000));
    } else {
        strftime(text, sizeof(text), "%m-%d %H:%M ", &then);
    }
    append_styled(line, STYLE_DIM, slice_of(text));
    bytes_append(line, SLICE("  "));
}

static void append_channel(const struct tail_printer *printer, struct bytes *line,
                           struct slice channel) {
    append_styled(line, STYLE_NAME, channel);
    size_t gap = channel.len < printer->channel_width ? printer->channel_width - channel.len : 0;
    bytes_append_format(line, "%*s", (int)gap + 2, "");
}

static void append_data(struct bytes *line, const struct message *message) {
    if (message->type == MESSAGE_BINARY) {
        append_styled(line, STYLE_DIM, SLICE("base64 "));
        base64_append(line, message->data);
    } else {
        append_visible(line, message->data);
    }
}

void tail_print_message(struct tail_printer *printer, struct slice channel,
                        const struct message *message) {
    struct bytes *line = &printer->line;
    if (printer->is_json) {
        object_message(line, channel, message);
        print_bytes(line);
        return;
    }
    char id[POSITION_TEXT_MAX] = "(ephemeral)";
    if (!message_is_ephemeral(message)) {
        position_format(message->position, id);
    }
    append_time(line, message->time_ms);
    append_channel(printer, line, channel);
    append_styled(line, STYLE_DIM, slice_of(id));
    bytes_append_format(line, "%*s", strlen(id) < 20 ? (int)(22 - strlen(id)) : 2, "");
    if (message->event.len > 0) {
        append_styled(line, STYLE_BOLD, message->event);
        bytes_append(line, SLICE("  "));
    }
    append_data(line, message);
    bytes_append_char(line, '\n');
    print_bytes(line);
}

static void append_place(struct bytes *bytes, struct position position) {
    if (position_is_none(position)) {
        bytes_append(bytes, SLICE("nothing"));
    } else {
        position_append(bytes, position);
    }
}

static const char *meaning(enum reset_reason reason) {
    static const char *const meanings[RESET_REASONS] = {
        [RESET_LOST] = "Redis lost what you had seen",
        [RESET_EXPIRED] = "the log no longer reaches back",
        [RESET_FOREIGN] = "this Redis does not know that position",
    };
    return meanings[reason];
}

void tail_print_reset(struct tail_printer *printer, struct slice channel,
                      const struct reset *reset) {
    struct bytes *line = &printer->line;
    if (printer->is_json) {
        object_begin(line);
        object_text(line, "type", SLICE("reset"));
        object_text(line, "channel", channel);
        object_position(line, "from", reset->from);
        object_position(line, "to", reset->to);
        object_text(line, "reason", slice_of(reset_reason_name(reset->reason)));
        object_number(line, "spread", 0);
        object_end(line);
        print_bytes(line);
        return;
    }
    append_time(line, clock_wall_ms());
    append_channel(printer, line, channel);
    append_styled(line, STYLE_WARN, SLICE("reset"));
    bytes_append_format(line, " %s (%s): ", reset_reason_name(reset->reason),
                        meaning(reset->reason));
    append_place(line, reset->from);
    bytes_append(line, SLICE(" -> "));
    append_place(line, reset->to);
    bytes_append_char(line, '\n');
    print_bytes(line);
}

void tail_printer_flush(struct tail_printer *printer) {
    (void)printer;
    if (fflush(stdout) != 0) {
        complain("the output could not be written: %s", strerror(errno));
        exit(END_REFUSED);
    }
}
