// Notes: see notes.h.
#include "tests/bench/notes.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

void notes_add(struct notes *notes, uint32_t second, const char *text) {
    struct note *note = &notes->kept[notes->count++ % NOTES_KEPT];
    note->second = second;
    snprintf(note->text, sizeof(note->text), "%s", text);
    for (char *at = note->text; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?';
        }
    }
}

static void end_line(struct notes *notes, uint32_t second) {
    notes->line.text[notes->line_bytes] = '\0';
    if (notes->line_bytes != 0) {
        notes_add(notes, second, notes->line.text);
    }
    notes->line_bytes = 0;
}

void notes_feed(struct notes *notes, uint32_t second, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            end_line(notes, second);
        } else if (notes->line_bytes < NOTE_BYTES_MAX && bytes[i] != '\0' && bytes[i] != '\r') {
            notes->line.text[notes->line_bytes++] = bytes[i];
        }
    }
}

// By poll(2), which takes terminals, pipes and files alike; to make standard input non-blocking
// would do so for everybody who shares it.
void notes_read(struct notes *notes, uint32_t second, int descriptor) {
    struct pollfd input = {.fd = descriptor, .events = POLLIN};
    if (notes->is_at_end || poll(&input, 1, 0) <= 0) {
        return;
    }
    char bytes[4096];
    ssize_t length = read(descriptor, bytes, sizeof(bytes));
    if (length > 0) {
        notes_feed(notes, second, bytes, (size_t)length);
    } else {
        notes->is_at_end = true;
        end_line(notes, second);
    }
}

size_t notes_kept(const struct notes *notes) {
    return notes->count < NOTES_KEPT ? notes->count : NOTES_KEPT;
}

const struct note *notes_at(const struct notes *notes, size_t i) {
    return &notes->kept[(notes->count - notes_kept(notes) + i) % NOTES_KEPT];
}
