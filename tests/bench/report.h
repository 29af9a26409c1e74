// How a run goes, as messages on a channel (--tally): one JSON object a second, the last one with
// the verdict. Whoever cannot be told in time is not: this link never holds up the run.
#ifndef FRESHET_TESTS_BENCH_REPORT_H
#define FRESHET_TESTS_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/resp.h"
#include "tests/bench/view.h"

struct load;

struct report {
    struct load *load; // borrowed
    struct resp link;
    uint64_t under_way; // publishes without an answer
    bool is_refused;    // and the notes say so
};

void report_open(struct report *report, struct load *load);
void report_close(struct report *report);
void report_release(struct report *report); // its memory, when the loop has ended

void report_send(struct report *report, const struct snapshot *snapshot);
bool report_is_idle(const struct report *report); // all that was sent was answered

#endif
