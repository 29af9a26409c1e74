// A cursor's text: every position has one spelling only, so what was read can be written again.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "node/transport/cursor.h"

enum { ITEMS_MAX = 64 };

static void append_item(struct bytes *text, size_t index, const struct cursor_item *item) {
    cursor_append_item(text, index, item->position);
    if (item->kind == CURSOR_OLDEST) {
        bytes_append_char(text, '0');
    }
}

static void check_item(const struct cursor_item *item) {
    CHECK(item->kind == CURSOR_SINCE || item->kind == CURSOR_OLDEST || item->kind == CURSOR_HEAD);
    CHECK((item->kind == CURSOR_SINCE) == !position_is_none(item->position));
    char text[POSITION_TEXT_MAX];
    CHECK(position_format(item->position, text) < POSITION_TEXT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size);
    struct cursor_item items[ITEMS_MAX];
    size_t count;
    if (cursor_parse(input, items, ITEMS_MAX, &count) != 0) {
        return 0;
    }
    CHECK(count >= 1 && count <= size + 1);
    if (count > ITEMS_MAX) {
        return 0;
    }
    struct bytes text = {0};
    for (size_t i = 0; i < count; i++) {
        check_item(&items[i]);
        append_item(&text, i, &items[i]);
    }
    CHECK(slice_equal(bytes_slice(&text), input));
    bytes_release(&text);
    return 0;
}
