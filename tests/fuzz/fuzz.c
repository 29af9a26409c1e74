// How streams are cut, and questions about slices.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

uint8_t fuzz_take_byte(struct slice *input) {
    if (input->len == 0) {
        return 0;
    }
    uint8_t byte = (uint8_t)input->data[0];
    *input = slice_from(*input, 1);
    return byte;
}

bool fuzz_lies_within(struct slice part, struct slice whole) {
    return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
                             part.data + part.len <= whole.data + whole.len);
}

bool pieces_next(struct pieces *pieces, struct slice *piece_r) {
    mem_free(pieces->copy);
    pieces->copy = NULL;
    size_t len = pieces->next < pieces->rest.len ? pieces->next : pieces->rest.len;
    if (len == 0) {
        return false;
    }
    pieces->copy = memcpy(mem_alloc(len), pieces->rest.data, len);
    *piece_r = slice_make(pieces->copy, len);
    pieces->rest = slice_from(pieces->rest, len);
    pieces->next = pieces->step;
    return true;
}

static struct bytes transcript_of(struct slice stream, size_t first, size_t step,
                                  void (*read)(struct pieces *pieces, struct bytes *transcript)) {
    struct pieces pieces = {.rest = stream, .next = first, .step = step};
    struct bytes transcript = {0};
    read(&pieces, &transcript);
    mem_free(pieces.copy);
    return transcript;
}

void fuzz_check_cuts(struct slice input,
                     void (*read)(struct pieces *pieces, struct bytes *transcript)) {
    size_t cut = (size_t)fuzz_take_byte(&input) << 8;
    cut |= fuzz_take_byte(&input);
    cut = 1 + cut % (input.len + 1);
    struct bytes whole = transcript_of(input, input.len, input.len, read);
    struct bytes halves = transcript_of(input, cut, input.len, read);
    struct bytes single = transcript_of(input, 1, 1, read);
    CHECK(slice_equal(bytes_slice(&whole), bytes_slice(&halves)));
    CHECK(slice_equal(bytes_slice(&whole), bytes_slice(&single)));
    bytes_release(&whole);
    bytes_release(&halves);
    bytes_release(&single);
}
