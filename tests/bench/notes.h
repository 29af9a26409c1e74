// What happens during a run, as short lines with their second: told by the program itself, and
// with --notes by whoever writes to its standard input ("node 2 killed (-9)").
//
// The latest few are kept. Only printable ASCII is: a note goes to terminals and into JSON.
#ifndef FRESHET_TESTS_BENCH_NOTES_H
#define FRESHET_TESTS_BENCH_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NOTES_KEPT = 6, NOTE_BYTES_MAX = 120 };

struct note {
    uint32_t second;
    char text[NOTE_BYTES_MAX + 1];
};

struct notes {
    struct note kept[NOTES_KEPT]; // a ring
    size_t count;                 // of all there were
    struct note line;             // being read; what is beyond its end is cut off
    size_t line_bytes;
    bool is_at_end; // of the input
};

void notes_add(struct notes *notes, uint32_t second, const char *text);

// Takes bytes of input: each line is a note.
void notes_feed(struct notes *notes, uint32_t second, const char *bytes, size_t length);

// Reads what there is to read from a descriptor, a bounded part of it, without waiting.
void notes_read(struct notes *notes, uint32_t second, int descriptor);

// How many are kept, and the i-th of them, oldest first.
size_t notes_kept(const struct notes *notes);
const struct note *notes_at(const struct notes *notes, size_t i);

#endif
