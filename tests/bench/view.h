// How a run goes, for a terminal: a table of the transports, the latest notes below it.
#ifndef FRESHET_TESTS_BENCH_VIEW_H
#define FRESHET_TESTS_BENCH_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/notes.h"
#include "tests/bench/options.h"
#include "tests/bench/tally.h"

// A run at one moment. Transports without clients have no row.
struct snapshot {
    const char *phase;
    uint32_t second;  // since publishing began, at most `seconds`
    uint32_t seconds; // 0: until a signal
    uint32_t rate;
    uint64_t published;
    struct snapshot_row {
        const char *name;
        uint32_t clients, connected;
        uint64_t delivered, lost, doubled, resets, reconnects;
        uint64_t other; // every other failure
        double p99_ms;
    } rows[TRANSPORT_COUNT];
    size_t row_count;
    const struct notes *notes; // borrowed
    const char *verdict;       // NULL while it runs
};

struct view {
    enum view_mode mode;
    bool has_color;
    int lines; // of the frame that stands on the terminal
};

// The mode asked for, as far as standard error is a terminal.
void view_init(struct view *view, enum view_mode mode);
void view_draw(struct view *view, const struct snapshot *snapshot);

#endif
