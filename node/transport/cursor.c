// Cursor lists.
#include "node/transport/cursor.h"

#include <uv.h>

int cursor_item_parse(struct slice text, struct cursor_item *item_r) {
    *item_r = (struct cursor_item){.kind = CURSOR_HEAD};
    if (text.len == 0) {
        return 0;
    }
    if (slice_equal(text, SLICE("0"))) {
        item_r->kind = CURSOR_OLDEST;
        return 0;
    }
    item_r->kind = CURSOR_SINCE;
    return position_parse(text, &item_r->position);
}

int cursor_parse(struct slice text, struct cursor_item *items_r, size_t max, size_t *count_r) {
    struct slice rest = slice_make(text.data != NULL ? text.data : "", text.len);
    size_t count = 0;
    while (rest.data != NULL) {
        struct cursor_item item;
        int error = cursor_item_parse(slice_cut(&rest, ','), &item);
        if (error < 0) {
            return error;
        }
        if (count < max) {
            items_r[count] = item;
        }
        count++;
    }
    *count_r = count;
    return 0;
}

void cursor_append_item(struct bytes *bytes, size_t index, struct position position) {
    if (index > 0) {
        bytes_append_char(bytes, ',');
    }
    position_append(bytes, position);
}
