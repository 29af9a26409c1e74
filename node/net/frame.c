// One allocation per frame, counted without atomics: a frame never leaves its worker.
#include "node/net/frame.h"

#include <stdio.h>
#include <string.h>

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

static struct frame *create(struct slice head, struct slice payload, struct slice tail) {
    CHECK(payload.len <= UINT32_MAX - head.len - tail.len);
    size_t len = head.len + payload.len + tail.len;
    struct frame *frame = mem_realloc(NULL, sizeof(*frame) + len);
    frame->refs = 1;
    frame->len = (uint32_t)len;
    frame->head = (uint16_t)head.len;
    frame->tail = (uint16_t)tail.len;
    const struct slice parts[] = {head, payload, tail};
    char *at = frame->data;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].len > 0) {
            memcpy(at, parts[i].data, parts[i].len);
            at += parts[i].len;
        }
    }
    return frame;
}

struct frame *frame_create(struct slice payload) {
    return create(SLICE_NONE, payload, SLICE_NONE);
}

struct frame *frame_create_with_head(struct slice head, struct slice payload) {
    return create(head, payload, SLICE_NONE);
}

struct frame *frame_create_chunk(struct slice payload) {
    CHECK(payload.len > 0);
    char size_line[20];
    int len = snprintf(size_line, sizeof(size_line), "%zx\r\n", payload.len);
    CHECK(len > 0 && (size_t)len < sizeof(size_line));
    return create(slice_make(size_line, (size_t)len), payload, SLICE("\r\n"));
}

struct frame *frame_ref(struct frame *frame) {
    CHECK(frame->refs > 0 && frame->refs < UINT32_MAX);
    frame->refs++;
    return frame;
}

void frame_unref(struct frame **frame) {
    struct frame *mine = *frame;
    *frame = NULL;
    CHECK(mine->refs > 0);
    if (--mine->refs == 0) {
        mem_free(mine);
    }
}
