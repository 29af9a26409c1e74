// What the fuzz targets share. A target is one libFuzzer program: it hands bytes that nobody should
// trust to one parser, and CHECKs what the parser's header promises of the result. Whoever looks
// for memory errors alone would miss the wrong answers.
#ifndef FRESHET_TESTS_FUZZ_FUZZ_H
#define FRESHET_TESTS_FUZZ_FUZZ_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// libFuzzer calls it; returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Cuts the first byte off *input; 0 when there is none.
uint8_t fuzz_take_byte(struct slice *input);

// Whether `part` lies within `whole`, as a slice that borrows from it must. An empty one always does.
bool fuzz_lies_within(struct slice part, struct slice whole);

// A stream that comes in pieces.
struct pieces {
    struct slice rest;
    size_t next; // bytes of the next piece
    size_t step; // of those behind it
    char *copy;  // owned: each piece has memory of its own, so that reading on behind it is noticed
};

// False at the end of the stream. The piece is valid until the next call.
bool pieces_next(struct pieces *pieces, struct slice *piece_r);

// The stream whole, in two pieces, and byte by byte: all must leave the same transcript. Where it is
// cut in two, the first two bytes of `input` say; the stream is what follows them.
void fuzz_check_cuts(struct slice input,
                     void (*read)(struct pieces *pieces, struct bytes *transcript));

#endif
