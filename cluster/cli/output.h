// What commands print: JSON objects one a line, and text for people. Text from elsewhere is shown
// with its control characters made visible, so that no payload can drive a terminal.
#ifndef FRESHET_CLUSTER_CLI_OUTPUT_H
#define FRESHET_CLUSTER_CLI_OUTPUT_H

#include "cluster/base/bytes.h"
#include "cluster/message.h"

#include <stdbool.h>
#include <stdint.h>

// ---- Text ----------------------------------------------------------------------------------------

enum style { STYLE_PLAIN, STYLE_DIM, STYLE_BOLD, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_NAME };

// An escape sequence, or "" when stdout is no terminal, NO_COLOR is set or TERM is dumb.
const char *style(enum style style);

void append_styled(struct bytes *bytes, enum style style, struct slice text);

// UTF-8 stays; control characters (C0, DEL, C1) and other bytes become \n, \t, \r or \xNN.
void append_visible(struct bytes *bytes, struct slice text);

void append_grouped(struct bytes *bytes, uint64_t number); // 12,345
void append_size(struct bytes *bytes, uint64_t size);      // 4.6 KB
void append_span(struct bytes *bytes, int64_t ms);         // 250 ms, 12 s, 3 min, 5 h, 29 d

// Writes the bytes to stdout and empties them.
void print_bytes(struct bytes *bytes);

// ---- JSON ----------------------------------------------------------------------------------------

void object_begin(struct bytes *bytes);
void object_text(struct bytes *bytes, const char *name, struct slice value);
void object_number(struct bytes *bytes, const char *name, int64_t value);
void object_flag(struct bytes *bytes, const char *name, bool value);
void object_position(struct bytes *bytes, const char *name, struct position value); // none: null
void object_null(struct bytes *bytes, const char *name);
void object_end(struct bytes *bytes); // with a newline

// A message object of the contract's section 3, on one line.
void object_message(struct bytes *bytes, struct slice channel, const struct message *message);

#endif
