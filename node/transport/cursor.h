// A client's cursor as text: one item per channel, in the order of the channels, joined by commas
// (CONTRACT.md, section 1). Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_CURSOR_H
#define FRESHET_NODE_TRANSPORT_CURSOR_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "cluster/message.h"
#include "node/hub/hub.h"

#include <stddef.h>

// A position (CURSOR_SINCE), `0` for the oldest kept (CURSOR_OLDEST), or empty (CURSOR_HEAD).
struct cursor_item {
    enum cursor_start kind;
    struct position position; // CURSOR_SINCE
};

int cursor_item_parse(struct slice text, struct cursor_item *item_r); // UV_EINVAL: none of these

// Reads the whole list and counts it, but stores `max` items at most: a list of another length than
// the channels is the caller's to judge. UV_EINVAL when an item is no item.
int cursor_parse(struct slice text, struct cursor_item *items_r, size_t max, size_t *count_r);

// Appends one more item: with a comma unless it is the first.
void cursor_append_item(struct bytes *bytes, size_t index, struct position position);

#endif
